//! What an operator does when log, lake and views of a partition do not fit together any more.
//!
//! [`inspect`] says how a partition is and why it would stop. A plan says what a verb would change, and changes nothing:
//! [`plan_rewind`] goes back to a cut, so that messages are judged again (the lake went back), [`plan_skip`] goes on
//! behind messages that the log no longer has (retention passed us), [`plan_adopt`] takes a topic that was made again
//! for another source. [`carry_out`] does what was planned, if nobody works on the partition and it is still where it
//! was: it moves the views, brings what only the lake still has (`from_lake`), and closes gaps.

mod adopt;
mod carry_out;
mod error;
mod from_lake;
mod inspect;
mod known;
mod moves;
mod rewind;
mod skip;

pub use adopt::plan_adopt;
pub use carry_out::carry_out;
pub use error::PositionError;
pub use inspect::{Inspection, inspect};
pub use rewind::plan_rewind;
pub use skip::plan_skip;

use kilowatch_shared::{
    checkpoint::OffsetSpan,
    position::{PartitionId, StreamName},
    views::{PositionMove, PositionVerb},
};

/// What a verb would change, in the order in which it is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is done.
    pub verb: PositionVerb,
    /// What the views lack and the log has no more: judged again from the lake's rows, before anything is moved.
    pub from_lake: Vec<(PartitionId, OffsetSpan)>,
    /// The moves, at most one a partition.
    pub moves: Vec<PositionMove>,
    /// The stream whose boundary and published windows have to go, for the lake no longer holds what they were made of.
    pub forget_published: Option<StreamName>,
    /// As `from_lake`, for what the moves went back to.
    pub again_from_lake: Vec<(PartitionId, OffsetSpan)>,
    /// Offsets that the lake is to count as held, though it has no row of them.
    pub gaps: Vec<(PartitionId, OffsetSpan)>,
    /// The topic that is adopted.
    pub adopted: Option<Adopted>,
    /// What all of it means, a sentence a line.
    pub consequences: Vec<String>,
}

/// A topic that becomes another source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The topic.
    pub topic: String,
    /// Its next generation.
    pub generation: u32,
    /// The partitions of the source that it replaces.
    pub replaced: Vec<PartitionId>,
}

impl Plan {
    const fn new(verb: PositionVerb) -> Self {
        Self {
            verb,
            from_lake: Vec::new(),
            moves: Vec::new(),
            forget_published: None,
            again_from_lake: Vec::new(),
            gaps: Vec::new(),
            adopted: None,
            consequences: Vec::new(),
        }
    }

    /// Lets the stream's published windows go.
    fn forget(&mut self, stream: &StreamName) {
        self.consequences.push(format!(
            "{stream}: all published windows go, for the lake no longer holds what they were made of; the next \
             `kilowatch batch rollup --stream {stream}` makes those anew that the lake knows"
        ));
        self.forget_published = Some(stream.clone());
    }
}
