//! One stream: its topic, its group, its partitions, its pins, its closer.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use kilowatch_shared::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    cut_line::PinSet,
    log::{Change, LogError, Membership},
    position::{Offset, PartitionId},
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
    closer::{CLOSE_QUEUE_PARTS, Closer},
    ending::{Ending, EndingWatch},
    partition_task::PartitionTask,
    pins_watch::PinsWatch,
    stream_context::StreamContext,
};
use crate::{
    config::SpeedConfig,
    error::{SpeedError, StepError},
    member::{Doors, PartitionWorker},
    outbox::{Dispatcher, Outbox},
    pins_source::PinsSource,
    status::StatusBoard,
    telemetry,
};

/// A revoked partition ends with one transaction, and the views give up a lock after five seconds. Less than the group
/// waits for its release, so that the next owner nearly always finds a cut.
const REVOKED_WITHIN: Duration = Duration::from_secs(15);

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
    end: watch::Sender<Option<Ending>>,
    task: JoinHandle<()>,
}

type Partitions = BTreeMap<PartitionId, Running>;

impl Supervisor {
    /// Runs until the stop.
    pub(super) async fn run(self) -> Result<(), SpeedError> {
        let mut watch = PinsWatch::new(Arc::clone(&self.doors), Arc::clone(&self.pins), Arc::clone(&self.profile));
        let Some(pins) = self.start(&mut watch).await? else { return Ok(()) };
        let (pins_sender, pins) = watch::channel(pins);
        let (closes, requests) = mpsc::channel(CLOSE_QUEUE_PARTS);
        let give_up = CancellationToken::new();
        let closes_wake = Arc::new(Notify::new());
        let mut closer = tokio::spawn(self.closer(&closes_wake).run(requests, give_up.clone()));

        let wake = Arc::new(Notify::new());
        let outbox_stop = CancellationToken::new();
        let mut dispatcher = self.dispatcher(&wake).map(|dispatcher| tokio::spawn(dispatcher.run(outbox_stop.clone())));
        let context = StreamContext {
            doors: Arc::clone(&self.doors),
            config: Arc::clone(&self.config),
            clock: Arc::clone(&self.clock),
            board: Arc::clone(&self.board),
            pins,
            closes,
            closes_wake,
            outbox_wake: wake,
        };
        let mut running = Partitions::new();
        // A neighbour that hangs must keep neither a stop nor a revoke from being noticed.
        let followed = tokio::select! {
            membership = self.follow_the_group(&mut running, &context) => Ok(membership),
            never = watch.follow(self.config.refresh(), &pins_sender) => match never {},
            never = self.watch_the_log() => match never {},
            error = ended_alone("closer", Some(&mut closer)) => Err(error),
            error = ended_alone("dispatcher of the outbox", dispatcher.as_mut()) => Err(error),
        };
        drop(context);
        let deadline = Instant::now() + self.config.stop_deadline();
        self.stop_in_order(running, deadline).await;
        outbox_stop.cancel();
        if let Some(dispatcher) = &mut dispatcher
            && !dispatcher.is_finished()
            && timeout_at(deadline, &mut *dispatcher).await.is_err()
        {
            tracing::info!(stream = %self.profile.name, "a stop left entries in the outbox for the next member");
            dispatcher.abort();
        }
        give_up.cancel();
        if let Some(membership) = followed? {
            membership.tell(&self.closed());
            membership.leave().await;
        }
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
                    telemetry::stream_waits(&self.profile.name, "start", false);
                    self.board.stream_trouble(&self.profile.name, None);
                    return Ok(Some(pins));
                }
                Err(StepError::Log(error)) if error.retry_hint() == RetryHint::Never => return Err(error.into()),
                Err(error) => error.to_string(),
            };
            tracing::warn!(stream = %self.profile.name, %trouble, "a stream cannot start yet");
            telemetry::stream_waits(&self.profile.name, "start", true);
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

    /// Works on what the group gives, until the stop. Returns the membership, which keeps the partitions meanwhile.
    async fn follow_the_group(&self, running: &mut Partitions, context: &StreamContext) -> Option<Box<dyn Membership>> {
        let mut membership: Option<Box<dyn Membership>> = None;
        let mut delays = Backoff::patient().delays();
        let mut refresh = tokio::time::interval(self.config.refresh());
        loop {
            let change = tokio::select! {
                biased;
                () = self.stop.cancelled() => return membership,
                change = self.next_change(&mut membership) => change,
                _ = refresh.tick() => {
                    self.restart_ended(running, context);
                    if let Some(membership) = &membership {
                        membership.tell(&self.closed());
                    }
                    continue;
                }
            };
            match change {
                Ok(Change::Assigned(partitions)) => {
                    delays = Backoff::patient().delays();
                    for partition in self.ours(partitions) {
                        tracing::info!(%partition, "a partition was assigned");
                        self.begin(running, partition, context);
                    }
                    // Only now, or a member would pass for one that has nothing to do.
                    self.group_answers();
                }
                Ok(Change::Revoked { partitions, release }) => {
                    self.end(running, self.ours(partitions), Ending::Revoked).await;
                    drop(release);
                }
                Ok(Change::Lost(partitions)) => self.end(running, self.ours(partitions), Ending::Lost).await,
                Ok(Change::Waiting { reason }) => {
                    tracing::warn!(stream = %self.profile.name, %reason, "the group does not answer");
                    self.group_trouble(reason);
                }
                Err(error) => {
                    let pause = delays.next().unwrap_or_default();
                    let retry_ms = pause.as_millis();
                    tracing::warn!(stream = %self.profile.name, %error, retry_ms, "the group has to be joined again");
                    self.group_trouble(error.to_string());
                    membership = None;
                    self.end(running, running.keys().cloned().collect(), Ending::Lost).await;
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => return None,
                    }
                }
            }
        }
    }

    fn group_trouble(&self, reason: String) {
        telemetry::stream_waits(&self.profile.name, "group", true);
        self.board.group_answered(&self.profile.name, false);
        self.board.stream_trouble(&self.profile.name, Some(reason));
    }

    fn group_answers(&self) {
        telemetry::stream_waits(&self.profile.name, "group", false);
        self.board.group_answered(&self.profile.name, true);
        if self.board.stream_trouble(&self.profile.name, None) {
            tracing::info!(stream = %self.profile.name, "the group answers again");
        }
    }

    /// Notes whether the log answers. A member that lost its partitions because the brokers are away has nothing else to
    /// show it by, and one that reads waits for a broker as it waits for a message.
    async fn watch_the_log(&self) -> Infallible {
        loop {
            let answer = self.doors.log.source(&self.profile.topic).await;
            telemetry::stream_waits(&self.profile.name, "log", answer.is_err());
            self.board.log_trouble(&self.profile.name, answer.err().map(|error| error.to_string()));
            tokio::time::sleep(self.config.refresh()).await;
        }
    }

    async fn next_change(&self, membership: &mut Option<Box<dyn Membership>>) -> Result<Change, LogError> {
        let joined = match membership {
            Some(joined) => joined,
            None => membership.insert(self.doors.log.join(self.profile.name.as_str(), &self.profile.topic).await?),
        };
        joined.next().await
    }

    fn closer(&self, wake: &Arc<Notify>) -> Closer {
        let (doors, board, clock) = (Arc::clone(&self.doors), Arc::clone(&self.board), Arc::clone(&self.clock));
        Closer { stream: self.profile.name.clone(), doors, board, clock, wake: Arc::clone(wake) }
    }

    fn dispatcher(&self, wake: &Arc<Notify>) -> Option<Dispatcher> {
        let outbox = self.outbox.clone()?;
        let (clock, board) = (Arc::clone(&self.clock), Arc::clone(&self.board));
        Some(Dispatcher::new(outbox, self.profile.name.clone(), clock, board, Arc::clone(wake), self.config.refresh()))
    }

    /// Starts the task of a partition.
    fn begin(&self, running: &mut Partitions, partition: PartitionId, context: &StreamContext) {
        let (end, ending) = EndingWatch::pair();
        // On the board from now on: a partition that is not claimed yet is not caught up.
        self.board.update(&partition, |_| {});
        let (doors, config) = (Arc::clone(&self.doors), Arc::clone(&self.config));
        let worker = PartitionWorker::new(doors, config, partition.clone(), context.pins.borrow().clone());
        let task = PartitionTask::new(worker, context.clone(), ending);
        running.insert(partition, Running { end, task: tokio::spawn(task.run()) });
    }

    /// A task ends by itself only by a bug; its partition must not be left alone for it.
    fn restart_ended(&self, running: &mut Partitions, context: &StreamContext) {
        let ended: Vec<PartitionId> =
            running.iter().filter(|(_, running)| running.task.is_finished()).map(|(id, _)| id.clone()).collect();
        for partition in ended {
            tracing::warn!(%partition, "the task of a partition ended, it is started again");
            self.begin(running, partition, context);
        }
    }

    /// Ends the tasks of these partitions, within the time that a release has.
    async fn end(&self, running: &mut Partitions, partitions: Vec<PartitionId>, ending: Ending) {
        let ended: Partitions = partitions.iter().filter_map(|partition| running.remove_entry(partition)).collect();
        for (partition, running) in &ended {
            tracing::info!(%partition, ?ending, "a partition goes to another member");
            running.end.send_replace(Some(ending));
        }
        self.wait_for(ended, Instant::now() + REVOKED_WITHIN).await;
        for partition in &partitions {
            self.board.forget(partition);
        }
    }

    async fn stop_in_order(&self, running: Partitions, deadline: Instant) {
        for running in running.values() {
            running.end.send_replace(Some(Ending::Stop));
        }
        self.wait_for(running, deadline).await;
    }

    async fn wait_for(&self, running: Partitions, deadline: Instant) {
        for (partition, mut running) in running {
            if timeout_at(deadline, &mut running.task).await.is_err() {
                tracing::warn!(%partition, "a partition exceeded its deadline, the rest is left for a replay");
                running.task.abort();
            }
        }
    }

    fn ours(&self, partitions: Vec<SourcePartition>) -> Vec<PartitionId> {
        let stream = &self.profile.name;
        let id = |SourcePartition { source, partition }| PartitionId { stream: stream.clone(), source, partition };
        partitions.into_iter().map(id).collect()
    }

    fn closed(&self) -> BTreeMap<SourcePartition, Offset> {
        self.board.closed(&self.profile.name)
    }
}

/// Completes with an error once a task has ended by itself, which it does only by a bug. What is not there never ends.
async fn ended_alone(name: &str, task: Option<&mut JoinHandle<()>>) -> SpeedError {
    let Some(task) = task else { return std::future::pending().await };
    let why = task.await.err().map_or_else(|| "it returned".to_owned(), |panicked| panicked.to_string());
    SpeedError::Ended { reason: format!("the {name}: {why}") }
}
