//! A header becomes the layout of every line after it.

use kilowatch_shared::{
    position::DeviceId,
    stream::{StreamProfile, TimeFormat},
};

use super::{
    IngestError, IngestRequest,
    columns::{Slot, is_uci, key_parts, resolve, resolve_uci},
    text::split_quoted,
};

/// The zone of UCI files: Sceaux, France, without summer time.
const UCI_OFFSET_SECS: i64 = 3600;

/// How to read a line.
#[derive(Debug, Clone)]
pub(crate) struct TextLayout {
    /// What separates fields.
    pub(super) separator: u8,
    /// What each field is for.
    pub(super) slots: Vec<Slot>,
    /// The names of the fields, for reasons.
    pub(super) names: Vec<String>,
    /// The device where no field says it.
    pub(super) device: DeviceId,
    /// Seconds east of UTC of times that name no zone.
    pub(super) offset_secs: i64,
    /// How numbers stand for times.
    pub(super) time_format: TimeFormat,
    /// How many fields name the device together; 0 if one or none of the file's does.
    pub(super) key_parts: usize,
    /// How many measures and tags the profile has.
    pub(super) measures: usize,
    pub(super) tags: usize,
}

impl TextLayout {
    /// The layout that a header announces.
    pub(crate) fn of_header(
        header: &[u8],
        request: &IngestRequest,
        profile: &StreamProfile,
    ) -> Result<Self, IngestError> {
        check_header(header, request)?;
        let separator = request.separator.unwrap_or_else(|| most_frequent_separator(header));
        let names: Vec<String> = split_quoted(header, separator)
            .map_err(|reason| IngestError::BadRequest {
                reason: format!("{}: header: {reason}", request.path.display()),
            })?
            .iter()
            .map(|field| String::from_utf8_lossy(field).trim().to_owned())
            .collect();
        let uci = is_uci(&names, request);
        let slots = if uci { resolve_uci(&names, request, profile)? } else { resolve(&names, request, profile)? };
        let key_parts = key_parts(&slots, profile, request)?;
        let own_offset_secs = if uci { UCI_OFFSET_SECS } else { 0 };
        Ok(Self {
            separator,
            slots,
            names,
            device: request.device.clone(),
            offset_secs: request.utc_offset.map_or(own_offset_secs, |offset| i64::from(offset.local_minus_utc())),
            time_format: profile.time_format,
            key_parts,
            measures: profile.measures.len(),
            tags: profile.tags.len(),
        })
    }
}

/// Refuses what is no header at all, for its columns would tell nobody anything.
fn check_header(header: &[u8], request: &IngestRequest) -> Result<(), IngestError> {
    let unsupported = |found, fix| IngestError::Unsupported { path: request.path.clone(), found, fix };
    if header.trim_ascii().is_empty() {
        let reason = format!("{}: line 1 is blank, where a header is expected", request.path.display());
        return Err(IngestError::BadRequest { reason });
    }
    if header.contains(&0) {
        return Err(unsupported("binary data, or text in UTF-16", "save it as text in UTF-8"));
    }
    if header.trim_ascii_end().contains(&b'\r') {
        return Err(unsupported("lines that end in a carriage return alone", "save it with line feeds"));
    }
    Ok(())
}

fn most_frequent_separator(header: &[u8]) -> u8 {
    // The first of equals wins, so a header without any is one column of a comma-separated file.
    let count = |separator: u8| memchr::memchr_iter(separator, header).count();
    [b',', b';', b'\t', b'|'].into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kilowatch_shared::{position::StreamName, stream::StreamRegistry};

    use super::*;
    use crate::ingest::ColumnChoice;

    fn household() -> StreamProfile {
        StreamRegistry::built_in().unwrap().find(&StreamName::parse("household").unwrap()).unwrap().clone()
    }

    fn request() -> IngestRequest {
        IngestRequest::new(PathBuf::from("f.csv"), DeviceId::parse("m-1").unwrap())
    }

    const UCI: &[u8] = b"Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_metering_1;Sub_metering_2;Sub_metering_3";

    #[test]
    fn a_uci_header_is_known_by_itself_in_any_column_order() {
        let layout = TextLayout::of_header(UCI, &request(), &household()).unwrap();
        assert_eq!((layout.separator, layout.offset_secs), (b';', 3600));
        assert_eq!(layout.slots[..4], [Slot::Date, Slot::Clock, Slot::Measure(0), Slot::Measure(1)]);
        let mut names: Vec<&[u8]> = UCI.split(|byte| *byte == b';').collect();
        names.reverse();
        let layout = TextLayout::of_header(&names.join(&b","[..]), &request(), &household()).unwrap();
        assert_eq!((layout.separator, layout.slots[0], layout.slots[8]), (b',', Slot::Measure(6), Slot::Date));
    }

    #[test]
    fn a_wrong_header_says_what_is_missing_and_what_was_found() {
        let header = String::from_utf8(UCI.to_vec()).unwrap().replace("Voltage", "Volt");
        let error = TextLayout::of_header(header.as_bytes(), &request(), &household()).unwrap_err().to_string();
        assert!(error.contains("no column `Voltage`") && error.contains("`Volt`"), "{error}");
        let error = TextLayout::of_header(b"a,b,c", &request(), &household()).unwrap_err().to_string();
        assert!(error.contains("`timestamp`, `active_power`") && error.contains("found `a`, `b`, `c`"), "{error}");
    }

    #[test]
    fn named_columns_are_enough_and_the_others_stay_missing() {
        let mut request = request();
        request.columns = ColumnChoice::parse_list("active_power=Power (kW),voltage=U").unwrap();
        request.time_column = Some("When".to_owned());
        let layout = TextLayout::of_header(b"\"Power (kW)\",When,U,current", &request, &household()).unwrap();
        assert_eq!(layout.slots, [Slot::Measure(0), Slot::Time, Slot::Measure(2), Slot::Measure(3)]);
        assert_eq!(layout.offset_secs, 0);
    }

    #[test]
    fn a_contradictory_request_is_refused() {
        let refused = |columns: &str, header: &[u8]| {
            let mut request = request();
            request.columns = ColumnChoice::parse_list(columns).unwrap();
            TextLayout::of_header(header, &request, &household()).unwrap_err().to_string()
        };
        assert!(refused("power=P", b"timestamp,P").contains("neither a measure nor a tag"));
        assert!(refused("voltage=P,voltage=Q", b"timestamp,P,Q").contains("twice"));
        assert!(refused("voltage=P,current=P", b"timestamp,P").contains("two things"));
        assert!(refused("voltage=P", b"timestamp,P,P").contains("two columns"));
        assert!(refused("voltage=P", b"P,Q").contains("no column `timestamp`"));
    }
}
