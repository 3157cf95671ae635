//! How the task of a partition is to end.

use tokio::sync::watch;

/// What the supervisor says, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process stops: apply what was gathered, cut, close, release.
    Stop,
    /// The group gives the partition to another member, which waits: drop what is not applied, cut, release, and do not
    /// wait for the lake.
    Revoked,
    /// Another member may have the partition already: drop what is in memory and write nothing.
    Lost,
}

/// Where a task hears of it.
#[derive(Debug, Clone)]
pub(super) struct EndingWatch(watch::Receiver<Option<Ending>>);

impl EndingWatch {
    /// A task's end, and where the supervisor says how.
    pub(super) fn pair() -> (watch::Sender<Option<Ending>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Whether and how to end, as of now.
    pub(super) fn now(&self) -> Option<Ending> {
        let said = *self.0.borrow();
        said.or_else(|| self.0.has_changed().is_err().then_some(Ending::Lost))
    }

    /// Waits until it is said. Without a supervisor nobody speaks for the partition any more.
    pub(super) async fn said(&self) -> Ending {
        let mut receiver = self.0.clone();
        let said = receiver.wait_for(Option::is_some).await.ok().and_then(|said| *said);
        said.unwrap_or(Ending::Lost)
    }
}
