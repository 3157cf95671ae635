//! What the log says about a data file, so that readers can leave it out: rows and ranges of a few columns.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, AsArray, StringArray},
    compute::{max, min},
    datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    lake::LakeError,
    position::{DeviceId, SourceId},
};

/// Columns that can be told apart by range; all others would cost space in the log and skip nothing.
const RANGED_COLUMNS: [&str; 5] = ["device_id", "event_time", "source", "source_partition", "source_offset"];

/// Rows and ranges of a data file. A range is `(least, greatest)`, and `None` if nobody knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileStats {
    /// How many rows the file has; `None` if its writer did not say.
    pub rows: Option<u64>,
    /// Instants of the readings.
    pub event_time: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Devices, in byte order.
    pub device_id: Option<(String, String)>,
    /// Sources, in byte order.
    pub source: Option<(String, String)>,
    /// Partitions of the sources.
    pub source_partition: Option<(i32, i32)>,
    /// Offsets, of whatever source.
    pub source_offset: Option<(i64, i64)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_records: Option<u64>,
    min_values: RangeEnd,
    max_values: RangeEnd,
    null_count: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RangeEnd {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_offset: Option<i64>,
}

impl FileStats {
    /// Whether the file may have rows of a device.
    #[must_use]
    pub fn may_hold_device(&self, device: &DeviceId) -> bool {
        may_hold(self.device_id.as_ref(), device.as_str())
    }

    /// Whether the file may have rows of a source.
    #[must_use]
    pub fn may_hold_source(&self, source: &SourceId) -> bool {
        may_hold(self.source.as_ref(), source.as_str())
    }

    /// The statistics as the log writes them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let times = self.event_time.filter(|(from, to)| in_calendar(*from) && in_calendar(*to));
        let end = |greatest: bool| RangeEnd {
            device_id: pick(self.device_id.as_ref(), greatest),
            event_time: pick(times.as_ref(), greatest).map(instant_text),
            source: pick(self.source.as_ref(), greatest),
            source_partition: pick(self.source_partition.as_ref(), greatest),
            source_offset: pick(self.source_offset.as_ref(), greatest),
        };
        let known = [
            self.device_id.is_some(),
            self.event_time.is_some(),
            self.source.is_some(),
            self.source_partition.is_some(),
            self.source_offset.is_some(),
        ];
        let json = StatsJson {
            num_records: self.rows,
            min_values: end(false),
            max_values: end(true),
            // The lake declares these columns as required.
            null_count: std::iter::zip(RANGED_COLUMNS, known)
                .filter(|(_, known)| *known)
                .map(|(column, _)| (column.to_owned(), 0.into()))
                .collect(),
        };
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// Reads what a log says, also of another writer. What cannot be understood is unknown.
    #[must_use]
    pub fn from_json(text: Option<&str>) -> Self {
        let json: StatsJson = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let (least, greatest) = (json.min_values, json.max_values);
        let from = least.event_time.as_deref().and_then(parse_instant);
        // Many writers cut instants to milliseconds, also the greatest.
        let to = greatest.event_time.as_deref().and_then(|text| {
            let cut = text.find('.').is_none_or(|dot| {
                text.get(dot + 1..).is_none_or(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() < 6)
            });
            parse_instant(text).map(|instant| if cut { instant + TimeDelta::microseconds(999) } else { instant })
        });
        Self {
            rows: json.num_records,
            event_time: from.zip(to),
            device_id: least.device_id.zip(greatest.device_id),
            source: least.source.zip(greatest.source),
            source_partition: least.source_partition.zip(greatest.source_partition),
            source_offset: least.source_offset.zip(greatest.source_offset),
        }
    }
}

/// Statistics of a file in the making.
#[derive(Debug, Default)]
pub(super) struct StatsCollector {
    rows: u64,
    event_time: Option<(i64, i64)>,
    device_id: Option<(String, String)>,
    source: Option<(String, String)>,
    source_partition: Option<(i32, i32)>,
    source_offset: Option<(i64, i64)>,
}

