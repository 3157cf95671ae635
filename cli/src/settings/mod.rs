//! The effective configuration: defaults < `kilowatch.toml` < environment < flags, merged and checked once.
//!
//! [`resolve`] is pure: it takes the file's text and the environment as values, and only `main` reads the process.

mod environment;
mod error;
mod log_security;
mod show;
mod sql;
mod stores;

use std::{collections::BTreeMap, path::PathBuf};

use figment::{
    Figment, Profile, Provider,
    providers::{Format, Serialized, Toml},
};
use kilowatch_batch::{RetentionConfig, ScheduleConfig, ingest::IngestConfig};
use kilowatch_serving::{OpsConfig, ServingConfig};
use kilowatch_speed::SpeedConfig;
use serde::{Deserialize, Serialize};

pub use error::SettingsError;
pub use log_security::LogSecuritySettings;
pub use show::{ShownValue, shown_values};
pub use sql::SqlSettings;
pub use stores::{LakeSettings, LogSettings, ViewsSettings};

/// Ours at `info`, others at `warn`. The HTTP parser calls every request that is none an error, at the word of any client;
/// such a request is answered with 400 and is no fault of ours.
const DEFAULT_LOG_FILTER: &str = "warn,actix_http::h1::dispatcher=off,kilowatch=info,kilowatch_shared=info,\
     kilowatch_batch=info,kilowatch_speed=info,kilowatch_serving=info";

/// Everything that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder of everything embedded: lake, views, log, simulated history. Default `kilowatch-data`.
    /// Variable `KILOWATCH_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Profiles of the user's own streams, as TOML files. Default none. Variable `KILOWATCH_STREAM_FILES`, as
    /// `["a.toml","b.toml"]`.
    pub stream_files: Vec<PathBuf>,
    /// What is logged, as `tracing` filter directives. Variable `KILOWATCH_LOG_FILTER`.
    pub log_filter: String,
    /// Where the lake is.
    pub lake: LakeSettings,
    /// Where the views are.
    pub views: ViewsSettings,
    /// Where the log is.
    pub log: LogSettings,
    /// Micro-batches and segments.
    pub speed: SpeedConfig,
    /// The HTTP server.
    pub serving: ServingConfig,
    /// Health and metrics of the roles that have no dashboard.
    pub ops: OpsConfig,
    /// When batch jobs run, inside `up` and in `batch schedule`.
    pub schedule: ScheduleConfig,
    /// How long what is past stays.
    pub retention: RetentionConfig,
    /// What `batch ingest` may use.
    pub ingest: IngestConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("kilowatch-data"),
            stream_files: Vec::new(),
            log_filter: DEFAULT_LOG_FILTER.to_owned(),
            lake: LakeSettings::default(),
            views: ViewsSettings::default(),
            log: LogSettings::default(),
            speed: SpeedConfig::default(),
            serving: ServingConfig::default(),
            ops: OpsConfig::default(),
            schedule: ScheduleConfig::default(),
            retention: RetentionConfig::default(),
            ingest: IngestConfig::default(),
        }
    }
}

/// What the global flags say; `None` leaves the value to the other sources.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flags {
    /// `--data-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingFlags>,
}

/// The part of the flags that is about serving.
#[derive(Debug, Clone, Serialize)]
pub struct ServingFlags {
    /// `--listen`.
    pub listen: String,
}

/// A config file's text, and what to call it in errors.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// Merges the sources and checks the result.
///
/// # Errors
/// [`SettingsError`]: the key, the value and the fix; all contradictions at once.
pub fn resolve(
    file: Option<ConfigFile<'_>>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<Settings, SettingsError> {
    let settings: Settings = sources(file, environment, flags).extract().map_err(SettingsError::from)?;
    let problems = settings.problems();
    if problems.is_empty() { Ok(settings) } else { Err(SettingsError::Contradictory { problems }) }
}

/// The merged sources, each value with its origin.
fn sources(file: Option<ConfigFile<'_>>, environment: &BTreeMap<String, String>, flags: &Flags) -> Figment {
    let defaults = Serialized::defaults(Settings::default());
    let of_the_defaults = defaults.data().ok().and_then(|mut data| data.remove(&Profile::Default)).unwrap_or_default();
    let mut figment = Figment::from(defaults);
    if let Some(file) = file {
        figment = figment.merge(environment::Named::new(format!("file {}", file.path), Toml::string(file.text)));
    }
    figment
        .merge(environment::Variables::new(environment, of_the_defaults))
        .merge(environment::Named::new("flag".to_owned(), Serialized::defaults(flags)))
}

