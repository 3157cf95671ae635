//! One stream: its topic, its partitions, its pins, its closer.

use std::{collections::BTreeMap, sync::Arc};

use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    log::LogError,
    position::PartitionId,
    retry::{Backoff, RetryHint},
    stream::StreamProfile,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    closer::{self, CLOSE_QUEUE_PARTS, CloseRequest},
    partition_task::{PartitionTask, Stop},
    pins_watch::PinsWatch,
};
use crate::{
    config::SpeedConfig,
    cut_line::PinSet,
    error::{SpeedError, StepError},
    member::{Doors, PartitionWorker},
    outbox::{Dispatcher, Outbox},
    pins_source::PinsSource,
    status::StatusBoard,
};

/// What a stream runs with.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) doors: Arc<Doors>,
    /// Without one, entries wait for a member that has one.
    pub(super) outbox: Option<Outbox>,
    pub(super) pins: Arc<dyn PinsSource>,
    pub(super) clock: SharedClock,
    pub(super) profile: Arc<StreamProfile>,
    pub(super) config: Arc<SpeedConfig>,
    pub(super) board: Arc<StatusBoard>,
    pub(super) stop: CancellationToken,
}

/// The task of a partition and how to end it.
#[derive(Debug)]
struct Running {
    taken_away: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Runs until the stop.
    pub(super) async fn run(self) -> Result<(), SpeedError> {
        let mut watch = PinsWatch::new(Arc::clone(&self.doors), Arc::clone(&self.pins), Arc::clone(&self.profile));
        let Some(pins) = self.start(&mut watch).await? else { return Ok(()) };
        let (pins_sender, pins) = watch::channel(pins);
        let (closes, requests) = mpsc::channel(CLOSE_QUEUE_PARTS);
        let give_up = CancellationToken::new();
        let closer = tokio::spawn(closer::run(Arc::clone(&self.doors), requests, give_up.clone()));

        let wake = Arc::new(Notify::new());
        let outbox_stop = CancellationToken::new();
        let dispatcher = self.dispatcher(&wake).map(|dispatcher| tokio::spawn(dispatcher.run(outbox_stop.clone())));

        let mut running = BTreeMap::new();
        loop {
            let refreshed = async {
                self.follow_partitions(&mut running, &pins, &closes, &wake).await;
                tokio::time::sleep(self.config.refresh()).await;
                watch.look().await
            };
            // A neighbour that hangs must not keep a stop from being noticed.
            let looked = tokio::select! {
                () = self.stop.cancelled() => break,
                looked = refreshed => looked,
            };
            match looked {
                Ok(now) => {
                    pins_sender.send_if_modified(|before| {
                        let changed = before.id != now.id;
                        *before = now;
                        changed
                    });
                }
                Err(error) => tracing::debug!(stream = %self.profile.name, %error, "the pins stay as they are"),
            }
        }
        drop(closes);
        let deadline = Instant::now() + self.config.stop_deadline();
        self.wait_for(running, deadline).await;
        outbox_stop.cancel();
        if let Some(mut dispatcher) = dispatcher
            && timeout_at(deadline, &mut dispatcher).await.is_err()
        {
            tracing::info!(stream = %self.profile.name, "a stop left entries in the outbox for the next member");
            dispatcher.abort();
        }
        give_up.cancel();
        closer.await.map_err(|panicked| SpeedError::Ended { reason: panicked.to_string() })
    }

    /// Makes the topic and finds the first pins, however long the neighbours take. `None` if the stop came first.
    async fn start(&self, watch: &mut PinsWatch) -> Result<Option<PinSet>, SpeedError> {
        let mut delays = Backoff::patient().delays();
        loop {
            let found = tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                found = self.topic_and_pins(watch) => found,
            };
            let trouble = match found {
                Ok(pins) => {
                    self.board.stream_trouble(&self.profile.name, None);
                    return Ok(Some(pins));
                }
                Err(StepError::Log(error)) if error.retry_hint() == RetryHint::Never => return Err(error.into()),
                Err(error) => error.to_string(),
            };
            tracing::warn!(stream = %self.profile.name, %trouble, "a stream cannot start yet");
            self.board.stream_trouble(&self.profile.name, Some(trouble));
            tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(delays.next().unwrap_or_default()) => {}
            }
        }
    }

    async fn topic_and_pins(&self, watch: &mut PinsWatch) -> Result<PinSet, StepError> {
        self.doors.log.create_topic(&self.profile.topic, self.profile.partitions).await?;
        watch.look().await
    }

    /// Starts a task for each new partition, and lets those go that the topic no longer has.
    async fn follow_partitions(
        &self,
        running: &mut BTreeMap<PartitionId, Running>,
        pins: &watch::Receiver<PinSet>,
        closes: &mpsc::Sender<CloseRequest>,
        wake: &Arc<Notify>,
    ) {
        let assigned = match self.assigned().await {
            Ok(assigned) => assigned,
            Err(error) => {
                tracing::debug!(stream = %self.profile.name, %error, "the partitions stay as they are");
                return;
            }
        };
        running.retain(|partition, task| {
            let keep = assigned.contains(partition);
            if !keep {
                tracing::info!(%partition, "the topic no longer has a partition");
                task.taken_away.cancel();
                self.board.forget(partition);
            }
            keep
        });
        for partition in assigned {
            if running.get(&partition).is_some_and(|task| !task.task.is_finished()) {
                continue;
            }
            let taken_away = CancellationToken::new();
            let worker = PartitionWorker::new(
                Arc::clone(&self.doors),
                Arc::clone(&self.config),
                partition.clone(),
                pins.borrow().clone(),
            );
            let stop = Stop { orderly: self.stop.clone(), taken_away: taken_away.clone() };
            let task = PartitionTask::new(
                worker,
                Arc::clone(&self.doors),
                Arc::clone(&self.config),
                Arc::clone(&self.clock),
                Arc::clone(&self.board),
                pins.clone(),
                closes.clone(),
                Arc::clone(wake),
                stop,
            );
            running.insert(partition, Running { taken_away, task: tokio::spawn(task.run()) });
        }
    }

    async fn assigned(&self) -> Result<Vec<PartitionId>, LogError> {
        let partitions = self.doors.log.partitions(&self.profile.topic).await?;
        Ok(partitions
            .into_iter()
            .map(|SourcePartition { source, partition }| PartitionId {
                stream: self.profile.name.clone(),
                source,
                partition,
            })
            .collect())
    }

    fn dispatcher(&self, wake: &Arc<Notify>) -> Option<Dispatcher> {
        let outbox = self.outbox.clone()?;
        let (clock, board) = (Arc::clone(&self.clock), Arc::clone(&self.board));
        Some(Dispatcher::new(outbox, self.profile.name.clone(), clock, board, Arc::clone(wake), self.config.refresh()))
    }

    async fn wait_for(&self, running: BTreeMap<PartitionId, Running>, deadline: Instant) {
        for (partition, mut running) in running {
            if timeout_at(deadline, &mut running.task).await.is_err() {
                tracing::warn!(%partition, deadline_ms = self.config.stop_deadline_ms, "a stop exceeded its deadline, the rest is left for a replay");
                running.task.abort();
            }
        }
    }
}
