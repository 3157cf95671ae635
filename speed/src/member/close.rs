//! Close: sealed segments go to the lake, beside running micro-batches, and exactly once.

use std::{collections::BTreeMap, mem, sync::Arc};

use kilowatch_shared::{
    checkpoint::{OffsetSpan, Pins},
    cut_line::{CutLine, same_columns},
    dead_letter::DeadLetter,
    lake::{CommitOutcome, LakeSnapshot, LakeTable, SavedState, Segment},
    log::LogError,
    position::{Offset, PartitionId},
    reading::ReadingColumns,
};

use super::{
    Doors, PartitionWorker, Step,
    rebuild::Rebuild,
    worker::{OnItsWay, Phase},
};
use crate::{
    error::StepError,
    unclosed::{CloseLimit, Rows},
};

/// What one partition wants closed.
#[derive(Debug)]
pub struct ClosePart {
    partition: PartitionId,
    /// From L, as the worker knows it, to a recorded cut.
    span: OffsetSpan,
    /// Known cuts up to the end of the span.
    cuts: CutLine,
    /// What the rows were decoded with; its profile names their columns.
    pins: Arc<Pins>,
    rows: Option<Rows>,
    state: Option<SavedState>,
}

impl ClosePart {
    /// Which partition.
    #[must_use]
    pub const fn partition(&self) -> &PartitionId {
        &self.partition
    }

    /// Whether the rows of both fit into one commit.
    #[must_use]
    pub fn goes_with(&self, other: &Self) -> bool {
        self.partition != other.partition && same_columns(&self.pins.profile, &other.pins.profile)
    }
}

/// How the close of one partition ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseOutcome {
    /// The lake holds the partition up to this cut, whoever brought it there.
    Closed(Offset),
    /// Nothing more is brought: the partition has to be claimed and checked again.
    Dropped {
        /// Why, for the log.
        reason: String,
    },
}

/// How far a close is after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseProgress {
    /// Steps are left.
    Going,
    /// Every partition has an outcome.
    Finished,
}

/// One close of one or several partitions of a stream, in one commit a table. The profile of a commit is the one that
/// its rows were decoded with: the stream's own may have other columns by now.
///
/// Save state, read rows that memory dropped, then read L and confirm the cuts, append dead letters, append readings;
/// after any conflict or error, read L again and leave out what is done.
#[derive(Debug)]
pub struct Close {
    doors: Arc<Doors>,
    pins: Arc<Pins>,
    stage: Stage,
    parts: Vec<ClosePart>,
    outcomes: BTreeMap<PartitionId, CloseOutcome>,
}

#[derive(Debug)]
enum Stage {
    SaveStates,
    ReadDropped,
    Reload,
    DeadLetters { readings: LakeSnapshot, dead_letters: LakeSnapshot },
    Readings { readings: LakeSnapshot },
}

impl Close {
    /// A close that has done nothing yet. The others go with the first one.
    #[must_use]
    pub fn new(doors: Arc<Doors>, first: ClosePart, others: Vec<ClosePart>) -> Self {
        let pins = Arc::clone(&first.pins);
        let parts = std::iter::once(first).chain(others).collect();
        Self { doors, pins, stage: Stage::SaveStates, parts, outcomes: BTreeMap::new() }
    }

    /// The outcomes so far.
    #[must_use]
    pub const fn outcomes(&self) -> &BTreeMap<PartitionId, CloseOutcome> {
        &self.outcomes
    }

    /// What has no outcome yet, as it was handed over but for what a step found out of it.
    #[must_use]
    pub fn into_parts(self) -> Vec<ClosePart> {
        self.parts
    }

    /// Does the next step.
    ///
    /// # Errors
    /// Of lake, views or log. The close is then before the step, or before the next reading of L if a commit may be in.
    pub async fn step(&mut self) -> Result<CloseProgress, StepError> {
        match mem::replace(&mut self.stage, Stage::Reload) {
            Stage::SaveStates => {
                self.stage = Stage::SaveStates;
                self.save_states().await?;
                self.stage = Stage::ReadDropped;
            }
            Stage::ReadDropped => {
                self.stage = Stage::ReadDropped;
                self.read_dropped().await?;
                self.stage = Stage::Reload;
            }
            Stage::Reload => self.stage = self.reload().await?,
            Stage::DeadLetters { readings, dead_letters } => {
                if self.append_dead_letters(&dead_letters).await? {
                    self.stage = Stage::Readings { readings };
                }
            }
            Stage::Readings { readings } => self.append_readings(&readings).await?,
        }
        Ok(if self.parts.is_empty() { CloseProgress::Finished } else { CloseProgress::Going })
    }

