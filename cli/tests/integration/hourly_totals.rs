//! I2: what the readings add up to by hand, held against what is served.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    position::StreamName,
    rollup::{Partial, window_start},
    views::{SharedViews, UsageQuery, UsageResult},
};

/// One measure by hour, all devices together.
pub struct HourlyTotals {
    measure: String,
    hours: BTreeMap<DateTime<Utc>, Partial>,
}

impl HourlyTotals {
    /// Of readings of a measure: when, and how much.
    pub fn of(measure: &str, readings: impl IntoIterator<Item = (DateTime<Utc>, f64)>) -> Self {
        let mut hours: BTreeMap<DateTime<Utc>, Partial> = BTreeMap::new();
        for (time, power) in readings {
            hours.entry(window_start(time, 3600)).or_insert(Partial::EMPTY).merge(&Partial::of(power));
        }
        Self { measure: measure.to_owned(), hours }
    }

    /// The same hours with the same figures; returns what was served.
    pub async fn is_served(&self, views: &SharedViews, stream: &StreamName) -> UsageResult {
        let query = UsageQuery {
            stream: stream.clone(),
            device: None,
            group: None,
            measure: self.measure.clone(),
            window_secs: 3600,
            // What was ingested as history lies before.
            from: self.hours.keys().next().copied().unwrap_or_default(),
            until: DateTime::UNIX_EPOCH + TimeDelta::days(40_000),
            limit: 10_000,
        };
        let usage = views.usage(&query).await.unwrap();
        assert_eq!(usage.windows.len(), self.hours.len());
        for window in &usage.windows {
            let (truth, served) = (&self.hours[&window.start], &window.partial);
            assert_eq!((served.count, served.min, served.max), (truth.count, truth.min, truth.max), "{}", window.start);
            let (sum, truth) = (served.sum, truth.sum);
            assert!((sum - truth).abs() <= 1e-9 * truth.abs(), "{}: {sum} is not {truth}", window.start);
        }
        usage
    }
}
