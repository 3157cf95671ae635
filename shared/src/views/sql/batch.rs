//! What batch publishes, one transaction each.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Database, SqlViews, anomalies, benchmarks, dead_letters, forecasts, job_runs, models, partitions, publication,
    rollups, schedule, verifications,
};
use crate::{
    anomaly::Anomaly,
    benchmark::Benchmark,
    checkpoint::{Boundary, Cut, OwnerToken},
    forecast::ForecastVintage,
    job::JobRun,
    model::{ModelId, ModelKind, ModelManifest},
    position::{PartitionId, SourcePosition, StreamName},
    rollup::{RollupKey, RollupRow},
    verification::Verification,
    views::{BatchViews, Lease, Publication, PublishOutcome, StageId, ViewsError},
};

#[async_trait]
impl<D: Database> BatchViews for SqlViews<D> {
    async fn boundary(&self, stream: &StreamName) -> Result<Boundary, ViewsError> {
        let mut session = self.database.snapshot().await?;
        Ok(publication::boundary(session.as_mut(), stream).await?.boundary)
    }

    async fn published_shape(&self, stream: &StreamName) -> Result<Option<String>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        publication::shape(session.as_mut(), stream).await
    }

    async fn stage_rollups(&self, stage: StageId, stream: &StreamName, rows: &[RollupRow]) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        publication::stage(session.as_mut(), stage, stream, rows, self.clock.now()).await?;
        session.commit().await
    }

    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        publication::lock_boundary(tx, &publication.stream).await?;
        let outcome = match publication::objection(tx, publication).await? {
            Some(reason) => PublishOutcome::Refused { reason },
            None => {
                publication::replace(tx, publication, self.clock.now()).await?;
                PublishOutcome::Published
            }
        };
        publication::drop_stage(tx, publication.stage).await?;
        session.commit().await?;
        Ok(outcome)
    }

    async fn published_rollups(
        &self,
        stream: &StreamName,
        after: Option<&RollupKey>,
        limit: u32,
    ) -> Result<Vec<RollupRow>, ViewsError> {
        let rows = self.database.fetch(rollups::published(stream, after, limit)).await?;
        rows.iter().map(rollups::published_row).collect()
    }

    async fn drop_seen_speed_rollups(&self, stream: &StreamName, now: DateTime<Utc>) -> Result<u64, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        let mut dropped = 0;
        for partition in partitions::of_stream(tx, stream).await? {
            dropped += rollups::drop_seen(tx, &partition).await?;
        }
        // No job takes a day from its first chunk to its publication.
        dropped += publication::drop_stages_before(tx, now - TimeDelta::days(1)).await?;
        session.commit().await?;
        Ok(dropped)
    }

    async fn cuts(&self, partition: &PartitionId) -> Result<Vec<Cut>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        partitions::cuts(session.as_mut(), partition).await
    }

    async fn known_partitions(&self, stream: &StreamName) -> Result<Vec<PartitionId>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        partitions::of_stream(session.as_mut(), stream).await
    }

    async fn anomalies_of(&self, partition: &PartitionId) -> Result<Vec<Anomaly>, ViewsError> {
        let rows = self.database.fetch(anomalies::of_partition(partition)).await?;
        rows.iter().map(anomalies::anomaly_of).collect()
    }

    async fn mark_replayed(
        &self,
        stream: &StreamName,
        positions: &[SourcePosition],
        at: DateTime<Utc>,
    ) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        dead_letters::mark_replayed(session.as_mut(), stream, positions, at).await?;
        session.commit().await
    }

    async fn add_forecast(&self, vintage: &ForecastVintage) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        forecasts::add(session.as_mut(), vintage).await?;
        session.commit().await
    }

    async fn add_model(&self, manifest: &ModelManifest) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        models::add(session.as_mut(), manifest).await?;
        session.commit().await
    }

    async fn promote_model(
        &self,
        stream: &StreamName,
        kind: ModelKind,
        id: &ModelId,
        at: DateTime<Utc>,
    ) -> Result<bool, ViewsError> {
        let mut session = self.database.write().await?;
        let changed = models::promote(session.as_mut(), stream, kind, id, at).await?;
        session.commit().await?;
        Ok(changed)
    }

    async fn serving_model(&self, stream: &StreamName, kind: ModelKind) -> Result<Option<ModelManifest>, ViewsError> {
        let row = self.database.fetch_optional(models::serving(stream, kind)).await?;
        row.as_ref().map(models::manifest_of).transpose()
    }

    async fn models(&self, stream: &StreamName, limit: u32) -> Result<Vec<ModelManifest>, ViewsError> {
        let rows = self.database.fetch(models::newest(stream, limit)).await?;
        rows.iter().map(models::manifest_of).collect()
    }

    async fn add_job_run(&self, run: &JobRun) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        job_runs::add(session.as_mut(), run).await?;
        session.commit().await
    }

    async fn keep_verification(&self, verification: &Verification) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        verifications::keep(session.as_mut(), verification).await?;
        session.commit().await
    }

    async fn add_benchmark(&self, benchmark: &Benchmark) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        benchmarks::add(session.as_mut(), benchmark).await?;
        session.commit().await
    }

    async fn last_job_start(&self, stream: &StreamName, job: &str) -> Result<Option<DateTime<Utc>>, ViewsError> {
        let row = self.database.fetch_optional(job_runs::last_done(stream, job)).await?;
        row.map(|row| row.time("started_at")).transpose()
    }

    async fn lease_schedule(&self, stream: &StreamName, lease: &Lease) -> Result<bool, ViewsError> {
        let mut session = self.database.write().await?;
        let lease = lease.at(session.time(lease.now).await?);
        let taken = session.execute(schedule::take(stream, &lease)).await? == 1;
        session.commit().await?;
        Ok(taken)
    }

    async fn release_schedule(&self, stream: &StreamName, holder: OwnerToken) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        session.execute(schedule::release(stream, holder)).await?;
        session.commit().await
    }
}
