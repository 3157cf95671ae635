//! Past issues to learn from: for many hours of the history, what was known then and what came.

use kilowatch_shared::model::LocalCalendar;

use super::{
    hourly::{HourIndex, HourlySeries},
    issue::{ISSUE_FEATURES, issue_features},
};
use crate::training::step_across;

const HOURS_OF_THE_WEEK: usize = 168;

/// Hours of history before the first issue, so that last week is known.
pub const WARM_UP_HOURS: i64 = 168;

/// Rows of (issue, horizon) whose outcome is known, in the order of their issue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IssueTable {
    /// One column per name of [`ISSUE_FEATURES`]; NaN is a missing feature.
    pub columns: Vec<Vec<f32>>,
    /// The mean of the target's hour.
    pub outcome: Vec<f64>,
    /// When the forecast would have been issued.
    pub issues: Vec<HourIndex>,
    /// How many hours ahead the target was.
    pub horizons: Vec<u32>,
}

impl IssueTable {
    /// The table of all devices, for horizons 1 to `horizon_hours`. Issues are thinned so that there are about
    /// `max_rows` rows at most, in steps that visit all hours of the week alike.
    #[must_use]
    pub fn new(devices: &[HourlySeries], calendar: LocalCalendar, horizon_hours: u32, max_rows: usize) -> Self {
        let span = |device: &HourlySeries| (device.first().plus(WARM_UP_HOURS), device.end());
        let issues_of = |device: &HourlySeries| {
            let (from, until) = span(device);
            usize::try_from(until.since(from)).unwrap_or(0)
        };
        let all = devices.iter().map(issues_of).sum::<usize>().saturating_mul(horizon_hours as usize);
        let step = step_across(HOURS_OF_THE_WEEK, all.div_ceil(max_rows.max(1))) as i64;
        let mut table = Self { columns: vec![Vec::new(); ISSUE_FEATURES.len()], ..Self::default() };
        let Some(first) = devices.iter().map(|device| span(device).0).min() else { return table };
        let Some(end) = devices.iter().map(HourlySeries::end).max() else { return table };
        let mut issue = first;
        while issue < end {
            for device in devices.iter().filter(|device| span(device).0 <= issue && issue < device.end()) {
                table.add_issue(device, calendar, issue, horizon_hours);
            }
            issue = issue.plus(step);
        }
        table
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.outcome.len()
    }

    /// The target's hour of a row.
    #[must_use]
    pub fn target_hour(&self, row: usize) -> HourIndex {
        self.issues[row].plus(i64::from(self.horizons[row]))
    }

    /// A feature of a row, if it is known; `name` is one of [`ISSUE_FEATURES`].
    #[must_use]
    pub fn known(&self, row: usize, name: &str) -> Option<f64> {
        let column = ISSUE_FEATURES.iter().position(|known| *known == name)?;
        let value = self.columns[column][row];
        (!value.is_nan()).then_some(f64::from(value))
    }

    fn add_issue(&mut self, device: &HourlySeries, calendar: LocalCalendar, issue: HourIndex, horizon_hours: u32) {
        for horizon in 1..=horizon_hours {
            // An outcome that is missing teaches nothing.
            let Some(outcome) = device.at(issue.plus(i64::from(horizon))) else { continue };
            for (column, value) in self.columns.iter_mut().zip(issue_features(device, calendar, issue, horizon)) {
                column.push(value.map_or(f32::NAN, |value| value as f32));
            }
            self.outcome.push(outcome);
            self.issues.push(issue);
            self.horizons.push(horizon);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{DateTime, Utc};

    use super::{super::hourly::HourTotal, *};

    fn series(hours: std::ops::Range<i64>, missing: &[i64]) -> HourlySeries {
        let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
        let totals: Vec<HourTotal> = hours
            .filter(|at| !missing.contains(at))
            .map(|at| HourTotal { hour: start.plus(at), count: 1, sum: at as f64 })
            .collect();
        HourlySeries::new(&totals, 1.0, start.plus(1_000_000)).unwrap()
    }

    #[test]
    fn every_issue_after_the_first_week_has_a_row_for_each_known_outcome() {
        let table = IssueTable::new(&[series(0..180, &[175])], LocalCalendar::new(0), 3, 1_000_000);
        // Issues 168 to 179, three horizons each; six outcomes lie after the end, three times it is hour 175.
        assert_eq!(table.rows(), 12 * 3 - 6 - 3);
        assert!(table.issues.is_sorted());
        assert_eq!((table.outcome[0], table.horizons[0]), (169.0, 1));
        assert_eq!(table.known(0, super::super::issue::LAST_HOUR), Some(167.0));
        assert_eq!(table.known(0, super::super::issue::SAME_HOUR_LATEST_WEEK), Some(1.0));
    }

    #[test]
    fn thinned_issues_still_visit_every_hour_of_the_week() {
        let device = [series(0..5000, &[])];
        let table = IssueTable::new(&device, LocalCalendar::new(0), 2, 1000);
        assert!((800..=1000).contains(&table.rows()), "{}", table.rows());
        let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
        let hours: BTreeSet<i64> = table.issues.iter().map(|issue| issue.since(start) % 168).collect();
        assert_eq!(hours.len(), 168);
    }

    #[test]
    fn devices_join_when_their_own_first_week_is_over() {
        let table = IssueTable::new(&[series(0..200, &[]), series(100..400, &[])], LocalCalendar::new(0), 1, 1_000_000);
        assert_eq!(table.rows(), (200 - 168 - 1) + (400 - 268 - 1));
        assert!(table.issues.is_sorted());
        assert_eq!(IssueTable::new(&[], LocalCalendar::new(0), 48, 10).rows(), 0);
    }
}
