//! The loop over a partition's steps, and what it waits between them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kilowatch_shared::retry::Backoff;
use tokio::{sync::oneshot, time::Instant};
use tracing::Instrument as _;

use crate::{
    error::StepError,
    layer::{
        ending::{Ending, EndingWatch},
        lag::Lag,
        pace::Pace,
        stream_context::StreamContext,
    },
    member::{CloseOutcome, PartitionWorker, PhaseName, Step, StopReason},
    telemetry,
};

/// Losing a partition twice within this time is a quarrel, and waits longer each time.
const FENCES_APART: Duration = Duration::from_secs(60);
/// A group says within a heartbeat that a partition was lost.
const FENCED_PAUSE: Duration = Duration::from_secs(1);
/// What stopped a partition may be put right by an operator, so it is looked at again this often.
const STOPPED_CHECK: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(in crate::layer) struct PartitionTask {
    pub(super) worker: PartitionWorker,
    pub(super) context: StreamContext,
    pub(super) ending: EndingWatch,
    pub(super) pace: Pace,
    pub(super) closing: Option<oneshot::Receiver<CloseOutcome>>,
    /// When the first message came that is not applied yet.
    pub(super) batch_began: Option<Instant>,
    pub(super) segment_opened: Option<DateTime<Utc>>,
    pub(super) last_transaction: Instant,
    pub(super) lag: Lag,
    /// Why it waits for an operator, as far as nothing showed that it need not any more.
    pub(super) stopped: Option<StopReason>,
}

impl PartitionTask {
    pub(in crate::layer) fn new(worker: PartitionWorker, context: StreamContext, ending: EndingWatch) -> Self {
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
    pub(in crate::layer) async fn run(mut self) {
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
                    self.show(Some(&error));
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
}
