//! Stored windows become the windows of an answer.

use chrono::{DateTime, FixedOffset, Utc};
use kilowatch_shared::{rollup::Partial, views::UsageWindow};

use crate::calendar::Step;

/// A window of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub partial: Partial,
    pub batch_count: u64,
}

/// Sums stored windows, which ascend, into local ones. A window without a value does not appear: a gap stays a gap.
pub(super) fn fold(stored: &[UsageWindow], step: Step, offset: FixedOffset) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for part in stored.iter().filter(|part| part.partial.count > 0) {
        match windows.last_mut() {
            Some(open) if part.start < open.end => {
                open.partial.merge(&part.partial);
                open.batch_count += part.batch_count;
            }
            _ => {
                let start = step.floor(part.start, offset);
                windows.push(Window {
                    start,
                    end: step.advance(start, 1, offset),
                    partial: part.partial,
                    batch_count: part.batch_count,
                });
            }
        }
    }
    windows
}

/// How many readings one device should have sent in `[start, end)`, as far as `now` allows.
pub(super) fn expected_readings(
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
    interval_secs: u32,
) -> u64 {
    let elapsed_secs = (end.min(now) - start).num_seconds();
    u64::try_from(elapsed_secs).unwrap_or(0) / u64::from(interval_secs.max(1))
}

/// Share of the expected readings that arrived. A device that sends more often than its profile says is complete.
#[expect(clippy::cast_precision_loss, reason = "counts of readings are far below 2^53")]
pub(super) fn completeness(count: u64, expected: u64) -> Option<f64> {
    (expected > 0).then(|| (count as f64 / expected as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(start: &str, value: f64, batch_count: u64) -> UsageWindow {
        UsageWindow { start: start.parse().unwrap(), partial: Partial::of(value), batch_count }
    }

    #[test]
    fn local_days_take_the_hours_of_the_evening_before() {
        let hours = [
            hour("2006-12-31T22:00:00Z", 1.0, 1),
            hour("2006-12-31T23:00:00Z", 2.0, 1),
            hour("2007-01-01T22:00:00Z", 4.0, 0),
        ];
        let days = fold(&hours, Step::Day, FixedOffset::east_opt(3600).unwrap());
        assert_eq!(days.len(), 2);
        assert_eq!((days[0].partial.sum, days[1].partial.sum), (1.0, 6.0));
        assert_eq!((days[1].partial.count, days[1].batch_count), (2, 1));
        assert_eq!(days[1].start.to_rfc3339(), "2006-12-31T23:00:00+00:00");
    }

    #[test]
    fn a_gap_is_no_window() {
        let empty =
            UsageWindow { start: "2007-01-02T00:00:00Z".parse().unwrap(), partial: Partial::EMPTY, batch_count: 0 };
        let hours = [hour("2007-01-01T00:00:00Z", 1.0, 1), empty, hour("2007-01-03T00:00:00Z", 1.0, 1)];
        let days = fold(&hours, Step::Day, FixedOffset::east_opt(0).unwrap());
        let starts: Vec<String> = days.iter().map(|day| day.start.date_naive().to_string()).collect();
        assert_eq!(starts, ["2007-01-01", "2007-01-03"]);
    }

    #[test]
    fn the_window_that_runs_expects_only_what_could_have_come() {
        let [start, end, now] =
            ["2007-01-01T00:00:00Z", "2007-01-01T01:00:00Z", "2007-01-01T00:30:00Z"].map(|text| text.parse().unwrap());
        assert_eq!(expected_readings(start, end, now, 60), 30);
        assert_eq!(completeness(15, 30), Some(0.5));
        assert_eq!(expected_readings(end, end + chrono::TimeDelta::hours(1), now, 60), 0);
        assert_eq!(completeness(0, 0), None);
    }
}
