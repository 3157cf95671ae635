//! Readings of one partition, column by column.
//!
//! A segment of a million readings waits in memory for its close. As structs with texts of their own they take five
//! times the memory, and every one of them two allocations; here a reading of three measures takes some 60 bytes. They
//! come in runs, one a micro-batch, that are put together without copying.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{FoldedReading, Measures, Reading, Tags};
use crate::position::{DeviceId, Offset};

/// Stands for a measure that is missing. A payload cannot say it: JSON has no word for it.
const MISSING: f64 = f64::NAN;

/// Stands for a tag that is missing.
const NO_TEXT: u32 = u32::MAX;

/// Readings of one partition in offset order.
#[derive(Debug, Clone, Default)]
pub struct ReadingColumns {
    runs: Vec<ReadingRun>,
}

/// Readings that were added one after another. Columns have equal lengths.
#[derive(Debug, Clone, Default)]
pub struct ReadingRun {
    devices: Numbered<DeviceId>,
    device: Vec<u32>,
    event_micros: Vec<i64>,
    /// One column a measure.
    measures: Vec<Vec<f64>>,
    /// One column a tag.
    tags: Vec<TagColumn>,
    offset: Vec<Offset>,
    ingested_micros: Vec<i64>,
    is_duplicate: Vec<bool>,
    /// Simulators alone inject, and seldom: rows that have it, ascending.
    injected: Vec<(u32, Box<str>)>,
    text_bytes: usize,
}

/// Texts of one tag; a tag has few different ones.
#[derive(Debug, Clone, Default)]
struct TagColumn {
    texts: Numbered<Box<str>>,
    numbers: Vec<u32>,
    /// Neighbours mostly say the same.
    last: u32,
}

/// Values and the numbers that stand for them.
#[derive(Debug, Clone)]
struct Numbered<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl ReadingColumns {
    /// Adds a reading and gives the number that its device has in this run.
    pub fn push(&mut self, folded: &FoldedReading) -> u32 {
        if self.runs.is_empty() {
            self.runs.push(ReadingRun::default());
        }
        self.runs.last_mut().map_or(0, |run| run.push(folded))
    }

    /// Adds readings that come after these.
    pub fn append(&mut self, later: Self) {
        self.runs.extend(later.runs.into_iter().filter(|run| !run.is_empty()).map(ReadingRun::fitted));
    }

    /// Drops those with offsets below `offset`.
    pub fn drop_below(&mut self, offset: Offset) {
        self.runs.retain(|run| run.offset.last().is_some_and(|last| *last >= offset));
        for run in &mut self.runs {
            if run.offset.first().is_some_and(|first| *first < offset) {
                let mut kept = ReadingRun::default();
                for reading in run.readings().filter(|reading| reading.offset >= offset) {
                    kept.push(&reading);
                }
                *run = kept;
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(ReadingRun::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(ReadingRun::is_empty)
    }

    /// About how many bytes they take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(ReadingRun::bytes).sum()
    }

    /// The runs that they came in.
    #[must_use]
    pub fn runs(&self) -> &[ReadingRun] {
        &self.runs
    }

    /// The readings, one by one.
    pub fn readings(&self) -> impl Iterator<Item = FoldedReading> + '_ {
        self.runs.iter().flat_map(ReadingRun::readings)
    }
}

impl<'a> FromIterator<&'a FoldedReading> for ReadingColumns {
    fn from_iter<I: IntoIterator<Item = &'a FoldedReading>>(readings: I) -> Self {
        let mut columns = Self::default();
        readings.into_iter().for_each(|reading| {
            columns.push(reading);
        });
        columns
    }
}

