//! Micro-batch: fetch, fold, and apply effects, offset and perhaps a cut in one transaction.

use std::{sync::Arc, time::Duration};

use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken},
    cut_line::PinSet,
    log::{Fetched, LogError},
    position::Offset,
    views::{ApplyOutcome, Effects},
};

use super::{
    PartitionWorker, Step,
    worker::{Phase, Running},
};
use crate::{
    error::StepError,
    log_times::LogTimes,
    open_batch::{OpenBatch, SealedBatch},
    segmented_fold::absorb,
    unclosed::Rows,
};

/// Whether the micro-batch is to end the segment as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutWish {
    /// No, unless the lake has a cut there.
    None,
    /// Yes, if messages came since the last cut.
    Cut,
}

/// What an applied micro-batch was, for whoever counts.
#[derive(Debug, Clone)]
pub struct BatchReport {
    /// Its offsets.
    pub span: OffsetSpan,
    /// Its messages.
    pub messages: usize,
    /// What it changed in the views.
    pub effects: Effects,
    /// When the log took its messages, as a sample.
    pub(crate) log_times: LogTimes,
}

/// One transaction, the same at every try.
#[derive(Debug)]
pub(super) struct SealedApply {
    span: OffsetSpan,
    effects: Effects,
    rows: Rows,
    messages: usize,
    log_times: LogTimes,
    cut: Option<(Offset, PinSet)>,
}

impl PartitionWorker {
    /// Reads what comes next, as much as the open batch takes; waits up to `wait` for the first message. `None` if it
    /// takes no more. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Of the log.
    pub async fn fetch(&self, wait: Duration) -> Result<Option<Fetched>, StepError> {
        let Phase::Running(running) = &self.phase else { return Err(self.out_of_order("fetch")) };
        if self.owes_apply() {
            return Err(self.out_of_order("fetch before it applied"));
        }
        let Some(limit) = self.room() else { return Ok(None) };
        Ok(Some(self.doors.log.read(&self.log_partition, running.reached(), limit, wait).await?))
    }

    /// Folds what was fetched into the open batch.
    ///
    /// # Errors
    /// Of the lake, where a model has to be loaded first; then nothing was folded.
    pub async fn absorb(&mut self, fetched: Fetched) -> Result<Step, StepError> {
        let models = Arc::clone(&self.doors.models);
        let Phase::Running(running) = &mut self.phase else { return Err(self.out_of_order("absorb")) };
        let from = running.reached();
        if fetched.next <= from {
            return Ok(Step::Done);
        }
        let pins = running.cuts.at_or_below(running.applied).pin_set.clone();
        let Some(mut fold) = running.fold.take() else {
            self.phase = Phase::Idle;
            return Ok(Step::Reclaim);
        };
        if let Err(error) = fold.open(&pins, &models).await {
            running.fold = Some(fold);
            return self.settle(error);
        }
        let batch = running.batch.take().unwrap_or_else(|| OpenBatch::new(from, pins.pins));
        match absorb(fold, fetched.records, batch).await {
            Ok((fold, mut batch)) => {
                batch.reach(fetched.next);
                running.batch = Some(batch);
                running.fold = Some(fold);
                Ok(Step::Done)
            }
            Err(error) => self.settle(error),
        }
    }

    /// Applies the open batch, or an empty one, which records a cut, or only shows whether the partition is still ours.
    ///
    /// # Errors
    /// Of the views: it is unknown whether the transaction is in, and the next call tries the very same one again.
    pub async fn apply(&mut self, wish: CutWish) -> Result<(Step, Option<BatchReport>), StepError> {
        let next_pins = self.next_pins.clone();
        let Phase::Running(running) = &mut self.phase else { return Err(self.out_of_order("apply")) };
        let sealed = match running.unanswered.take() {
            Some(sealed) => sealed,
            None => Box::new(running.seal(wish, next_pins)),
        };
        let token: OwnerToken = running.token;
        match self.doors.views.apply(&self.partition, token, sealed.span, &sealed.effects).await {
            Err(error) => {
                running.unanswered = Some(sealed);
                Err(error.into())
            }
            Ok(ApplyOutcome::Applied | ApplyOutcome::AlreadyApplied) => {
                Ok((Step::Done, Some(running.advance(*sealed, self.config.state_every_cuts))))
            }
            Ok(ApplyOutcome::NotOwner) => {
                self.phase = Phase::Idle;
                Ok((Step::Fenced, None))
            }
            Ok(ApplyOutcome::OutOfStep { .. }) => {
                self.phase = Phase::Idle;
                Ok((Step::Reclaim, None))
            }
        }
    }

