//! Growing a regression forest: a pure function of rows, parameters and seed.
//!
//! The trees are smartcore's. Its forest grows them one after the other, so groups of trees grow in parallel. What comes
//! out is laid out flat for serving, without smartcore's bookkeeping.

use kilowatch_shared::model::{Forest, ForestProblem};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use smartcore::{
    ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters},
    error::Failed,
    linalg::basic::matrix::DenseMatrix,
};

use super::{grown, sample::sample_ascending};

/// Trees that grow one after the other. A group sorts every feature once for all of its trees; it is a constant, so
/// that the number of processors does not change which seeds a tree gets.
const TREES_PER_GROUP: u16 = 5;

/// How a forest grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestParams {
    /// Number of trees, 1 to 1000. Default 20.
    pub trees: u16,
    /// Most splits from a root to a leaf, 1 to 30. Default 10.
    pub max_depth: u16,
    /// Features that each split chooses from, 1 to the number of features; 0 is a third of them, rounded up. Default 0.
    pub features_per_split: usize,
    /// Least rows in a leaf, from 1. Default 1.
    pub min_leaf_rows: usize,
    /// Most rows that a tree draws its own from, from 100. Default 262144.
    ///
    /// Of more rows, each group of five trees takes another random part: a tree of depth 10 has 1024 leaves, which
    /// millions of rows fill no better than 256 in each, and its cost grows faster than its rows once they leave the
    /// processor's cache.
    pub max_rows_per_tree: usize,
}

impl Default for ForestParams {
    fn default() -> Self {
        Self { trees: 20, max_depth: 10, features_per_split: 0, min_leaf_rows: 1, max_rows_per_tree: 262_144 }
    }
}

impl ForestParams {
    /// Features that each split chooses from, of so many.
    ///
    /// A third is the recommendation for regression of Breiman (2001), "Random Forests", Machine Learning 45(1), and
    /// what Spark does; smartcore's own default is the square root.
    #[must_use]
    pub fn features_per_split_of(&self, features: usize) -> usize {
        match self.features_per_split {
            0 => features.div_ceil(3),
            chosen => chosen.min(features),
        }
    }
}