impl Settings {
    fn problems(&self) -> Vec<String> {
        let mut problems = self.speed.problems();
        problems.extend(self.serving.problems().into_iter().map(|problem| format!("serving.{problem}")));
        problems.extend(self.ops.problems().into_iter().map(|problem| format!("ops.{problem}")));
        problems.extend(self.schedule.problems().into_iter().map(|problem| format!("schedule.{problem}")));
        problems.extend(self.lake.sql.problems());
        problems.extend(self.ingest.problems().into_iter().map(|problem| format!("ingest.{problem}")));
        problems.extend(self.retention.problems().into_iter().map(|problem| format!("retention.{problem}")));
        problems.extend(self.log.problems());
        if self.data_dir.as_os_str().is_empty() {
            problems.push("data_dir = \"\": name a folder, for example kilowatch-data".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = ConfigFile {
            path: "kilowatch.toml",
            text: "data_dir = \"from-file\"\n[log]\nurl = \"kafka://file:9092\"\n",
        };
        let variables = environment(&[("KILOWATCH_DATA_DIR", "from-env"), ("KILOWATCH_LOG__URL", "kafka://env:9092")]);
        let flags = Flags { data_dir: Some("from-flag".into()), serving: None };
        let settings = resolve(Some(file), &variables, &flags).unwrap();
        assert_eq!(settings.data_dir, PathBuf::from("from-flag"));
        assert_eq!(settings.log.url.as_deref(), Some("kafka://env:9092"));
    }

    #[test]
    fn a_typo_in_the_file_names_the_key_that_was_meant() {
        let file = ConfigFile { path: "kilowatch.toml", text: "[log]\nurll = \"kafka://h:9092\"\n" };
        let message = resolve(Some(file), &BTreeMap::new(), &Flags::default()).unwrap_err().to_string();
        assert!(message.contains("log.urll"), "{message}");
        assert!(message.contains("did you mean `url`"), "{message}");
        assert!(message.contains("kilowatch.toml"), "{message}");
    }

    #[test]
    fn a_typo_in_a_variable_names_the_variable() {
        let variables = environment(&[("KILOWATCH_LAEK__URL", "s3://b/p")]);
        let message = resolve(None, &variables, &Flags::default()).unwrap_err().to_string();
        assert!(message.contains("KILOWATCH_LAEK") && message.contains("`lake`"), "{message}");
    }

    #[test]
    fn where_a_text_is_asked_for_a_variable_may_look_like_a_number() {
        let variables = environment(&[
            ("KILOWATCH_DATA_DIR", "2026"),
            ("KILOWATCH_LOG__GROUP_ID", "1e5"),
            ("KILOWATCH_VIEWS__URL", "007"),
            ("KILOWATCH_SPEED__WINDOW_MS", "100"),
        ]);
        let settings = resolve(None, &variables, &Flags::default()).unwrap();
        assert_eq!(settings.data_dir, PathBuf::from("2026"));
        assert_eq!(settings.log.group_id, "1e5");
        assert_eq!(settings.views.url.as_deref(), Some("007"));
        assert_eq!(settings.speed.window_ms, 100);
    }

    #[test]
    fn a_file_that_gives_a_number_for_a_text_is_told_to_quote_it() {
        let file = ConfigFile { path: "kilowatch.toml", text: "data_dir = 2026\n" };
        let message = resolve(Some(file), &BTreeMap::new(), &Flags::default()).unwrap_err().to_string();
        assert_eq!(message, "data_dir = 2026: must be a text; write it in quotes (file kilowatch.toml)");
    }

    #[test]
    fn inputs_of_the_schedule_are_read_from_the_file_or_a_variable_checked_and_shown() {
        let text = "[schedule]\ningest = \"*/15 * * * *\"\n[[schedule.inputs]]\nstream = \"household\"\n\
                    files = [\"/inbox\", \"s3://bucket/new/\"]\non_conflict = \"replace\"\ncolumns = { voltage = \"U\" }\n";
        let file = ConfigFile { path: "kilowatch.toml", text };
        let settings = resolve(Some(file), &BTreeMap::new(), &Flags::default()).unwrap();
        let [input] = &settings.schedule.inputs[..] else { panic!("{:?}", settings.schedule.inputs) };
        assert_eq!((input.files.len(), input.device.as_str()), (2, "meter-0001"));
        assert_eq!(input.columns.get("voltage").map(String::as_str), Some("U"));
        let shown = shown_values(Some(file), &BTreeMap::new(), &Flags::default()).unwrap();
        let inputs = shown.iter().find(|value| value.key == "schedule.inputs").unwrap();
        assert!(inputs.value.contains("s3://bucket/new/") && inputs.origin == "file kilowatch.toml", "{inputs:?}");

        let list = "[{stream=\"grid\",files=[\"/inbox\"],separator=\";;\"}]";
        let refused = resolve(None, &environment(&[("KILOWATCH_SCHEDULE__INPUTS", list)]), &Flags::default());
        assert!(refused.unwrap_err().to_string().contains("separator"));
        let list = "[{stream=\"grid\",files=[\"/inbox\"],file=\"x\"}]";
        let refused = resolve(None, &environment(&[("KILOWATCH_SCHEDULE__INPUTS", list)]), &Flags::default());
        assert!(refused.unwrap_err().to_string().contains("did you mean `files`"));
        let refused = resolve(None, &environment(&[("KILOWATCH_SCHEDULE__INGEST", "@hourly")]), &Flags::default());
        assert!(refused.unwrap_err().to_string().contains("[[schedule.inputs]]"));
    }

    #[test]
    fn a_password_is_not_shown_and_each_value_says_where_it_came_from() {
        let variables = environment(&[("KILOWATCH_VIEWS__URL", "postgres://me:hunter2@db/kilowatch")]);
        let shown = shown_values(None, &variables, &Flags::default()).unwrap();
        let url = shown.iter().find(|value| value.key == "views.url").unwrap();
        assert!(!url.value.contains("hunter2"), "{}", url.value);
        assert!(url.value.contains("db/kilowatch"), "{}", url.value);
        assert_eq!(url.origin, "variable KILOWATCH_VIEWS__URL");
        let folder = shown.iter().find(|value| value.key == "data_dir").unwrap();
        assert_eq!((folder.value.as_str(), folder.origin.as_str()), ("kilowatch-data", "default"));
    }
}
