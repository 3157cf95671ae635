//! Where a detector's model changed: what the recorded cuts and their pins say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Row, Session, Statement, partitions};
use crate::{
    model::ModelId,
    position::{Offset, PartitionId, StreamName},
    views::{ModelSwap, ViewsError},
};

/// The part of pins that says which model each detector uses; whatever else an older build wrote beside it.
#[derive(Debug, Deserialize)]
struct PinnedModels {
    models: BTreeMap<String, ModelId>,
}

/// A run of cuts with the same pins.
struct Run {
    pins_id: String,
    /// The first cut of it.
    from: Offset,
    /// The last cut of the run before it.
    before: Option<Row>,
}

/// The swaps of a partition, newest first: those of the newest `limit` places where its pins changed.
pub async fn of_partition(
    session: &mut dyn Session,
    partition: &PartitionId,
    limit: u32,
) -> Result<Vec<ModelSwap>, ViewsError> {
    let newest = partitions::of(
        "SELECT cut_offset, pins_id FROM cuts
         WHERE stream = $1 AND source = $2 AND source_partition = $3 ORDER BY cut_offset DESC LIMIT 1",
        partition,
    );
    let mut last_cut = session.fetch_optional(newest).await?;
    let mut swaps = Vec::new();
    for _ in 0..limit {
        let Some(cut) = last_cut else { break };
        let run = run_of(session, partition, &cut).await?;
        let models = models_of(session, &run.pins_id).await?;
        let replaced = match &run.before {
            Some(before) => models_of(session, &before.text("pins_id")?).await?,
            None => BTreeMap::new(),
        };
        for detector in models.keys().chain(replaced.keys().filter(|detector| !models.contains_key(*detector))) {
            let (model, replaced) = (models.get(detector), replaced.get(detector));
            if model != replaced {
                swaps.push(ModelSwap {
                    from: partition.at(run.from),
                    detector: detector.clone(),
                    model: model.cloned(),
                    replaced: replaced.cloned(),
                    promoted_at: None,
                });
            }
        }
        last_cut = run.before;
    }
    note_promotions(session, &partition.stream, &mut swaps).await?;
    Ok(swaps)
}

/// The run that a cut is the last one of. A partition has a cut a minute and a promotion a night, so this looks at the
/// cuts of a day.
async fn run_of(session: &mut dyn Session, partition: &PartitionId, last: &Row) -> Result<Run, ViewsError> {
    let pins_id = last.text("pins_id")?;
    let before = partitions::of(
        "SELECT cut_offset, pins_id FROM cuts
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND cut_offset < $4 AND pins_id <> $5
         ORDER BY cut_offset DESC LIMIT 1",
        partition,
    );
    let before = before.bind(last.offset("cut_offset")?.as_i64()).bind(pins_id.as_str());
    let before = session.fetch_optional(before).await?;
    let first = partitions::of(
        "SELECT MIN(cut_offset) AS cut_offset FROM cuts
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND cut_offset > $4",
        partition,
    );
    let below = before.as_ref().map_or(Ok(-1), |row| row.offset("cut_offset").map(Offset::as_i64))?;
    let first = session.fetch_optional(first.bind(below)).await?;
    let from = first.as_ref().unwrap_or(last).offset("cut_offset")?;
    Ok(Run { pins_id, from, before })
}

async fn models_of(session: &mut dyn Session, pins_id: &str) -> Result<BTreeMap<String, ModelId>, ViewsError> {
    let body = session.fetch_optional(Statement::new("SELECT body FROM pins WHERE id = $1").bind(pins_id)).await?;
    let Some(body) = body else { return Ok(BTreeMap::new()) };
    let pinned: PinnedModels = serde_json::from_str(&body.text("body")?)
        .map_err(|error| ViewsError::Corrupt { reason: format!("pins are not readable: {error}") })?;
    Ok(pinned.models)
}

/// When each model first was to serve.
async fn note_promotions(
    session: &mut dyn Session,
    stream: &StreamName,
    swaps: &mut [ModelSwap],
) -> Result<(), ViewsError> {
    for swap in swaps {
        let Some(model) = &swap.model else { continue };
        let promoted = Statement::new(
            "SELECT MIN(served_from) AS served_from FROM model_service_periods WHERE stream = $1 AND model_id = $2",
        );
        let row = session.fetch_optional(promoted.bind(stream.as_str()).bind(model.as_str())).await?;
        swap.promoted_at = row.map(|row| row.optional_time("served_from")).transpose()?.flatten();
    }
    Ok(())
}
