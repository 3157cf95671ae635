//! A regression forest in flat arrays: what a grown forest becomes for serving.

use serde::{Deserialize, Serialize};

/// Most features of a forest; far more than a profile has measures.
const MAX_FEATURES: usize = 1024;

/// Marks a leaf in `split_features`.
const LEAF: u16 = u16::MAX;

/// A node of a tree as its grower hands it over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TreeNode {
    /// Rows whose feature is at or below the threshold go to `low`, the others to `high`: indices into the tree.
    Split {
        /// The feature that is compared.
        feature: usize,
        /// The threshold.
        threshold: f64,
        /// Where values at or below it go.
        low: usize,
        /// Where values over it go.
        high: usize,
    },
    /// The prediction.
    Leaf(f64),
}

/// Nodes that are no forest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForestProblem {
    /// No tree, a tree without nodes, or no feature.
    #[error("a forest needs a tree with a node, and 1 to {MAX_FEATURES} features")]
    Empty,
    /// A feature that the forest does not have.
    #[error("tree {tree}: node {node} compares a feature that is not there")]
    UnknownFeature {
        /// Which tree.
        tree: usize,
        /// Which node.
        node: usize,
    },
    /// A child that does not come after its parent: following it might never end.
    #[error("tree {tree}: node {node} leads to a child that does not come after it")]
    BadChild {
        /// Which tree.
        tree: usize,
        /// Which node.
        node: usize,
    },
    /// A threshold or prediction that is not a number.
    #[error("tree {tree}: node {node} holds no finite number")]
    NotFinite {
        /// Which tree.
        tree: usize,
        /// Which node.
        node: usize,
    },
}

/// A regression forest: its prediction is the mean of its trees' predictions.
///
/// The nodes of all trees lie in parallel arrays, children behind their parent, so a walk always ends and touches
/// little memory. Whatever the bytes were that it was read from, a forest is sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ForestData", into = "ForestData")]
pub struct Forest {
    data: ForestData,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ForestData {
    features: u16,
    /// First node of each tree.
    roots: Vec<u32>,
    split_features: Vec<u16>,
    /// Threshold of a split, prediction of a leaf.
    values: Vec<f64>,
    low: Vec<u32>,
    high: Vec<u32>,
}

impl Forest {
    /// Lays out trees over `features` features.
    ///
    /// # Errors
    /// [`ForestProblem`].
    pub fn try_new(features: usize, trees: &[Vec<TreeNode>]) -> Result<Self, ForestProblem> {
        let nodes = trees.iter().map(Vec::len).sum();
        let mut data = ForestData {
            features: u16::try_from(features).unwrap_or(u16::MAX),
            roots: Vec::with_capacity(trees.len()),
            split_features: Vec::with_capacity(nodes),
            values: Vec::with_capacity(nodes),
            low: Vec::with_capacity(nodes),
            high: Vec::with_capacity(nodes),
        };
        for tree in trees {
            let root = data.values.len();
            data.roots.push(index(root));
            for node in tree {
                let (feature, value, low, high) = match *node {
                    TreeNode::Split { feature, threshold, low, high } => {
                        (u16::try_from(feature).unwrap_or(LEAF - 1), threshold, root + low, root + high)
                    }
                    TreeNode::Leaf(prediction) => (LEAF, prediction, root, root),
                };
                data.split_features.push(feature);
                data.values.push(value);
                data.low.push(index(low));
                data.high.push(index(high));
            }
        }
        Self::try_from(data)
    }

    /// Number of features of a row.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.data.features as usize
    }

    /// Number of trees.
    #[must_use]
    pub const fn trees(&self) -> usize {
        self.data.roots.len()
    }

