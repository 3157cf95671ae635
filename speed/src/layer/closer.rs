//! The closer of a stream: what partitions hand over at about the same time goes to the lake in one commit. What the lake
//! does not take is tried again until it does, whatever it says, and holds up no other close: detection needs log and
//! views alone, and the rows are closed once, whenever that is. Where it is not the lake but a partition's own log or pins
//! that keep a commit from being made, each of its partitions is tried by itself.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use kilowatch_shared::{
    clock::SharedClock,
    position::{PartitionId, StreamName},
    retry::{Backoff, RetryHint},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    error::StepError,
    member::{Close, CloseOutcome, ClosePart, CloseProgress, Doors},
    status::StatusBoard,
    telemetry,
};

/// A partition waits for its outcome before it hands over more, so this is room for as many partitions; those beyond it
/// keep their segments, within their memory cap, until there is room.
pub(super) const CLOSE_QUEUE_PARTS: usize = 64;

/// A close that fails for hours says so this often, however often it is tried.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A part and where its outcome is waited for.
#[derive(Debug)]
pub(super) struct CloseRequest {
    pub(super) part: ClosePart,
    pub(super) reply: oneshot::Sender<CloseOutcome>,
}

#[derive(Debug)]
pub(super) struct Closer {
    pub(super) stream: StreamName,
    pub(super) doors: Arc<Doors>,
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: SharedClock,
    /// Has what failed tried again at once.
    pub(super) wake: Arc<Notify>,
}

impl Closer {
    /// Closes until nobody hands over any more, or until `give_up`: what is then on its way is left as after a crash.
    pub(super) async fn run(self, requests: mpsc::Receiver<CloseRequest>, give_up: CancellationToken) {
        tokio::select! {
            () = give_up.cancelled() => {}
            () = self.close_all(requests) => {}
        }
    }

    async fn close_all(&self, mut requests: mpsc::Receiver<CloseRequest>) {
        let mut attempts: Vec<Attempt> = Vec::new();
        loop {
            let due = attempts.iter().map(|attempt| attempt.due).min();
            tokio::select! {
                biased;
                request = requests.recv() => {
                    // Whoever handed over is gone, and waits for no outcome.
                    let Some(first) = request else { return };
                    let mut handed_over = VecDeque::from([first]);
                    while let Ok(request) = requests.try_recv() {
                        handed_over.push_back(request);
                    }
                    while let Some(attempt) = self.next_attempt(&mut handed_over) {
                        attempts.push(attempt);
                    }
                }
                () = self.wake.notified() => hurry(&mut attempts),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let at = attempts.iter().position(|attempt| Some(attempt.due) == due);
                    let Some(attempt) = at.map(|at| attempts.swap_remove(at)) else { continue };
                    let had_failed = attempt.failures > 0;
                    let failed = self.drive(attempt).await;
                    if failed.is_empty() && had_failed {
                        hurry(&mut attempts);
                    }
                    attempts.extend(failed);
                    telemetry::closes_that_fail(&self.stream, attempts.iter().filter(|a| a.failures > 0).count());
                }
            }
        }
    }

    /// The first of them with all that goes with it. A partition that was claimed again may have handed over twice; one
    /// commit holds a partition once, and rows of the same columns.
    fn next_attempt(&self, handed_over: &mut VecDeque<CloseRequest>) -> Option<Attempt> {
        let first = handed_over.pop_front()?;
        let (mut others, mut later) = (Vec::<ClosePart>::new(), VecDeque::new());
        let mut replies = vec![(first.part.partition().clone(), first.reply)];
        for request in handed_over.drain(..) {
            if std::iter::once(&first.part).chain(&others).all(|part| request.part.goes_with(part)) {
                replies.push((request.part.partition().clone(), request.reply));
                others.push(request.part);
            } else {
                later.push_back(request);
            }
        }
        *handed_over = later;
        Some(Attempt::new(Close::new(Arc::clone(&self.doors), first.part, others), replies))
    }

    /// Tries a close; gives back what failed of it and somebody waits for.
    async fn drive(&self, mut attempt: Attempt) -> Vec<Attempt> {
        let span = tracing::info_span!("close", stream = %self.stream, close.partitions = attempt.replies.len());
        match steps(&mut attempt.close).instrument(span).await {
            Ok(()) => {
                if attempt.failures > 0 {
                    let failures = attempt.failures;
                    tracing::info!(stream = %self.stream, close.failures = failures, "the lake takes segments again");
                }
                self.answer(&mut attempt);
                Vec::new()
            }
            Err(error) => {
                self.answer(&mut attempt);
                attempt.forget_who_left();
                if attempt.replies.is_empty() {
                    return Vec::new();
                }
                self.note_failure(&mut attempt, &error);
                if attempt.replies.len() > 1 && is_of_one_partition(&error) {
                    return attempt.one_by_one(&self.doors);
                }
                vec![attempt]
            }
        }
    }

    /// Tells the outcomes that there are.
    fn answer(&self, attempt: &mut Attempt) {
        let replies = mem::take(&mut attempt.replies);
        for (partition, reply) in replies {
            match attempt.close.outcomes().get(&partition) {
                Some(outcome) => {
                    self.board.close_went_through(&partition);
                    // Nobody waits any more if the partition was taken away meanwhile.
                    let _gone = reply.send(outcome.clone());
                }
                None => attempt.replies.push((partition, reply)),
            }
        }
    }

    fn note_failure(&self, attempt: &mut Attempt, error: &StepError) {
        telemetry::close_failed(&self.stream);
        let pause = attempt.delays.next().unwrap_or_default();
        attempt.due = Instant::now() + pause;
        attempt.failures += 1;
        let of_lake = matches!(error, StepError::Lake(_));
        attempt.refusals = if of_lake && error.retry_hint() == RetryHint::Never { attempt.refusals + 1 } else { 0 };
        // A first refusal may come of what was read before somebody else's commit; L is read again after it.
        let refused = attempt.refusals > 1;
        for (partition, _) in &attempt.replies {
            self.board.close_failed(partition, (error.to_string(), of_lake), refused, self.clock.now());
        }
        if attempt.said_at.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            attempt.said_at = Some(Instant::now());
            let (failures, retry_ms) = (attempt.failures, pause.as_millis());
            let stream = &self.stream;
            tracing::warn!(%stream, %error, close.failures = failures, retry_ms, "a close will be tried again");
        }
    }
}

