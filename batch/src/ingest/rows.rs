//! Rows of a file as typed columns.

use std::collections::HashMap;

use arrow::{
    array::{AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, StringArray, StringBuilder},
    compute::filter,
    error::ArrowError,
};
use bytes::Bytes;
use kilowatch_shared::{
    position::{DeviceId, InvalidId},
    reading::Reading,
    stream::StreamProfile,
};
use smallvec::SmallVec;

/// A row that became no reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Its number, from 1.
    pub number: u64,
    /// What is wrong with it, for a person.
    pub reason: String,
    /// Its bytes as they stood in the file, without the line end.
    pub raw: Bytes,
    /// Whose it is, if the file or the row itself says so: it is kept with the row, so that an erased device's are found.
    pub device: Option<DeviceId>,
}

/// Rows in file order, column by column, and what could not be read between them.
#[derive(Debug)]
pub(crate) struct ParsedRows {
    /// The number of each row, from 1.
    pub numbers: Vec<i64>,
    /// The event time of each row in microseconds since 1970 UTC.
    pub times: Vec<i64>,
    /// The device of each row, as an index into `device_names`.
    pub devices: Vec<u32>,
    /// The devices that occur.
    pub device_names: Vec<DeviceId>,
    /// What each row says besides device and time, as a fingerprint.
    pub prints: Vec<u64>,
    /// One column per measure of the profile.
    pub measures: Vec<Float64Array>,
    /// One column per tag of the profile.
    pub tags: Vec<StringArray>,
    /// The rows that became no reading.
    pub bad: Vec<BadRow>,
}

impl ParsedRows {
    /// Readings that came another way, numbered from 0.
    pub(crate) fn of_readings<'a>(profile: &StreamProfile, readings: impl Iterator<Item = &'a Reading>) -> Self {
        let mut rows = RowsBuilder::new(profile.measures.len(), profile.tags.len(), readings.size_hint().0);
        for (number, reading) in readings.enumerate() {
            rows.values.clone_from(&reading.measures);
            rows.texts.clone_from(&reading.tags);
            let device = rows.known_device(&reading.device);
            rows.push(number as u64, device, reading.event_time.timestamp_micros());
        }
        rows.finish()
    }

    /// How many rows could be read.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The least and the greatest event time.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        Some((*self.times.iter().min()?, *self.times.iter().max()?))
    }

    /// Leaves out the rows of before an instant, in microseconds since 1970; tells how many.
    pub(crate) fn drop_before(&mut self, floor: i64) -> Result<u64, ArrowError> {
        let old = self.times.iter().filter(|time| **time < floor).count();
        if old == 0 {
            return Ok(0);
        }
        let kept: BooleanArray = self.times.iter().map(|time| Some(*time >= floor)).collect();
        for column in &mut self.measures {
            *column = filter(column, &kept)?.as_primitive().clone();
        }
        for column in &mut self.tags {
            *column = filter(column, &kept)?.as_string().clone();
        }
        retain(&mut self.numbers, &kept);
        retain(&mut self.devices, &kept);
        retain(&mut self.prints, &kept);
        retain(&mut self.times, &kept);
        Ok(old as u64)
    }

    /// The devices as a column.
    pub(crate) fn device_column(&self) -> StringArray {
        StringArray::from_iter_values(
            self.devices.iter().map(|index| self.device_names.get(*index as usize).map_or("", DeviceId::as_str)),
        )
    }

    /// The row numbers as a column.
    pub(crate) fn number_column(&self) -> Int64Array {
        Int64Array::from(self.numbers.clone())
    }
}

fn retain<T>(values: &mut Vec<T>, kept: &BooleanArray) {
    let mut kept = kept.values().iter();
    values.retain(|_| kept.next().unwrap_or(true));
}

/// Collects rows. A row is gathered in `values` and `texts` first, so that a bad one leaves no trace.
pub(super) struct RowsBuilder {
    /// The measures of the row at hand.
    pub values: SmallVec<[Option<f64>; 8]>,
    /// The tags of the row at hand.
    pub texts: SmallVec<[Option<Box<str>>; 1]>,
    numbers: Vec<i64>,
    times: Vec<i64>,
    devices: Vec<u32>,
    device_names: Vec<DeviceId>,
    device_index: HashMap<DeviceId, u32>,
    last_device: Option<u32>,
    prints: Vec<u64>,
    measures: Vec<Float64Builder>,
    tags: Vec<StringBuilder>,
    bad: Vec<BadRow>,
}

impl RowsBuilder {
    /// A builder for so many measures and tags, with room for so many rows.
    pub(super) fn new(measures: usize, tags: usize, rows: usize) -> Self {
        Self {
            values: SmallVec::from_elem(None, measures),
            texts: SmallVec::from_elem(None, tags),
            numbers: Vec::with_capacity(rows),
            times: Vec::with_capacity(rows),
            devices: Vec::with_capacity(rows),
            device_names: Vec::new(),
            device_index: HashMap::new(),
            last_device: None,
            prints: Vec::with_capacity(rows),
            measures: (0..measures).map(|_| Float64Builder::with_capacity(rows)).collect(),
            tags: (0..tags).map(|_| StringBuilder::new()).collect(),
            bad: Vec::new(),
        }
    }

