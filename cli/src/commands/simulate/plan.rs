//! When simulated readings are stamped, and how fast they go out.

use anyhow::Context as _;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use kilowatch_speed::simulate::csv::instant_of;

/// Which readings, and at which pace.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Event time of the first reading; `None` stamps each with the moment it is sent.
    pub from: Option<DateTime<Utc>>,
    /// Event time between two readings of a device.
    pub interval: TimeDelta,
    /// How many; `None` for no end.
    pub count: Option<u64>,
    /// Readings a second; `None` for full speed.
    pub rate: Option<f64>,
}

impl Plan {
    /// Readings of now, without an end.
    pub const fn live(rate: f64) -> Self {
        Self { from: None, interval: TimeDelta::zero(), count: None, rate: Some(rate) }
    }

    /// Readings of the past at full speed. What is not said follows from the rest: the readings end now.
    pub fn back_dated(
        from: Option<DateTime<Utc>>,
        interval: TimeDelta,
        count: Option<u64>,
        devices: usize,
        now: DateTime<Utc>,
    ) -> Self {
        let micros = interval.num_microseconds().unwrap_or(i64::MAX).max(1).unsigned_abs();
        let until_now = |from: DateTime<Utc>| {
            let span = (now - from).num_microseconds().unwrap_or(0).max(0).unsigned_abs();
            (span / micros).saturating_mul(devices as u64)
        };
        let count = count.or_else(|| from.map(until_now));
        let from = from.unwrap_or_else(|| {
            // At a whole minute or second, as a device's clock would.
            let now = now.duration_trunc(interval.min(TimeDelta::days(1))).unwrap_or(now);
            let span = instant_of(now, interval, devices, count.unwrap_or(0)) - now;
            now.checked_sub_signed(span).unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH)
        });
        Self { from: Some(from), interval, count, rate: None }
    }

    /// The same readings, so many a second.
    pub const fn at_rate(self, rate: Option<f64>) -> Self {
        Self { rate, ..self }
    }

    /// The instant of a message, if it is not the moment of sending.
    pub fn instant(&self, devices: usize, message: u64) -> Option<DateTime<Utc>> {
        self.from.map(|from| instant_of(from, self.interval, devices, message))
    }
}

/// Seconds as a span of time.
pub fn seconds(seconds: f64) -> anyhow::Result<TimeDelta> {
    let span = std::time::Duration::try_from_secs_f64(seconds).ok().and_then(|span| TimeDelta::from_std(span).ok());
    span.with_context(|| format!("{seconds} seconds are no span of time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn readings_without_a_start_end_now() {
        let now = at("2026-03-02T01:00:04.5Z");
        let plan = Plan::back_dated(None, TimeDelta::seconds(10), Some(20), 2, now);
        assert_eq!(plan.from, Some(at("2026-03-02T00:58:20Z")));
        assert_eq!(plan.instant(2, 20), Some(at("2026-03-02T01:00:00Z")));
    }

    #[test]
    fn readings_without_a_number_end_now() {
        let now = at("2026-03-02T01:00:00Z");
        let plan = Plan::back_dated(Some(at("2026-03-02T00:59:00Z")), TimeDelta::seconds(10), None, 3, now);
        assert_eq!(plan.count, Some(18));
        let later = Plan::back_dated(Some(at("2026-03-03T00:00:00Z")), TimeDelta::seconds(10), None, 3, now);
        assert_eq!(later.count, Some(0));
    }
}