    async fn save_states(&mut self) -> Result<(), StepError> {
        for part in &mut self.parts {
            if let Some(state) = &part.state {
                self.doors.lake.save_state(&part.partition, state).await?;
                part.state = None;
            }
        }
        Ok(())
    }

    /// Reads again what memory dropped, from L on: below it the log may have let go of its messages meanwhile.
    async fn read_dropped(&mut self) -> Result<(), StepError> {
        if self.parts.iter().all(|part| part.rows.is_some()) {
            return Ok(());
        }
        let readings = self.doors.lake.snapshot(&self.pins.profile.name, LakeTable::Readings).await?;
        let mut at = 0;
        while let Some(part) = self.parts.get_mut(at) {
            if part.rows.is_none() {
                let closed = readings.closed_to(&part.partition).unwrap_or_else(|| part.cuts.start());
                let span = OffsetSpan { from: closed.max(part.span.from), to: part.span.to };
                let rebuild = Rebuild { doors: &self.doors, partition: &part.partition, cuts: &part.cuts };
                match rebuild.rows(span).await {
                    Ok((rows, state)) => {
                        // The next close that has to read again begins there, and not where the lake went away.
                        if let Some(state) = state {
                            self.doors.lake.save_state(&part.partition, &state).await?;
                        }
                        part.rows = Some(rows);
                    }
                    // Whether the partition can go on at all is decided by its next check.
                    Err(error @ (StepError::CannotJudge { .. } | StepError::Log(LogError::OutOfRange { .. }))) => {
                        self.drop_part(at, error.to_string());
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Reads L, then confirms that the cuts are still recorded with their pins: after views came back from a backup,
    /// the rows in memory may have been judged by pins that nobody recorded.
    async fn reload(&mut self) -> Result<Stage, StepError> {
        let readings = self.doors.lake.snapshot(&self.pins.profile.name, LakeTable::Readings).await?;
        let dead_letters = self.doors.lake.snapshot(&self.pins.profile.name, LakeTable::DeadLetters).await?;
        let mut at = 0;
        while let Some(part) = self.parts.get_mut(at) {
            let closed = readings.closed_to(&part.partition).unwrap_or_else(|| part.cuts.start());
            if closed < part.span.from {
                let reason = format!("the lake went back to {closed}, memory begins at {}", part.span.from);
                self.drop_part(at, reason);
            } else if !still_recorded(&self.doors, part).await? {
                self.drop_part(at, "its cuts are no longer recorded with its pins".to_owned());
            } else if closed >= part.span.to {
                let part = self.parts.swap_remove(at);
                self.outcomes.insert(part.partition, CloseOutcome::Closed(closed));
            } else {
                part.span.from = closed;
                if let Some(rows) = &mut part.rows {
                    rows.drop_below(closed);
                }
                at += 1;
            }
        }
        Ok(Stage::DeadLetters { readings, dead_letters })
    }

    /// Whether the dead letters are in, or there are none; else L has to be read again.
    async fn append_dead_letters(&mut self, base: &LakeSnapshot) -> Result<bool, StepError> {
        let segments: Vec<Segment<Vec<DeadLetter>>> =
            self.parts.iter().filter_map(|part| part.dead_letter_segment(base)).collect();
        if segments.is_empty() {
            return Ok(true);
        }
        let outcome = self.doors.lake.append_dead_letters(&self.pins.profile, base, &segments).await?;
        Ok(matches!(outcome, CommitOutcome::Committed(_)))
    }

    async fn append_readings(&mut self, base: &LakeSnapshot) -> Result<(), StepError> {
        // The rows move into the segments and back, for a commit may have to be tried again.
        let segments: Vec<Segment<ReadingColumns>> =
            self.parts.iter_mut().map(ClosePart::take_reading_segment).collect();
        let outcome = self.doors.lake.append_readings(&self.pins.profile, base, &segments).await;
        if let Ok(CommitOutcome::Committed(_)) = outcome {
            for part in self.parts.drain(..) {
                self.outcomes.insert(part.partition, CloseOutcome::Closed(part.span.to));
            }
            return Ok(());
        }
        for (part, segment) in self.parts.iter_mut().zip(segments) {
            if let Some(rows) = &mut part.rows {
                rows.readings = segment.rows;
            }
        }
        outcome?;
        Ok(())
    }

    /// Leaves a partition out, as after a crash: the outcome of its close is nobody's any more.
    pub fn leave_out(&mut self, partition: &PartitionId) {
        self.parts.retain(|part| part.partition != *partition);
    }

    fn drop_part(&mut self, at: usize, reason: String) {
        let part = self.parts.swap_remove(at);
        self.outcomes.insert(part.partition, CloseOutcome::Dropped { reason });
    }
}

impl ClosePart {
    /// The dead letters that their table does not hold yet. They may be ahead of the readings, after a crash.
    fn dead_letter_segment(&self, base: &LakeSnapshot) -> Option<Segment<Vec<DeadLetter>>> {
        let from = base.closed_to(&self.partition).unwrap_or_else(|| self.cuts.start());
        let rows: Vec<DeadLetter> = self
            .rows
            .iter()
            .flat_map(|rows| &rows.dead_letters)
            .filter(|letter| letter.position.offset >= from)
            .cloned()
            .collect();
        let span = OffsetSpan { from, to: self.span.to };
        (!rows.is_empty()).then(|| Segment {
            partition: self.partition.clone(),
            span,
            rows,
            cuts: self.cuts.within(span),
        })
    }

    fn take_reading_segment(&mut self) -> Segment<ReadingColumns> {
        let rows = self.rows.as_mut().map(|rows| mem::take(&mut rows.readings)).unwrap_or_default();
        Segment { partition: self.partition.clone(), span: self.span, rows, cuts: self.cuts.within(self.span) }
    }
}

async fn still_recorded(doors: &Doors, part: &ClosePart) -> Result<bool, StepError> {
    let Some(state) = doors.views.partition(&part.partition).await? else { return Ok(false) };
    let recorded = CutLine::try_recorded(&state.cuts).map_err(|error| StepError::CannotJudge {
        partition: part.partition.clone(),
        reason: format!("its pins have no address: {error}"),
    })?;
    Ok(recorded.is_some_and(|recorded| part.cuts.agrees_with(&recorded, part.span)))
}

impl PartitionWorker {
    /// Hands sealed segments over to a close, if there are any and none is on its way. They begin at L.
    #[must_use]
    pub fn begin_close(&mut self) -> Option<ClosePart> {
        let Phase::Running(running) = &mut self.phase else { return None };
        if running.closing.is_some() || running.unanswered.is_some() {
            return None;
        }
        let begins = running.unclosed.begins();
        let other_columns = running.cuts.next_other_columns(begins);
        let limit = CloseLimit { messages: self.config.segment_rows, bytes: self.config.segment_bytes };
        let closable = running.unclosed.take_closable(limit, other_columns)?;
        let bytes = closable.rows.as_ref().map_or(0, Rows::bytes);
        running.closing = Some(OnItsWay { to: closable.span.to, bytes });
        let mut cuts = running.cuts.clone();
        cuts.forget_above(closable.span.to);
        let state = running.state.take_if(|state| state.offset <= closable.span.to);
        let pins = Arc::clone(&cuts.at_or_below(begins).pin_set.pins);
        Some(ClosePart {
            partition: self.partition.clone(),
            span: closable.span,
            cuts,
            pins,
            rows: closable.rows,
            state,
        })
    }

    /// Takes note of how a close ended. One of an earlier claim is ignored.
    pub fn closed(&mut self, outcome: &CloseOutcome) -> Step {
        let Phase::Running(running) = &mut self.phase else { return Step::Done };
        let Some(OnItsWay { to: target, .. }) = running.closing else { return Step::Done };
        match outcome {
            CloseOutcome::Closed(closed) if *closed == target => {
                running.closing = None;
                running.closed = target;
                running.cuts.forget_below(target);
                Step::Done
            }
            // Further than asked for: somebody else closes, and what is in memory may be in the lake already.
            CloseOutcome::Closed(_) => {
                self.phase = Phase::Idle;
                Step::Reclaim
            }
            CloseOutcome::Dropped { reason } => {
                tracing::warn!(
                    stream = %self.partition.stream, partition = self.partition.partition, reason = %reason,
                    "a close was dropped, the partition is claimed again"
                );
                self.phase = Phase::Idle;
                Step::Reclaim
            }
        }
    }
}
