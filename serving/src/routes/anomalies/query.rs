//! Which anomalies a request asks for.

use chrono::{FixedOffset, SecondsFormat};
use kilowatch_shared::{
    anomaly::Severity,
    stream::{DetectorConfig, StreamProfile},
    views::{AnomalyCursor, AnomalyFilter},
};

use crate::http::{ApiError, Params, parse_time};

/// Parameters of the route and of the page.
pub(crate) const KNOWN: [&str; 8] = ["stream", "device_id", "detector", "severity", "from", "until", "limit", "cursor"];

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1000;

/// A filter and a page of it.
#[derive(Debug)]
pub(crate) struct AnomalyQuery {
    pub filter: AnomalyFilter,
    pub after: Option<AnomalyCursor>,
    pub limit: u32,
}

impl AnomalyQuery {
    /// Reads the parameters; dates begin at `offset`'s midnight.
    pub fn parse(params: &Params, profile: &StreamProfile, offset: FixedOffset) -> Result<Self, ApiError> {
        let detectors: Vec<&str> = profile.detectors.iter().map(DetectorConfig::name).collect();
        let filter = AnomalyFilter {
            device: params.device()?,
            detector: params.get("detector", |name| {
                if detectors.contains(&name) {
                    Ok(name.to_owned())
                } else {
                    Err(format!("must be one of {}", detectors.join(", ")))
                }
            })?,
            min_severity: params.get("severity", |name| {
                Severity::parse(name).ok_or("must be minor, warning or critical; it means at least that")
            })?,
            from: params.time("from", offset)?,
            until: params.time("until", offset)?,
        };
        if let (Some(from), Some(until)) = (filter.from, filter.until)
            && from >= until
        {
            return Err(ApiError::invalid_parameter("from", params.text("from").unwrap_or(""), "must be before until"));
        }
        let after =
            params.get("cursor", |text| parse_cursor(text).ok_or("must be a next_cursor of an earlier answer"))?;
        Ok(Self { filter, after, limit: params.limit(DEFAULT_LIMIT, MAX_LIMIT)? })
    }
}

/// The cursor as text; clients hand it back as it is.
pub(crate) fn cursor_text(cursor: &AnomalyCursor) -> String {
    format!("{}~{}", cursor.event_time.to_rfc3339_opts(SecondsFormat::AutoSi, true), cursor.id)
}

fn parse_cursor(text: &str) -> Option<AnomalyCursor> {
    let (time, id) = text.split_once('~')?;
    let event_time = parse_time(time, FixedOffset::east_opt(0)?).ok()?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| AnomalyCursor { event_time, id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let cursor = AnomalyCursor { event_time: "2007-01-01T00:00:00.123456Z".parse().unwrap(), id: "0f".repeat(32) };
        assert_eq!(parse_cursor(&cursor_text(&cursor)), Some(cursor));
        for bad in ["", "~", "2007-01-01T00:00:00Z", "2007-01-01T00:00:00Z~'; drop table", "x~00"] {
            assert_eq!(parse_cursor(bad), None, "{bad:?}");
        }
    }
}
