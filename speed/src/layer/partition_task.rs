//! One partition, step by step, until it is stopped or taken away.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kilowatch_shared::{log::LogError, retry::Backoff};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::Instrument as _;

use super::{
    closer::CloseRequest,
    ending::{Ending, EndingWatch},
    lag::Lag,
    pace::Pace,
    stream_context::StreamContext,
};
use crate::{
    error::StepError,
    member::{BatchReport, CloseOutcome, CutWish, PartitionWorker, PhaseName, Step, StopReason},
    telemetry,
};

/// How long an empty partition waits for a message before it looks after its other duties.
const IDLE_WAIT: Duration = Duration::from_millis(500);
/// An idle owner shows by an empty transaction that it still is the owner; another one waits at most so long for it.
const IDLE_OWNER_CHECK: Duration = Duration::from_secs(30);
/// Losing a partition twice within this time is a quarrel, and waits longer each time.
const FENCES_APART: Duration = Duration::from_secs(60);
/// A group says within a heartbeat that a partition was lost.
const FENCED_PAUSE: Duration = Duration::from_secs(1);
/// What stopped a partition may be put right by an operator, so it is looked at again this often.
const STOPPED_CHECK: Duration = Duration::from_secs(30);
/// A drained log is read this many times a window, so that one read brings many messages.
const READS_A_WINDOW: u32 = 20;

#[derive(Debug)]
pub(super) struct PartitionTask {
    worker: PartitionWorker,
    context: StreamContext,
    ending: EndingWatch,
    pace: Pace,
    closing: Option<oneshot::Receiver<CloseOutcome>>,
    /// When the first message came that is not applied yet.
    batch_began: Option<Instant>,
    segment_opened: Option<DateTime<Utc>>,
    last_transaction: Instant,
    lag: Lag,
    /// Why it waits for an operator, as far as nothing showed that it need not any more.
    stopped: Option<StopReason>,
}

impl PartitionTask {
    pub(super) fn new(worker: PartitionWorker, context: StreamContext, ending: EndingWatch) -> Self {
        let pace = Pace::new(worker.partition(), context.config.window(), Instant::now());
        Self {
            worker,
            context,
            ending,
            pace,
            closing: None,
            batch_began: None,
            segment_opened: None,
            last_transaction: Instant::now(),
            lag: Lag::default(),
            stopped: None,
        }
    }