impl ReadingRun {
    /// How many readings.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.device.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.device.is_empty()
    }

    /// The devices by their numbers.
    #[must_use]
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices.values
    }

    /// The device of a reading.
    #[must_use]
    pub fn device(&self, row: usize) -> &DeviceId {
        &self.devices.values[self.device[row] as usize]
    }

    /// The number of each reading's device.
    #[must_use]
    pub fn device_numbers(&self) -> &[u32] {
        &self.device
    }

    /// Event times in microseconds.
    #[must_use]
    pub fn event_micros(&self) -> &[i64] {
        &self.event_micros
    }

    /// Timestamps of the log in microseconds.
    #[must_use]
    pub fn ingested_micros(&self) -> &[i64] {
        &self.ingested_micros
    }

    /// Offsets.
    #[must_use]
    pub fn offsets(&self) -> &[Offset] {
        &self.offset
    }

    /// How many measures its readings have.
    #[must_use]
    pub const fn measures(&self) -> usize {
        self.measures.len()
    }

    /// How many tags its readings have.
    #[must_use]
    pub const fn tags(&self) -> usize {
        self.tags.len()
    }

    /// A measure of a reading.
    #[must_use]
    pub fn measure(&self, measure: usize, row: usize) -> Option<f64> {
        self.measures[measure].get(row).copied().filter(|value| !value.is_nan())
    }

    /// A tag of a reading.
    #[must_use]
    pub fn tag(&self, tag: usize, row: usize) -> Option<&str> {
        let column = &self.tags[tag];
        column.texts.values.get(*column.numbers.get(row)? as usize).map(|text| &**text)
    }

    /// What a simulator injected into a reading.
    #[must_use]
    pub fn injected(&self, row: usize) -> Option<&str> {
        let place = self.injected.binary_search_by_key(&row, |(at, _)| *at as usize).ok()?;
        Some(&self.injected[place].1)
    }

    /// Whether nothing was injected into any of its readings.
    #[must_use]
    pub const fn has_no_injected(&self) -> bool {
        self.injected.is_empty()
    }

    /// Whether a reading repeats an earlier one.
    #[must_use]
    pub fn is_duplicate(&self, row: usize) -> bool {
        self.is_duplicate.get(row).copied().unwrap_or_default()
    }

    fn push(&mut self, folded: &FoldedReading) -> u32 {
        let FoldedReading { reading: Reading { device, event_time, measures, tags, injected }, .. } = folded;
        let row = self.len();
        let device = self.devices.number(device, DeviceId::clone, || self.text_bytes += device.as_str().len());
        self.device.push(device);
        self.event_micros.push(event_time.timestamp_micros());
        if self.measures.len() < measures.len() {
            self.measures.resize_with(measures.len(), || vec![MISSING; row]);
        }
        for (at, column) in self.measures.iter_mut().enumerate() {
            column.push(measures.get(at).copied().flatten().unwrap_or(MISSING));
        }
        if self.tags.len() < tags.len() {
            self.tags.resize_with(tags.len(), || TagColumn { numbers: vec![NO_TEXT; row], ..TagColumn::default() });
        }
        for (at, column) in self.tags.iter_mut().enumerate() {
            self.text_bytes += column.push(tags.get(at).and_then(Option::as_deref));
        }
        self.offset.push(folded.offset);
        self.ingested_micros.push(folded.ingested_at.timestamp_micros());
        self.is_duplicate.push(folded.is_duplicate);
        if let Some(injected) = injected {
            self.text_bytes += injected.len();
            self.injected.push((u32::try_from(row).unwrap_or(u32::MAX), injected.clone()));
        }
        device
    }

    fn readings(&self) -> impl Iterator<Item = FoldedReading> + '_ {
        let instant = |micros: i64| DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
        (0..self.len()).map(move |row| FoldedReading {
            reading: Reading {
                device: self.device(row).clone(),
                event_time: instant(self.event_micros[row]),
                measures: (0..self.measures.len()).map(|at| self.measure(at, row)).collect::<Measures>(),
                tags: (0..self.tags.len()).map(|at| self.tag(at, row).map(Into::into)).collect::<Tags>(),
                injected: self.injected(row).map(Into::into),
            },
            offset: self.offset[row],
            ingested_at: instant(self.ingested_micros[row]),
            is_duplicate: self.is_duplicate[row],
        })
    }

    /// Without the room that it grew for, and without what only a growing run needs.
    fn fitted(mut self) -> Self {
        self.devices.numbers = HashMap::new();
        self.device.shrink_to_fit();
        self.event_micros.shrink_to_fit();
        self.measures.iter_mut().for_each(Vec::shrink_to_fit);
        for column in &mut self.tags {
            column.texts.numbers = HashMap::new();
            column.numbers.shrink_to_fit();
        }
        self.offset.shrink_to_fit();
        self.ingested_micros.shrink_to_fit();
        self.is_duplicate.shrink_to_fit();
        self
    }

    fn bytes(&self) -> usize {
        let row =
            size_of::<u32>() * (1 + self.tags.len()) + size_of::<i64>() * (3 + self.measures.len()) + size_of::<bool>();
        let named =
            self.devices.values.len() * size_of::<DeviceId>() + self.injected.len() * size_of::<(u32, Box<str>)>();
        self.len() * row + named + self.text_bytes
    }
}

