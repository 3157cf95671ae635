//! `kilowatch models`: what was trained, and what serves.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use kilowatch_shared::{
    model::{ModelKind, ModelManifest},
    position::StreamName,
};

use crate::{context::Context, output, stores::Stores};

/// Most models of one listing.
const LIST_LIMIT: u32 = 100;

/// Subcommands of `models`.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Lists models, newest first.
    List(ListArgs),
    /// Lets a model serve from now on; a rollback is the promotion of an older one.
    Promote(PromoteArgs),
}

/// Arguments of `models list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
}

/// Arguments of `models promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// The model's id, or as many of its first characters as are unique.
    model: String,
}

impl ModelsCommand {
    /// Runs it and prints the answer.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(args) => list(&args, context).await,
            Self::Promote(args) => promote(&args, context).await,
        }
    }
}

async fn list(args: &ListArgs, context: &Context) -> anyhow::Result<ExitCode> {
    context.profile(&args.stream)?;
    let views = Stores::open(context).await?.views;
    let models = views.models(&args.stream, LIST_LIMIT).await?;
    let mut serving = Vec::new();
    for kind in ModelKind::ALL {
        serving.extend(views.serving_model(&args.stream, kind).await?.map(|model| model.id));
    }
    output::answer(context.json, &models, |models| {
        let line = |model: &ModelManifest| {
            let rmse = model.metrics.map_or_else(|| "-".to_owned(), |m| format!("RMSE {:.4}  R2 {:.4}", m.rmse, m.r2));
            let mark = if serving.contains(&model.id) { "serves" } else { "" };
            let id: String = model.id.as_str().chars().take(12).collect();
            format!(
                "{id}  {:16} {}  {rmse:28} {mark}",
                model.kind.as_str(),
                model.created_at.format("%Y-%m-%d %H:%M:%SZ")
            )
        };
        if models.is_empty() {
            "no models yet: train one with `kilowatch batch train --model estimate`".to_owned()
        } else {
            models.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn promote(args: &PromoteArgs, context: &Context) -> anyhow::Result<ExitCode> {
    context.profile(&args.stream)?;
    let stores = Stores::open(context).await?;
    let models = stores.views.models(&args.stream, LIST_LIMIT).await?;
    let mut found = models.iter().filter(|model| model.id.as_str().starts_with(&args.model));
    let model = found.next().with_context(|| {
        format!("stream `{}` has no model {}; see `kilowatch models list`", args.stream, args.model)
    })?;
    anyhow::ensure!(found.next().is_none(), "`{}` is the beginning of several models; write more of it", args.model);
    let changed = stores.views.promote_model(&args.stream, model.kind, &model.id, stores.clock.now()).await?;
    output::answer(context.json, model, |model| {
        let done = if changed { "serves from now on" } else { "serves already" };
        format!("{} model {} {done}", model.kind.as_str(), model.id)
    })?;
    Ok(ExitCode::SUCCESS)
}
