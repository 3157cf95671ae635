//! K-means: a reading is an anomaly if it is far from the nearest of `k` centres of the readings that were learned from.
//!
//! Features are standardised (mean 0, deviation 1), so that distances do not hang on units. `config` says what is looked
//! at, [`train()`] places the centres and learns from which distance on a reading is an anomaly, `kernel` judges. A
//! model is frozen, addressed by content and pinned at a cut.
//! Sources: Lloyd (1982), "Least Squares Quantization in PCM", IEEE Trans. Inf. Theory 28(2); Arthur and Vassilvitskii
//! (2007), "k-means++: The Advantages of Careful Seeding", SODA; Cuesta-Albertos, Gordaliza and Matran (1997), "Trimmed
//! k-means: an attempt to robustify quantizers", Ann. Statist. 25(2); Tukey (1977), "Exploratory Data Analysis".

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

/// Share of the rows below which so many may be trimmed: the rest must be the usual.
const MAX_TRIM_SHARE: f64 = 0.5;

/// Widest fence in interquartile ranges.
const MAX_FENCE: f64 = 10.0;

#[cfg(test)]
mod tests;
