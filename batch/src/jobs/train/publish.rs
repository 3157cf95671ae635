//! A candidate becomes a model of the stream: saved, then listed, then served. A crash in between leaves a model that
//! nobody serves, and the next run goes on from there.

use kilowatch_shared::lake::SegmentLake;

use super::{Promotion, TrainReport, candidate::Candidate};
use crate::{BatchDeps, BatchError};

/// Saves the model, and lets it serve if it is asked to and worth it.
pub(super) async fn publish(deps: &BatchDeps, candidate: Candidate, promote: bool) -> Result<TrainReport, BatchError> {
    let manifest = candidate.manifest;
    deps.lake.save_model(&manifest, candidate.bytes.into()).await?;
    deps.views.add_model(&manifest).await?;
    let promotion = match candidate.objection {
        _ if !promote => Promotion::NotAsked,
        Some(reason) => Promotion::Refused { reason },
        None => {
            let now = deps.clock.now();
            if deps.views.promote_model(&manifest.stream, manifest.kind, &manifest.id, now).await? {
                Promotion::Promoted
            } else {
                Promotion::AlreadyServing
            }
        }
    };
    Ok(TrainReport {
        stream: manifest.stream,
        kind: manifest.kind,
        model_id: manifest.id,
        lake_version: manifest.lake_version,
        rows: manifest.train_rows,
        features: manifest.features,
        metrics: manifest.metrics,
        baselines: manifest.baselines,
        params: manifest.params,
        promotion,
        load_seconds: candidate.load_seconds,
        fit_seconds: candidate.fit_seconds,
        seconds: 0.0,
    })
}
