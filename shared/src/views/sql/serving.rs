//! What serving reads: one statement, or one snapshot.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    Database, SqlViews, Statement, aging, anomalies, benchmarks, dead_letters, devices, forecasts, job_runs,
    model_swaps, models, partitions, publication, rollups, verifications,
};
use crate::{
    benchmark::{BenchmarkId, BenchmarkPage, KeptBenchmark},
    dead_letter::DeadLetter,
    forecast::ForecastVintage,
    job::JobRun,
    model::ModelKind,
    position::{DeviceId, SourcePosition, StreamName},
    reading::MessageCounts,
    verification::Verification,
    views::{
        AnomalyCursor, AnomalyFilter, AnomalyPage, BoundaryInfo, DeadLetterFilter, LayerCounts, ListedDeadLetter,
        ModelSwap, ServedModel, ServingViews, UsageQuery, UsageResult, ViewsError,
    },
};

#[async_trait]
impl<D: Database> ServingViews for SqlViews<D> {
    async fn ping(&self) -> Result<(), ViewsError> {
        self.database.fetch(Statement::new("SELECT 1")).await?;
        Ok(())
    }

    async fn list_anomalies(
        &self,
        stream: &StreamName,
        filter: &AnomalyFilter,
        after: Option<&AnomalyCursor>,
        limit: u32,
    ) -> Result<AnomalyPage, ViewsError> {
        let rows = self.database.fetch(anomalies::page(stream, filter, after, limit)).await?;
        anomalies::page_of(&rows, limit)
    }

    async fn usage(&self, query: &UsageQuery) -> Result<UsageResult, ViewsError> {
        let mut session = self.database.snapshot().await?;
        let boundary = publication::boundary(session.as_mut(), &query.stream).await?.boundary;
        let floors = aging::floors(session.as_mut(), &query.stream).await?;
        let windows = rollups::merged(session.as_mut(), query, &floors).await?;
        Ok(UsageResult { windows, boundary })
    }

    async fn boundary_info(&self, stream: &StreamName) -> Result<BoundaryInfo, ViewsError> {
        let mut session = self.database.snapshot().await?;
        publication::boundary(session.as_mut(), stream).await
    }

    async fn latest_forecast(
        &self,
        stream: &StreamName,
        device: Option<&DeviceId>,
    ) -> Result<Option<ForecastVintage>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        forecasts::newest(session.as_mut(), stream, device).await
    }

    async fn served_model(&self, stream: &StreamName, kind: ModelKind) -> Result<Option<ServedModel>, ViewsError> {
        let row = self.database.fetch_optional(models::serving(stream, kind)).await?;
        row.as_ref().map(models::served_of).transpose()
    }

    async fn model_swaps(&self, stream: &StreamName, limit: u32) -> Result<Vec<ModelSwap>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        let mut swaps = Vec::new();
        for partition in partitions::of_stream(session.as_mut(), stream).await? {
            swaps.extend(model_swaps::of_partition(session.as_mut(), &partition, limit).await?);
        }
        Ok(swaps)
    }

    async fn counts(&self, stream: &StreamName, measure: &str, window_secs: u32) -> Result<LayerCounts, ViewsError> {
        let statement = Statement::new(
            "SELECT CAST(COALESCE(SUM(readings), 0) AS BIGINT) AS readings,
                 CAST(COALESCE(SUM(duplicates), 0) AS BIGINT) AS duplicates,
                 CAST(COALESCE(SUM(dead_letters), 0) AS BIGINT) AS dead_letters,
                 (SELECT CAST(COALESCE(SUM(value_count), 0) AS BIGINT) FROM rollup_batch
                  WHERE stream = $1 AND window_secs = $2 AND measure = $3) AS batch_values,
                 (SELECT COUNT(*) FROM anomalies WHERE stream = $1) AS anomalies,
                 (SELECT COUNT(*) FROM devices WHERE stream = $1 AND speed_event_time IS NOT NULL) AS devices,
                 (SELECT COUNT(*) FROM forecasts WHERE stream = $1) AS forecasts,
                 (SELECT COUNT(*) FROM models WHERE stream = $1) AS models
             FROM partitions WHERE stream = $1",
        )
        .bind(stream.as_str())
        .bind(window_secs)
        .bind(measure);
        let Some(row) = self.database.fetch_optional(statement).await? else { return Ok(LayerCounts::default()) };
        Ok(LayerCounts {
            speed: MessageCounts {
                readings: row.count("readings")?,
                duplicates: row.count("duplicates")?,
                dead_letters: row.count("dead_letters")?,
            },
            batch_values: row.count("batch_values")?,
            anomalies: row.count("anomalies")?,
            devices: row.count("devices")?,
            forecasts: row.count("forecasts")?,
            models: row.count("models")?,
        })
    }

    async fn list_devices(
        &self,
        stream: &StreamName,
        after: Option<&DeviceId>,
        limit: u32,
    ) -> Result<Vec<(DeviceId, DateTime<Utc>)>, ViewsError> {
        let rows = self.database.fetch(devices::page(stream, after, limit)).await?;
        rows.iter().map(devices::device_of).collect()
    }

    async fn recent_dead_letters(&self, stream: &StreamName, limit: u32) -> Result<Vec<DeadLetter>, ViewsError> {
        let rows = self.database.fetch(dead_letters::newest(stream, limit)).await?;
        rows.iter().map(dead_letters::dead_letter_of).collect()
    }

    async fn list_dead_letters(
        &self,
        stream: &StreamName,
        filter: &DeadLetterFilter,
        after: Option<&SourcePosition>,
        limit: u32,
    ) -> Result<Vec<ListedDeadLetter>, ViewsError> {
        let rows = self.database.fetch(dead_letters::page(stream, filter, after, limit)).await?;
        rows.iter().map(dead_letters::listed_of).collect()
    }

    async fn dead_letter(
        &self,
        stream: &StreamName,
        position: &SourcePosition,
    ) -> Result<Option<ListedDeadLetter>, ViewsError> {
        let row = self.database.fetch_optional(dead_letters::at(stream, position)).await?;
        row.as_ref().map(dead_letters::listed_of).transpose()
    }

    async fn recent_job_runs(&self, stream: &StreamName, limit: u32) -> Result<Vec<JobRun>, ViewsError> {
        let rows = self.database.fetch(job_runs::newest(stream, limit)).await?;
        rows.iter().map(job_runs::job_run_of).collect()
    }

    async fn verifications(&self) -> Result<Vec<Verification>, ViewsError> {
        let rows = self.database.fetch(verifications::all()).await?;
        rows.iter().map(verifications::verification_of).collect()
    }
    async fn list_benchmarks(&self, after: Option<BenchmarkId>, limit: u32) -> Result<BenchmarkPage, ViewsError> {
        let rows = self.database.fetch(benchmarks::page(after, limit)).await?;
        benchmarks::page_of(&rows, limit)
    }

    async fn benchmark(&self, id: BenchmarkId) -> Result<Option<KeptBenchmark>, ViewsError> {
        let row = self.database.fetch_optional(benchmarks::one(id)).await?;
        Ok(row.as_ref().map(benchmarks::benchmark_of).transpose()?.and_then(Result::ok))
    }
}
