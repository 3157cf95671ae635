//! Floors of what has an age limit, and the rows below them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Database, Row, Session, SqlViews, Statement, publication};
use crate::{
    position::StreamName,
    views::{AgeFloors, Aged, AgedRows, AgingViews, ViewsError},
};

/// Points that a forecast has, about: two days of hours. They go with it, and make its transaction long.
const POINTS_A_FORECAST: u32 = 48;

#[async_trait]
impl<D: Database> AgingViews for SqlViews<D> {
    async fn age_floors(&self, stream: &StreamName) -> Result<AgeFloors, ViewsError> {
        let mut session = self.database.snapshot().await?;
        floors(session.as_mut(), stream).await
    }

    async fn raise_age_floor(&self, stream: &StreamName, aged: Aged, floor: DateTime<Utc>) -> Result<(), ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        // A publication that has read the floor would write below this one afterwards.
        publication::lock_boundary(tx, stream).await?;
        let statement = Statement::new(
            "INSERT INTO age_floors (stream, aged, floor_at) VALUES ($1, $2, $3)
             ON CONFLICT (stream, aged) DO UPDATE SET floor_at = excluded.floor_at
             WHERE age_floors.floor_at < excluded.floor_at",
        );
        tx.execute(statement.bind(stream.as_str()).bind(aged.as_str()).bind(floor)).await?;
        session.commit().await
    }

    async fn rows_before(
        &self,
        stream: &StreamName,
        aged: Aged,
        before: DateTime<Utc>,
    ) -> Result<AgedRows, ViewsError> {
        let count = match aged {
            Aged::Readings => return Ok(AgedRows::default()),
            Aged::Windows => return self.windows_before(stream, before).await,
            Aged::Anomalies => COUNT_ANOMALIES,
            Aged::DeadLetters => COUNT_DEAD_LETTERS,
            Aged::Forecasts => COUNT_FORECASTS,
        };
        let row = self.database.fetch_optional(Statement::new(count).bind(stream.as_str()).bind(before)).await?;
        row.as_ref().map_or(Ok(AgedRows::default()), counted)
    }

    async fn drop_before(
        &self,
        stream: &StreamName,
        aged: Aged,
        before: DateTime<Utc>,
        most: u32,
    ) -> Result<u64, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        let of = |text: &'static str| Statement::new(text).bind(stream.as_str()).bind(before);
        let dropped = match aged {
            Aged::Readings => 0,
            Aged::Windows => drop_windows(tx, stream, before, most).await?,
            Aged::Anomalies => tx.execute(of(DROP_ANOMALIES).bind(most)).await?,
            Aged::DeadLetters => tx.execute(of(DROP_DEAD_LETTERS).bind(most)).await?,
            Aged::Forecasts => {
                // Both statements mean the same forecasts, so no second expiry may come in between.
                publication::lock_boundary(tx, stream).await?;
                let most = most.div_ceil(POINTS_A_FORECAST);
                tx.execute(of(DROP_FORECAST_POINTS).bind(most)).await?;
                tx.execute(of(DROP_FORECASTS).bind(most)).await?
            }
        };
        session.commit().await?;
        Ok(dropped)
    }
}

impl<D: Database> SqlViews<D> {
    async fn windows_before(&self, stream: &StreamName, before: DateTime<Utc>) -> Result<AgedRows, ViewsError> {
        let mut session = self.database.snapshot().await?;
        let mut all = AgedRows::default();
        let mut after = None;
        while let Some(kind) = next_kind(session.as_mut(), stream, after.as_ref()).await? {
            let count = Statement::new(
                "SELECT COUNT(*) AS found, MIN(window_start) AS oldest FROM rollup_batch
                 WHERE stream = $1 AND window_secs = $2 AND measure = $3 AND window_start < $4",
            );
            let count = count.bind(stream.as_str()).bind(kind.window_secs).bind(kind.measure.as_str()).bind(before);
            if let Some(row) = session.fetch_optional(count).await? {
                let AgedRows { rows, oldest } = counted(&row)?;
                all = AgedRows { rows: all.rows + rows, oldest: all.oldest.into_iter().chain(oldest).min() };
            }
            after = Some(kind);
        }
        Ok(all)
    }
}

/// The floors of a stream, of the state that a session sees.
pub async fn floors(session: &mut dyn Session, stream: &StreamName) -> Result<AgeFloors, ViewsError> {
    let statement = Statement::new("SELECT aged, floor_at FROM age_floors WHERE stream = $1");
    let rows = session.fetch(statement.bind(stream.as_str())).await?;
    rows.iter().map(|row| Ok((row.parsed("aged", Aged::parse)?, row.time("floor_at")?))).collect()
}

