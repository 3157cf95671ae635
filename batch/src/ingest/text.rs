//! Lines become rows.

use std::borrow::Cow;

use kilowatch_shared::{position::DeviceId, stream::decode::joined_key};
use smallvec::SmallVec;

use super::{
    Block, ParsedRows,
    columns::{Slot, named_device},
    layout::TextLayout,
    number::{NotANumber, parse_number},
    rows::RowsBuilder,
    time::{NotATime, UciTime, parse_instant},
};

/// A line of the household file has 55 to 65 bytes; guessing low costs one growth of the columns.
const TYPICAL_LINE_BYTES: usize = 56;

/// Reads every line of a block. Empty lines are no rows.
pub(crate) fn parse_block(layout: &TextLayout, block: &Block) -> ParsedRows {
    let rows = block.bytes.len() / TYPICAL_LINE_BYTES + 1;
    let mut reader = LineReader {
        layout,
        rows: RowsBuilder::new(layout.measures, layout.tags, rows),
        uci_time: UciTime::default(),
        fixed_device: 0,
        key: SmallVec::from_elem(String::new(), layout.key_parts),
    };
    reader.fixed_device = reader.rows.known_device(&layout.device);
    // A quote anywhere sends the block to the careful path, which a file of numbers never needs.
    let quotes = memchr::memchr(b'"', &block.bytes).is_some();
    let (mut start, mut number) = (0, block.first_line);
    while start < block.bytes.len() {
        let rest = &block.bytes[start..];
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            reader.read(line, number, quotes);
        }
        start += end + 1;
        number += 1;
    }
    reader.rows.finish()
}

struct LineReader<'a> {
    layout: &'a TextLayout,
    rows: RowsBuilder,
    uci_time: UciTime,
    fixed_device: u32,
    /// The parts of the device's name in the row at hand.
    key: SmallVec<[String; 2]>,
}

/// What is wrong with a field, put into words only if the line has the right number of them.
enum BadField {
    Number(NotANumber),
    Time(NotATime),
    Device(String),
    NotUtf8,
}

impl LineReader<'_> {
    fn read(&mut self, line: &[u8], number: u64, quotes: bool) {
        let parsed = if quotes && memchr::memchr(b'"', line).is_some() {
            match split_quoted(line, self.layout.separator) {
                Ok(fields) => self.fields(fields.iter().map(AsRef::as_ref)),
                Err(reason) => Err(reason.to_owned()),
            }
        } else {
            self.fields(Fields { line, separator: self.layout.separator, start: 0, ended: false })
        };
        match parsed {
            Ok((device, time)) => self.rows.push(number, device, time),
            Err(reason) => {
                let reason = if std::str::from_utf8(line).is_err() { "not valid UTF-8".to_owned() } else { reason };
                self.rows.push_bad(number, reason, line, device_of_line(self.layout, line));
            }
        }
    }

    fn fields<'f>(&mut self, fields: impl Iterator<Item = &'f [u8]>) -> Result<(u32, i64), String> {
        let layout = self.layout;
        let (mut device, mut time, mut date) = (self.fixed_device, None, &[][..]);
        let (mut count, mut clock) = (0_usize, None);
        let mut bad: Option<(usize, BadField, &[u8])> = None;
        for field in fields {
            let outcome = match layout.slots.get(count) {
                None | Some(Slot::Skip) => Ok(()),
                Some(Slot::Measure(index)) => parse_number(field).map_err(BadField::Number).map(|value| {
                    if let Some(place) = self.rows.values.get_mut(*index) {
                        *place = value;
                    }
                }),
                Some(Slot::Date) => {
                    date = field;
                    Ok(())
                }
                Some(Slot::Clock) => {
                    clock = Some(field);
                    Ok(())
                }
                Some(Slot::Time) => parse_instant(field, layout.time_format, layout.offset_secs)
                    .map(|micros| time = Some(micros))
                    .map_err(BadField::Time),
                Some(Slot::Device) => self.device(field).map(|index| device = index),
                Some(Slot::Key { part, tag }) => self.key_part(*part, *tag, field),
                Some(Slot::Tag(index)) => self.tag(*index, field),
            };
            if let Err(reason) = outcome
                && bad.is_none()
            {
                bad = Some((count, reason, field));
            }
            count += 1;
        }
        if count != layout.slots.len() {
            let kind = if count < layout.slots.len() { "truncated" } else { "too long" };
            return Err(format!("{kind}: {count} fields where the header has {}", layout.slots.len()));
        }
        if let Some((index, reason, field)) = bad {
            return Err(self.describe(index, &reason, field));
        }
        if let Some(clock) = clock {
            match self.uci_time.parse(date, clock, layout.offset_secs) {
                Ok(micros) => time = Some(micros),
                Err(reason) => {
                    let field = if reason == NotATime::BadDate { date } else { clock };
                    return Err(time_reason(reason, field));
                }
            }
        }
        if layout.key_parts > 0 {
            let name = joined_key(self.key.iter().map(String::as_str));
            device = self.rows.device(&name).map_err(|invalid| invalid.to_string())?;
        }
        time.map(|micros| (device, micros)).ok_or_else(|| "no event time".to_owned())
    }

    fn key_part(&mut self, part: usize, tag: Option<usize>, field: &[u8]) -> Result<(), BadField> {
        let text = std::str::from_utf8(field).map_err(|_| BadField::NotUtf8)?.trim();
        if text.is_empty() {
            return Err(BadField::Device("a part of the device's name is empty".to_owned()));
        }
        if let Some(place) = self.key.get_mut(part) {
            text.clone_into(place);
        }
        tag.map_or(Ok(()), |tag| self.tag(tag, field))
    }

    fn device(&mut self, field: &[u8]) -> Result<u32, BadField> {
        let text = std::str::from_utf8(field).map_err(|_| BadField::NotUtf8)?;
        self.rows.device(text.trim()).map_err(|invalid| BadField::Device(invalid.to_string()))
    }

    fn tag(&mut self, index: usize, field: &[u8]) -> Result<(), BadField> {
        let text = std::str::from_utf8(field).map_err(|_| BadField::NotUtf8)?.trim();
        if let Some(place) = self.rows.texts.get_mut(index) {
            *place = (!text.is_empty()).then(|| text.into());
        }
        Ok(())
    }

    fn describe(&self, index: usize, reason: &BadField, field: &[u8]) -> String {
        let name = self.layout.names.get(index).map_or("", String::as_str);
        match reason {
            BadField::Number(NotANumber::Malformed) => format!("{name}: `{}` is not a number", excerpt(field)),
            BadField::Number(NotANumber::OutOfRange) => {
                format!("{name}: `{}` is not a finite number from -1e18 to 1e18", excerpt(field))
            }
            BadField::Time(reason) => format!("{name}: {}", time_reason(*reason, field)),
            BadField::Device(reason) => reason.clone(),
            BadField::NotUtf8 => format!("{name}: not valid UTF-8"),
        }
    }
}

