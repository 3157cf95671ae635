//! Runs of readings, one after the other.

use super::ReadingRun;
use crate::{position::Offset, reading::FoldedReading};

/// Readings of one partition in offset order.
#[derive(Debug, Clone, Default)]
pub struct ReadingColumns {
    runs: Vec<ReadingRun>,
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
        self.runs.retain(|run| run.offsets().last().is_some_and(|last| *last >= offset));
        for run in &mut self.runs {
            if run.offsets().first().is_some_and(|first| *first < offset) {
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
