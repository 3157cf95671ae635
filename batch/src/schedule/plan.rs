//! Which jobs are due: a pure function of the expressions and the time that is told.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use kilowatch_shared::retry::RetryHint;

use super::{Misfire, ScheduleConfig};

/// A job that the schedule knows, in the order in which due ones run: a roll-up publishes what was ingested, a forecast wants
/// the newest model, and nothing waits for housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScheduledJob {
    /// Ingest what is new of the declared inputs.
    Ingest,
    /// Publish roll-ups.
    Rollup,
    /// Train every declared model.
    Train,
    /// Forecast the hours ahead.
    Forecast,
    /// Merge small data files.
    Compact,
    /// Delete what is older than its limit.
    Expire,
    /// Delete what nobody needs.
    Vacuum,
}

impl ScheduledJob {
    /// All jobs, in the order in which due ones run.
    pub const ALL: [Self; 7] =
        [Self::Ingest, Self::Rollup, Self::Train, Self::Forecast, Self::Compact, Self::Expire, Self::Vacuum];

    /// Its name in the configuration and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Rollup => "rollup",
            Self::Train => "train",
            Self::Forecast => "forecast",
            Self::Compact => "compact",
            Self::Expire => "expire",
            Self::Vacuum => "vacuum",
        }
    }
}

/// Wait before the first try anew; each further one waits twice as long.
const FIRST_RETRY: TimeDelta = TimeDelta::minutes(1);

/// Longest wait between tries: an outage of a night costs its training an hour and not a day.
const LONGEST_RETRY: TimeDelta = TimeDelta::hours(1);

/// A job that begins so late was missed.
const MISSED_AFTER: TimeDelta = TimeDelta::minutes(1);

/// A job and when it runs.
#[derive(Debug, Clone)]
struct Entry {
    job: ScheduledJob,
    cron: ZonedCron,
    next: Option<DateTime<Utc>>,
    retry: Option<DateTime<Utc>>,
    retries: u32,
}

/// An expression in its time zone.
#[derive(Debug, Clone)]
struct ZonedCron {
    cron: Cron,
    zone: Tz,
}

/// Jobs with the time of their next run.
#[derive(Debug, Clone)]
pub struct Schedule {
    entries: Vec<Entry>,
    misfire: Misfire,
}

impl Schedule {
    /// The schedule of a configuration, as of `now`: what lies before is not made up for, unless [`Self::ran`] tells that a
    /// job last ran before that.
    ///
    /// # Errors
    /// The configuration's problems, of which [`ScheduleConfig::problems`] tells before.
    pub fn try_new(config: &ScheduleConfig, now: DateTime<Utc>) -> Result<Self, Vec<String>> {
        let Some(zone) = config.zone() else { return Err(config.problems()) };
        let mut entries = Vec::new();
        for job in ScheduledJob::ALL {
            match parse_cron(config.cron_of(job)) {
                Ok(Some(cron)) => {
                    let cron = ZonedCron { cron, zone };
                    entries.push(Entry { job, next: cron.next_after(now), cron, retry: None, retries: 0 });
                }
                Ok(None) => {}
                Err(_) => return Err(config.problems()),
            }
        }
        Ok(Self { entries, misfire: config.misfire })
    }

    /// When the next job is due, if ever.
    #[must_use]
    pub fn next_run(&self) -> Option<DateTime<Utc>> {
        self.entries.iter().flat_map(|entry| [entry.next, entry.retry]).flatten().min()
    }

