//! I2: what the readings add up to by hand, held against what is served.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    position::StreamName,
    rollup::{Partial, window_start},
    views::{SharedViews, UsageQuery, UsageResult},
};

/// Active power by hour, all devices together.
pub struct HourlyPower(BTreeMap<DateTime<Utc>, Partial>);

impl HourlyPower {
    /// Of readings: when, and how much.
    pub fn of(readings: impl IntoIterator<Item = (DateTime<Utc>, f64)>) -> Self {
        let mut hours: BTreeMap<DateTime<Utc>, Partial> = BTreeMap::new();
        for (time, power) in readings {
            hours.entry(window_start(time, 3600)).or_insert(Partial::EMPTY).merge(&Partial::of(power));
        }
        Self(hours)
    }

    /// The same hours with the same figures; returns what was served.
    pub async fn is_served(&self, views: &SharedViews, stream: &StreamName) -> UsageResult {
        let query = UsageQuery {
            stream: stream.clone(),
            device: None,
            group: None,
            measure: "active_power".to_owned(),
            window_secs: 3600,
            from: DateTime::UNIX_EPOCH,
            until: DateTime::UNIX_EPOCH + TimeDelta::days(40_000),
            limit: 10_000,
        };
        let usage = views.usage(&query).await.unwrap();
        assert_eq!(usage.windows.len(), self.0.len());
        for window in &usage.windows {
            let (truth, served) = (&self.0[&window.start], &window.partial);
            assert_eq!((served.count, served.min, served.max), (truth.count, truth.min, truth.max), "{}", window.start);
            let (sum, truth) = (served.sum, truth.sum);
            assert!((sum - truth).abs() <= 1e-9 * truth.abs(), "{}: {sum} is not {truth}", window.start);
        }
        usage
    }
}
