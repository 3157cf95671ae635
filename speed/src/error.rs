//! What can go wrong in the speed layer.

use kilowatch_shared::{
    lake::LakeError,
    log::LogError,
    position::{Offset, PartitionId, StreamName},
    retry::RetryHint,
    views::ViewsError,
};

/// Why the speed layer could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// Settings out of their limits; one line each.
    #[error("speed cannot run with these settings:\n  {}", problems.join("\n  "))]
    Config {
        /// Key, value and fix.
        problems: Vec<String>,
    },
    /// The log says that trying again is of no use.
    #[error("speed cannot read its topic")]
    Log(#[from] LogError),
    /// A task of the layer ended without being told to: a bug.
    #[error("a task of the speed layer ended: {reason}")]
    Ended {
        /// What it said.
        reason: String,
    },
}

/// Why a step of a partition could not be done. The partition is as it was before the step, unless the step says so.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// At the log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// At the lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// At the views.
    #[error(transparent)]
    Views(#[from] ViewsError),
    /// This build cannot judge with the pins, or not continue the saved state.
    #[error("{partition} cannot be judged: {reason}")]
    CannotJudge {
        /// Which partition.
        partition: PartitionId,
        /// What is missing, and what to do.
        reason: String,
    },
    /// Pins that cannot be written down: a bug.
    #[error("the pins of stream `{stream}` cannot be addressed: {reason}")]
    CannotPin {
        /// The stream.
        stream: StreamName,
        /// What the serialiser said.
        reason: String,
    },
    /// The log says that messages are there, but gives none.
    #[error("{partition} has messages from {from} to {to} by its watermarks, but the log delivers none of them")]
    NothingDelivered {
        /// Which partition.
        partition: PartitionId,
        /// The first offset that was asked for.
        from: Offset,
        /// The offset that was to be reached.
        to: Offset,
    },
    /// The step does not belong to the partition's phase: a bug of the caller.
    #[error("{partition} is {phase}: it cannot {step}")]
    OutOfOrder {
        /// Which partition.
        partition: PartitionId,
        /// Its phase.
        phase: &'static str,
        /// What was asked for.
        step: &'static str,
    },
}

impl StepError {
    /// Whether the same step may go through later.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Log(error) => error.retry_hint(),
            Self::Lake(error) => error.retry_hint(),
            Self::Views(error) => error.retry_hint(),
            Self::NothingDelivered { .. } => RetryHint::WithBackoff,
            Self::CannotJudge { .. } | Self::CannotPin { .. } | Self::OutOfOrder { .. } => RetryHint::Never,
        }
    }
}
