//! `kilowatch streams`: which kinds of data are known.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;
use kilowatch_shared::{
    lake::delta::ColumnChanges,
    position::StreamName,
    stream::{ProfileError, StreamProfile},
    wording::counted,
};
use kilowatch_speed::simulate::SimulatedStream;
use serde::Serialize;

use crate::{context::Context, output, stores};

/// Subcommands of `streams`.
#[derive(Debug, Subcommand)]
pub enum StreamsCommand {
    /// Lists the streams.
    List,
    /// Shows one profile whole.
    Show {
        /// Its name.
        stream: StreamName,
    },
    /// Checks a profile of your own and says what is wrong and where, also with the rows that the lake has of its stream.
    Check {
        /// A TOML file.
        file: PathBuf,
    },
}

/// A profile, and what it means for the table of its stream.
#[derive(Debug, Serialize)]
struct CheckedProfile {
    #[serde(flatten)]
    profile: StreamProfile,
    /// `None` if the lake could not be asked.
    columns: Option<ColumnChanges>,
}

impl CheckedProfile {
    fn describe(&self, name: &str) -> String {
        let profile = &self.profile;
        let mut lines = vec![format!(
            "{name}: stream `{}` is fine: {}, {}",
            profile.name,
            counted(profile.measures.len() as u64, "measure"),
            counted(profile.detectors.len() as u64, "detector")
        )];
        match &self.columns {
            Some(columns) => {
                let gained = columns.gained.iter();
                lines.extend(gained.map(|gained| format!("  the lake gains {gained}; rows that are there have none")));
                lines.extend(columns.foreign.iter().map(|foreign| {
                    format!(
                        "  the lake has {foreign} of another program, which stays and is empty in new rows; declare it as a \
                         measure or tag of that type to fill it"
                    )
                }));
            }
            None => lines.push("  not compared with the lake, which does not answer; see the warning above".to_owned()),
        }
        lines.join("\n")
    }
}

/// What the profile means for the table that the lake has; `None` if the lake does not answer, for a file can be checked
/// anywhere.
async fn compared(context: &Context, profile: &StreamProfile) -> anyhow::Result<Option<ColumnChanges>> {
    let settings = &context.settings;
    if settings.lake.url.is_none() && !settings.data_dir.exists() {
        return Ok(Some(ColumnChanges::default()));
    }
    let lake = stores::open_lake(context)?;
    match lake.column_changes(profile).await {
        Ok(columns) => Ok(Some(columns)),
        Err(error) => {
            tracing::warn!(stream = %profile.name, %error, "the profile is not compared with the lake");
            Ok(None)
        }
    }
}

impl StreamsCommand {
    /// Prints the answer.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => {
                let profiles: Vec<&StreamProfile> = context.streams.iter().collect();
                output::answer(context.json, &profiles, |profiles| {
                    let lines: Vec<String> = profiles
                        .iter()
                        .map(|p| format!("{:16} topic {:20} {}", p.name.as_str(), p.topic, p.description))
                        .collect();
                    lines.join("\n")
                })?;
            }
            Self::Show { stream } => {
                let profile = context.profile(&stream)?;
                let text = toml::to_string_pretty(&profile)?;
                output::answer(context.json, &profile, |_| text)?;
            }
            Self::Check { file } => {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(&file).with_context(|| format!("reading {name}"))?;
                let profile = StreamProfile::parse(&text, &name)?;
                let injected = SimulatedStream::find(profile.name.as_str()).map(|known| known.problems(&profile));
                if let Some(problems) = injected.filter(|problems| !problems.is_empty()) {
                    return Err(ProfileError::Invalid { origin: name, problems }.into());
                }
                let columns = compared(context, &profile).await?;
                let lost = columns.as_ref().map_or(&[][..], |columns| &columns.lost);
                let refused = columns.as_ref().map_or(&[][..], |columns| &columns.refused);
                let problems: Vec<String> = refused.iter().chain(lost).cloned().collect();
                if !problems.is_empty() {
                    return Err(ProfileError::Invalid { origin: name, problems }.into());
                }
                output::answer(context.json, &CheckedProfile { profile, columns }, |checked| checked.describe(&name))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
