//! What is seen of the layer at one moment, and what of it is a problem.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    position::{Offset, PartitionId, StreamName},
    wording::counted,
};
use serde::Serialize;

use crate::member::{PhaseName, StopReason};

/// One partition at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionStatus {
    /// Which one.
    pub partition: PartitionId,
    /// Where it is in the protocol.
    pub phase: PhaseName,
    /// A, as of the last batch.
    pub applied: Option<Offset>,
    /// L, as of the last close.
    pub closed: Option<Offset>,
    /// Messages in the log that are not applied, when it was last asked.
    pub lag_records: Option<u64>,
    /// Age of the oldest of them in seconds, by the log's timestamps.
    pub lag_seconds: Option<f64>,
    /// When the last batch with messages was applied.
    pub last_batch_at: Option<DateTime<Utc>>,
    /// When A moved last, or there was nothing to apply.
    pub progress_at: Option<DateTime<Utc>>,
    /// When its task took its last step.
    pub turned_at: Option<DateTime<Utc>>,
    /// Why it waits for an operator, if it does.
    pub stopped: Option<StopReason>,
    /// What it waits for and tries again, if it does.
    pub trouble: Option<String>,
    /// Since when that is a refusal, which somebody has to mend, and not a neighbour that is away.
    pub refused_since: Option<DateTime<Utc>>,
    /// Cuts that the lake does not hold yet.
    pub unclosed_cuts: usize,
    /// Bytes of rows in memory that the lake does not hold yet.
    pub unclosed_bytes: usize,
    /// Why its segments do not get into the lake, if they do not.
    pub close_trouble: Option<CloseTrouble>,
}

/// Closes of a partition that fail and are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloseTrouble {
    /// What the last one said.
    pub error: String,
    /// Whether the lake said it, and not the views or the log, which a close asks as well.
    pub of_lake: bool,
    /// When the first of them failed.
    pub since: DateTime<Utc>,
    /// Whether somebody has to mend the lake before it goes through. A neighbour that is only away is a problem once too many
    /// cuts wait for it.
    pub refused: bool,
}

/// The outbox of a stream at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutboxStatus {
    /// Which stream.
    pub stream: StreamName,
    /// Entries that waited when it was last looked at.
    pub entries: u64,
    /// Why deliveries fail, if they do.
    pub trouble: Option<String>,
    /// Since when they do.
    pub failing_since: Option<DateTime<Utc>>,
}

/// All partitions of this process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeedStatus {
    /// The partitions, in order.
    pub partitions: Vec<PartitionStatus>,
    /// What a whole stream waits for.
    pub stream_troubles: Vec<String>,
    /// Streams whose group has not said yet what is this member's.
    pub without_answer: BTreeSet<StreamName>,
    /// Messages that this process applied since it started.
    pub applied_messages: u64,
    /// The outboxes of this process's streams.
    pub outboxes: Vec<OutboxStatus>,
    /// Cuts that may wait for the lake before it is a problem.
    pub unclosed_cuts_alarm: usize,
    /// Entries that may wait in an outbox before it is a problem.
    pub outbox_entries_alarm: u64,
    /// How long deliveries may fail before it is a problem.
    #[serde(skip)]
    pub stall: Duration,
    /// How long a partition may stand still before it is a problem.
    #[serde(skip)]
    pub standstill: Duration,
    /// When this was seen.
    pub seen_at: DateTime<Utc>,
}

impl SpeedStatus {
    /// Whether every group said what is this member's, and its partitions had nothing left to apply when their log was
    /// last asked. So has a member that stands by, without partitions.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.without_answer.is_empty()
            && self.partitions.iter().all(|status| status.applied.is_some() && status.lag_records == Some(0))
    }

    /// What is applied and not in the lake, one line a partition: what a stop leaves for the next owner. A partition that
    /// came too late to be worked on is not this process's to close.
    #[must_use]
    pub fn unclosed(&self) -> Vec<String> {
        let unclosed = |status: &PartitionStatus| {
            let (applied, closed) = (status.applied?, status.closed?);
            (closed < applied)
                .then(|| format!("{} is applied to {applied}, and in the lake to {closed}", status.partition))
        };
        self.partitions.iter().filter_map(unclosed).collect()
    }

    /// What closes that are tried again fail with, each once, and whether the lake said it.
    #[must_use]
    pub fn close_errors(&self) -> BTreeMap<&str, bool> {
        let troubles = self.partitions.iter().filter_map(|status| status.close_trouble.as_ref());
        troubles.map(|trouble| (trouble.error.as_str(), trouble.of_lake)).collect()
    }

    /// The first partition that could not go on for so long, though nothing it waits for is merely away.
    #[must_use]
    pub fn refused_for(&self, patience: Duration) -> Option<(&PartitionId, &str)> {
        self.partitions.iter().find_map(|status| {
            let since = status.refused_since?;
            let waited = (self.seen_at - since).to_std().ok()?;
            Some((&status.partition, status.trouble.as_deref()?)).filter(|_| waited >= patience)
        })
    }

    /// What keeps the layer from being ready, one line each; nothing if it is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.stream_troubles.clone();
        problems.extend(self.outboxes.iter().filter_map(|outbox| self.outbox_problem(outbox)));
        for status in &self.partitions {
            let partition = &status.partition;
            match &status.stopped {
                Some(reason) => problems.push(format!("{partition} is stopped: {reason}")),
                None => problems.extend(self.standstill_problem(status)),
            }
            if let Some(trouble) = &status.trouble {
                problems.push(format!("{partition} waits: {trouble}"));
            }
            problems.extend(self.lake_problem(status));
        }
        problems
    }

    fn lake_problem(&self, status: &PartitionStatus) -> Option<String> {
        let trouble = status.close_trouble.as_ref();
        if status.unclosed_cuts <= self.unclosed_cuts_alarm && trouble.is_none_or(|trouble| !trouble.refused) {
            return None;
        }
        let why = trouble.map(|CloseTrouble { error, of_lake, since, .. }| {
            let secs = (self.seen_at - *since).num_seconds().max(0);
            let what = if *of_lake { "it has taken none" } else { "closes fail" };
            format!("; {what} for {secs} s: {error}")
        });
        // The close that fails holds one cut at least, even before its partition has counted it.
        let cuts = counted(status.unclosed_cuts.max(1) as u64, "cut");
        Some(format!("{} has {cuts} that the lake does not hold yet{}", status.partition, why.unwrap_or_default()))
    }

    fn standstill_problem(&self, status: &PartitionStatus) -> Option<String> {
        let since = |at: Option<DateTime<Utc>>| {
            let still = (self.seen_at - at?).to_std().ok()?;
            (still > self.standstill).then_some(still.as_secs())
        };
        let partition = &status.partition;
        if let Some(secs) = since(status.turned_at) {
            return Some(format!("{partition} stands still: its step in phase {:?} takes {secs} s now", status.phase));
        }
        let lag = status.lag_records.filter(|lag| *lag > 0)?;
        let secs = since(status.progress_at)?;
        Some(format!("{partition} stands still: {lag} messages wait and none was applied for {secs} s"))
    }

    fn outbox_problem(&self, outbox: &OutboxStatus) -> Option<String> {
        let failing =
            outbox.failing_since.map_or(Duration::ZERO, |since| (self.seen_at - since).to_std().unwrap_or_default());
        if outbox.entries <= self.outbox_entries_alarm && failing < self.stall {
            return None;
        }
        let why = outbox.trouble.as_deref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        Some(format!("the outbox of {} has {} entries that are not delivered yet{why}", outbox.stream, outbox.entries))
    }
}
