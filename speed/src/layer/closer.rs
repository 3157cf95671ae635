//! The closer of a stream: what partitions hand over at about the same time goes to the lake in one commit.

use std::{collections::VecDeque, mem, sync::Arc};

use kilowatch_shared::{
    position::PartitionId,
    retry::{Backoff, RetryHint},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::member::{Close, CloseOutcome, ClosePart, CloseProgress, Doors};

/// A partition waits for its outcome before it hands over more, so this is room for as many partitions; those beyond it
/// keep their segments, within their memory cap, until there is room.
pub(super) const CLOSE_QUEUE_PARTS: usize = 64;

/// A part and where its outcome is waited for.
#[derive(Debug)]
pub(super) struct CloseRequest {
    pub(super) part: ClosePart,
    pub(super) reply: oneshot::Sender<CloseOutcome>,
}

/// Closes until nobody hands over any more, or until `give_up`: what is then on its way is left as after a crash.
pub(super) async fn run(doors: Arc<Doors>, mut requests: mpsc::Receiver<CloseRequest>, give_up: CancellationToken) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            tokio::select! {
                () = give_up.cancelled() => return,
                request = requests.recv() => match request {
                    Some(request) => waiting.push_back(request),
                    None => return,
                },
            }
        }
        while let Ok(request) = requests.try_recv() {
            waiting.push_back(request);
        }
        let Some(first) = waiting.pop_front() else { continue };
        let (others, mut replies) = take_what_goes_with(&first.part, &mut waiting);
        let partition = first.part.partition().clone();
        replies.push((partition.clone(), first.reply));
        let mut close = Close::new(Arc::clone(&doors), first.part, others);
        let span = tracing::info_span!("close", stream = %partition.stream, close.partitions = replies.len());
        tokio::select! {
            () = give_up.cancelled() => return,
            () = drive(&mut close, &partition).instrument(span) => {}
        }
        for (partition, reply) in replies {
            if let Some(outcome) = close.outcomes().get(&partition) {
                // Nobody waits any more if the partition was taken away meanwhile.
                let _gone = reply.send(outcome.clone());
            }
        }
    }
}

type Replies = Vec<(PartitionId, oneshot::Sender<CloseOutcome>)>;

/// A partition that was claimed again may have handed over twice; one commit holds a partition once, and rows of the
/// same columns.
fn take_what_goes_with(first: &ClosePart, waiting: &mut VecDeque<CloseRequest>) -> (Vec<ClosePart>, Replies) {
    let (mut parts, mut replies, mut later) = (Vec::<ClosePart>::new(), Replies::new(), VecDeque::new());
    for request in waiting.drain(..) {
        if std::iter::once(first).chain(&parts).all(|part| request.part.goes_with(part)) {
            replies.push((request.part.partition().clone(), request.reply));
            parts.push(request.part);
        } else {
            later.push_back(request);
        }
    }
    *waiting = later;
    (parts, replies)
}

/// Steps until every part has its outcome, however long the neighbours take.
async fn drive(close: &mut Close, first: &PartitionId) {
    let mut delays = Backoff::patient().delays();
    let mut refused = false;
    loop {
        match close.step().await {
            Ok(CloseProgress::Finished) => return,
            Ok(CloseProgress::Going) => {}
            // A first refusal may come of what was read before somebody else's commit; L is read again after it.
            Err(error) if error.retry_hint() == RetryHint::Never && mem::replace(&mut refused, true) => {
                return close.give_up(&error);
            }
            Err(error) => {
                let delay = delays.next().unwrap_or_default();
                tracing::warn!(stream = %first.stream, %error, retry_ms = delay.as_millis(), "a close will be tried again");
                tokio::time::sleep(delay).await;
            }
        }
    }
}
