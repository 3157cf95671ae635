//! K-means: a reading is an anomaly if it is far from the nearest of `k` centres of the readings that were learned from.
//!
//! Features are standardised (mean 0, deviation 1), so that distances do not hang on units. `config` says what is looked
//! at, [`train()`] places the centres and learns from which distance on a reading is an anomaly, `kernel` judges. A
//! model is frozen, addressed by content and pinned at a cut.
//! Sources: Lloyd (1982), "Least Squares Quantization in PCM", IEEE Trans. Inf. Theory 28(2); Arthur and Vassilvitskii
//! (2007), "k-means++: The Advantages of Careful Seeding", SODA.

mod config;
mod kernel;
mod model;
mod train;

pub use config::KMeansConfig;
pub use kernel::{KMeans, KMeansEvidence};
pub use model::{KMeansModel, KMeansProblem};
pub use train::{KMeansParams, KMeansTrainError, train};

/// Most centres of a model.
const MAX_CLUSTERS: u32 = 16;

#[cfg(test)]
mod tests;
