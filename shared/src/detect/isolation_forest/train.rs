//! Growing a forest: a pure function of rows, parameters and seed.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    IsolationForestConfig,
    model::{IsolationForestModel, MAX_HEIGHT, MAX_TREES, Node, Tree},
    path_length,
    scale::{FeatureScale, FeatureVector},
};
use crate::detect::{features::MAX_FEATURES, quantile::quantile};

/// Rows that the alarm threshold is taken from, evenly spread over all of them: scoring every row of years of minutes
/// would take longer than growing the forest, and the quantile 0.99 of 65,536 rows is known to 0.04 percentage points.
const MAX_CALIBRATION_ROWS: usize = 65_536;

/// How a forest grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForestParams {
    /// Number of trees, 1 to 1000.
    pub trees: u32,
    /// Rows that each tree is grown from, 2 to 4096; fewer if there are fewer rows.
    pub sample_size: u32,
}

impl ForestParams {
    /// 100 trees of 256 rows: the paper's values, beyond which its detection did not improve.
    pub const PAPER: Self = Self { trees: 100, sample_size: 256 };

    /// What a configuration asks for.
    #[must_use]
    pub const fn of(config: &IsolationForestConfig) -> Self {
        Self { sample_size: config.rows_per_tree, ..Self::PAPER }
    }
}

impl Default for ForestParams {
    fn default() -> Self {
        Self::PAPER
    }
}

/// Rows to train on.
#[derive(Debug, Clone, Copy)]
pub struct TrainingRows<'a> {
    /// Names of the features, the columns of a row.
    pub features: &'a [String],
    /// The values, row after row; NaN is a missing one.
    pub values: &'a [f64],
}

/// Rows or parameters that no forest can be grown from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// No feature, or too many.
    #[error("an isolation forest takes 1 to {MAX_FEATURES} features, not {found}")]
    Features {
        /// How many there were.
        found: usize,
    },
    /// The values are not whole rows.
    #[error("{values} values are no whole rows of {features} features")]
    RaggedRows {
        /// Number of values.
        values: usize,
        /// Number of features.
        features: usize,
    },
    /// Not enough rows with values.
    #[error("an isolation forest needs at least 2 rows with values, not {found}")]
    TooFewRows {
        /// How many there were.
        found: usize,
    },
    /// A parameter is out of its range.
    #[error("{name} = {value}: must be {range}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

/// Grows a forest. A reading is an anomaly from the quantile `alarm_quantile` of the training rows' scores on; it is a
/// warning from a tenth of that share of rows on, and critical if no training row was isolated as soon.
/// The same rows, parameters and seed give the same bytes.
///
/// # Errors
/// [`TrainError`].
pub fn train(
    rows: TrainingRows<'_>,
    params: ForestParams,
    alarm_quantile: f64,
    seed: u64,
) -> Result<IsolationForestModel, TrainError> {
    check(&rows, params, alarm_quantile)?;
    let width = rows.features.len();
    let known = |row: &&[f64]| row.iter().any(|value| value.is_finite());
    let table: Vec<&[f64]> = rows.values.chunks_exact(width).filter(known).collect();
    if table.len() < 2 {
        return Err(TrainError::TooFewRows { found: table.len() });
    }
    let scale = |(column, name): (usize, &String)| {
        FeatureScale::of(name, table.iter().map(|row| row[column]).filter(|value| value.is_finite()).collect())
    };
    let scales: Vec<FeatureScale> = rows.features.iter().enumerate().map(scale).collect();
    let sample_size = params.sample_size.min(u32::try_from(table.len()).unwrap_or(u32::MAX));
    // The height that an average tree of the sample has; deeper cuts tell normal rows apart, not anomalies.
    let height = sample_size.next_power_of_two().trailing_zeros().clamp(1, MAX_HEIGHT);
    let vector = |row: &[f64]| {
        let mut vector: FeatureVector = [0.0; MAX_FEATURES];
        for ((place, scale), value) in vector.iter_mut().zip(&scales).zip(row) {
            *place = scale.robust(value.is_finite().then_some(*value));
        }
        vector
    };
    let trees = (0..params.trees)
        .map(|tree| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(tree));
            let sample = draw(table.len(), sample_size as usize, &mut rng);
            let mut sample: Vec<FeatureVector> = sample.into_iter().map(|at| vector(table[at])).collect();
            grow(&mut sample, width, height, &mut rng)
        })
        .collect();
    let model = IsolationForestModel::assemble(scales.clone(), sample_size, height, trees, [0.0; 3]);
    // By lot: every n-th row of hourly readings would see some hours of the day only.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(params.trees));
    let calibration = draw(table.len(), table.len().min(MAX_CALIBRATION_ROWS), &mut rng);
    let mut paths: Vec<f64> = calibration.into_iter().map(|at| model.mean_path(&vector(table[at]))).collect();
    paths.sort_unstable_by(f64::total_cmp);
    let alarm_share = 1.0 - alarm_quantile;
    let alarm_paths = [alarm_share, alarm_share / 10.0, 0.0].map(|share| quantile(&paths, share));
    Ok(IsolationForestModel { alarm_paths, ..model })
}

