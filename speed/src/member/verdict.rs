//! Whether a claimed partition may go on, and from where: a decision over values that were read.

use kilowatch_shared::{checkpoint::MessageHash, cut_line::CutLine, log::Watermarks, position::Offset};
use serde::{Deserialize, Serialize};

/// Why a partition waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    /// L is below A and no recorded cut: the lake is not the one that these views belong to.
    #[error("the lake holds offsets below {closed}, which is no recorded cut: it is not the lake of these views")]
    LakeNotACut {
        /// L.
        closed: Offset,
    },
    /// L is below what batch has published: the lake went back.
    #[error("the lake holds offsets below {closed}, but batch has published them below {boundary}: the lake went back")]
    LakeBelowBoundary {
        /// L.
        closed: Offset,
        /// The boundary.
        boundary: Offset,
    },
    /// The log no longer has messages that are needed.
    #[error("the log begins at {low}, but messages from {needed} on are needed: retention passed them")]
    RetentionPassed {
        /// The low watermark.
        low: Offset,
        /// The first offset that is needed.
        needed: Offset,
    },
    /// The log ends before A: another cluster, or a topic that was made again.
    #[error("the log ends at {high}, but messages below {applied} were applied: it is another log")]
    LogTooShort {
        /// The high watermark.
        high: Offset,
        /// A.
        applied: Offset,
    },
    /// The message before A is not the one that was applied.
    #[error("message {offset} is not the one that was applied: the topic was made again, or it is another cluster")]
    OtherMessage {
        /// Its offset.
        offset: Offset,
    },
    /// This build cannot judge with the recorded pins.
    #[error("{explanation}")]
    CannotJudge {
        /// What is missing and what to do.
        explanation: String,
    },
}

/// What was read of a claimed partition.
#[derive(Debug)]
pub struct Findings<'a> {
    /// A.
    pub applied: Offset,
    /// The recorded cuts.
    pub cuts: &'a CutLine,
    /// The partition's entry in the boundary, read before L.
    pub boundary: Option<Offset>,
    /// L of the readings.
    pub closed: Option<Offset>,
    /// L of the dead letters.
    pub dead_letters_closed: Option<Offset>,
    /// The ends of the log.
    pub watermarks: Watermarks,
    /// The hash of message A-1 as it was applied, and of the message that stands there now, where there is one.
    pub before_applied: Option<(MessageHash, MessageHash)>,
}

/// From where a partition goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoOn {
    /// L.
    pub closed: Offset,
    /// What the lake holds beyond A, in one of its tables: it is applied first, and no cut is made before.
    pub catch_up: Option<Offset>,
}

/// Decides.
///
/// # Errors
/// Why the partition has to wait for an operator.
pub fn decide(found: &Findings<'_>) -> Result<GoOn, StopReason> {
    let start = found.cuts.start();
    let closed = found.closed.unwrap_or(start);
    let held = closed.max(found.dead_letters_closed.unwrap_or(start));
    let boundary = found.boundary.unwrap_or(start);
    if closed < boundary {
        return Err(StopReason::LakeBelowBoundary { closed, boundary });
    }
    if closed <= found.applied && !found.cuts.contains(closed) {
        return Err(StopReason::LakeNotACut { closed });
    }
    let needed = closed.min(found.applied);
    if found.watermarks.low > needed {
        return Err(StopReason::RetentionPassed { low: found.watermarks.low, needed });
    }
    if found.watermarks.high < found.applied {
        return Err(StopReason::LogTooShort { high: found.watermarks.high, applied: found.applied });
    }
    if found.before_applied.as_ref().is_some_and(|(applied, now)| applied != now) {
        return Err(StopReason::OtherMessage { offset: Offset::new(found.applied.get().saturating_sub(1)) });
    }
    Ok(GoOn { closed, catch_up: (held > found.applied).then_some(held) })
}