/// Rows or parameters that no forest can be grown from.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// A parameter is out of its range.
    #[error("{name} = {value}: must be {range}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: usize,
        /// What it may be.
        range: &'static str,
    },
    /// Columns and target differ in length, or there is none.
    #[error("{columns} columns and {rows} rows are no table to learn from")]
    Shape {
        /// Number of columns.
        columns: usize,
        /// Number of rows.
        rows: usize,
    },
    /// smartcore refused.
    #[error("growing a forest: {0}")]
    Refused(#[from] Failed),
    /// smartcore's trees are not what this build knows: its version changed.
    #[error("reading the grown trees: {0}")]
    Unreadable(#[from] postcard::Error),
    /// The trees make no sound forest.
    #[error(transparent)]
    Unsound(#[from] ForestProblem),
}

/// Grows a forest. The same columns, target, parameters and seed give the same forest, on any number of processors.
///
/// # Errors
/// [`GrowError`].
pub fn grow_forest(columns: &[&[f32]], target: &[f64], params: &ForestParams, seed: u64) -> Result<Forest, GrowError> {
    check(columns, target, params)?;
    let width = columns.len();
    let all = Rows::try_new(columns.concat(), target.to_vec(), width)?;
    let groups: Vec<u16> = (0..params.trees).step_by(usize::from(TREES_PER_GROUP)).collect();
    let grown: Vec<_> = groups
        .into_par_iter()
        .map(|first| {
            let seed = group_seed(seed, first);
            let part = (target.len() > params.max_rows_per_tree)
                .then(|| Rows::sampled(columns, target, params.max_rows_per_tree, seed))
                .transpose()?;
            let rows = part.as_ref().unwrap_or(&all);
            let parameters = RandomForestRegressorParameters {
                // smartcore counts nodes on a path, kilowatch and scikit-learn count splits.
                max_depth: Some(params.max_depth + 1),
                min_samples_leaf: params.min_leaf_rows,
                min_samples_split: 2,
                n_trees: usize::from(TREES_PER_GROUP.min(params.trees - first)),
                m: Some(params.features_per_split_of(width)),
                keep_samples: false,
                seed,
            };
            let forest = RandomForestRegressor::fit(&rows.matrix, &rows.target, parameters)?;
            grown::trees_of(&forest)
        })
        .collect::<Result<_, GrowError>>()?;
    Ok(Forest::try_new(width, &grown.concat())?)
}

/// Rows in the form that smartcore takes.
struct Rows {
    matrix: DenseMatrix<f32>,
    target: Vec<f64>,
}

impl Rows {
    fn try_new(values: Vec<f32>, target: Vec<f64>, width: usize) -> Result<Self, GrowError> {
        Ok(Self { matrix: DenseMatrix::new(target.len(), width, values, true)?, target })
    }

    fn sampled(columns: &[&[f32]], target: &[f64], count: usize, seed: u64) -> Result<Self, GrowError> {
        let chosen = sample_ascending(target.len(), count, seed);
        let values = columns.iter().flat_map(|column| chosen.iter().map(|row| column[*row])).collect();
        Self::try_new(values, chosen.iter().map(|row| target[*row]).collect(), columns.len())
    }
}

fn check(columns: &[&[f32]], target: &[f64], params: &ForestParams) -> Result<(), GrowError> {
    let parameter = |name, value, range, holds: bool| {
        if holds { Ok(()) } else { Err(GrowError::Parameter { name, value, range }) }
    };
    parameter("trees", params.trees.into(), "1 to 1000", (1..=1000).contains(&params.trees))?;
    parameter("max_depth", params.max_depth.into(), "1 to 30", (1..=30).contains(&params.max_depth))?;
    parameter("min_leaf_rows", params.min_leaf_rows, "at least 1", params.min_leaf_rows > 0)?;
    parameter("max_rows_per_tree", params.max_rows_per_tree, "at least 100", params.max_rows_per_tree >= 100)?;
    let rectangular = columns.iter().all(|column| column.len() == target.len());
    if columns.is_empty() || target.is_empty() || !rectangular {
        return Err(GrowError::Shape { columns: columns.len(), rows: target.len() });
    }
    Ok(())
}

/// smartcore gives its trees the seeds from the group's on, so near seeds would give different forests the same trees;
/// these lie far apart. Source: Steele, Lea and Flood (2014), "Fast Splittable Pseudorandom Number Generators", OOPSLA.
fn group_seed(seed: u64, first_tree: u16) -> u64 {
    let mut z = seed.wrapping_add(u64::from(first_tree) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two features, of which the first decides.
    fn steps(rows: u16) -> ([Vec<f32>; 2], Vec<f64>) {
        let decides: Vec<f32> = (0..rows).map(f32::from).collect();
        let noise: Vec<f32> = (0..rows).map(|row| f32::from(row % 101 * 37 % 101)).collect();
        let target = (0..rows).map(|row| if row < rows / 2 { 1.0 } else { 9.0 }).collect();
        ([decides, noise], target)
    }

    fn grow(columns: &[Vec<f32>], target: &[f64], params: &ForestParams, seed: u64) -> Result<Forest, GrowError> {
        grow_forest(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), target, params, seed)
    }

    #[test]
    fn the_forest_finds_the_feature_that_decides() {
        let (columns, target) = steps(200);
        let forest = grow(&columns, &target, &ForestParams::default(), 7).unwrap();
        assert_eq!(forest.trees(), 20);
        assert!((forest.predict(&[10.0, 50.0]) - 1.0).abs() < 1e-9);
        assert!((forest.predict(&[190.0, 50.0]) - 9.0).abs() < 1e-9);
    }

    #[test]
    fn the_same_seed_gives_the_same_forest_on_any_number_of_processors() {
        let (columns, target) = steps(300);
        let params = ForestParams { trees: 13, ..ForestParams::default() };
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| grow(&columns, &target, &params, seed).unwrap())
        };
        assert_eq!(on(1, 42), on(3, 42));
        assert_ne!(on(1, 42), on(1, 43));
    }

    #[test]
    fn a_depth_of_one_is_one_split() {
        let (columns, target) = steps(100);
        let params = ForestParams { trees: 4, max_depth: 1, ..ForestParams::default() };
        assert_eq!(grow(&columns, &target, &params, 1).unwrap().nodes(), 4 * 3);
    }

    #[test]
    fn a_forest_of_parts_of_the_rows_still_knows_all_of_them() {
        let (columns, target) = steps(2000);
        let params = ForestParams { max_rows_per_tree: 100, ..ForestParams::default() };
        let forest = grow(&columns, &target, &params, 3).unwrap();
        assert!(forest.predict(&[100.0, 50.0]) < 1.5);
        assert!(forest.predict(&[1900.0, 50.0]) > 8.5);
        assert_eq!(forest, grow(&columns, &target, &params, 3).unwrap());
        assert_ne!(forest, grow(&columns, &target, &ForestParams::default(), 3).unwrap());
    }

    #[test]
    fn parameters_and_shapes_out_of_range_are_refused_by_name() {
        let (columns, target) = steps(10);
        let depthless = ForestParams { max_depth: 0, ..ForestParams::default() };
        let error = grow(&columns, &target, &depthless, 1).unwrap_err().to_string();
        assert_eq!(error, "max_depth = 0: must be 1 to 30");
        assert!(matches!(
            grow(&columns, &[1.0], &ForestParams::default(), 1),
            Err(GrowError::Shape { columns: 2, rows: 1 })
        ));
        assert!(matches!(
            grow_forest(&[], &[], &ForestParams::default(), 1),
            Err(GrowError::Shape { columns: 0, rows: 0 })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_forest_never_says_more_than_it_saw(
            rows in prop::collection::vec((-5.0_f32..5.0, -5.0_f32..5.0, -100.0_f64..100.0), 2..80),
            asked in (-9.0_f32..9.0, -9.0_f32..9.0),
        ) {
            let columns = [rows.iter().map(|row| row.0).collect(), rows.iter().map(|row| row.1).collect()];
            let target: Vec<f64> = rows.iter().map(|row| row.2).collect();
            let forest = grow(&columns, &target, &ForestParams { trees: 3, ..ForestParams::default() }, 5).unwrap();
            let said = forest.predict(&[asked.0, asked.1]);
            let least = target.iter().copied().fold(f64::INFINITY, f64::min);
            let most = target.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(said >= least - 1e-9 && said <= most + 1e-9);
        }
    }
}