    /// A whole micro-batch in one step: what is owed, or what the log has now. For callers that do not gather.
    ///
    /// # Errors
    /// As of its parts.
    pub async fn micro_batch(&mut self, wait: Duration, wish: CutWish) -> Result<Step, StepError> {
        if !self.owes_apply() {
            match self.fetch(wait).await {
                Ok(None) => {}
                Ok(Some(fetched)) => match self.absorb(fetched).await? {
                    Step::Done => {}
                    other => return Ok(other),
                },
                Err(StepError::Log(LogError::OutOfRange { .. })) => {
                    self.phase = Phase::Idle;
                    return Ok(Step::Reclaim);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.apply(wish).await?.0)
    }

    /// Saves detector state at the next cut, wherever it falls: a restart then has nothing to replay.
    pub fn wish_state(&mut self) {
        if let Phase::Running(running) = &mut self.phase {
            running.cuts_since_state = self.config.state_every_cuts;
        }
    }

    /// The log no longer has what is needed next: what is in memory is dropped, and the next check says why.
    pub fn give_up_memory(&mut self) {
        self.phase = Phase::Idle;
    }
}

impl Running {
    fn seal(&mut self, wish: CutWish, next_pins: PinSet) -> SealedApply {
        let empty = SealedBatch {
            span: OffsetSpan { from: self.applied, to: self.applied },
            effects: Effects::default(),
            rows: Rows::default(),
            messages: 0,
            log_times: LogTimes::default(),
        };
        let SealedBatch { span, mut effects, rows, messages, log_times } =
            self.batch.take().map_or(empty, OpenBatch::seal);
        let cut = match self.cuts.at(span.to) {
            Some(known) => (!known.recorded).then(|| known.pin_set.clone()),
            // What the lake holds ends at a cut, even if its commits forgot it.
            None if self.catch_up.is_some() => (self.catch_up == Some(span.to)).then_some(next_pins),
            None => (wish == CutWish::Cut).then_some(next_pins),
        };
        effects.cut = cut.as_ref().map(|pin_set| Cut { offset: span.to, pins: Arc::clone(&pin_set.pins) });
        SealedApply { span, effects, rows, messages, log_times, cut: cut.map(|pin_set| (span.to, pin_set)) }
    }

    fn advance(&mut self, sealed: SealedApply, state_every_cuts: u32) -> BatchReport {
        let SealedApply { span, effects, rows, messages, log_times, cut } = sealed;
        self.applied = span.to;
        self.keep_rows(rows, messages);
        if self.catch_up.is_some_and(|held| span.to >= held) {
            self.catch_up = None;
        }
        if let Some((offset, pin_set)) = cut {
            self.cuts.record(offset, pin_set);
            self.unclosed.seal(offset);
            self.cuts_since_state += 1;
            if self.cuts_since_state >= state_every_cuts {
                self.keep_state();
            }
        } else if self.cuts.contains(span.to) {
            self.unclosed.seal(span.to);
        }
        BatchReport { span, messages, effects, log_times }
    }

    /// Rows below L are in the lake already; there are some while a restored views backup catches up.
    fn keep_rows(&mut self, mut rows: Rows, messages: usize) {
        let closed = self.unclosed.begins();
        if self.applied <= closed {
            return;
        }
        rows.drop_below(closed);
        self.unclosed.extend(rows, messages);
    }

    /// Notes the state at A, which is a cut, for the next close.
    pub(super) fn keep_state(&mut self) {
        if let Some(state) = self.fold.as_ref().and_then(|fold| fold.save(self.applied, &self.cuts)) {
            self.state = Some(state);
            self.cuts_since_state = 0;
        }
    }
}
