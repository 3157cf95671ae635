//! Why a fold cannot begin or go on.

use crate::model::ModelId;

/// What stops a fold. None of it comes from a message: a message is a reading or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The pins name a version that this build cannot run; another build must fold this segment.
    #[error(
        "the segment is pinned to {what} version {pinned}, this build runs {supported}; use a build that runs {pinned}"
    )]
    UnsupportedPins {
        /// `decoder` or `kernels`.
        what: &'static str,
        /// The version of the pins.
        pinned: u32,
        /// The version of this build.
        supported: u32,
    },
    /// The pins name a model that the caller did not bring.
    #[error("detector `{detector}` is pinned to model {id}, which was not loaded")]
    MissingModel {
        /// The detector's name.
        detector: String,
        /// The model.
        id: ModelId,
    },
    /// The bytes of a pinned model are no model, or one of another stream.
    #[error("detector `{detector}` cannot use model {id}: {problem}")]
    UnfitModel {
        /// The detector's name.
        detector: String,
        /// The model.
        id: ModelId,
        /// What is wrong with it.
        problem: String,
    },
    /// A detector judges a measure that the pinned profile does not have.
    #[error("detector `{detector}` judges `{measure}`, which is not one of the stream's measures")]
    UnknownMeasure {
        /// The detector's name.
        detector: String,
        /// The measure.
        measure: String,
    },
    /// The state was saved by another version of the fold; it is rebuilt by replaying.
    #[error("the state has format {found}, this build reads {supported}; replay from an older cut")]
    UnsupportedState {
        /// Its format.
        found: u32,
        /// The format of this build.
        supported: u32,
    },
    /// The state cannot be read; it is rebuilt by replaying.
    #[error("the state cannot be read: {0}; replay from an older cut")]
    CorruptState(String),
    /// A value cannot be written, which is a bug.
    #[error("cannot be serialised: {0}")]
    Unserialisable(String),
}