impl StatsCollector {
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.rows += batch.num_rows() as u64;
        widen_text(&mut self.device_id, batch, "device_id")?;
        widen_text(&mut self.source, batch, "source")?;
        if let Some(column) = batch.column_by_name("event_time") {
            let column = column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| mistyped("event_time"))?;
            widen(&mut self.event_time, min(column).zip(max(column)));
        }
        if let Some(column) = batch.column_by_name("source_partition") {
            let column = column.as_primitive_opt::<Int32Type>().ok_or_else(|| mistyped("source_partition"))?;
            widen(&mut self.source_partition, min(column).zip(max(column)));
        }
        if let Some(column) = batch.column_by_name("source_offset") {
            let column = column.as_primitive_opt::<Int64Type>().ok_or_else(|| mistyped("source_offset"))?;
            widen(&mut self.source_offset, min(column).zip(max(column)));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> FileStats {
        let instants = self.event_time.and_then(|(from, to)| {
            Some((DateTime::from_timestamp_micros(from)?, DateTime::from_timestamp_micros(to)?))
        });
        FileStats {
            rows: Some(self.rows),
            event_time: instants,
            device_id: self.device_id,
            source: self.source,
            source_partition: self.source_partition,
            source_offset: self.source_offset,
        }
    }
}

/// Whether a range has room for a text.
fn may_hold(range: Option<&(String, String)>, text: &str) -> bool {
    range.is_none_or(|(least, greatest)| least.as_str() <= text && text <= greatest.as_str())
}

fn pick<T: Clone>(range: Option<&(T, T)>, greatest: bool) -> Option<T> {
    range.map(|(from, to)| if greatest { to.clone() } else { from.clone() })
}

fn widen<T: Ord + Copy>(range: &mut Option<(T, T)>, seen: Option<(T, T)>) {
    let Some((from, to)) = seen else { return };
    *range = Some(range.map_or((from, to), |(least, greatest)| (least.min(from), greatest.max(to))));
}

fn widen_text(range: &mut Option<(String, String)>, batch: &RecordBatch, name: &str) -> Result<(), LakeError> {
    let Some(column) = batch.column_by_name(name) else { return Ok(()) };
    if *column.data_type() != DataType::Utf8 {
        return Err(mistyped(name));
    }
    let texts = column.as_string::<i32>();
    let Some((from, to)) = text_range(texts) else { return Ok(()) };
    match range {
        None => *range = Some((from.to_owned(), to.to_owned())),
        Some((least, greatest)) => {
            if from < least.as_str() {
                from.clone_into(least);
            }
            if to > greatest.as_str() {
                to.clone_into(greatest);
            }
        }
    }
    Ok(())
}

/// Neighbours mostly say the same, and to see that costs less than to find their order.
fn text_range(texts: &StringArray) -> Option<(&str, &str)> {
    let mut range: Option<(&str, &str)> = None;
    let mut last = None;
    for text in texts.iter().flatten() {
        if last == Some(text) {
            continue;
        }
        last = Some(text);
        range = Some(range.map_or((text, text), |(least, greatest)| (least.min(text), greatest.max(text))));
    }
    range
}

fn mistyped(column: &str) -> LakeError {
    LakeError::Corrupt { reason: format!("column `{column}` of a batch is not of the lake's type") }
}

fn in_calendar(instant: DateTime<Utc>) -> bool {
    (1..=9999).contains(&instant.year())
}

fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_survive_the_log() {
        let at = |text| parse_instant(text).unwrap();
        let stats = FileStats {
            rows: Some(2),
            event_time: Some((at("0001-01-01T00:00:00Z"), at("9999-12-31T23:59:59.999999Z"))),
            device_id: Some(("a\"b".to_owned(), "ü".to_owned())),
            source: Some(("file:x".to_owned(), "log:y:z".to_owned())),
            source_partition: Some((0, 7)),
            source_offset: Some((0, i64::MAX)),
        };
        assert_eq!(FileStats::from_json(Some(&stats.to_json())), stats);
    }

    #[test]
    fn a_greatest_instant_that_was_cut_to_milliseconds_still_covers_its_row() {
        let text = r#"{"numRecords":1,"minValues":{"event_time":"2007-01-01T00:00:00.123Z"},
                       "maxValues":{"event_time":"2007-01-01T00:00:00.123Z"},"nullCount":{"tags":{"x":1}}}"#;
        let (from, to) = FileStats::from_json(Some(text)).event_time.unwrap();
        let row = parse_instant("2007-01-01T00:00:00.123456Z").unwrap();
        assert!(from <= row && row <= to);
        assert_eq!(FileStats::from_json(Some("not json")), FileStats::default());
    }
}
