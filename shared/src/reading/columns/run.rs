//! A run: readings that were added one after another, as columns of equal lengths.

use chrono::{DateTime, Utc};

use super::numbered::{Numbered, TagColumn};
use crate::{
    position::{DeviceId, Offset},
    reading::{FoldedReading, Measures, Reading, Tags},
};

/// Stands for a measure that is missing. A payload cannot say it: JSON has no word for it.
const MISSING: f64 = f64::NAN;

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
        self.devices.values()
    }

    /// The device of a reading.
    #[must_use]
    pub fn device(&self, row: usize) -> &DeviceId {
        &self.devices.values()[self.device[row] as usize]
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
        self.tags[tag].text(row)
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

    pub(super) fn push(&mut self, folded: &FoldedReading) -> u32 {
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
            self.tags.resize_with(tags.len(), || TagColumn::missing_in(row));
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

    pub(super) fn readings(&self) -> impl Iterator<Item = FoldedReading> + '_ {
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
    pub(super) fn fitted(mut self) -> Self {
        self.devices.complete();
        self.device.shrink_to_fit();
        self.event_micros.shrink_to_fit();
        self.measures.iter_mut().for_each(Vec::shrink_to_fit);
        self.tags.iter_mut().for_each(TagColumn::complete);
        self.offset.shrink_to_fit();
        self.ingested_micros.shrink_to_fit();
        self.is_duplicate.shrink_to_fit();
        self
    }

    pub(super) fn bytes(&self) -> usize {
        let row =
            size_of::<u32>() * (1 + self.tags.len()) + size_of::<i64>() * (3 + self.measures.len()) + size_of::<bool>();
        let named = size_of_val(self.devices.values()) + self.injected.len() * size_of::<(u32, Box<str>)>();
        self.len() * row + named + self.text_bytes
    }
}