/// A close, how often it failed, and when it is tried next.
struct Attempt {
    close: Close,
    replies: Vec<(PartitionId, oneshot::Sender<CloseOutcome>)>,
    due: Instant,
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    failures: u32,
    /// How many of the last failures were refusals.
    refusals: u32,
    said_at: Option<Instant>,
}

impl Attempt {
    fn new(close: Close, replies: Vec<(PartitionId, oneshot::Sender<CloseOutcome>)>) -> Self {
        let delays = Box::new(Backoff::patient().delays());
        Self { close, replies, due: Instant::now(), delays, failures: 0, refusals: 0, said_at: None }
    }

    /// Each partition's part of it as an attempt that has not been made.
    fn one_by_one(self, doors: &Arc<Doors>) -> Vec<Self> {
        let mut replies: BTreeMap<_, _> = self.replies.into_iter().collect();
        let alone = self.close.into_parts().into_iter().filter_map(|part| {
            let reply = replies.remove_entry(part.partition())?;
            Some(Self::new(Close::new(Arc::clone(doors), part, Vec::new()), vec![reply]))
        });
        alone.collect()
    }

    /// A partition that went to another member is closed by that one, from the log; its rows need not wait here.
    fn forget_who_left(&mut self) {
        for (partition, _) in self.replies.extract_if(.., |(_, reply)| reply.is_closed()) {
            self.close.leave_out(&partition);
        }
    }
}

/// Whether it may concern a single partition of those that are closed together.
const fn is_of_one_partition(error: &StepError) -> bool {
    matches!(error, StepError::Log(_) | StepError::CannotJudge { .. } | StepError::NothingDelivered { .. })
}

fn hurry(attempts: &mut [Attempt]) {
    let now = Instant::now();
    for attempt in attempts {
        attempt.due = attempt.due.min(now);
        // The lake may be back: what fails once more must not wait as long as after an hour.
        attempt.delays = Box::new(Backoff::patient().delays());
    }
}

async fn steps(close: &mut Close) -> Result<(), StepError> {
    while close.step().await? == CloseProgress::Going {}
    Ok(())
}
