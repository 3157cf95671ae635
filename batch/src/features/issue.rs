//! What is known when a forecast is issued. Nothing in here looks at an hour that is not over at the issue.

use kilowatch_shared::model::LocalCalendar;

use super::hourly::{HourIndex, HourlySeries};

/// The features' names, in the order of [`issue_features`].
pub const ISSUE_FEATURES: [&str; 13] = [
    "horizon_hours",
    "hour",
    "day_of_week",
    "month",
    LAST_HOUR,
    "mean_last_3_hours",
    "mean_last_24_hours",
    "mean_last_7_days",
    SAME_HOUR_LATEST_DAY,
    "same_hour_day_before",
    "same_hour_mean_of_7_days",
    SAME_HOUR_LATEST_WEEK,
    "same_hour_mean_of_4_weeks",
];

/// The last hour before the issue: the naive forecast by persistence.
pub const LAST_HOUR: &str = "last_hour";

/// The target's hour of the day on the latest day that is known: the seasonal naive forecast of the day.
pub const SAME_HOUR_LATEST_DAY: &str = "same_hour_latest_day";

/// The target's hour of the week in the latest week that is known: the seasonal naive forecast of the week.
pub const SAME_HOUR_LATEST_WEEK: &str = "same_hour_latest_week";

const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;

/// Features of a forecast that is issued at the start of the hour `issue`, for the hour `horizon_hours` later.
///
/// Hours before `issue` are known, `issue` itself and what follows is not. A feature that the history does not hold is
/// missing.
#[must_use]
pub fn issue_features(
    history: &HourlySeries,
    calendar: LocalCalendar,
    issue: HourIndex,
    horizon_hours: u32,
) -> [Option<f64>; ISSUE_FEATURES.len()] {
    let target = issue.plus(i64::from(horizon_hours));
    let [hour, day_of_week, month] = calendar.features(target.start());
    let last = |hours: i64| history.mean(issue.plus(-hours)..issue);
    let day = latest_known(target, issue, DAY);
    let week = latest_known(target, issue, WEEK);
    [
        Some(f64::from(horizon_hours)),
        Some(hour),
        Some(day_of_week),
        Some(month),
        history.at(issue.plus(-1)),
        last(3),
        last(DAY),
        last(WEEK),
        history.at(day),
        history.at(day.plus(-DAY)),
        mean_of((0..7).map(|back| history.at(day.plus(-DAY * back)))),
        history.at(week),
        mean_of((0..4).map(|back| history.at(week.plus(-WEEK * back)))),
    ]
}

/// The latest hour before `issue` that lies whole seasons before `target`.
fn latest_known(target: HourIndex, issue: HourIndex, season: i64) -> HourIndex {
    let seasons = target.since(issue).div_euclid(season) + 1;
    target.plus(-seasons * season)
}

/// Mean of the known values, if they are at least half of them.
fn mean_of(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (mut all, mut known, mut sum) = (0, 0, 0.0);
    for value in values {
        all += 1;
        if let Some(value) = value {
            known += 1;
            sum += value;
        }
    }
    (known > 0 && known * 2 >= all).then(|| sum / f64::from(known))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::{super::hourly::HourTotal, *};

    fn series(values: &[(i64, f64)], until: HourIndex) -> HourlySeries {
        let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
        let total = |(at, value): &(i64, f64)| HourTotal { hour: start.plus(*at), count: 1, sum: *value };
        HourlySeries::new(&values.iter().map(total).collect::<Vec<_>>(), 1.0, until).unwrap()
    }

    #[test]
    fn features_are_the_ones_computed_by_hand() {
        let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
        let issue = start.plus(800);
        let counting: Vec<(i64, f64)> = (0..900).map(|at| (at, at as f64)).collect();
        let known =
            |horizon| issue_features(&series(&counting, start.plus(900)), LocalCalendar::new(60), issue, horizon);
        // 800 hours after midnight of Thursday the 1st: 08:00 UTC of Tuesday, 3 February; the target is 2 hours later.
        let expected = [
            2.0,
            11.0,
            1.0,
            2.0,
            799.0,
            798.0,
            (776.0 + 799.0) / 2.0,
            (632.0 + 799.0) / 2.0,
            778.0,
            754.0,
            778.0 - 72.0,
            634.0,
            634.0 - 252.0,
        ];
        assert_eq!(known(2), expected.map(Some));
        // From the issue's own hour of tomorrow on, today's is not known yet: the day before it is.
        assert_eq!((known(23)[8], known(24)[8], known(25)[8]), (Some(799.0), Some(776.0), Some(777.0)));
        assert_eq!((known(167)[11], known(168)[11]), (Some(799.0), Some(632.0)));
    }

    #[test]
    fn what_the_history_does_not_hold_is_missing() {
        let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
        let known = issue_features(&series(&[(0, 5.0)], start.plus(1)), LocalCalendar::new(0), start.plus(2000), 1);
        assert!(known[..4].iter().all(Option::is_some));
        assert!(known[4..].iter().all(Option::is_none));
    }

    proptest! {
        #[test]
        fn what_happens_from_the_issue_on_changes_no_feature(
            past in prop::collection::vec(prop::option::weighted(0.9, 0.0_f64..10.0), 30..400),
            one in prop::collection::vec(prop::option::weighted(0.9, 0.0_f64..10.0), 0..100),
            other in prop::collection::vec(prop::option::weighted(0.9, 0.0_f64..10.0), 0..100),
            horizon in 1_u32..=168,
        ) {
            let start = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH);
            let issue = start.plus(past.len() as i64);
            let features = |future: &[Option<f64>]| {
                let mut values = vec![(0, 1.0)];
                values.extend(past.iter().chain(future).enumerate().skip(1).filter_map(|(at, v)| Some((at as i64, (*v)?))));
                issue_features(&series(&values, start.plus(10_000)), LocalCalendar::new(0), issue, horizon)
            };
            prop_assert_eq!(features(&one), features(&other));
        }

        #[test]
        fn every_seasonal_hour_is_over_at_the_issue(issue in -500_i64..500, horizon in 1_u32..=168, week in any::<bool>()) {
            let issue = HourIndex::of(DateTime::<Utc>::UNIX_EPOCH).plus(issue);
            let (season, target) = (if week { WEEK } else { DAY }, issue.plus(i64::from(horizon)));
            let known = latest_known(target, issue, season);
            prop_assert!(known < issue && issue.since(known) <= season);
            prop_assert_eq!(target.since(known) % season, 0);
        }
    }
}