    /// Drives the steps until it is told how to end.
    pub(super) async fn run(mut self) {
        let ending = self.ending.clone();
        let mut delays = Backoff::patient().delays();
        let mut fence_delays = Backoff::patient().delays();
        let mut last_fenced: Option<Instant> = None;
        while ending.now().is_none() {
            let pause = match self.turn().await {
                Ok(Step::Done) => {
                    delays = Backoff::patient().delays();
                    Duration::ZERO
                }
                Ok(Step::Fenced) => {
                    telemetry::fenced(self.worker.partition());
                    tracing::info!(partition = %self.worker.partition(), "another member took a partition over");
                    // A member that was paused hears from its group that it lost the partition before it claims again;
                    // two that both believe in their assignment must not take turns at full speed.
                    if last_fenced.replace(Instant::now()).is_none_or(|at| at.elapsed() > FENCES_APART) {
                        fence_delays = Backoff::patient().delays();
                    }
                    fence_delays.next().unwrap_or_default().max(FENCED_PAUSE)
                }
                Ok(Step::Reclaim) => delays.next().unwrap_or_default(),
                Ok(Step::Stopped) => {
                    self.say_why_stopped();
                    self.show(None);
                    if let Err(error) = self.worker.step_aside().await {
                        tracing::warn!(partition = %self.worker.partition(), %error, "a stopped partition was not released");
                    }
                    STOPPED_CHECK
                }
                Err(error) => {
                    let pause = delays.next().unwrap_or_default();
                    tracing::warn!(
                        partition = %self.worker.partition(), %error, retry_ms = pause.as_millis(),
                        "a step will be tried again"
                    );
                    self.show(Some(error.to_string()));
                    pause
                }
            };
            if !pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = ending.said() => {}
                }
            }
        }
        match ending.said().await {
            Ending::Stop => self.stop_in_order().await,
            Ending::Revoked => self.let_go().await,
            Ending::Lost => self.worker.abandon(),
        }
    }

    async fn turn(&mut self) -> Result<Step, StepError> {
        let pins = self.context.pins.borrow_and_update().clone();
        self.worker.use_pins(pins);
        let ending = self.ending.clone();
        let step = match self.worker.phase() {
            PhaseName::Running => {
                let id = self.worker.partition();
                let span = tracing::info_span!("micro_batch", stream = %id.stream, partition = id.partition);
                self.batch().instrument(span).await?
            }
            PhaseName::Stopped => Step::Stopped,
            // A step that is dropped half-way leaves the partition in its phase, so a stop need not wait for neighbours.
            PhaseName::Idle | PhaseName::Claimed | PhaseName::Checked => tokio::select! {
                step = self.towards_running() => step?,
                _ = ending.said() => Step::Done,
            },
        };
        if step == Step::Done {
            self.show(None);
        }
        Ok(step)
    }

    async fn towards_running(&mut self) -> Result<Step, StepError> {
        match self.worker.phase() {
            PhaseName::Idle => {
                self.closing = None;
                self.worker.claim().await?;
                telemetry::claimed(self.worker.partition());
                Ok(Step::Done)
            }
            PhaseName::Claimed => self.worker.check().await,
            PhaseName::Checked => {
                let restored = self.worker.restore().await?;
                self.segment_opened = Some(self.context.clock.now());
                Ok(restored)
            }
            PhaseName::Running | PhaseName::Stopped => Ok(Step::Done),
        }
    }

    /// One window: gather, apply, look after the close.
    async fn batch(&mut self) -> Result<Step, StepError> {
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

    fn applied(&mut self, report: &BatchReport) {
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

    fn begin_close(&mut self, room: mpsc::OwnedPermit<CloseRequest>) {
        if self.closing.is_some() {
            return;
        }
        let Some(part) = self.worker.begin_close() else { return };
        let (reply, outcome) = oneshot::channel();
        self.closing = Some(outcome);
        room.send(CloseRequest { part, reply });
    }

    fn take_close_outcome(&mut self) -> Step {
        let Some(closing) = &mut self.closing else { return Step::Done };
        match closing.try_recv() {
            Ok(outcome) => {
                self.closing = None;
                if matches!(outcome, CloseOutcome::Closed(_)) {
                    self.stopped = None;
                }
                self.worker.closed(&outcome)
            }
            Err(oneshot::error::TryRecvError::Empty) => Step::Done,
            Err(oneshot::error::TryRecvError::Closed) => {
                self.worker.give_up_memory();
                Step::Reclaim
            }
        }
    }

    async fn measure_lag(&mut self, idle: bool) {
        if !self.lag.is_due(idle) {
            return;
        }
        let partition = self.worker.partition();
        if let Some(from) = self.worker.unapplied_from() {
            self.lag.measure(&*self.context.doors.log, partition, from).await;
        }
        let now = self.context.clock.now();
        self.lag.note_age(now);
        let open = self.segment_opened.map_or(Duration::ZERO, |opened| (now - opened).to_std().unwrap_or_default());
        telemetry::gauges(partition, self.lag.records(), open);
        telemetry::unclosed(partition, self.worker.unclosed_cuts(), self.worker.unclosed_bytes());
        telemetry::lag_age(partition, self.lag.age());
    }

    fn say_why_stopped(&mut self) {
        if self.stopped.as_ref() != self.worker.stop_reason() {
            self.stopped = self.worker.stop_reason().cloned();
            if let Some(reason) = &self.stopped {
                tracing::warn!(partition = %self.worker.partition(), %reason, "a partition waits for an operator");
            }
        }
    }

    fn show(&mut self, trouble: Option<String>) {
        // That it runs says nothing of its closes, unless nothing is left to close.
        let cannot_close = matches!(self.stopped, Some(StopReason::CannotClose { .. }))
            && self.worker.closed_to() != self.worker.applied();
        if self.worker.phase() == PhaseName::Running && !cannot_close {
            self.stopped = None;
        }
        let (worker, now) = (&self.worker, self.context.clock.now());
        self.lag.note_age(now);
        self.context.board.update(worker.partition(), |status| {
            status.phase = worker.phase();
            let applied = worker.applied().or(status.applied);
            status.closed = worker.closed_to().or(status.closed);
            status.lag_records = self.lag.records();
            status.lag_seconds = self.lag.age().map(|age| age.as_secs_f64());
            if applied != status.applied || status.lag_records == Some(0) {
                status.progress_at = Some(now);
            }
            status.applied = applied;
            status.turned_at = Some(now);
            // A stopped partition that is looked at again is not a running one.
            match worker.phase() {
                PhaseName::Running | PhaseName::Stopped => status.stopped.clone_from(&self.stopped),
                PhaseName::Idle | PhaseName::Claimed | PhaseName::Checked => {}
            }
            status.unclosed_cuts = worker.unclosed_cuts();
            status.unclosed_bytes = worker.unclosed_bytes();
            status.trouble = trouble;
        });
    }

    /// Another member waits for the release, so nothing is closed here: the next owner finds a cut and closes up to it.
    async fn let_go(&mut self) {
        if let Err(error) = self.worker.revoke().await {
            tracing::warn!(partition = %self.worker.partition(), %error, "a partition was not released, the next owner takes it over");
        }
    }

    /// Apply what was gathered and cut; close as far as the lake allows; release. Three quarters of the deadline are
    /// for the closes, so that a lake that is away does not keep the partition from being released.
    async fn stop_in_order(&mut self) {
        if self.worker.phase() == PhaseName::Running {
            let patience = self.context.config.stop_deadline() / 4 * 3;
            match tokio::time::timeout(patience, self.close_everything()).await {
                Ok(Ok(())) if self.worker.phase() == PhaseName::Running => {}
                Ok(Ok(())) => {
                    self.say_why_stopped();
                    tracing::warn!(
                        partition = %self.worker.partition(),
                        "a stop left what did not go to the lake for the next owner to close"
                    );
                }
                Ok(Err(error)) => {
                    tracing::warn!(partition = %self.worker.partition(), %error, "a stop left its last batch for a replay");
                }
                Err(_elapsed) => {
                    tracing::warn!(
                        partition = %self.worker.partition(), cuts = self.worker.unclosed_cuts(),
                        "a stop left cuts for the next owner to close"
                    );
                }
            }
            // How far the lake is, before it is forgotten.
            self.show(None);
        }
        self.let_go().await;
        self.show(None);
    }

    async fn close_everything(&mut self) -> Result<(), StepError> {
        while self.worker.phase() == PhaseName::Running
            && (self.worker.owes_apply() || self.worker.gathered() > 0 || self.worker.may_cut())
        {
            self.worker.wish_state();
            if let Some(report) = self.worker.apply(CutWish::Cut).await?.1 {
                self.applied(&report);
            }
        }
        while self.worker.phase() == PhaseName::Running {
            let Ok(room) = self.context.closes.clone().reserve_owned().await else { break };
            self.begin_close(room);
            let Some(closing) = &mut self.closing else { break };
            let Ok(outcome) = closing.await else { break };
            self.closing = None;
            self.worker.closed(&outcome);
        }
        Ok(())
    }
}
