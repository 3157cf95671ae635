//! The model: perfect binary trees in flat arrays.

use serde::{Deserialize, Serialize};

use super::{
    path_length,
    scale::{FeatureScale, FeatureVector},
};
use crate::detect::features::MAX_FEATURES;

/// Raised when the serialised form changes; an older model is then read by the code that is kept for it.
const MODEL_FORMAT: u32 = 1;

/// Tallest tree: a sample of 4096.
pub(super) const MAX_HEIGHT: u32 = 12;

/// Most trees of a forest.
pub(super) const MAX_TREES: u32 = 1000;

/// A trained forest. It says nothing of when or from what it was trained: the manifest beside it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IsolationForestModel {
    pub(super) format: u32,
    pub(super) features: Vec<FeatureScale>,
    pub(super) sample_size: u32,
    /// Cuts from the root to a leaf, the same on every path: a leaf that lies higher is repeated below.
    pub(super) height: u32,
    pub(super) trees: Vec<Tree>,
    /// Mean paths of the training rows below which a reading is minor, warning and critical.
    pub(super) alarm_paths: [f64; 3],
}

/// A tree of `2^height - 1` cuts in breadth-first order (the children of `i` are `2i+1` and `2i+2`) and `2^height`
/// leaves. Every path takes as many steps, so the processor never guesses wrong where a path ends; a tree of height 8
/// takes 5 kB, and a hundred of them stay in the second-level cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Path length of each leaf: its depth and the average path of the values that it holds.
    pub(super) leaf_paths: Vec<f32>,
}

/// A cut, in 16 bytes, so that a step touches one cache line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    /// Values from the cut on go right.
    pub(super) cut: f32,
    /// Least and greatest value of the compared feature among the rows that reached the node in training.
    pub(super) range: [f32; 2],
    /// The feature that is compared.
    pub(super) feature: u8,
}

impl Node {
    /// Where nothing was cut: every value is inside and goes left.
    pub(super) const PASSED: Self = Self { cut: f32::INFINITY, range: [f32::NEG_INFINITY, f32::INFINITY], feature: 0 };

    fn is_sound(&self, features: usize) -> bool {
        let [low, high] = self.range;
        let cuts = low.is_finite() && high.is_finite() && low < self.cut && self.cut <= high;
        usize::from(self.feature) < features && (cuts || *self == Self::PASSED)
    }
}

/// Trees that are walked side by side. A step waits for its node to be loaded, and the processor has time for others
/// meanwhile. The trees beyond whole groups go by smaller ones.
const LANES: usize = 8;
const FEWER_LANES: usize = 4;

/// Bytes that are no model of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelProblem {
    /// They cannot be read.
    #[error("not an isolation forest: {0}")]
    Unreadable(String),
    /// They were written by another version.
    #[error("isolation forest of format {found}, this build reads {MODEL_FORMAT}; train it again")]
    UnsupportedFormat {
        /// Its format.
        found: u32,
    },
    /// They can be read, but contradict themselves.
    #[error("not a sound isolation forest: {0}")]
    Unsound(&'static str),
    /// A feature of the model names what the stream does not have.
    #[error("the model's feature `{0}` names what the stream does not have; train it again")]
    UnknownFeature(String),
}

impl IsolationForestModel {
    /// Puts a forest together.
    pub(super) fn assemble(
        features: Vec<FeatureScale>,
        sample_size: u32,
        height: u32,
        trees: Vec<Tree>,
        alarm_paths: [f64; 3],
    ) -> Self {
        Self { format: MODEL_FORMAT, features, sample_size, height, trees, alarm_paths }
    }

