//! smartcore's trees, read from its serialised form: it shows them in no other way.

use kilowatch_shared::model::TreeNode;
use serde::Deserialize;
use smartcore::{ensemble::random_forest_regressor::RandomForestRegressor, linalg::basic::matrix::DenseMatrix};

use super::forest::GrowError;

/// The forest type that we grow.
pub(super) type SmartcoreForest = RandomForestRegressor<f32, f64, DenseMatrix<f32>, Vec<f64>>;

/// The trees of a grown forest.
pub(super) fn trees_of(forest: &SmartcoreForest) -> Result<Vec<Vec<TreeNode>>, GrowError> {
    let grown: GrownForest = postcard::from_bytes(&postcard::to_stdvec(forest)?)?;
    let trees = grown.forest_regressor.and_then(|base| base.trees).unwrap_or_default();
    Ok(trees.into_iter().map(|tree| tree.nodes.into_iter().map(TreeNode::from).collect()).collect())
}

impl From<GrownNode> for TreeNode {
    fn from(node: GrownNode) -> Self {
        match (node.split_value, node.true_child, node.false_child) {
            (Some(threshold), Some(low), Some(high)) => {
                Self::Split { feature: node.split_feature, threshold, low, high }
            }
            _ => Self::Leaf(node.output),
        }
    }
}

/// The serialised form of smartcore 0.7, field by field; a test holds it against smartcore's own predictions.
#[derive(Deserialize)]
struct GrownForest {
    forest_regressor: Option<GrownBase>,
}

#[derive(Deserialize)]
struct GrownBase {
    trees: Option<Vec<GrownTree>>,
    #[serde(rename = "num_features")]
    _num_features: Option<usize>,
    #[serde(rename = "samples")]
    _samples: Option<Vec<Vec<bool>>>,
}

#[derive(Deserialize)]
struct GrownTree {
    nodes: Vec<GrownNode>,
    #[serde(rename = "parameters")]
    _parameters: Option<GrownParameters>,
    #[serde(rename = "depth")]
    _depth: u16,
    #[serde(rename = "root_mass")]
    _root_mass: f64,
}

#[derive(Deserialize)]
struct GrownNode {
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    #[serde(rename = "split_score")]
    _split_score: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

#[derive(Deserialize)]
struct GrownParameters {
    #[serde(rename = "max_depth")]
    _max_depth: Option<u16>,
    #[serde(rename = "min_samples_leaf")]
    _min_samples_leaf: usize,
    #[serde(rename = "min_samples_split")]
    _min_samples_split: usize,
    #[serde(rename = "seed")]
    _seed: Option<u64>,
    #[serde(rename = "splitter")]
    _splitter: GrownSplitter,
}

#[derive(Deserialize)]
enum GrownSplitter {
    Random,
    Best,
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::model::Forest;
    use proptest::prelude::*;
    use smartcore::ensemble::random_forest_regressor::RandomForestRegressorParameters;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_flat_forest_says_what_smartcore_says_to_the_last_bit(
            rows in prop::collection::vec((-5.0_f32..5.0, 0_u8..4, -100.0_f64..100.0), 2..120),
            seed in any::<u64>(),
        ) {
            let values = rows.iter().map(|row| row.0).chain(rows.iter().map(|row| f32::from(row.1))).collect();
            let matrix = DenseMatrix::new(rows.len(), 2, values, true).unwrap();
            let target: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let parameters = RandomForestRegressorParameters::default().with_n_trees(3).with_max_depth(6).with_seed(seed);
            let theirs = SmartcoreForest::fit(&matrix, &target, parameters).unwrap();
            let said = theirs.predict(&matrix).unwrap();
            let ours = Forest::try_new(2, &trees_of(&theirs).unwrap()).unwrap();
            for (row, said) in rows.iter().zip(said) {
                prop_assert_eq!(ours.predict(&[row.0, f32::from(row.1)]).to_bits(), said.to_bits());
            }
        }
    }
}
