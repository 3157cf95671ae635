//! What log, lake and views know of a partition, read once for a plan.

use std::time::Duration;

use kilowatch_shared::{
    checkpoint::{Cut, MessageHash, OffsetSpan, SourcePartition},
    cut_line::CutLine,
    detect::fold::Folded,
    lake::LakeTable,
    log::{LogRecord, ReadLimit},
    position::{Offset, PartitionId},
    reading::MessageCounts,
    views::PartitionState,
};

use super::PositionError;
use crate::{
    error::StepError,
    member::{Doors, Rebuild},
    segmented_fold::{Absorb, SegmentedFold},
};

/// Offsets of one read from the lake.
const LAKE_OFFSETS: u64 = 200_000;

/// A partition between log, lake and views.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) partition: PartitionId,
    pub(super) state: PartitionState,
    pub(super) cuts: CutLine,
    /// L.
    pub(super) closed: Offset,
    /// The first offset that the log has.
    pub(super) low: Offset,
    /// The first offset that batch has not published.
    pub(super) boundary: Option<Offset>,
}

impl Known {
    pub(super) async fn read(doors: &Doors, partition: &PartitionId) -> Result<Self, PositionError> {
        let unknown = || PositionError::Unknown { partition: partition.clone() };
        let log_partition = SourcePartition::from(partition);
        let state = doors.views.partition(partition).await?.ok_or_else(unknown)?;
        let cuts = recorded(partition, &state.cuts)?.ok_or_else(unknown)?;
        let boundary = doors.boundaries.boundary(&partition.stream).await?;
        let snapshot = doors.lake.snapshot(&partition.stream, LakeTable::Readings).await?;
        Ok(Self {
            closed: snapshot.closed_to(partition).unwrap_or_else(|| cuts.start()),
            low: doors.log.watermarks(&log_partition).await?.low,
            boundary: boundary.partitions.get(&log_partition).copied(),
            partition: partition.clone(),
            state,
            cuts,
        })
    }

    /// A.
    pub(super) const fn applied(&self) -> Offset {
        self.state.applied
    }

    /// Whether the lake lacks what batch has published.
    pub(super) fn lake_went_back(&self) -> bool {
        self.boundary.is_some_and(|boundary| self.closed < boundary)
    }

    /// The last cut that views and lake have in common.
    pub(super) fn common_cut(&self) -> Offset {
        self.cuts.at_or_below(self.closed.min(self.applied())).offset
    }

    /// What the messages of `span` became: of those that the log has no more, as far as the lake has them.
    pub(super) async fn count(&self, doors: &Doors, span: OffsetSpan) -> Result<MessageCounts, PositionError> {
        let rebuild = Rebuild { doors, partition: &self.partition, cuts: &self.cuts };
        let begin = span.from.max(self.low).min(span.to);
        let mut counts = self.count_in_lake(doors, OffsetSpan { from: span.from, to: begin }).await?;
        if begin < span.to {
            let fold = rebuild.fold_at(begin).await?;
            let (_, found) = self.count_in_log(doors, fold, OffsetSpan { from: begin, to: span.to }).await?;
            counts.readings += found.readings;
            counts.duplicates += found.duplicates;
            counts.dead_letters += found.dead_letters;
        }
        Ok(counts)
    }

    /// The same for messages that are in the log, by a fold that stands before them.
    pub(super) async fn count_in_log(
        &self,
        doors: &Doors,
        fold: SegmentedFold,
        span: OffsetSpan,
    ) -> Result<(SegmentedFold, MessageCounts), StepError> {
        let rebuild = Rebuild { doors, partition: &self.partition, cuts: &self.cuts };
        let (fold, Counting(counts)) = rebuild.fold_log(fold, Counting::default(), span).await?;
        Ok((fold, counts))
    }

    async fn count_in_lake(&self, doors: &Doors, span: OffsetSpan) -> Result<MessageCounts, PositionError> {
        let mut counts = MessageCounts::default();
        let (mut at, end) = (span.from, span.to.min(self.closed));
        while at < end {
            let to = end.min(at.plus(LAKE_OFFSETS));
            let profile = &self.cuts.at_or_below(at).pin_set.pins.profile;
            let rows = doors.lake.read_readings(profile, &self.partition, OffsetSpan { from: at, to }).await?;
            let duplicates = rows.iter().filter(|row| row.is_duplicate).count() as u64;
            counts.duplicates += duplicates;
            counts.readings += rows.len() as u64 - duplicates;
            at = to;
        }
        Ok(counts)
    }

    /// The hash of message `offset - 1`, if the log has it.
    pub(super) async fn hash_before(
        &self,
        doors: &Doors,
        offset: Offset,
    ) -> Result<Option<MessageHash>, PositionError> {
        let Some(before) = offset.get().checked_sub(1).map(Offset::new).filter(|before| *before >= self.low) else {
            return Ok(None);
        };
        let limit = ReadLimit { records: 1, bytes: usize::MAX, before: Some(offset) };
        let log_partition = SourcePartition::from(&self.partition);
        let fetched = doors.log.read(&log_partition, before, limit, Duration::ZERO).await?;
        let found = fetched.records.first().filter(|record| record.offset == before);
        Ok(found.map(|record| MessageHash::of(record.key.as_deref(), record.payload.as_deref())))
    }
}

/// The line of recorded cuts; `None` if there is none.
pub(super) fn recorded(partition: &PartitionId, cuts: &[Cut]) -> Result<Option<CutLine>, StepError> {
    CutLine::try_recorded(cuts).map_err(|error| StepError::CannotJudge {
        partition: partition.clone(),
        reason: format!("its pins have no address: {error}"),
    })
}

/// What messages became.
#[derive(Debug, Default)]
struct Counting(MessageCounts);

impl Absorb for Counting {
    fn take(&mut self, _record: LogRecord, folded: Folded) {
        match folded {
            Folded::Reading { reading, .. } if reading.is_duplicate => self.0.duplicates += 1,
            Folded::Reading { .. } => self.0.readings += 1,
            Folded::DeadLetter(_) => self.0.dead_letters += 1,
        }
    }
}
