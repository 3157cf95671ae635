//! How the speed layer is, for readiness, pages and whoever waits until it has caught up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    position::{Offset, PartitionId, StreamName},
};
use serde::Serialize;

use crate::{
    config::SpeedConfig,
    member::{PhaseName, StopReason},
};

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
    /// Cuts that the lake does not hold yet.
    pub unclosed_cuts: usize,
    /// Bytes of rows in memory that the lake does not hold yet.
    pub unclosed_bytes: usize,
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
            if status.unclosed_cuts > self.unclosed_cuts_alarm {
                problems.push(format!("{partition} has {} cuts that the lake does not hold yet", status.unclosed_cuts));
            }
        }
        problems
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

/// Where tasks write how they are.
#[derive(Debug, Default)]
pub(crate) struct StatusBoard {
    inner: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    partitions: BTreeMap<PartitionId, PartitionStatus>,
    streams: BTreeMap<StreamName, String>,
    /// Why the log of a stream does not answer.
    logs: BTreeMap<StreamName, String>,
    without_answer: BTreeSet<StreamName>,
    applied_messages: u64,
    outboxes: BTreeMap<StreamName, OutboxStatus>,
}

impl Board {
    fn outbox(&mut self, stream: &StreamName) -> &mut OutboxStatus {
        let unseen = || OutboxStatus { stream: stream.clone(), entries: 0, trouble: None, failing_since: None };
        self.outboxes.entry(stream.clone()).or_insert_with(unseen)
    }
}

impl StatusBoard {
    /// A board of these streams, whose groups have not answered yet.
    pub(crate) fn of(streams: impl Iterator<Item = StreamName>) -> Self {
        Self { inner: Mutex::new(Board { without_answer: streams.collect(), ..Board::default() }) }
    }

    pub(crate) fn update(&self, partition: &PartitionId, change: impl FnOnce(&mut PartitionStatus)) {
        let mut board = self.lock();
        let status = board.partitions.entry(partition.clone()).or_insert_with(|| PartitionStatus {
            partition: partition.clone(),
            phase: PhaseName::Idle,
            applied: None,
            closed: None,
            lag_records: None,
            lag_seconds: None,
            last_batch_at: None,
            progress_at: None,
            turned_at: None,
            stopped: None,
            trouble: None,
            unclosed_cuts: 0,
            unclosed_bytes: 0,
        });
        change(status);
    }

    pub(crate) fn forget(&self, partition: &PartitionId) {
        self.lock().partitions.remove(partition);
    }

    /// How far the lake holds the partitions of a stream.
    pub(crate) fn closed(&self, stream: &StreamName) -> BTreeMap<SourcePartition, Offset> {
        let board = self.lock();
        let ours = board.partitions.values().filter(|status| status.partition.stream == *stream);
        ours.filter_map(|status| Some((SourcePartition::from(&status.partition), status.closed?))).collect()
    }

    /// Returns whether there was one before.
    pub(crate) fn stream_trouble(&self, stream: &StreamName, trouble: Option<String>) -> bool {
        note(&mut self.lock().streams, stream, trouble)
    }

    pub(crate) fn group_answered(&self, stream: &StreamName, answered: bool) {
        let mut board = self.lock();
        if answered {
            board.without_answer.remove(stream);
        } else {
            board.without_answer.insert(stream.clone());
        }
    }

    pub(crate) fn applied(&self, messages: usize) {
        self.lock().applied_messages += messages as u64;
    }

    pub(crate) fn log_trouble(&self, stream: &StreamName, trouble: Option<String>) {
        let _before = note(&mut self.lock().logs, stream, trouble);
    }

    /// Notes how many entries wait, before a delivery of them has ended.
    pub(crate) fn outbox_entries(&self, stream: &StreamName, entries: u64) {
        self.lock().outbox(stream).entries = entries;
    }

    /// Notes how a look at an outbox ended.
    pub(crate) fn outbox(&self, stream: &StreamName, entries: u64, trouble: Option<String>, now: DateTime<Utc>) {
        let mut board = self.lock();
        let status = board.outbox(stream);
        status.entries = entries;
        status.failing_since = trouble.is_some().then(|| status.failing_since.unwrap_or(now));
        status.trouble = trouble;
    }