    /// Learns that a job last began at `began`, whoever ran it: it is due at its first time after that.
    pub fn ran(&mut self, job: ScheduledJob, began: DateTime<Utc>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.job == job) {
            (entry.next, entry.retry, entry.retries) = (entry.cron.next_after(began), None, 0);
        }
    }

    /// The jobs that are due, each once however often it was missed, in the order in which they run. Their next run is
    /// the first one after `now`.
    pub fn take_due(&mut self, now: DateTime<Utc>) -> Vec<ScheduledJob> {
        let mut due = Vec::new();
        let counts = |at: DateTime<Utc>| self.misfire == Misfire::Once || now - at < MISSED_AFTER;
        for entry in &mut self.entries {
            let is_due = entry.next.is_some_and(|at| at <= now && counts(at));
            if is_due || entry.retry.is_some_and(|at| at <= now) {
                due.push(entry.job);
                entry.retry = None;
            }
            // Also of a job that is not due: a clock that was set back must not make it wait for the old future.
            entry.next = entry.cron.next_after(now);
        }
        due
    }

    /// The next time of a job that began at `began`, if it took longer until `ended` than from that time to the one after.
    #[must_use]
    pub fn overrun(&self, job: ScheduledJob, began: DateTime<Utc>, ended: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let entry = self.entries.iter().find(|entry| entry.job == job)?;
        let next = entry.cron.next_after(began)?;
        let interval = entry.cron.next_after(next)? - next;
        (ended - began > interval).then_some(next)
    }

    /// Learns how a due job ended: one that may go through later is due again after 1, 2, 4 .. 60 minutes, or at its next
    /// time if that comes first.
    pub fn ended(&mut self, job: ScheduledJob, hint: RetryHint, now: DateTime<Utc>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.job == job) {
            (entry.retry, entry.retries) = match hint {
                RetryHint::Never => (None, 0),
                RetryHint::WithBackoff => {
                    let wait = FIRST_RETRY.checked_mul(1 << entry.retries.min(6)).unwrap_or(LONGEST_RETRY);
                    (now.checked_add_signed(wait.min(LONGEST_RETRY)), entry.retries.saturating_add(1))
                }
            };
        }
    }
}

/// The expression, or `None` of an empty one.
pub(super) fn parse_cron(text: &str) -> Result<Option<Cron>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let fields = text.split_whitespace().count();
    if fields != 5 && !text.starts_with('@') {
        return Err(format!("it has {fields} fields and not 5"));
    }
    Cron::from_str(text).map(Some).map_err(|error| error.to_string())
}