impl TagColumn {
    /// Adds a text, and gives the bytes of one that is new.
    fn push(&mut self, text: Option<&str>) -> usize {
        let mut fresh = 0;
        let number = match text {
            None => NO_TEXT,
            Some(text) if self.texts.values.get(self.last as usize).is_some_and(|last| **last == *text) => self.last,
            Some(text) => self.texts.number(text, |text| text.into(), || fresh = text.len()),
        };
        if number != NO_TEXT {
            self.last = number;
        }
        self.numbers.push(number);
        fresh
    }
}

impl<T: Eq + std::hash::Hash + Clone> Numbered<T> {
    /// The number of a value; one that is new is made and told.
    fn number<Q>(&mut self, value: &Q, make: impl FnOnce(&Q) -> T, is_new: impl FnOnce()) -> u32
    where
        T: std::borrow::Borrow<Q>,
        Q: Eq + std::hash::Hash + ?Sized,
    {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        is_new();
        // More than 2^32 values do not come: a run has at most as many rows as a micro-batch.
        let number = u32::try_from(self.values.len()).unwrap_or(NO_TEXT);
        let value = make(value);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings() -> impl Strategy<Value = Vec<FoldedReading>> {
        let measure = || prop::option::weighted(0.8, prop::num::f64::NORMAL | prop::num::f64::ZERO);
        let tag = || prop::option::weighted(0.8, prop::sample::select(vec!["", "north", "south"]));
        let one = (0..5_u32, -9_i64..9, measure(), measure(), tag(), tag(), any::<bool>());
        prop::collection::vec(one, 0..60).prop_map(|rows| {
            let row = |(offset, (device, minute, a, b, tag, injected, is_duplicate)): (usize, _)| {
                let minute: i64 = minute;
                let tag: Option<&str> = tag;
                let injected: Option<&str> = injected;
                let device: u32 = device;
                FoldedReading {
                    reading: Reading {
                        device: DeviceId::parse(&format!("m-{device}")).unwrap(),
                        event_time: DateTime::from_timestamp(minute * 60, 0).unwrap(),
                        measures: [a, b].into_iter().collect(),
                        tags: [tag.map(Into::into)].into_iter().collect(),
                        injected: injected.map(Into::into),
                    },
                    offset: Offset::new(2 * offset as u64),
                    ingested_at: DateTime::from_timestamp_micros(offset as i64).unwrap(),
                    is_duplicate,
                }
            };
            rows.into_iter().enumerate().map(row).collect()
        })
    }

    proptest! {
        #[test]
        fn readings_come_out_of_their_columns_as_they_went_in(readings in readings(), cut in 0_usize..60) {
            let (first, second) = readings.split_at(cut.min(readings.len()));
            let mut columns = ReadingColumns::default();
            columns.append(first.iter().collect());
            columns.append(second.iter().collect());
            prop_assert_eq!(columns.len(), readings.len());
            prop_assert_eq!(columns.readings().collect::<Vec<_>>(), readings);
        }

        #[test]
        fn what_is_dropped_is_what_lies_below(readings in readings(), cut in 0_usize..60, below in 0_u64..130) {
            let (first, second) = readings.split_at(cut.min(readings.len()));
            let mut columns: ReadingColumns = first.iter().collect();
            columns.append(second.iter().collect());
            columns.drop_below(Offset::new(below));
            let kept: Vec<_> = readings.into_iter().filter(|reading| reading.offset.get() >= below).collect();
            prop_assert_eq!(columns.readings().collect::<Vec<_>>(), kept);
        }
    }

    #[test]
    fn a_measure_that_comes_late_is_missing_before() {
        let reading = |offset, measures: &[Option<f64>]| FoldedReading {
            reading: Reading {
                device: DeviceId::parse("m").unwrap(),
                event_time: DateTime::UNIX_EPOCH,
                measures: measures.iter().copied().collect(),
                tags: Tags::new(),
                injected: None,
            },
            offset: Offset::new(offset),
            ingested_at: DateTime::UNIX_EPOCH,
            is_duplicate: false,
        };
        let columns: ReadingColumns = [reading(0, &[Some(1.0)]), reading(1, &[Some(2.0), Some(3.0)])].iter().collect();
        let run = &columns.runs()[0];
        assert_eq!((run.measure(1, 0), run.measure(1, 1)), (None, Some(3.0)));
    }
}
