//! Why there is no model.

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    detect::{isolation_forest, kmeans, three_sigma},
    model::ModelError,
};

use super::forest::GrowError;

/// Meanings of training errors.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The history is too short to hold some of it out.
    #[error("not enough to learn from: {found} {what} before {until}, at least {needed} are needed")]
    TooLittle {
        /// Of what there is too little.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is needed.
        needed: u64,
        /// Where the history was cut off.
        until: DateTime<Utc>,
    },
    /// The profile says nothing of such a model.
    #[error("stream `{stream}` declares no `{section}`; add it to the profile")]
    NotDeclared {
        /// The stream.
        stream: String,
        /// What its profile lacks.
        section: &'static str,
    },
    /// The forest does not grow.
    #[error(transparent)]
    Grow(#[from] GrowError),
    /// The isolation forest does not grow.
    #[error(transparent)]
    Isolation(#[from] isolation_forest::TrainError),
    /// The isolation forest cannot be written.
    #[error(transparent)]
    IsolationModel(#[from] isolation_forest::ModelProblem),
    /// The centres cannot be placed.
    #[error(transparent)]
    KMeans(#[from] kmeans::KMeansTrainError),
    /// The centres cannot be written.
    #[error(transparent)]
    KMeansModel(#[from] kmeans::KMeansProblem),
    /// The hours of the week cannot be learned.
    #[error(transparent)]
    HourOfWeek(#[from] three_sigma::HourOfWeekProblem),
    /// A detector looks at what the stream does not have, which the check of the profile excludes.
    #[error("no feature `{feature}` can be made of this stream; mend the profile")]
    UnknownFeature {
        /// The feature.
        feature: String,
    },
    /// A model cannot be read or written.
    #[error(transparent)]
    Model(#[from] ModelError),
}
