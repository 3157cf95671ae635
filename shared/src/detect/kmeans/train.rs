//! Placing the centres: a pure function of rows, parameters and seed.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    KMeansConfig, MAX_CLUSTERS, MAX_TRIM_SHARE,
    model::{Centre, FeatureScale, KMeansModel, Point, nearest, squared_distance},
};
use crate::detect::{
    features::{FeatureValues, MAX_FEATURES},
    quantile::quantile,
};

/// Rounds of Lloyd's algorithm in one start; scikit-learn's number. Nearly all starts come to rest before.
const MAX_ROUNDS: u32 = 300;

/// Smallest deviation of a feature as a share of its mean's size. One that never varies says nothing, and dividing by
/// its deviation would make its last digit an alarm.
const MIN_SD_SHARE: f64 = 1e-6;

/// Smallest threshold: rows that all stand on a centre must not make the last digit of the next one an alarm.
const MIN_THRESHOLD: f64 = 1e-6;

/// How the centres are placed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansParams {
    /// Number of centres, 1 to 16; fewer where there are fewer different rows.
    pub clusters: u32,
    /// Quantile of the distances beyond which a reading is an anomaly, over 0.5 and under 1.
    pub alarm_quantile: f64,
    /// Starts, 1 to 100, of which the best one counts.
    pub restarts: u32,
    /// Share of the rows, those farthest from all centres, that place no centre.
    pub trim_share: f64,
    /// Interquartile ranges above the upper quartile of the distances below which nothing is an anomaly.
    pub fence: Option<f64>,
}

impl KMeansParams {
    /// Plain k-means with ten starts, as scikit-learn had for long: k-means++ alone misses the best centres now and then.
    #[must_use]
    pub const fn new(clusters: u32, alarm_quantile: f64) -> Self {
        Self { clusters, alarm_quantile, restarts: 10, trim_share: 0.0, fence: None }
    }

    /// What a configuration asks for.
    #[must_use]
    pub const fn of(config: &KMeansConfig) -> Self {
        let plain = Self::new(config.clusters, config.alarm_quantile);
        Self { trim_share: config.trim_share, fence: config.fence, ..plain }
    }
}