const COUNT_ANOMALIES: &str = "SELECT COUNT(*) AS found, MIN(event_time) AS oldest FROM anomalies a
    WHERE stream = $1 AND event_time < $2 AND NOT EXISTS (
        SELECT 1 FROM outbox o WHERE o.stream = a.stream AND o.source = a.source
            AND o.source_partition = a.source_partition AND o.source_offset = a.source_offset)";

const COUNT_DEAD_LETTERS: &str = "SELECT COUNT(*) AS found, MIN(seen_at) AS oldest FROM dead_letters d
    WHERE stream = $1 AND seen_at < $2 AND NOT EXISTS (
        SELECT 1 FROM outbox o WHERE o.stream = d.stream AND o.source = d.source
            AND o.source_partition = d.source_partition AND o.source_offset = d.source_offset)";

const COUNT_FORECASTS: &str =
    "SELECT COUNT(*) AS found, MIN(issued_at) AS oldest FROM forecasts WHERE stream = $1 AND issued_at < $2";

const DROP_ANOMALIES: &str = "DELETE FROM anomalies WHERE id IN (
    SELECT a.id FROM anomalies a
    WHERE a.stream = $1 AND a.event_time < $2 AND NOT EXISTS (
        SELECT 1 FROM outbox o WHERE o.stream = a.stream AND o.source = a.source
            AND o.source_partition = a.source_partition AND o.source_offset = a.source_offset)
    LIMIT $3)";

const DROP_DEAD_LETTERS: &str = "DELETE FROM dead_letters WHERE (stream, source, source_partition, source_offset) IN (
    SELECT d.stream, d.source, d.source_partition, d.source_offset FROM dead_letters d
    WHERE d.stream = $1 AND d.seen_at < $2 AND NOT EXISTS (
        SELECT 1 FROM outbox o WHERE o.stream = d.stream AND o.source = d.source
            AND o.source_partition = d.source_partition AND o.source_offset = d.source_offset)
    LIMIT $3)";

const DROP_FORECAST_POINTS: &str = "DELETE FROM forecast_points WHERE forecast_id IN (
    SELECT id FROM forecasts WHERE stream = $1 AND issued_at < $2 ORDER BY issued_at, id LIMIT $3)";

const DROP_FORECASTS: &str = "DELETE FROM forecasts WHERE id IN (
    SELECT id FROM forecasts WHERE stream = $1 AND issued_at < $2 ORDER BY issued_at, id LIMIT $3)";

/// Windows of one length and measure: what the index by time begins with, so that no row is read that stays.
struct WindowKind {
    window_secs: i64,
    measure: String,
}

/// The first kind after another one.
async fn next_kind(
    session: &mut dyn Session,
    stream: &StreamName,
    after: Option<&WindowKind>,
) -> Result<Option<WindowKind>, ViewsError> {
    let mut statement =
        Statement::new("SELECT window_secs, measure FROM rollup_batch WHERE stream = $1").bind(stream.as_str());
    if let Some(WindowKind { window_secs, measure }) = after {
        statement.push_bind(" AND (window_secs, measure) > (", *window_secs);
        statement.push_bind(", ", measure.as_str());
        statement.push(")");
    }
    statement.push(" ORDER BY window_secs, measure LIMIT 1");
    let row = session.fetch_optional(statement).await?;
    row.map(|row| Ok(WindowKind { window_secs: row.int("window_secs")?, measure: row.text("measure")? })).transpose()
}

async fn drop_windows(
    session: &mut dyn Session,
    stream: &StreamName,
    before: DateTime<Utc>,
    most: u32,
) -> Result<u64, ViewsError> {
    let (mut dropped, mut after) = (0, None);
    while dropped < u64::from(most)
        && let Some(kind) = next_kind(session, stream, after.as_ref()).await?
    {
        let drop = Statement::new(
            "DELETE FROM rollup_batch
             WHERE (stream, device_id, window_secs, window_start, measure, group_key) IN (
                 SELECT stream, device_id, window_secs, window_start, measure, group_key FROM rollup_batch
                 WHERE stream = $1 AND window_secs = $2 AND measure = $3 AND window_start < $4 LIMIT $5)",
        );
        let drop = drop.bind(stream.as_str()).bind(kind.window_secs).bind(kind.measure.as_str()).bind(before);
        dropped += session.execute(drop.bind(u64::from(most).saturating_sub(dropped))).await?;
        after = Some(kind);
    }
    Ok(dropped)
}

fn counted(row: &Row) -> Result<AgedRows, ViewsError> {
    Ok(AgedRows { rows: row.count("found")?, oldest: row.optional_time("oldest")? })
}