    /// Number of nodes of all trees.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.data.values.len()
    }

    /// The prediction for a row with one value per feature; a missing trailing value counts as NaN, which goes high.
    ///
    /// Values are compared in the precision in which forests are grown, so that a row of the training set takes the
    /// path that it took there.
    #[must_use]
    pub fn predict(&self, row: &[f32]) -> f64 {
        let sum: f64 = self.data.roots.iter().map(|root| self.leaf(*root as usize, row)).sum();
        sum / self.data.roots.len() as f64
    }

    fn leaf(&self, root: usize, row: &[f32]) -> f64 {
        let data = &self.data;
        let mut node = root;
        loop {
            let feature = data.split_features[node];
            if feature == LEAF {
                return data.values[node];
            }
            let value = row.get(usize::from(feature)).copied().unwrap_or(f32::NAN);
            let next = if f64::from(value) <= data.values[node] { &data.low } else { &data.high };
            node = next[node] as usize;
        }
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl TryFrom<ForestData> for Forest {
    type Error = ForestProblem;

    fn try_from(data: ForestData) -> Result<Self, ForestProblem> {
        let features = usize::from(data.features);
        let nodes = data.values.len();
        let lengths = [data.split_features.len(), data.low.len(), data.high.len()];
        if !(1..=MAX_FEATURES).contains(&features) || data.roots.first() != Some(&0) || lengths != [nodes; 3] {
            return Err(ForestProblem::Empty);
        }
        let ends = data.roots.iter().skip(1).map(|root| *root as usize).chain([nodes]);
        for (tree, (root, end)) in data.roots.iter().map(|root| *root as usize).zip(ends).enumerate() {
            if root >= end || end > nodes {
                return Err(ForestProblem::Empty);
            }
            for at in root..end {
                let node = at - root;
                if !data.values[at].is_finite() {
                    return Err(ForestProblem::NotFinite { tree, node });
                }
                let feature = data.split_features[at];
                if feature == LEAF {
                    continue;
                }
                if usize::from(feature) >= features {
                    return Err(ForestProblem::UnknownFeature { tree, node });
                }
                let behind = |child: u32| (at + 1..end).contains(&(child as usize));
                if !behind(data.low[at]) || !behind(data.high[at]) {
                    return Err(ForestProblem::BadChild { tree, node });
                }
            }
        }
        Ok(Self { data })
    }
}

impl From<Forest> for ForestData {
    fn from(forest: Forest) -> Self {
        forest.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump(threshold: f64, low: f64, high: f64) -> Vec<TreeNode> {
        vec![TreeNode::Split { feature: 0, threshold, low: 1, high: 2 }, TreeNode::Leaf(low), TreeNode::Leaf(high)]
    }

    #[test]
    fn a_forest_says_the_mean_of_its_trees() {
        let forest = Forest::try_new(1, &[stump(1.0, 10.0, 20.0), stump(2.0, 0.0, 40.0)]).unwrap();
        assert_eq!(forest.predict(&[0.5]), 5.0);
        assert_eq!(forest.predict(&[1.0]), 5.0);
        assert_eq!(forest.predict(&[1.5]), 10.0);
        assert_eq!(forest.predict(&[2.5]), 30.0);
        assert_eq!(forest.predict(&[f32::NAN]), 30.0);
        assert_eq!(forest.predict(&[]), 30.0);
    }

    #[test]
    fn an_unsound_forest_is_refused() {
        let back = vec![TreeNode::Split { feature: 0, threshold: 0.0, low: 0, high: 1 }, TreeNode::Leaf(1.0)];
        assert_eq!(Forest::try_new(1, &[back]), Err(ForestProblem::BadChild { tree: 0, node: 0 }));
        let far = vec![TreeNode::Split { feature: 0, threshold: 0.0, low: 1, high: 9 }, TreeNode::Leaf(1.0)];
        assert_eq!(Forest::try_new(1, &[stump(0.0, 0.0, 0.0), far]), Err(ForestProblem::BadChild { tree: 1, node: 0 }));
        assert_eq!(
            Forest::try_new(1, &[vec![TreeNode::Leaf(f64::NAN)]]),
            Err(ForestProblem::NotFinite { tree: 0, node: 0 })
        );
        let other = vec![
            TreeNode::Split { feature: 1, threshold: 0.0, low: 1, high: 2 },
            TreeNode::Leaf(0.0),
            TreeNode::Leaf(0.0),
        ];
        assert_eq!(Forest::try_new(1, &[other]), Err(ForestProblem::UnknownFeature { tree: 0, node: 0 }));
        assert_eq!(Forest::try_new(1, &[]), Err(ForestProblem::Empty));
        assert_eq!(Forest::try_new(1, &[vec![]]), Err(ForestProblem::Empty));
        assert_eq!(Forest::try_new(0, &[stump(0.0, 0.0, 0.0)]), Err(ForestProblem::Empty));
    }

    #[test]
    fn bytes_of_an_unsound_forest_are_refused() {
        let mut data = ForestData::from(Forest::try_new(1, &[stump(1.0, 10.0, 20.0)]).unwrap());
        data.low[0] = 0;
        let bytes = postcard::to_stdvec(&data).unwrap();
        assert!(postcard::from_bytes::<Forest>(&bytes).is_err());
    }
}
