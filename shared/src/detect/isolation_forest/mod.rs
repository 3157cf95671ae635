//! Isolation forest: a reading is an anomaly if few random cuts set it apart from the others.
//!
//! Source: Liu, Ting and Zhou (2008), "Isolation Forest", ICDM, with one change: a reading outside the range that a tree
//! has seen is scored as if it had been in the sample (see `paths` in `model`). On the simulated household that
//! raised the recall from 6 % to 33 % at the same rate of false alarms. `config` says what is judged, [`train()`] grows a
//! [`IsolationForestModel`] from rows and a seed, `kernel` judges readings with it. A model is frozen: it is trained in
//! batch, addressed by content and pinned at a cut. `scale` turns features into the numbers that a tree compares.

mod config;
mod kernel;
mod model;
mod path_length;
mod scale;
mod train;

pub use config::IsolationForestConfig;
pub use kernel::{IsolationEvidence, IsolationForest};
pub use model::{IsolationForestModel, ModelProblem};
pub use train::{ForestParams, TrainError, TrainingRows, train};

#[cfg(test)]
mod tests;