fn check(rows: &TrainingRows<'_>, params: ForestParams, alarm_quantile: f64) -> Result<(), TrainError> {
    let (features, values) = (rows.features.len(), rows.values.len());
    let parameter = |name, value: String, range| TrainError::Parameter { name, value, range };
    if !(1..=MAX_FEATURES).contains(&features) {
        return Err(TrainError::Features { found: features });
    }
    if values % features != 0 {
        return Err(TrainError::RaggedRows { values, features });
    }
    if !(1..=MAX_TREES).contains(&params.trees) {
        return Err(parameter("trees", params.trees.to_string(), "1 to 1000"));
    }
    if !(2..=1 << MAX_HEIGHT).contains(&params.sample_size) {
        return Err(parameter("sample_size", params.sample_size.to_string(), "2 to 4096"));
    }
    if !(alarm_quantile > 0.5 && alarm_quantile < 1.0) {
        return Err(parameter("alarm_quantile", alarm_quantile.to_string(), "over 0.5 and under 1"));
    }
    Ok(())
}

/// `count` of `0..total` without replacement, `count <= total`. Source: Floyd's algorithm, Bentley (1987),
/// "Programming Pearls", CACM 30(9).
fn draw(total: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut drawn = std::collections::BTreeSet::new();
    for last in total - count..total {
        let at = below(last as u64 + 1, rng) as usize;
        if !drawn.insert(at) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

/// A number below `end`; the bias of the product is under 2^-32 for the counts that occur.
fn below(end: u64, rng: &mut ChaCha8Rng) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(end)) >> 64) as u64
}

/// A number over 0 and up to 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

fn grow(sample: &mut [FeatureVector], width: usize, height: u32, rng: &mut ChaCha8Rng) -> Tree {
    let cuts = (1_usize << height) - 1;
    let mut tree = Tree { nodes: vec![Node::PASSED; cuts], leaf_paths: vec![0.0; cuts + 1] };
    grow_node(&mut tree, sample, 0, 0, Branch { width, height }, rng);
    tree
}

#[derive(Clone, Copy)]
struct Branch {
    width: usize,
    height: u32,
}

fn grow_node(
    tree: &mut Tree,
    rows: &mut [FeatureVector],
    node: usize,
    depth: u32,
    branch: Branch,
    rng: &mut ChaCha8Rng,
) {
    let leaf = |tree: &mut Tree| {
        let path = f64::from(depth) + path_length::average(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        fill_leaves(tree, node, depth, branch.height, path as f32);
    };
    if depth == branch.height || rows.len() < 2 {
        return leaf(tree);
    }
    let range = |feature: usize| {
        let values = rows.iter().map(move |row| row[feature]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ranges: Vec<(usize, (f32, f32))> =
        (0..branch.width).map(|feature| (feature, range(feature))).filter(|(_, (low, high))| high > low).collect();
    if ranges.is_empty() {
        return leaf(tree);
    }
    let (feature, (low, high)) = ranges[below(ranges.len() as u64, rng) as usize];
    let drawn = (f64::from(low) + unit(rng) * (f64::from(high) - f64::from(low))) as f32;
    // Rounding to f32 must not leave a side empty.
    let cut = if drawn > low { drawn.min(high) } else { high };
    tree.nodes[node] = Node { cut, range: [low, high], feature: feature as u8 };
    let middle = partition(rows, |row| row[feature] < cut);
    let (left, right) = rows.split_at_mut(middle);
    grow_node(tree, left, 2 * node + 1, depth + 1, branch, rng);
    grow_node(tree, right, 2 * node + 2, depth + 1, branch, rng);
}

/// Moves the rows that go left to the front and counts them.
fn partition(rows: &mut [FeatureVector], goes_left: impl Fn(&FeatureVector) -> bool) -> usize {
    let mut middle = 0;
    for at in 0..rows.len() {
        if goes_left(&rows[at]) {
            rows.swap(middle, at);
            middle += 1;
        }
    }
    middle
}

/// A node that ends a path early: all leaves below it say the same.
fn fill_leaves(tree: &mut Tree, node: usize, depth: u32, height: u32, path: f32) {
    let below = height - depth;
    let first = ((node + 1) << below) - 1 - tree.nodes.len();
    tree.leaf_paths[first..first + (1 << below)].fill(path);
}
