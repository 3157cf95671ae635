//! Readings that wait in columns, in the order of a data file.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray,
    },
    buffer::{BooleanBuffer, NullBuffer},
};

use super::{batch_of, instant_type, readings_schema};
use crate::{lake::LakeError, position::PartitionId, reading::columns::ReadingRun, stream::StreamProfile};

/// Bytes that a text has on average; a guess too low costs a copy.
const TEXT_BYTES: usize = 12;

/// A run of readings and the partition that they stand in.
#[derive(Debug, Clone, Copy)]
pub struct PlacedRun<'a> {
    /// The partition.
    pub partition: &'a PartitionId,
    /// The readings.
    pub run: &'a ReadingRun,
}

/// One reading among runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Which run.
    pub run: u32,
    /// Which of its rows.
    pub row: u32,
}

/// The readings at these places as a batch of [`readings_schema`]. None of them is superseded yet.
///
/// # Errors
/// [`LakeError::Corrupt`] if the readings have not as many measures and tags as the profile, which is a bug.
pub fn gathered_to_batch(
    profile: &StreamProfile,
    runs: &[PlacedRun<'_>],
    places: &[Place],
) -> Result<RecordBatch, LakeError> {
    let of = Gather { runs, places };
    let mut columns: Vec<ArrayRef> =
        vec![of.texts(|at, row| Some(at.run.device(row).as_str())), of.instants(|run, row| run.event_micros()[row])];
    columns.extend((0..profile.measures.len()).map(|measure| of.floats(measure)));
    columns.extend((0..profile.tags.len()).map(|tag| of.texts(move |at, row| at.run.tag(tag, row))));
    columns.extend([
        of.sources(),
        Arc::new(Int32Array::from(of.values(|at, _| at.partition.partition.cast_signed()))),
        Arc::new(Int64Array::from(of.values(|at, row| at.run.offsets()[row].as_i64()))),
        of.instants(|run, row| run.ingested_micros()[row]),
        Arc::new(BooleanArray::from(of.values(|at, row| at.run.is_duplicate(row)))),
        Arc::new(BooleanArray::from(vec![false; places.len()])),
        of.injected(),
    ]);
    batch_of(readings_schema(profile), columns)
}

struct Gather<'a> {
    runs: &'a [PlacedRun<'a>],
    places: &'a [Place],
}

impl<'a> Gather<'a> {
    fn values<T>(&self, value: impl Fn(&PlacedRun<'a>, usize) -> T) -> Vec<T> {
        self.places.iter().map(|place| value(&self.runs[place.run as usize], place.row as usize)).collect()
    }

    fn texts(&self, text: impl Fn(&PlacedRun<'a>, usize) -> Option<&'a str>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.places.len(), self.places.len() * TEXT_BYTES);
        for place in self.places {
            builder.append_option(text(&self.runs[place.run as usize], place.row as usize));
        }
        Arc::new(builder.finish())
    }

    fn instants(&self, micros: impl Fn(&ReadingRun, usize) -> i64) -> ArrayRef {
        let micros = self.values(|at, row| micros(at.run, row));
        Arc::new(TimestampMicrosecondArray::from(micros).with_data_type(instant_type()))
    }

    fn floats(&self, measure: usize) -> ArrayRef {
        let values = self.values(|at, row| at.run.measure(measure, row));
        let known = BooleanBuffer::collect_bool(values.len(), |at| values[at].is_some());
        let values: Vec<f64> = values.into_iter().map(Option::unwrap_or_default).collect();
        Arc::new(Float64Array::new(values.into(), Some(NullBuffer::new(known)).filter(|nulls| nulls.null_count() > 0)))
    }

    /// Mostly the same for all.
    fn sources(&self) -> ArrayRef {
        let source = |at: &PlacedRun<'a>| at.partition.source.as_str();
        match self.runs.split_first() {
            Some((first, others)) if others.iter().all(|other| source(other) == source(first)) => {
                Arc::new(StringArray::new_repeated(source(first), self.places.len()))
            }
            _ => self.texts(|at, _| Some(source(at))),
        }
    }

    fn injected(&self) -> ArrayRef {
        if self.runs.iter().all(|at| at.run.has_no_injected()) {
            return Arc::new(StringArray::new_null(self.places.len()));
        }
        self.texts(|at, row| at.run.injected(row))
    }
}
