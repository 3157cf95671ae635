//! The model: scales, centres and the distance from which a reading is an anomaly.

use serde::{Deserialize, Serialize};

use super::MAX_CLUSTERS;
use crate::detect::features::{FeatureValues, MAX_FEATURES};

/// Raised when the serialised form changes; an older model is then read by the code that is kept for it.
const MODEL_FORMAT: u32 = 1;

/// Deviations from a feature's mean beyond which all values are alike, so that no distance is infinite.
const FARTHEST: f64 = 1e12;

/// A trained model. It says nothing of when or from what it was trained: the manifest beside it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeansModel {
    format: u32,
    pub(super) features: Vec<FeatureScale>,
    /// In ascending order of the sum of their coordinates: low, medium, high.
    pub(super) centres: Vec<Centre>,
    /// Distance beyond which a reading is an anomaly.
    pub(super) threshold: f64,
    /// Rows that it was trained from.
    pub(super) rows: u64,
}

/// Mean and standard deviation of a feature in the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FeatureScale {
    pub(super) name: String,
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// A centre in standardised coordinates, one a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Centre(pub(super) Vec<f64>);

/// A reading in standardised coordinates; features beyond the model's own are 0.
pub(super) type Point = [f64; MAX_FEATURES];

/// Bytes that are no model of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KMeansProblem {
    /// They cannot be read.
    #[error("not a k-means model: {0}")]
    Unreadable(String),
    /// They were written by another version.
    #[error("k-means model of format {found}, this build reads {MODEL_FORMAT}; train it again")]
    UnsupportedFormat {
        /// Its format.
        found: u32,
    },
    /// They can be read, but contradict themselves.
    #[error("not a sound k-means model: {0}")]
    Unsound(&'static str),
    /// A feature of the model names what the stream does not have.
    #[error("the model's feature `{0}` names what the stream does not have; train it again")]
    UnknownFeature(String),
}

impl KMeansModel {
    pub(super) fn assemble(features: Vec<FeatureScale>, centres: Vec<Centre>, threshold: f64, rows: u64) -> Self {
        Self { format: MODEL_FORMAT, features, centres, threshold, rows }
    }

    /// The model's bytes; equal models have equal bytes, so [`crate::model::ModelId::of`] addresses them.
    ///
    /// # Errors
    /// [`KMeansProblem::Unreadable`], which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KMeansProblem> {
        postcard::to_stdvec(self).map_err(|error| KMeansProblem::Unreadable(error.to_string()))
    }

    /// Reads and checks a model.
    ///
    /// # Errors
    /// [`KMeansProblem`]: whatever the bytes are, nothing else happens.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KMeansProblem> {
        let unreadable = |error: postcard::Error| KMeansProblem::Unreadable(error.to_string());
        let (found, _) = postcard::take_from_bytes::<u32>(bytes).map_err(unreadable)?;
        if found != MODEL_FORMAT {
            return Err(KMeansProblem::UnsupportedFormat { found });
        }
        let model: Self = postcard::from_bytes(bytes).map_err(unreadable)?;
        model.check()?;
        Ok(model)
    }

    fn check(&self) -> Result<(), KMeansProblem> {
        let require = |holds: bool, what| if holds { Ok(()) } else { Err(KMeansProblem::Unsound(what)) };
        require((1..=MAX_FEATURES).contains(&self.features.len()), "number of features")?;
        require((1..=MAX_CLUSTERS as usize).contains(&self.centres.len()), "number of centres")?;
        let positive = |number: f64| number > 0.0 && number.is_finite();
        require(self.features.iter().all(|scale| scale.mean.is_finite() && positive(scale.sd)), "a feature's scale")?;
        let whole =
            |centre: &Centre| centre.0.len() == self.features.len() && centre.0.iter().all(|at| at.abs() <= FARTHEST);
        require(self.centres.iter().all(whole), "a centre")?;
        require(positive(self.threshold), "threshold")
    }

    /// Names of the features, in the order in which the model takes them.
    pub fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|feature| feature.name.as_str())
    }

    /// The distance beyond which a reading is an anomaly, in standard deviations of the training rows.
    #[must_use]
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The centres in the features' own units, from low to high.
    #[must_use]
    pub fn centres(&self) -> Vec<Vec<f64>> {
        let unscaled = |centre: &Centre| {
            centre.0.iter().zip(&self.features).map(|(at, scale)| scale.mean + at * scale.sd).collect()
        };
        self.centres.iter().map(unscaled).collect()
    }

    /// Distance of a row to the nearest centre; NaN is a missing value and counts as the mean.
    #[must_use]
    pub fn distance(&self, values: &FeatureValues) -> f64 {
        self.nearest(&self.point(values)).1
    }

    pub(super) fn point(&self, values: &FeatureValues) -> Point {
        let mut point = [0.0; MAX_FEATURES];
        for ((place, scale), value) in point.iter_mut().zip(&self.features).zip(values) {
            if !value.is_nan() {
                *place = ((value - scale.mean) / scale.sd).clamp(-FARTHEST, FARTHEST);
            }
        }
        point
    }

    /// The nearest centre, the first of equals, and the distance to it.
    pub(super) fn nearest(&self, point: &Point) -> (usize, f64) {
        let (at, squared) = nearest(&self.centres, point);
        (at, squared.sqrt())
    }

    /// What a centre is called.
    pub(super) fn level(&self, centre: usize) -> String {
        match (self.centres.len(), centre) {
            (2 | 3, 0) => "low".to_owned(),
            (3, 1) => "medium".to_owned(),
            (2, 1) | (3, 2) => "high".to_owned(),
            (count, at) => format!("{} of {count}", at + 1),
        }
    }
}

/// The nearest centre, the first of equals, and the square of the distance to it.
pub(super) fn nearest(centres: &[Centre], point: &Point) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (at, centre) in centres.iter().enumerate() {
        let squared = squared_distance(centre, point);
        if squared < best.1 {
            best = (at, squared);
        }
    }
    best
}

pub(super) fn squared_distance(centre: &Centre, point: &Point) -> f64 {
    centre.0.iter().zip(point).map(|(centre, at)| (at - centre) * (at - centre)).sum()
}