    /// The index of a device by its text.
    pub(super) fn device(&mut self, text: &str) -> Result<u32, InvalidId> {
        if let Some(last) = self.last_device
            && self.device_names.get(last as usize).is_some_and(|name| name.as_str() == text)
        {
            return Ok(last);
        }
        let device = DeviceId::parse(text)?;
        Ok(self.known_device(&device))
    }

    /// The index of a device.
    pub(super) fn known_device(&mut self, device: &DeviceId) -> u32 {
        let next = u32::try_from(self.device_names.len()).unwrap_or(u32::MAX);
        let index = *self.device_index.entry(device.clone()).or_insert(next);
        if index == next {
            self.device_names.push(device.clone());
        }
        self.last_device = Some(index);
        index
    }

    /// Adds the row at hand and clears it.
    pub(super) fn push(&mut self, number: u64, device: u32, time_micros: i64) {
        self.prints.push(fingerprint(self.values.iter().copied(), self.texts.iter().map(Option::as_deref)));
        self.numbers.push(number.cast_signed());
        self.times.push(time_micros);
        self.devices.push(device);
        for (column, value) in self.measures.iter_mut().zip(&mut self.values) {
            column.append_option(value.take());
        }
        for (column, text) in self.tags.iter_mut().zip(&mut self.texts) {
            column.append_option(text.take());
        }
    }

    /// Adds a bad row and clears the row at hand.
    pub(super) fn push_bad(&mut self, number: u64, reason: String, raw: &[u8], device: Option<DeviceId>) {
        self.values.fill(None);
        self.texts.fill(None);
        self.bad.push(BadRow { number, reason, raw: Bytes::copy_from_slice(raw), device });
    }

    /// The rows.
    pub(super) fn finish(mut self) -> ParsedRows {
        ParsedRows {
            numbers: self.numbers,
            times: self.times,
            devices: self.devices,
            device_names: self.device_names,
            prints: self.prints,
            measures: self.measures.iter_mut().map(Float64Builder::finish).collect(),
            tags: self.tags.iter_mut().map(StringBuilder::finish).collect(),
            bad: self.bad,
        }
    }
}

/// 64 bits that tell rows of one device and time apart by what they measured. A collision (one in 2^64) would call a
/// conflicting row identical; which row counts does not depend on it.
pub(crate) fn fingerprint<'a>(
    values: impl Iterator<Item = Option<f64>>,
    texts: impl Iterator<Item = Option<&'a str>>,
) -> u64 {
    /// A NaN, which no stored value is.
    const MISSING: u64 = 0x7ff8_0000_0000_0b5e;
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for value in values {
        // Adding zero makes one of the two zeros.
        state = mix(state, value.map_or(MISSING, |value| (value + 0.0).to_bits()));
    }
    for text in texts {
        let Some(text) = text else {
            state = mix(state, MISSING);
            continue;
        };
        state = mix(state, text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            state = mix(state, u64::from_le_bytes(word));
        }
    }
    state
}

/// The same with device and time: what the whole row says.
pub(crate) const fn row_print(device: u32, time: i64, print: u64) -> u64 {
    mix(mix(print, device as u64), time.cast_unsigned())
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the product are folded")]
const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word) as u128 * 0xd6e8_feb8_6659_fd93;
    (product as u64 ^ (product >> 64) as u64).rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(values: &[Option<f64>], texts: &[Option<&str>]) -> u64 {
        fingerprint(values.iter().copied(), texts.iter().copied())
    }

    #[test]
    fn a_fingerprint_tells_missing_from_zero_and_one_order_from_another() {
        assert_ne!(print(&[Some(0.0)], &[]), print(&[None], &[]));
        assert_ne!(print(&[Some(1.0), Some(2.0)], &[]), print(&[Some(2.0), Some(1.0)], &[]));
        assert_ne!(print(&[], &[Some("a")]), print(&[], &[Some("b")]));
        assert_ne!(print(&[], &[Some("")]), print(&[], &[None]));
        assert_eq!(print(&[Some(0.0)], &[]), print(&[Some(-0.0)], &[]));
    }

    #[test]
    fn a_bad_row_leaves_no_value_behind() {
        let mut rows = RowsBuilder::new(1, 0, 4);
        rows.values[0] = Some(7.0);
        rows.push_bad(2, "bad".to_owned(), b"x", None);
        let device = rows.device("m-1").unwrap();
        rows.push(3, device, 0);
        let rows = rows.finish();
        assert_eq!((rows.numbers.as_slice(), rows.bad.len()), ([3].as_slice(), 1));
        assert!(arrow::array::Array::is_null(&rows.measures[0], 0));
    }
}
