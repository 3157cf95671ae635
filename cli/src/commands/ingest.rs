//! `kilowatch batch ingest`: history files, one after another.

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use chrono::FixedOffset;
use clap::Args;
use kilowatch_batch::{
    BatchDeps,
    ingest::{ColumnChoice, IngestRequest, Input, InputFormat, Inputs, OnConflict, OwnPlaces, Spool},
    jobs::ingest::ingest,
};
use kilowatch_shared::{position::DeviceId, stream::StreamProfile};

use super::batch::{StreamArgs, opened};
use crate::{arguments, context::Context, output, progress::FileBar, shutdown, stores};

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// UCI files, other CSV, or Parquet; plain, gzip or ZIP. A folder means all files in it, `-` standard input;
    /// patterns and `s3://bucket/key` work as well, `s3://bucket/prefix/` with all below it.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<OsString>,
    #[command(flatten)]
    stream: StreamArgs,
    /// The meter, where the file has no column for it.
    #[arg(long, default_value = IngestRequest::DEFAULT_DEVICE)]
    device: DeviceId,
    /// How the file is laid out: auto, uci, csv or parquet.
    #[arg(long, default_value = "auto")]
    format: InputFormat,
    /// Offset of times that name none [default: +01:00 for UCI files, else UTC].
    #[arg(long, value_name = "+HH:MM", value_parser = arguments::utc_offset, allow_hyphen_values = true)]
    utc_offset: Option<FixedOffset>,
    /// Columns whose header is not the measure's name, as active_power=Power,voltage=U.
    #[arg(long, value_name = "NAME=HEADER,...", value_delimiter = ',')]
    columns: Vec<ColumnChoice>,
    /// Column of the event time [default: the profile's time field].
    #[arg(long, value_name = "HEADER")]
    time_column: Option<String>,
    /// Column of the device [default: the profile's key field, if the file has it].
    #[arg(long, value_name = "HEADER")]
    device_column: Option<String>,
    /// What separates fields [default: what the header has most of].
    #[arg(long, value_name = "CHAR")]
    separator: Option<char>,
    /// What counts where a row has another value than the lake: `keep` the lake's, `replace` it by the file's.
    #[arg(long, value_name = "keep|replace", default_value = "keep")]
    on_conflict: OnConflict,
    /// Also writes the hourly statistics of the file as JSON.
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
}

impl IngestArgs {
    /// What is asked of each of the files.
    fn request(&self, input: &Input) -> anyhow::Result<IngestRequest> {
        let separator = self
            .separator
            .map(|c| u8::try_from(c).with_context(|| format!("--separator {c:?}: must be one ASCII character")))
            .transpose()?;
        Ok(IngestRequest {
            at: input.at.clone(),
            format: self.format,
            columns: self.columns.clone(),
            time_column: self.time_column.clone(),
            device_column: self.device_column.clone(),
            separator,
            utc_offset: self.utc_offset,
            on_conflict: self.on_conflict,
            stats: self.stats.clone(),
            ..IngestRequest::new(input.name.clone(), self.device.clone())
        })
    }

    /// Ingests until all is done or somebody stops it. What is in the lake by then stays, the spool goes.
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let interrupted = shutdown::interrupted(shutdown::CLEANING_UP)?;
        let spool = Spool::open(context.settings.data_dir.join("spool"), context.settings.ingest);
        let ingested = async {
            let (deps, profile) = opened(&self.stream, context).await?;
            stores::expand_table(&deps.lake, &profile).await?;
            self.ingest_all(context, (&deps, &profile), spool.clone()).await
        };
        tokio::select! {
            done = ingested => done,
            () = interrupted.cancelled() => {
                spool.clear();
                anyhow::bail!("interrupted: files that were ingested stay, the others can be ingested again")
            }
        }
    }

    /// One file after another. One that cannot be ingested is told of, and the others go in all the same.
    async fn ingest_all(
        &self,
        context: &Context,
        (deps, profile): (&BatchDeps, &StreamProfile),
        spool: Spool,
    ) -> anyhow::Result<ExitCode> {
        let own = OwnPlaces::of(&context.settings.data_dir, deps.lake.store());
        let mut inputs = Inputs::resolve(&self.files, &context.environment, &own, spool).await?;
        let (mut done, mut failed) = (0_u64, 0_u64);
        loop {
            let outcome = match inputs.next().await {
                Ok(None) => break,
                Ok(Some(_)) if self.stats.is_some() && (inputs.has_more() || done + failed > 0) => {
                    anyhow::bail!("--stats: the statistics are of one file, and more are named");
                }
                Ok(Some(input)) => ingest(deps, profile, &self.request(&input)?, Arc::new(FileBar::new())).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(report) => {
                    let is_only = done + failed == 0 && !inputs.has_more();
                    done += 1;
                    output::answer(context.json, &report, |report| {
                        if is_only {
                            report.details()
                        } else {
                            format!("{}: {}", report.path.display(), report.details())
                        }
                    })?;
                }
                Err(error) if done + failed == 0 && !inputs.has_more() => return Err(error.into()),
                Err(error) => {
                    failed += 1;
                    tracing::error!(%error, "a file was not ingested");
                }
            }
        }
        anyhow::ensure!(failed == 0, "{failed} of {} files were not ingested; the errors above say why", done + failed);
        Ok(ExitCode::SUCCESS)
    }
}
