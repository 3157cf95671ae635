//! `kilowatch streams`: which kinds of data are known.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Subcommand;
use kilowatch_shared::{
    position::StreamName,
    stream::{ProfileError, StreamProfile},
    wording::counted,
};
use kilowatch_speed::simulate::SimulatedStream;

use crate::{context::Context, output};

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
    /// Checks a profile of your own and says what is wrong and where.
    Check {
        /// A TOML file.
        file: PathBuf,
    },
}

impl StreamsCommand {
    /// Prints the answer.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
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
                output::answer(context.json, &profile, |p| {
                    format!(
                        "{name}: stream `{}` is fine: {}, {}",
                        p.name,
                        counted(p.measures.len() as u64, "measure"),
                        counted(p.detectors.len() as u64, "detector")
                    )
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
