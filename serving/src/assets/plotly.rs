//! The chart library, out of the crate that embeds it.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::content_tag;

const SCRIPT_OPEN: &str = "<script type=\"text/javascript\">";
const SCRIPT_CLOSE: &str = "</script>";

/// A script that is kept packed, in a third of its size.
#[derive(Debug, Clone)]
pub(super) struct PackedScript {
    pub gzip: Bytes,
    pub tag: String,
}

/// A packed script, or why there is none.
pub(super) type Packed = Result<PackedScript, String>;

impl PackedScript {
    /// The script as it was.
    pub fn unpack(&self) -> std::io::Result<Bytes> {
        let mut script = Vec::new();
        GzDecoder::new(self.gzip.as_ref()).read_to_end(&mut script)?;
        Ok(script.into())
    }
}

/// Takes the library out of its crate and packs it.
pub(super) fn pack_plotly() -> Packed {
    let sources = ::plotly::Plot::offline_js_sources();
    let script = first_script(&sources).ok_or("the plotly crate embeds its script in an unknown way")?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
    let gzip = encoder.finish().map_err(|error| error.to_string())?;
    Ok(PackedScript { tag: content_tag(&gzip), gzip: gzip.into() })
}

/// The first of the two scripts in the crate's HTML; the second one sets formulas, which no chart here has.
fn first_script(html: &str) -> Option<&str> {
    let body = html.trim_start().strip_prefix(SCRIPT_OPEN)?;
    body.match_indices(SCRIPT_CLOSE)
        .map(|(at, _)| body.split_at(at))
        // The library's own text may hold a closing tag; the real one is followed by the next script.
        .find(|(_, rest)| rest.trim_start_matches(SCRIPT_CLOSE).trim_start().starts_with(SCRIPT_OPEN))
        .map(|(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_library_comes_whole_and_alone() {
        let packed = pack_plotly().unwrap();
        let script = String::from_utf8(packed.unpack().unwrap().to_vec()).unwrap();
        assert!(script.contains("plotly.js v3"), "another major version changes what chart.js may call");
        assert!(script.trim_end().ends_with("}));"), "it is cut off: {:?}", &script[script.len() - 80..]);
        assert!(!script.contains("window.MathJax="), "the formula script came along");
        assert!(packed.gzip.len() < 2_000_000, "{} bytes", packed.gzip.len());
    }
}
