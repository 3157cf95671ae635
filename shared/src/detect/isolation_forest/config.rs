//! What the detector looks at and how often it may speak.

use serde::{Deserialize, Serialize};

use super::{ForestParams, model::MAX_HEIGHT};
use crate::{
    detect::{alarm_quantile_problem, features::feature_problems, training_window_problem},
    stream::StreamProfile,
};

/// Fewer rows do not show a tree what is usual.
const LEAST_ROWS_PER_TREE: u32 = 16;

/// Configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationForestConfig {
    /// Features in the language of [`crate::detect::features`], 1 to 16.
    pub features: Vec<String>,
    /// Quantile of the training scores from which a reading is an anomaly, over 0.8 and under 1.
    pub alarm_quantile: f64,
    /// Days before the newest reading that are learned from, 1 to 3660. Default: the whole history. A window that
    /// slides follows a drift, and has to span the seasons that it is to know.
    #[serde(default)]
    pub train_window_days: Option<u32>,
    /// Rows that each tree is grown from, 16 to 4096. Default 256, the paper's. More tell apart what lies close together,
    /// such as several kinds of devices in one stream, and a reading costs more: its trees no longer fit into the cache.
    // Not written where it is the default: the build before it, which may be in the same group, reads these pins too.
    #[serde(default = "paper", skip_serializing_if = "is_paper")]
    pub rows_per_tree: u32,
}

const fn paper() -> u32 {
    ForestParams::PAPER.sample_size
}

const fn is_paper(rows: &u32) -> bool {
    *rows == paper()
}

impl IsolationForestConfig {
    /// What is wrong with the configuration under this profile: key, value, fix.
    #[must_use]
    pub fn problems(&self, profile: &StreamProfile) -> Vec<String> {
        let mut problems = feature_problems(&self.features, profile);
        problems.extend(alarm_quantile_problem(self.alarm_quantile));
        problems.extend(training_window_problem(self.train_window_days));
        let (rows, most) = (self.rows_per_tree, 1 << MAX_HEIGHT);
        if !(LEAST_ROWS_PER_TREE..=most).contains(&rows) {
            problems.push(format!("rows_per_tree = {rows}: must be {LEAST_ROWS_PER_TREE} to {most}"));
        }
        problems
    }
}
