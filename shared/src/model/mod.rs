//! Models are immutable, addressed by content, and say where they come from.
//!
//! Batch trains; here is what a model is worth keeping ([`manifest`]), its bytes ([`envelope`]) and its prediction:
//! [`forest`] is the regression forest in flat arrays, [`estimate`] asks it for the target from the measures of the same
//! instant, [`forecast`] for the hours ahead, both with the hour, day and month of [`calendar`].
//! The isolation forest is a detector and lives in [`crate::detect`].

pub mod calendar;
pub mod envelope;
pub mod estimate;
pub mod forecast;
pub mod forest;
pub mod manifest;

pub use calendar::LocalCalendar;
pub use envelope::{ModelBody, ModelError, load_estimate, load_forecast};
pub use estimate::{EstimateModel, InputProblem, InputRange};
pub use forecast::{ForecastModel, HorizonInterval, PredictedHour};
pub use forest::{Forest, ForestProblem, TreeNode};
pub use manifest::{ModelId, ModelKind, ModelManifest, RegressionMetrics};
