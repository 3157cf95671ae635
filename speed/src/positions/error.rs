//! Why a position is left as it is.

use chrono::{DateTime, SecondsFormat, Utc};
use kilowatch_shared::{
    lake::LakeError,
    log::LogError,
    position::{Offset, PartitionId},
    views::ViewsError,
};

use crate::{error::StepError, member::StopReason};

/// Why a verb cannot be done, with the way out.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// Log, lake or views.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The views do not know the partition.
    #[error("{partition} was never read: there is no position to change")]
    Unknown {
        /// Which one.
        partition: PartitionId,
    },
    /// Somebody works on it.
    #[error(
        "{partition} has an owner that was seen at {}: stop the members of the stream first; one that was killed \
         counts as gone a minute after that",
        seen_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    )]
    LiveOwner {
        /// Which one.
        partition: PartitionId,
        /// When.
        seen_at: DateTime<Utc>,
    },
    /// It moved since the plan was made.
    #[error("{partition} has moved meanwhile: look at it again with `kilowatch speed status`")]
    Elsewhere {
        /// Which one.
        partition: PartitionId,
    },
    /// Going back is only possible to a cut.
    #[error(
        "{partition} can only go back to a recorded cut at or below {most}, and {to} is none; the nearest are {below} and {above}"
    )]
    NotACut {
        /// Which one.
        partition: PartitionId,
        /// The offset that was asked for.
        to: Offset,
        /// The highest one that can be.
        most: Offset,
        /// The last cut below it.
        below: Offset,
        /// The next cut above it, or A.
        above: Offset,
    },
    /// What is to be judged again is neither in the log nor in the lake.
    #[error(
        "{partition} cannot go back to {to}: the log begins at {low}, and the lake holds offsets below {closed} only; \
         `kilowatch speed skip` gives up what is lost"
    )]
    NotInTheLog {
        /// Which one.
        partition: PartitionId,
        /// The offset that was asked for.
        to: Offset,
        /// The low watermark.
        low: Offset,
        /// L.
        closed: Offset,
    },
    /// It is there already.
    #[error("{partition} is at {at}, and nothing was applied after it: there is nothing to judge again")]
    NothingToRewind {
        /// Which one.
        partition: PartitionId,
        /// A, and the last cut that the lake holds.
        at: Offset,
    },
    /// Nothing is missing.
    #[error("the log has every message that {partition} needs: there is nothing to skip")]
    NothingToSkip {
        /// Which one.
        partition: PartitionId,
    },
    /// The messages are there, and what is there is never given up.
    #[error(
        "{partition} can be moved on to {target}, where log and lake go on, and no further: what is there is judged"
    )]
    StillThere {
        /// Which one.
        partition: PartitionId,
        /// Where it can be moved to.
        target: Offset,
    },
    /// Another verb is for this.
    #[error("{partition} is stopped for another reason, which this verb does not mend: {reason}")]
    OtherReason {
        /// Which one.
        partition: PartitionId,
        /// Why it is stopped.
        reason: StopReason,
    },
    /// Nothing says that the topic is another one.
    #[error(
        "as far as its messages tell, {topic} is the topic that was read: there is nothing to adopt. If it was made again \
         all the same, raise `log.generation`"
    )]
    SameTopic {
        /// The topic.
        topic: String,
    },
    /// An embedded log has a new source by itself.
    #[error("only a Kafka topic can be adopted: a log file that was made again has another name by itself")]
    NotKafka,
}

impl From<ViewsError> for PositionError {
    fn from(error: ViewsError) -> Self {
        Self::Step(error.into())
    }
}

impl From<LogError> for PositionError {
    fn from(error: LogError) -> Self {
        Self::Step(error.into())
    }
}

impl From<LakeError> for PositionError {
    fn from(error: LakeError) -> Self {
        Self::Step(error.into())
    }
}
