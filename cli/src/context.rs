//! What every command gets: the settings, the stream profiles, how to answer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use kilowatch_batch::{jobs::scheduled_ingest::InputDoor, schedule::JobSettings};
use kilowatch_shared::{
    position::StreamName,
    stream::{StreamProfile, StreamRegistry},
};

use crate::exit::WrongUse;
use crate::settings::{self, ConfigFile, Flags, ServingFlags, Settings, SettingsError, ShownValue};

/// File that is read where it exists and no `--config` names another.
const DEFAULT_CONFIG_FILE: &str = "kilowatch.toml";

/// Flags of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Config file; without it `kilowatch.toml` of this folder, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of everything embedded: lake, views, log [default: kilowatch-data].
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the dashboard and the API [default: 127.0.0.1:8080].
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

/// The resolved surroundings of a command.
#[derive(Debug)]
pub struct Context {
    /// The effective settings.
    pub settings: Settings,
    /// The built-in profiles and the user's own.
    pub streams: StreamRegistry,
    /// Whether to answer in JSON.
    pub json: bool,
    /// The process's environment; only here it is read.
    pub environment: BTreeMap<String, String>,
    file: Option<(String, String)>,
    flags: Flags,
}

impl Context {
    /// Reads the config file, the environment and the flags.
    ///
    /// # Errors
    /// A file that cannot be read, or settings and profiles that are wrong.
    pub fn try_new(args: GlobalArgs) -> anyhow::Result<Self> {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let file = read_config_file(args.config.as_deref())?;
        let flags = Flags { data_dir: args.data_dir, serving: args.listen.map(|listen| ServingFlags { listen }) };
        let settings = settings::resolve(as_config_file(file.as_ref()), &environment, &flags)?;
        let mut streams = StreamRegistry::built_in()?;
        for path in &settings.stream_files {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(|| format!("reading the stream profile {name}"))?;
            streams.add(StreamProfile::parse(&text, &name)?);
        }
        check_streams_of_retention(&settings, &streams)?;
        let context = Self { settings, streams, json: args.json, environment, file, flags };
        for (index, input) in context.settings.schedule.inputs.iter().enumerate() {
            context.profile(&input.stream).with_context(|| format!("schedule.inputs[{index}].stream"))?;
        }
        Ok(context)
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// An unknown stream; the error names the known ones.
    pub fn profile(&self, name: &StreamName) -> anyhow::Result<StreamProfile> {
        let found = self.streams.find(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.streams.iter().map(|profile| profile.name.as_str()).collect();
            WrongUse(format!("there is no stream `{name}`; known streams: {}", known.join(", ")))
        });
        Ok(found?)
    }

    /// What scheduled jobs need to know.
    #[must_use]
    pub fn job_settings(&self) -> JobSettings {
        let door = InputDoor {
            data_dir: self.settings.data_dir.clone(),
            config: self.settings.ingest,
            environment: self.environment.clone(),
        };
        JobSettings { retention: self.settings.retention.clone(), door }
    }

    /// All settings with their origins, secrets masked.
    ///
    /// # Errors
    /// A source that cannot be read.
    pub fn shown_settings(&self) -> anyhow::Result<Vec<ShownValue>> {
        Ok(settings::shown_values(as_config_file(self.file.as_ref()), &self.environment, &self.flags)?)
    }
}

/// A limit for a stream that does not exist would be a limit that nobody applies.
fn check_streams_of_retention(settings: &Settings, streams: &StreamRegistry) -> Result<(), SettingsError> {
    let known: Vec<&str> = streams.iter().map(|profile| profile.name.as_str()).collect();
    let unknown = settings.retention.streams.keys().filter(|name| !known.contains(&name.as_str()));
    let problems: Vec<String> = unknown
        .map(|name| format!("retention.streams.{name}: there is no such stream; known streams: {}", known.join(", ")))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(SettingsError::Contradictory { problems }) }
}

fn as_config_file(file: Option<&(String, String)>) -> Option<ConfigFile<'_>> {
    file.map(|(path, text)| ConfigFile { path, text })
}

fn read_config_file(named: Option<&Path>) -> anyhow::Result<Option<(String, String)>> {
    let path = named.unwrap_or_else(|| Path::new(DEFAULT_CONFIG_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading the config file {}", path.display())),
    }
}
