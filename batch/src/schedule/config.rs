//! When which job runs.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    ScheduledInput,
    plan::{ScheduledJob, parse_cron},
};

/// What becomes of a time that passed while nobody could run its job: the process was away, or busy with another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// It is made up for, once however many times passed.
    #[default]
    Once,
    /// The job waits for its next time.
    Skip,
}

/// Cron expressions (minute, hour, day of month, month, day of week); an empty one never runs its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Ingests what is new of `inputs`. Default `""`, never. Variable `KILOWATCH_SCHEDULE__INGEST`.
    pub ingest: String,
    /// What the scheduled ingest takes, one table `[[schedule.inputs]]` for each stream or kind of file. Default none.
    /// Variable `KILOWATCH_SCHEDULE__INPUTS`, as `[{stream="household",files=["/inbox"]}]`.
    pub inputs: Vec<ScheduledInput>,
    /// Publishes roll-ups of what reached the lake. Default `* * * * *`, every minute: segments close once a minute.
    /// Variable `KILOWATCH_SCHEDULE__ROLLUP`.
    pub rollup: String,
    /// Forecasts the hours ahead. Default `5 * * * *`, five past each hour: readings of the hour before have arrived.
    /// Variable `KILOWATCH_SCHEDULE__FORECAST`.
    pub forecast: String,
    /// Trains every model that the stream declares. Default `30 2 * * *`, nightly.
    /// Variable `KILOWATCH_SCHEDULE__TRAIN`.
    pub train: String,
    /// Merges small data files and writes checkpoints of the log. Default `20 * * * *`, hourly: speed adds a file a
    /// minute. Variable `KILOWATCH_SCHEDULE__COMPACT`.
    pub compact: String,
    /// Deletes what is older than its limit in `[retention]`. Default `10 3 * * *`, nightly. Variable
    /// `KILOWATCH_SCHEDULE__EXPIRE`.
    pub expire: String,
    /// Deletes what nobody needs any more, as `[retention]` says. Default `40 3 * * *`, nightly. Variable
    /// `KILOWATCH_SCHEDULE__VACUUM`.
    pub vacuum: String,
    /// Time zone of the expressions by its IANA name, as `Europe/Paris`. A time that a change to summer time leaves out is
    /// made up for right after it, one that occurs twice counts once. Default `UTC`. Variable `KILOWATCH_SCHEDULE__TIMEZONE`.
    pub timezone: String,
    /// What becomes of a time that passed while nobody could run its job: `once` makes up for it once, `skip` waits for
    /// the next one. Default `once`. Variable `KILOWATCH_SCHEDULE__MISFIRE`.
    pub misfire: Misfire,
    /// Seed of the trainings: the same history gives the same models. Default 42.
    /// Variable `KILOWATCH_SCHEDULE__TRAIN_SEED`.
    pub train_seed: u64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            ingest: String::new(),
            inputs: Vec::new(),
            rollup: "* * * * *".to_owned(),
            forecast: "5 * * * *".to_owned(),
            train: "30 2 * * *".to_owned(),
            compact: "20 * * * *".to_owned(),
            expire: "10 3 * * *".to_owned(),
            vacuum: "40 3 * * *".to_owned(),
            timezone: "UTC".to_owned(),
            misfire: Misfire::default(),
            train_seed: 42,
        }
    }
}

impl ScheduleConfig {
    /// The expression of a job.
    #[must_use]
    pub fn cron_of(&self, job: ScheduledJob) -> &str {
        match job {
            ScheduledJob::Ingest => &self.ingest,
            ScheduledJob::Rollup => &self.rollup,
            ScheduledJob::Forecast => &self.forecast,
            ScheduledJob::Train => &self.train,
            ScheduledJob::Compact => &self.compact,
            ScheduledJob::Expire => &self.expire,
            ScheduledJob::Vacuum => &self.vacuum,
        }
    }

    /// The time zone of the expressions, if there is one of that name.
    pub(super) fn zone(&self) -> Option<Tz> {
        self.timezone.parse().ok()
    }

    /// What is wrong with the configuration, one line a problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let zone = self.zone().is_none().then(|| {
            format!("timezone = {:?}: is no IANA time zone; write one as \"Europe/Paris\" or \"UTC\"", self.timezone)
        });
        let inputs = self.inputs.iter().enumerate();
        let inputs = inputs.flat_map(|(index, input)| {
            input.problems().into_iter().map(move |problem| format!("inputs[{index}].{problem}"))
        });
        let inputless = (!self.ingest.trim().is_empty() && self.inputs.is_empty()).then(|| {
            format!(
                "ingest = {:?}: nothing is named to ingest; add a table [[schedule.inputs]] with stream and files",
                self.ingest
            )
        });
        ScheduledJob::ALL
            .into_iter()
            .filter_map(|job| {
                let cron = self.cron_of(job);
                let reason = parse_cron(cron).err()?;
                let key = job.as_str();
                Some(format!(
                    "{key} = {cron:?}: {reason}; write minute, hour, day, month and day of week as in \"30 2 * * *\", or \"\" for never"
                ))
            })
            .chain(zone)
            .chain(inputless)
            .chain(inputs)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(ScheduleConfig::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_bad_expression_is_named_with_its_key() {
        let config = ScheduleConfig {
            rollup: "every minute".to_owned(),
            forecast: String::new(),
            train: "61 2 * * *".to_owned(),
            ..ScheduleConfig::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("rollup = \"every minute\": "), "{problems:?}");
        assert!(problems[1].starts_with("train = \"61 2 * * *\": "), "{problems:?}");
    }

    #[test]
    fn a_time_zone_that_does_not_exist_is_named() {
        let config = ScheduleConfig { timezone: "Europe/Atlantis".to_owned(), ..ScheduleConfig::default() };
        let problems = config.problems();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("timezone = \"Europe/Atlantis\": is no IANA time zone"), "{problems:?}");
    }

    #[test]
    fn an_ingest_without_inputs_and_an_input_without_files_are_named() {
        let config = ScheduleConfig { ingest: "*/15 * * * *".to_owned(), ..ScheduleConfig::default() };
        assert!(
            config.problems()[0].starts_with("ingest = \"*/15 * * * *\": nothing is named"),
            "{:?}",
            config.problems()
        );
        let input = ScheduledInput::new(kilowatch_shared::position::StreamName::parse("grid").unwrap(), Vec::new());
        let config = ScheduleConfig { inputs: vec![input], ..config };
        assert!(config.problems()[0].starts_with("inputs[0].files = []"), "{:?}", config.problems());
        assert_eq!(config.problems().len(), 1);
    }

    #[test]
    fn six_fields_are_refused_because_seconds_would_be_meant_by_mistake() {
        let config = ScheduleConfig { rollup: "* * * * * *".to_owned(), ..ScheduleConfig::default() };
        assert_eq!(config.problems().len(), 1);
    }
}