impl ZonedCron {
    fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = instant.with_timezone(&self.zone);
        self.cron.find_next_occurrence(&local, false).ok().map(|next| next.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn schedule(now: &str) -> Schedule {
        Schedule::try_new(&ScheduleConfig::default(), at(now)).unwrap()
    }

    #[test]
    fn jobs_are_due_at_their_minute_and_not_before() {
        let mut schedule = schedule("2007-06-01T02:03:30Z");
        assert_eq!(schedule.next_run(), Some(at("2007-06-01T02:04:00Z")));
        assert_eq!(schedule.take_due(at("2007-06-01T02:03:59Z")), []);
        assert_eq!(schedule.take_due(at("2007-06-01T02:04:00Z")), [ScheduledJob::Rollup]);
        assert_eq!(schedule.take_due(at("2007-06-01T02:04:30Z")), []);
        assert_eq!(schedule.take_due(at("2007-06-01T02:05:00Z")), [ScheduledJob::Rollup, ScheduledJob::Forecast]);
    }

    #[test]
    fn missed_runs_are_made_up_for_once_with_the_model_before_the_forecast() {
        let mut schedule = schedule("2007-06-01T02:00:00Z");
        let late = at("2007-06-03T17:20:10Z");
        // No ingest, which has no expression.
        assert_eq!(schedule.take_due(late), ScheduledJob::ALL[1..]);
        assert_eq!(schedule.take_due(late), []);
        assert_eq!(schedule.next_run(), Some(at("2007-06-03T17:21:00Z")));
    }

    #[test]
    fn a_job_without_an_expression_never_runs() {
        let config = ScheduleConfig {
            rollup: String::new(),
            forecast: " ".to_owned(),
            train: String::new(),
            compact: String::new(),
            expire: String::new(),
            vacuum: String::new(),
            ..Default::default()
        };
        let mut schedule = Schedule::try_new(&config, at("2007-01-01T00:00:00Z")).unwrap();
        assert_eq!(schedule.next_run(), None);
        assert_eq!(schedule.take_due(at("2107-01-01T00:00:00Z")), []);
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_century_does_not_stop_the_schedule() {
        let mut schedule = schedule("2126-01-01T00:00:00Z");
        assert_eq!(schedule.take_due(at("2026-01-01T00:00:30Z")), []);
        assert_eq!(schedule.next_run(), Some(at("2026-01-01T00:01:00Z")));
    }

    #[test]
    fn a_nightly_job_that_found_its_neighbours_away_is_tried_again_in_longer_and_longer_waits() {
        let mut schedule = Schedule::try_new(
            &ScheduleConfig {
                rollup: String::new(),
                forecast: String::new(),
                compact: String::new(),
                expire: String::new(),
                vacuum: String::new(),
                ..Default::default()
            },
            at("2007-06-01T02:00:00Z"),
        )
        .unwrap();
        let mut now = at("2007-06-01T02:30:00Z");
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(schedule.take_due(now), [ScheduledJob::Train]);
            schedule.ended(ScheduledJob::Train, RetryHint::WithBackoff, now);
            let again = now + TimeDelta::minutes(minutes);
            assert_eq!(schedule.next_run(), Some(again));
            assert_eq!(schedule.take_due(again - TimeDelta::seconds(1)), []);
            now = again;
        }
        assert_eq!(schedule.take_due(now), [ScheduledJob::Train]);
        schedule.ended(ScheduledJob::Train, RetryHint::Never, now);
        assert_eq!(schedule.next_run(), Some(at("2007-06-02T02:30:00Z")));
    }

    #[test]
    fn a_try_anew_does_not_outlive_the_jobs_own_time() {
        let mut schedule = schedule("2007-06-01T02:00:00Z");
        let due = at("2007-06-01T02:01:00Z");
        assert_eq!(schedule.take_due(due), [ScheduledJob::Rollup]);
        schedule.ended(ScheduledJob::Rollup, RetryHint::WithBackoff, due);
        assert_eq!(schedule.take_due(at("2007-06-01T02:02:00Z")), [ScheduledJob::Rollup]);
        assert_eq!(schedule.take_due(at("2007-06-01T02:02:30Z")), []);
    }

    #[test]
    fn a_schedule_that_skips_what_it_missed_waits_for_the_next_time() {
        let config = ScheduleConfig { misfire: Misfire::Skip, ..ScheduleConfig::default() };
        let mut schedule = Schedule::try_new(&config, at("2007-06-01T02:00:00Z")).unwrap();
        assert_eq!(schedule.take_due(at("2007-06-03T17:20:10Z")), []);
        assert_eq!(schedule.take_due(at("2007-06-03T17:21:59Z")), [ScheduledJob::Rollup]);
    }

    #[test]
    fn a_job_whose_time_passed_since_it_last_ran_is_due_and_one_that_ran_is_not() {
        let now = at("2007-06-03T17:20:10Z");
        let mut schedule = schedule("2007-06-03T17:20:10Z");
        schedule.ran(ScheduledJob::Train, at("2007-06-02T02:30:00Z"));
        schedule.ran(ScheduledJob::Forecast, at("2007-06-03T17:05:00Z"));
        assert_eq!(schedule.take_due(now), [ScheduledJob::Train]);
        assert_eq!(schedule.take_due(now), []);
    }

    #[test]
    fn a_job_that_is_still_at_work_at_its_next_time_takes_longer_than_its_interval() {
        let schedule = schedule("2007-06-01T02:00:00Z");
        let began = at("2007-06-01T02:01:00Z");
        assert_eq!(schedule.overrun(ScheduledJob::Rollup, began, at("2007-06-01T02:01:59Z")), None);
        let next = Some(at("2007-06-01T02:02:00Z"));
        assert_eq!(schedule.overrun(ScheduledJob::Rollup, began, at("2007-06-01T02:07:30Z")), next);
    }

    #[test]
    fn nightly_is_by_the_clock_on_the_wall_also_in_the_nights_when_it_is_changed() {
        let config = ScheduleConfig {
            timezone: "Europe/Paris".to_owned(),
            rollup: String::new(),
            forecast: String::new(),
            compact: String::new(),
            expire: String::new(),
            vacuum: String::new(),
            ..ScheduleConfig::default()
        };
        let schedule = Schedule::try_new(&config, at("2026-03-27T12:00:00Z")).unwrap();
        let nights = |from: &str| {
            let mut schedule = schedule.clone();
            schedule.ran(ScheduledJob::Train, at(from));
            std::array::from_fn(|_| {
                let next = schedule.next_run().unwrap();
                assert_eq!(schedule.take_due(next), [ScheduledJob::Train]);
                next.to_string()
            })
        };
        // At 02:00 it is 03:00: half past two does not exist, the training comes right after.
        let spring = nights("2026-03-27T12:00:00Z");
        assert_eq!(spring, ["2026-03-28 01:30:00 UTC", "2026-03-29 01:00:00 UTC", "2026-03-30 00:30:00 UTC"]);
        // At 03:00 it is 02:00 again: half past two comes twice, the training once.
        let autumn = nights("2026-10-23T12:00:00Z");
        assert_eq!(autumn, ["2026-10-24 00:30:00 UTC", "2026-10-25 00:30:00 UTC", "2026-10-26 01:30:00 UTC"]);
    }

    #[test]
    fn a_bad_expression_makes_no_schedule() {
        let config = ScheduleConfig { train: "30 26 * * *".to_owned(), ..Default::default() };
        assert_eq!(Schedule::try_new(&config, at("2007-01-01T00:00:00Z")).unwrap_err().len(), 1);
    }
}