    /// The model's bytes; equal models have equal bytes, so [`crate::model::ModelId::of`] addresses them.
    ///
    /// # Errors
    /// [`ModelProblem::Unreadable`], which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelProblem> {
        postcard::to_stdvec(self).map_err(|error| ModelProblem::Unreadable(error.to_string()))
    }

    /// Reads and checks a model.
    ///
    /// # Errors
    /// [`ModelProblem`]: whatever the bytes are, nothing else happens.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelProblem> {
        let unreadable = |error: postcard::Error| ModelProblem::Unreadable(error.to_string());
        let (format, _) = postcard::take_from_bytes::<u32>(bytes).map_err(unreadable)?;
        if format != MODEL_FORMAT {
            return Err(ModelProblem::UnsupportedFormat { found: format });
        }
        let model: Self = postcard::from_bytes(bytes).map_err(unreadable)?;
        model.check()?;
        Ok(model)
    }

    fn check(&self) -> Result<(), ModelProblem> {
        let require = |holds: bool, what| if holds { Ok(()) } else { Err(ModelProblem::Unsound(what)) };
        let features = self.features.len();
        require((1..=MAX_FEATURES).contains(&features), "number of features")?;
        require((1..=MAX_HEIGHT).contains(&self.height), "height")?;
        require(!self.trees.is_empty() && self.trees.len() <= MAX_TREES as usize, "number of trees")?;
        require((2..=1 << MAX_HEIGHT).contains(&self.sample_size), "sample size")?;
        let [minor, warning, critical] = self.alarm_paths;
        let in_order = critical <= warning && warning <= minor;
        require(in_order && self.alarm_paths.iter().all(|path| path.is_finite()), "alarm paths")?;
        let scales = |scale: &FeatureScale| scale.spread > 0.0 && (scale.median + scale.spread).is_finite();
        require(self.features.iter().all(scales), "scale of a feature")?;
        let leaves = 1_usize << self.height;
        for tree in &self.trees {
            require(tree.nodes.len() == leaves - 1 && tree.leaf_paths.len() == leaves, "size of a tree")?;
            require(tree.nodes.iter().all(|node| node.is_sound(features)), "cut")?;
            require(tree.leaf_paths.iter().all(|path| path.is_finite() && *path >= 0.0), "path of a leaf")?;
        }
        Ok(())
    }

    /// Names of the features, in the model's order.
    pub fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|feature| feature.name.as_str())
    }

    /// Rows that each tree was grown from.
    #[must_use]
    pub const fn sample_size(&self) -> u32 {
        self.sample_size
    }

    /// The score from which a reading is an anomaly.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.score_of_path(self.alarm_paths[0])
    }

    /// Score of a reading, 0 to 1; `values` has one value per feature.
    #[must_use]
    pub fn score(&self, values: &[Option<f64>]) -> f64 {
        self.score_of_path(self.mean_path(&self.vector(values.iter().copied())))
    }

    pub(super) fn score_of_path(&self, path: f64) -> f64 {
        path_length::score(path, path_length::average(self.sample_size))
    }

    pub(super) fn vector(&self, values: impl Iterator<Item = Option<f64>>) -> FeatureVector {
        let mut vector = [0.0; MAX_FEATURES];
        for ((place, feature), value) in vector.iter_mut().zip(&self.features).zip(values) {
            *place = feature.robust(value);
        }
        vector
    }

    /// Mean path length over the trees.
    pub(super) fn mean_path(&self, vector: &FeatureVector) -> f64 {
        self.mean_path_below(vector, f64::INFINITY).unwrap_or(f64::INFINITY)
    }

    /// Mean path length over the trees, if it is below `limit`. Paths only add up, so the walk ends with the first trees
    /// that show it is not: most readings are quiet, and a part of the forest says so. The sum is in the order of the
    /// trees, so it has the same bits everywhere.
    pub(super) fn mean_path_below(&self, vector: &FeatureVector, limit: f64) -> Option<f64> {
        let mut walk = Walk { vector, height: self.height, trees: self.trees.len() as f64, limit, sum: 0.0 };
        let (groups, rest) = self.trees.as_chunks::<LANES>();
        let (fewer, rest) = rest.as_chunks::<FEWER_LANES>();
        let below = groups.iter().all(|trees| walk.stays_below(trees))
            && fewer.iter().all(|trees| walk.stays_below(trees))
            && rest.iter().all(|tree| walk.stays_below(std::array::from_ref(tree)));
        below.then_some(walk.mean())
    }
}

/// A reading on its way through the forest.
struct Walk<'a> {
    vector: &'a FeatureVector,
    height: u32,
    trees: f64,
    limit: f64,
    sum: f64,
}

impl Walk<'_> {
    fn stays_below<const N: usize>(&mut self, trees: &[Tree; N]) -> bool {
        for path in paths(trees, self.vector, self.height) {
            self.sum += f64::from(path);
        }
        self.mean() < self.limit
    }

    /// What the trees so far make of the mean over all.
    fn mean(&self) -> f64 {
        self.sum / self.trees
    }
}

/// The expected path of a reading in each tree, as if it had been among the rows that the tree was grown from: where it
/// lies outside the range that was cut, a random cut of the range widened to it sets it apart at once with probability
/// outside / (outside + range), and with the rest it goes on. Without this a reading however far out goes as deep as
/// the outermost training row, and one odd value among many features is hardly seen. No step branches on the data.
fn paths<const N: usize>(trees: &[Tree; N], vector: &FeatureVector, height: u32) -> [f32; N] {
    let (mut at, mut path, mut goes_on) = ([0; N], [0.0; N], [1.0; N]);
    for depth in 1..=height {
        let nodes: [&Node; N] = std::array::from_fn(|lane| &trees[lane].nodes[at[lane]]);
        let values = nodes.map(|node| vector[usize::from(node.feature) % MAX_FEATURES]);
        for lane in 0..N {
            at[lane] = 2 * at[lane] + 1 + usize::from(values[lane] >= nodes[lane].cut);
        }
        // Apart from the steps down the trees, so that one instruction does the arithmetic of several lanes.
        let (lows, highs) = (nodes.map(|node| node.range[0]), nodes.map(|node| node.range[1]));
        for lane in 0..N {
            let outside = greater(greater(lows[lane] - values[lane], values[lane] - highs[lane]), 0.0);
            let set_apart = goes_on[lane] * (outside / (outside + (highs[lane] - lows[lane])));
            path[lane] += set_apart * depth as f32;
            goes_on[lane] -= set_apart;
        }
    }
    std::array::from_fn(|lane| {
        let tree = &trees[lane];
        path[lane] + goes_on[lane] * tree.leaf_paths[at[lane] - tree.nodes.len()]
    })
}

/// The greater of two numbers. `f32::max` also looks for NaN, of which there is none, and costs twice as much.
const fn greater(one: f32, other: f32) -> f32 {
    if one > other { one } else { other }
}