/// The device of a line that became no reading.
fn device_of_line(layout: &TextLayout, line: &[u8]) -> Option<DeviceId> {
    if !layout.slots.iter().any(Slot::names_device) {
        return Some(layout.device.clone());
    }
    // With fields too few or too many nobody knows which one is which.
    let fields = split_quoted(line, layout.separator).ok().filter(|fields| fields.len() == layout.slots.len())?;
    let texts = fields.iter().map(|field| std::str::from_utf8(field).unwrap_or_default());
    named_device(layout.slots.iter().copied().zip(texts), layout.key_parts)
}

/// The reason in words.
pub(super) fn time_reason(reason: NotATime, field: &[u8]) -> String {
    let field = excerpt(field);
    match reason {
        NotATime::BadDate => format!("`{field}` is not a date"),
        NotATime::BadClock => format!("`{field}` is not a time of day"),
        NotATime::BadInstant => format!("`{field}` is not an instant; write it as 2007-01-31T23:59:00Z"),
        NotATime::OutOfRange => "the year is out of 1970 to 2200".to_owned(),
    }
}

fn excerpt(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().chars().take(40).collect()
}

/// The fields of a line without quotes.
struct Fields<'a> {
    line: &'a [u8],
    separator: u8,
    start: usize,
    ended: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.ended {
            return None;
        }
        let rest = &self.line[self.start..];
        // Fields are a few bytes long, so a plain loop beats the set-up of a vector search.
        let end = rest.iter().position(|byte| *byte == self.separator);
        match end {
            Some(end) => {
                self.start += end + 1;
                Some(&rest[..end])
            }
            None => {
                self.ended = true;
                Some(rest)
            }
        }
    }
}

/// The fields of a line, some of them quoted; a doubled quote inside quotes is one. A quoted field ends on its line.
pub(super) fn split_quoted(line: &[u8], separator: u8) -> Result<SmallVec<[Cow<'_, [u8]>; 16]>, &'static str> {
    let mut fields = SmallVec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            let end = memchr::memchr(separator, rest);
            fields.push(Cow::Borrowed(&rest[..end.unwrap_or(rest.len())]));
            match end {
                Some(end) => rest = &rest[end + 1..],
                None => return Ok(fields),
            }
            continue;
        };
        let mut text = Vec::new();
        let mut from = quoted;
        loop {
            let end = memchr::memchr(b'"', from).ok_or("a quoted field does not end on its line")?;
            text.extend_from_slice(&from[..end]);
            from = &from[end + 1..];
            match from.strip_prefix(b"\"") {
                Some(after) => {
                    text.push(b'"');
                    from = after;
                }
                None => break,
            }
        }
        fields.push(Cow::Owned(text));
        match from.split_first() {
            None => return Ok(fields),
            Some((first, after)) if *first == separator => rest = after,
            Some(_) => return Err("text after a closing quote"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_hold_separators_and_quotes() {
        let fields = split_quoted(br#"a,"b,""c""",,d"#, b',').unwrap();
        let fields: Vec<&[u8]> = fields.iter().map(AsRef::as_ref).collect();
        assert_eq!(fields, [&b"a"[..], br#"b,"c""#, b"", b"d"]);
        assert!(split_quoted(br#"a,"b"#, b',').is_err());
        assert!(split_quoted(br#""a"b,c"#, b',').is_err());
    }

    proptest! {
        #[test]
        fn a_line_without_quotes_splits_the_same_on_both_paths(line in "[a-z;]{0,30}") {
            let quick: Vec<&[u8]> = Fields { line: line.as_bytes(), separator: b';', start: 0, ended: false }.collect();
            let careful = split_quoted(line.as_bytes(), b';').unwrap();
            prop_assert_eq!(quick, careful.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>());
        }
    }
}