    pub(crate) fn snapshot(&self, config: &SpeedConfig, now: DateTime<Utc>) -> SpeedStatus {
        let board = self.lock();
        SpeedStatus {
            partitions: board.partitions.values().cloned().collect(),
            stream_troubles: board
                .streams
                .iter()
                .chain(&board.logs)
                .map(|(stream, trouble)| format!("{stream}: {trouble}"))
                .collect(),
            without_answer: board.without_answer.clone(),
            applied_messages: board.applied_messages,
            outboxes: board.outboxes.values().cloned().collect(),
            unclosed_cuts_alarm: config.unclosed_cuts_alarm,
            outbox_entries_alarm: config.outbox_entries_alarm,
            stall: config.stall(),
            standstill: config.stall() + config.window(),
            seen_at: now,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // A status is written field by field, and a half-written one is still a status.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(troubles: &mut BTreeMap<StreamName, String>, stream: &StreamName, trouble: Option<String>) -> bool {
    match trouble {
        Some(trouble) => troubles.insert(stream.clone(), trouble),
        None => troubles.remove(stream),
    }
    .is_some()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use kilowatch_shared::position::SourceId;

    use super::*;

    const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn board(change: impl FnOnce(&mut PartitionStatus)) -> StatusBoard {
        let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
        let partition = PartitionId { stream, source: SourceId::parse("log:x:t").unwrap(), partition: 0 };
        board.update(&partition, |status| {
            status.phase = PhaseName::Running;
            (status.progress_at, status.turned_at) = (Some(NOON), Some(NOON));
            change(status);
        });
        board
    }

    fn problems(board: &StatusBoard, secs: i64) -> Vec<String> {
        let config = SpeedConfig { stall_ms: 60_000, window_ms: 10_000, ..SpeedConfig::default() };
        board.snapshot(&config, NOON + TimeDelta::seconds(secs)).problems()
    }

    #[test]
    fn a_partition_that_applies_nothing_while_messages_wait_is_a_problem_after_its_time() {
        let behind = board(|status| {
            status.lag_records = Some(7);
            status.turned_at = Some(NOON + TimeDelta::seconds(70));
        });
        assert_eq!(problems(&behind, 70), Vec::<String>::new());
        let problem = problems(&behind, 71).remove(0);
        assert!(problem.contains("7 messages wait and none was applied for 71 s"), "{problem}");
    }

    #[test]
    fn a_log_that_does_not_answer_is_a_problem_of_a_member_without_partitions_too() {
        let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
        board.log_trouble(&stream, Some("all brokers are down".to_owned()));
        assert_eq!(problems(&board, 0), ["grid: all brokers are down"]);
        board.log_trouble(&stream, None);
        assert_eq!(problems(&board, 0), Vec::<String>::new());
    }

    #[test]
    fn a_member_without_partitions_has_caught_up_as_soon_as_its_group_answered() {
        let stream = StreamName::parse("grid").unwrap();
        let board = StatusBoard::of(std::iter::once(stream.clone()));
        let is_caught_up = || board.snapshot(&SpeedConfig::default(), NOON).is_caught_up();
        assert!(!is_caught_up(), "nobody knows yet what is this member's");
        board.group_answered(&stream, true);
        assert!(is_caught_up());
        let partition = PartitionId { stream, source: SourceId::parse("log:x:t").unwrap(), partition: 0 };
        board.update(&partition, |status| status.lag_records = Some(0));
        assert!(!is_caught_up(), "the partition is not claimed yet");
    }

    #[test]
    fn what_is_applied_and_not_in_the_lake_is_left_for_the_next_owner() {
        let left = |applied, closed: Option<u64>| {
            let board = board(|status| {
                status.applied = Some(Offset::new(applied));
                status.closed = closed.map(Offset::new);
            });
            board.snapshot(&SpeedConfig::default(), NOON).unclosed()
        };
        assert_eq!(left(7, Some(7)), Vec::<String>::new());
        assert_eq!(left(7, Some(5)), ["grid/log:x:t/0 is applied to 7, and in the lake to 5"]);
        assert_eq!(left(7, None), Vec::<String>::new());
    }

    #[test]
    fn an_idle_partition_stands_still_for_good_reason() {
        let idle = board(|status| {
            status.lag_records = Some(0);
            status.turned_at = Some(NOON + TimeDelta::seconds(9000));
        });
        assert_eq!(problems(&idle, 9000), Vec::<String>::new());
    }

    #[test]
    fn a_step_that_hangs_is_a_problem_even_if_no_lag_is_known() {
        let problem = problems(&board(|_| {}), 71).remove(0);
        assert!(problem.contains("takes 71 s now"), "{problem}");
    }

    #[test]
    fn deliveries_that_fail_are_a_problem_after_their_time_and_a_full_outbox_at_once() {
        let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
        board.outbox(&stream, 3, Some("not authorised".to_owned()), NOON);
        board.outbox(&stream, 3, Some("not authorised".to_owned()), NOON + TimeDelta::seconds(59));
        assert_eq!(problems(&board, 59), Vec::<String>::new());
        assert!(problems(&board, 60)[0].contains("3 entries that are not delivered yet: not authorised"));
        board.outbox(&stream, 10_001, None, NOON + TimeDelta::seconds(61));
        assert!(problems(&board, 61)[0].contains("10001 entries"));
        board.outbox(&stream, 0, None, NOON + TimeDelta::seconds(62));
        assert_eq!(problems(&board, 9000), Vec::<String>::new());
    }
}
