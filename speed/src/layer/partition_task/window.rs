//! One micro-batch window of a running partition: messages are gathered and folded, then applied.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kilowatch_shared::log::LogError;
use tokio::time::Instant;

use super::PartitionTask;
use crate::{
    error::StepError,
    layer::ending::Ending,
    member::{BatchReport, CutWish, Step},
    telemetry,
};

/// How long an empty partition waits for a message before it looks after its other duties.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// An idle owner shows by an empty transaction that it still is the owner; another one waits at most so long for it.
const IDLE_OWNER_CHECK: Duration = Duration::from_secs(30);
/// A drained log is read this many times a window, so that one read brings many messages.
const READS_A_WINDOW: u32 = 20;

impl PartitionTask {
    /// One window: gather, apply, look after the close.
    pub(super) async fn batch(&mut self) -> Result<Step, StepError> {
        let step = self.take_close_outcome();
        if step != Step::Done {
            return Ok(step);
        }
        let mut trouble = None;
        if !self.worker.owes_apply() {
            match self.gather().await {
                Ok(Step::Done) => {}
                Ok(other) => return Ok(other),
                // What was gathered is applied before the log is tried again.
                Err(error) => trouble = Some(error),
            }
        }
        if matches!(self.ending.now(), Some(Ending::Revoked | Ending::Lost)) {
            return Ok(Step::Done);
        }
        let wish = if self.segment_is_due() { CutWish::Cut } else { CutWish::None };
        let idle = self.worker.gathered() == 0 && !self.worker.owes_apply();
        if !idle || wish == CutWish::Cut || self.last_transaction.elapsed() >= IDLE_OWNER_CHECK {
            let asked = Instant::now();
            let (step, report) = self.worker.apply(wish).await?;
            self.last_transaction = Instant::now();
            if !idle {
                telemetry::transaction(&self.worker.partition().stream, asked.elapsed());
            }
            match report {
                Some(report) => self.applied(&report),
                None => return Ok(step),
            }
        }
        // Without room the next window asks again: judging never waits for the lake.
        if let Ok(room) = self.context.closes.clone().try_reserve_owned() {
            self.begin_close(room);
        }
        self.measure_lag(idle).await;
        trouble.map_or(Ok(Step::Done), Err)
    }

    /// Reads and folds until the window is over, the batch is full, or the stop comes.
    async fn gather(&mut self) -> Result<Step, StepError> {
        let ending = self.ending.clone();
        let mut deadline: Option<Instant> = None;
        loop {
            let wait = deadline.map_or(IDLE_WAIT, |deadline| deadline.saturating_duration_since(Instant::now()));
            let fetched = tokio::select! {
                biased;
                _ = ending.said() => return Ok(Step::Done),
                fetched = self.worker.fetch(wait) => fetched,
            };
            let fetched = match fetched {
                Ok(Some(fetched)) => fetched,
                Ok(None) => return Ok(Step::Done),
                Err(StepError::Log(LogError::OutOfRange { .. })) => {
                    self.worker.give_up_memory();
                    return Ok(Step::Reclaim);
                }
                Err(error) => return Err(error),
            };
            let came = fetched.records.len();
            self.lag.read(&fetched.records);
            let step = self.worker.absorb(fetched).await?;
            if step != Step::Done || (came == 0 && deadline.is_none()) {
                return Ok(step);
            }
            let now = Instant::now();
            self.batch_began.get_or_insert(now);
            let end = *deadline.get_or_insert_with(|| self.pace.end(now));
            if now >= end {
                return Ok(Step::Done);
            }
            // A backlog is read at full speed, as is what may be one; at the log's end, messages may gather first.
            if self.lag.records().is_some_and(|lag| lag <= came as u64) {
                let pause = (self.context.config.window() / READS_A_WINDOW).clamp(Duration::from_millis(2), IDLE_WAIT);
                tokio::select! {
                    () = tokio::time::sleep_until(end.min(now + pause)) => {}
                    _ = ending.said() => return Ok(Step::Done),
                }
            }
        }
    }

    pub(super) fn applied(&mut self, report: &BatchReport) {
        self.lag.applied(self.context.clock.now());
        let took = self.batch_began.take().map_or(Duration::ZERO, |began| began.elapsed());
        if report.messages > 0 {
            let now = self.context.clock.now();
            telemetry::batch_applied(self.worker.partition(), report, took, now);
            self.context.board.applied(report.messages);
            self.context.board.update(self.worker.partition(), |status| status.last_batch_at = Some(now));
        }
        // Offsets without a message, as those of an aborted transaction, need a cut as well: else L stays below them for
        // good, and retention passes it.
        if !report.span.is_empty() {
            self.segment_opened.get_or_insert(self.context.clock.now());
        }
        if !report.effects.outbox.is_empty() {
            self.context.outbox_wake.notify_one();
        }
        if report.effects.cut.is_some() {
            self.segment_opened = None;
        }
    }

    /// Segments end on whole multiples of their length, so that those of all partitions end together.
    fn segment_is_due(&self) -> bool {
        let length_ms = i64::try_from(self.context.config.segment_ms).unwrap_or(i64::MAX).max(1);
        let slot = |at: DateTime<Utc>| at.timestamp_millis().div_euclid(length_ms);
        let old = self.segment_opened.is_some_and(|opened| slot(self.context.clock.now()) != slot(opened));
        self.worker.may_cut() && (old || self.worker.wants_cut())
    }
}
