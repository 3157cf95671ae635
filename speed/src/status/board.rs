//! Where tasks write how they are, each its own part.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    position::{Offset, PartitionId, StreamName},
};

use super::{CloseTrouble, OutboxStatus, PartitionStatus, SpeedStatus};
use crate::{config::SpeedConfig, member::PhaseName};

/// How all partitions and streams of this process are.
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
            refused_since: None,
            unclosed_cuts: 0,
            unclosed_bytes: 0,
            close_trouble: None,
        });
        change(status);
    }

    pub(crate) fn forget(&self, partition: &PartitionId) {
        self.lock().partitions.remove(partition);
    }

    /// Notes that a close of a partition failed and will be tried again. One that went to another member is not noted.
    pub(crate) fn close_failed(
        &self,
        partition: &PartitionId,
        (error, of_lake): (String, bool),
        refused: bool,
        now: DateTime<Utc>,
    ) {
        if let Some(status) = self.lock().partitions.get_mut(partition) {
            let since = status.close_trouble.as_ref().map_or(now, |trouble| trouble.since);
            status.close_trouble = Some(CloseTrouble { error, of_lake, since, refused });
        }
    }

    /// Notes that no close of a partition fails any more.
    pub(crate) fn close_went_through(&self, partition: &PartitionId) {
        if let Some(status) = self.lock().partitions.get_mut(partition) {
            status.close_trouble = None;
        }
    }

    /// Why a partition's segments are not in the lake.
    pub(crate) fn close_error(&self, partition: &PartitionId) -> Option<String> {
        let board = self.lock();
        Some(board.partitions.get(partition)?.close_trouble.as_ref()?.error.clone())
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