/// Rows or parameters that no centres can be placed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KMeansTrainError {
    /// No feature, or too many.
    #[error("k-means takes 1 to {MAX_FEATURES} features, not {found}")]
    Features {
        /// How many there were.
        found: usize,
    },
    /// Not enough rows with values.
    #[error("k-means with {clusters} centres needs at least {clusters} rows with values, not {found}")]
    TooFewRows {
        /// How many centres.
        clusters: u32,
        /// How many rows there were.
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

/// Standardises the rows, places the centres and learns the threshold. NaN is a missing value and counts as the mean;
/// rows without any value are left out. The same rows, parameters and seed give the same bytes.
///
/// # Errors
/// [`KMeansTrainError`].
pub fn train(
    features: &[String],
    rows: &[FeatureValues],
    params: KMeansParams,
    seed: u64,
) -> Result<KMeansModel, KMeansTrainError> {
    check(features, params)?;
    let known = |row: &&FeatureValues| row[..features.len()].iter().any(|value| value.is_finite());
    let rows: Vec<&FeatureValues> = rows.iter().filter(known).collect();
    if rows.len() < params.clusters as usize {
        return Err(KMeansTrainError::TooFewRows { clusters: params.clusters, found: rows.len() });
    }
    let scales: Vec<FeatureScale> =
        features.iter().enumerate().map(|(column, name)| scale(name, rows.iter().map(|row| row[column]))).collect();
    let standardise = KMeansModel::assemble(scales.clone(), Vec::new(), 1.0, 0);
    let points: Vec<Point> = rows.iter().map(|row| standardise.point(row)).collect();
    // At least one row is kept: fewer than half of them are trimmed.
    let kept = points.len() - (params.trim_share * points.len() as f64) as usize;
    let mut best: Option<(Vec<Centre>, f64)> = None;
    for start in 0..params.restarts {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(start));
        let centres = first_centres(&points, kept, features.len(), params.clusters as usize, &mut rng);
        let (centres, inertia) = settle(&points, kept, centres);
        if best.as_ref().is_none_or(|(_, least)| inertia < *least) {
            best = Some((centres, inertia));
        }
    }
    let mut centres = best.map(|(centres, _)| centres).unwrap_or_default();
    centres.sort_by(|a, b| a.0.iter().sum::<f64>().total_cmp(&b.0.iter().sum()));
    let mut distances: Vec<f64> = points.iter().map(|point| nearest(&centres, point).1.sqrt()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let [lower, upper] = [0.25, 0.75].map(|level| quantile(&distances, level));
    let fence = params.fence.map_or(0.0, |fence| upper + fence * (upper - lower));
    let threshold = quantile(&distances, params.alarm_quantile).max(fence).max(MIN_THRESHOLD);
    Ok(KMeansModel::assemble(scales, centres, threshold, rows.len() as u64))
}

fn check(features: &[String], params: KMeansParams) -> Result<(), KMeansTrainError> {
    let parameter = |name, value: String, range| Err(KMeansTrainError::Parameter { name, value, range });
    if !(1..=MAX_FEATURES).contains(&features.len()) {
        return Err(KMeansTrainError::Features { found: features.len() });
    }
    if !(1..=MAX_CLUSTERS).contains(&params.clusters) {
        return parameter("clusters", params.clusters.to_string(), "1 to 16");
    }
    if !(params.alarm_quantile > 0.5 && params.alarm_quantile < 1.0) {
        return parameter("alarm_quantile", params.alarm_quantile.to_string(), "over 0.5 and under 1");
    }
    if !(0.0..MAX_TRIM_SHARE).contains(&params.trim_share) {
        return parameter("trim_share", params.trim_share.to_string(), "0 to under 0.5");
    }
    if params.fence.is_some_and(|fence| !(fence >= 0.0 && fence.is_finite())) {
        return parameter("fence", format!("{:?}", params.fence), "from 0 on");
    }
    if !(1..=100).contains(&params.restarts) {
        return parameter("restarts", params.restarts.to_string(), "1 to 100");
    }
    Ok(())
}

/// Mean and population deviation of the values that are there, in two passes.
fn scale(name: &str, values: impl Iterator<Item = f64> + Clone) -> FeatureScale {
    let known = values.filter(|value| value.is_finite());
    let count = known.clone().count().max(1) as f64;
    // Dividing first cannot overflow where the mean itself does not.
    let mean: f64 = known.clone().map(|value| value / count).sum();
    let variance: f64 = known.map(|value| (value - mean) * ((value - mean) / count)).sum();
    let least = (MIN_SD_SHARE * mean.abs()).max(f64::MIN_POSITIVE);
    let sd = Some(variance.sqrt()).filter(|sd| *sd > least && sd.is_finite());
    FeatureScale { name: name.to_owned(), mean, sd: sd.unwrap_or_else(|| mean.abs().max(1.0)) }
}

/// k-means++: each further centre is a row drawn with a probability that grows with the square of its distance to the
/// centres so far. Those that lie beyond the nearest `kept` rows are not drawn.
fn first_centres(points: &[Point], kept: usize, width: usize, clusters: usize, rng: &mut ChaCha8Rng) -> Vec<Centre> {
    let centre = |at: usize| Centre(points[at][..width].to_vec());
    let mut centres = vec![centre((unit(rng) * points.len() as f64) as usize)];
    let mut squared: Vec<f64> = points.iter().map(|point| squared_distance(&centres[0], point)).collect();
    while centres.len() < clusters {
        let farthest = farthest_kept(&squared, kept);
        let weight = |squared: &f64| if *squared <= farthest { *squared } else { 0.0 };
        let total: f64 = squared.iter().map(weight).sum();
        if total <= 0.0 {
            // Every row stands on a centre already.
            break;
        }
        let mut left = unit(rng) * total;
        let passed = squared.iter().position(|share| {
            left -= weight(share);
            left < 0.0
        });
        // Rounding may leave a rest after the last row.
        let at = passed.or_else(|| squared.iter().rposition(|share| weight(share) > 0.0)).unwrap_or(0);
        let next = centre(at);
        for (least, point) in squared.iter_mut().zip(points) {
            *least = least.min(squared_distance(&next, point));
        }
        centres.push(next);
    }
    centres
}

/// Lloyd's algorithm: rows go to their nearest centre and centres to the mean of their rows, until no row moves. The rows
/// beyond the nearest `kept` go nowhere. Returns the centres and the sum of the squared distances to them.
fn settle(points: &[Point], kept: usize, mut centres: Vec<Centre>) -> (Vec<Centre>, f64) {
    let mut homes = vec![usize::MAX; points.len()];
    let mut inertia = f64::INFINITY;
    for _ in 0..MAX_ROUNDS {
        let near: Vec<(usize, f64)> = points.iter().map(|point| nearest(&centres, point)).collect();
        let farthest_kept = farthest_kept_of(&near, kept);
        let mut moved = false;
        inertia = 0.0;
        let mut sums: Vec<(u64, Point)> = vec![(0, [0.0; MAX_FEATURES]); centres.len()];
        let mut farthest = (0, -1.0);
        for (at, ((centre, squared), home)) in near.into_iter().zip(&mut homes).enumerate() {
            let goes_to = if squared <= farthest_kept { centre } else { usize::MAX };
            moved |= *home != goes_to;
            *home = goes_to;
            let Some((count, sum)) = sums.get_mut(goes_to) else { continue };
            inertia += squared;
            *count += 1;
            sum.iter_mut().zip(&points[at]).for_each(|(sum, at)| *sum += at);
            if squared > farthest.1 {
                farthest = (at, squared);
            }
        }
        if !moved {
            break;
        }
        for (centre, (count, sum)) in centres.iter_mut().zip(&sums) {
            let width = centre.0.len();
            // A centre that lost all of its rows starts again where it is needed most.
            let to: Vec<f64> = if *count == 0 {
                points[farthest.0][..width].to_vec()
            } else {
                sum[..width].iter().map(|sum| sum / *count as f64).collect()
            };
            *centre = Centre(to);
        }
    }
    (centres, inertia)
}

/// The largest of the `kept` smallest squared distances.
fn farthest_kept(squared: &[f64], kept: usize) -> f64 {
    if kept >= squared.len() {
        return f64::INFINITY;
    }
    let mut squared = squared.to_vec();
    *squared.select_nth_unstable_by(kept.saturating_sub(1), f64::total_cmp).1
}

fn farthest_kept_of(near: &[(usize, f64)], kept: usize) -> f64 {
    if kept >= near.len() {
        return f64::INFINITY;
    }
    farthest_kept(&near.iter().map(|(_, squared)| *squared).collect::<Vec<_>>(), kept)
}

/// A number from 0 on and under 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
