//! How the partition is: for the board, for the log, for the metrics.

use std::time::Duration;

use kilowatch_shared::retry::RetryHint;

use super::PartitionTask;
use crate::{error::StepError, member::PhaseName, telemetry};

impl PartitionTask {
    /// Writes on the board how the partition is now, and what its last step failed with.
    pub(super) fn show(&mut self, trouble: Option<&StepError>) {
        if self.worker.phase() == PhaseName::Running {
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
            let refused = trouble.is_some_and(|error| error.retry_hint() == RetryHint::Never);
            status.refused_since = if refused { status.refused_since.or(Some(now)) } else { None };
            status.trouble = trouble.map(ToString::to_string);
            // Another member may have closed what this one could not.
            if worker.phase() == PhaseName::Running && worker.unclosed_cuts() == 0 {
                status.close_trouble = None;
            }
        });
    }

    /// Logs a reason once, however often the partition is looked at again.
    pub(super) fn say_why_stopped(&mut self) {
        if self.stopped.as_ref() != self.worker.stop_reason() {
            self.stopped = self.worker.stop_reason().cloned();
            if let Some(reason) = &self.stopped {
                tracing::warn!(partition = %self.worker.partition(), %reason, "a partition waits for an operator");
            }
        }
    }

    pub(super) async fn measure_lag(&mut self, idle: bool) {
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
}
