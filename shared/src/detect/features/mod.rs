//! What learned detectors look at: features, written in the profile and computed alike by training and live.
//!
//! | written | is |
//! |---|---|
//! | `active_power` | the measure |
//! | `lag(active_power, 3)` | its third last value before this reading |
//! | `difference(active_power)` | the reading minus the last value before it |
//! | `rolling_mean(active_power, 60)` | the mean of the 60 values before it, or of as many as there are |
//! | `unchanged(active_power)` | how many values right before it were the same as its own |
//! | `hour`, `day_of_week`, `month` | local time of the profile: 0 to 23, Monday = 0 to 6, 1 to 12 |
//! | `is(plant_type, wind)` | 1 if the tag has that value, 0 if it has another |
//!
//! [`parse()`] reads one, [`FeatureSet`] computes a list of them for a reading and keeps what it needs of a device.
//! Values that are missing are passed over: a lag counts values, not readings. Live, "before" is the order of the log.

mod extract;
mod parse;

pub use extract::{FeatureSet, FeatureState, FeatureValues};
pub use parse::{Feature, parse};

/// Most features of a detector. A fixed length lets the compiler drop the bounds check of every comparison.
pub const MAX_FEATURES: usize = 16;

/// What is wrong with a list of features under a profile: key, value, fix.
#[must_use]
pub fn feature_problems(features: &[String], profile: &crate::stream::StreamProfile) -> Vec<String> {
    let mut problems = Vec::new();
    let count = features.len();
    if !(1..=MAX_FEATURES).contains(&count) {
        problems.push(format!("features: {count} named; must be 1 to {MAX_FEATURES}"));
    }
    let mut known = Vec::new();
    for text in features {
        match parse(text, profile) {
            Ok(feature) if known.contains(&feature) => problems.push(format!("features: `{text}` is named twice")),
            Ok(feature) => known.push(feature),
            Err(problem) => problems.push(format!("features: {problem}")),
        }
    }
    if !known.is_empty() && known.iter().all(|feature| feature.measure().is_none()) {
        problems.push("features: none of them looks at a measure; name at least one that does".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests;
