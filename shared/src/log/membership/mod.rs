//! Sharing the partitions of a topic: members of one group read different ones, and hand them over at a barrier.
//!
//! A log that several processes read asks its brokers who gets what (`kafka/group.rs`); a log inside one process asks
//! its [`coordinator`]. The suite that both pass is in `shared/tests/integration/contracts/log/members.rs`.

pub(super) mod coordinator;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;

use super::LogError;
use crate::{checkpoint::SourcePartition, position::Offset};

/// What becomes of the partitions of a member.
#[derive(Debug)]
pub enum Change {
    /// They are this member's from now on, beside those that it has. Also says that the group answers: every member hears
    /// it soon after it joined and after each `Waiting`, with no partitions if there are none for it.
    Assigned(Vec<SourcePartition>),
    /// They go to another member as soon as this one has let them go: the group waits for `release`, though not for
    /// ever.
    Revoked {
        /// Which ones.
        partitions: Vec<SourcePartition>,
        /// Held while this member still works on any of them.
        release: Release,
    },
    /// The group gave them away without asking, for it took this member for dead. Another one may read them already.
    Lost(Vec<SourcePartition>),
    /// The group does not answer, so nothing is assigned or taken away until the next `Assigned`. It goes on by itself.
    Waiting {
        /// Why.
        reason: String,
    },
}

/// One member of a group. Dropping it leaves the group, as a crash does.
#[async_trait]
pub trait Membership: fmt::Debug + Send {
    /// Waits for the next change, in order; cancelling it loses none. A partition that is added to the topic comes like
    /// any other. Between an `Assigned` and the end of the release of its `Revoked`, no other member that is alive gets
    /// a partition; after a `Lost`, and after a release that took too long, another one may have it.
    ///
    /// # Errors
    /// The membership has ended: nothing is this member's any more. Join again.
    async fn next(&mut self) -> Result<Change, LogError>;

    /// Tells the group how far partitions are closed, for people and their tools: nobody ever starts from there.
    fn tell(&self, closed: &BTreeMap<SourcePartition, Offset>);

    /// Leaves the group, so that it need not find out. To be called when nothing works on the partitions any more.
    async fn leave(self: Box<Self>);
}

/// The group gives revoked partitions to nobody while this lives.
pub struct Release(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Release {
    /// A release that runs `end` when it is dropped.
    pub(super) fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Release")
    }
}
