//! Anomalies, each with its explanation in columns: SQL users read them, and floats keep every bit.

use super::{Bulk, Row, Session, Statement, Value, partitions};
use crate::{
    anomaly::{Anomaly, AnomalyOrigin, EndedEpisode, EpisodeEnd, Explanation, Opinion, Severity, Verdict},
    model::ModelId,
    position::{PartitionId, StreamName},
    views::{AnomalyCursor, AnomalyFilter, AnomalyPage, ViewsError},
};

/// Adds anomalies. A known id is a replay: what is there stays.
pub async fn add(session: &mut dyn Session, stream: &StreamName, anomalies: &[Anomaly]) -> Result<(), ViewsError> {
    let rows = anomalies.iter().map(|anomaly| values_of(stream, anomaly)).collect::<Result<_, _>>()?;
    session
        .bulk(Bulk::new(
            "INSERT INTO anomalies (id, stream, source, source_partition, source_offset, device_id, event_time,
                 detector, score, threshold, severity, model_id, measure, observed, expected_low, expected_high,
                 window_readings, explanation, origin, others)
             {rows}
             ON CONFLICT (id) DO NOTHING",
            rows,
        ))
        .await?;
    Ok(())
}

/// Records how episodes ended. One that has ended is a replay and stays as it is.
pub async fn end(session: &mut dyn Session, ended: &[EndedEpisode]) -> Result<(), ViewsError> {
    let values = |EndedEpisode { anomaly_id, end }: &EndedEpisode| -> Vec<Value> {
        vec![
            anomaly_id.as_str().into(),
            end.ended_at.into(),
            end.end_offset.as_i64().into(),
            end.readings.into(),
            end.peak_score.into(),
        ]
    };
    session
        .bulk(Bulk::new(
            "WITH ended (id, ended_at, end_offset, readings, peak_score) AS ({rows})
             UPDATE anomalies SET episode_ended_at = ended.ended_at, episode_end_offset = ended.end_offset,
                 episode_readings = ended.readings, episode_peak_score = ended.peak_score
             FROM ended WHERE anomalies.id = ended.id AND anomalies.episode_ended_at IS NULL",
            ended.iter().map(values).collect(),
        ))
        .await?;
    Ok(())
}

/// The statement of a page, newest first, with one anomaly more than the page shows.
pub fn page(stream: &StreamName, filter: &AnomalyFilter, after: Option<&AnomalyCursor>, limit: u32) -> Statement {
    let mut statement = Statement::new(
        "SELECT id, source, source_partition, source_offset, device_id, event_time, detector, score, threshold,
             severity, model_id, measure, observed, expected_low, expected_high, window_readings, explanation, origin, others,
             episode_ended_at, episode_end_offset, episode_readings, episode_peak_score
         FROM anomalies WHERE stream = $1",
    )
    .bind(stream.as_str());
    if let Some(device) = &filter.device {
        statement.push_bind(" AND device_id = ", device.as_str());
    }
    if let Some(detector) = &filter.detector {
        statement.push_bind(" AND detector = ", detector.as_str());
    }
    match filter.min_severity {
        None | Some(Severity::Minor) => {}
        Some(Severity::Warning) => {
            statement.push_bind(" AND severity IN (", Severity::Warning.as_str());
            statement.push_bind(", ", Severity::Critical.as_str());
            statement.push(")");
        }
        Some(Severity::Critical) => statement.push_bind(" AND severity = ", Severity::Critical.as_str()),
    }
    if let Some(from) = filter.from {
        statement.push_bind(" AND event_time >= ", from);
    }
    if let Some(until) = filter.until {
        statement.push_bind(" AND event_time < ", until);
    }
    if let Some(after) = after {
        // The first condition alone is what an index can jump to.
        statement.push_bind(" AND event_time <= ", after.event_time);
        statement.push_bind(" AND (event_time < ", after.event_time);
        statement.push_bind(" OR id > ", after.id.as_str());
        statement.push(")");
    }
    statement.push_bind(" ORDER BY event_time DESC, id LIMIT ", i64::from(limit) + 1);
    statement
}

/// The page of these rows.
pub fn page_of(rows: &[Row], limit: u32) -> Result<AnomalyPage, ViewsError> {
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let anomalies = rows.iter().take(shown).map(anomaly_of).collect::<Result<Vec<_>, _>>()?;
    let next = anomalies
        .last()
        .filter(|_| rows.len() > shown)
        .map(|last| AnomalyCursor { event_time: last.event_time, id: last.id.clone() });
    Ok(AnomalyPage { anomalies, next })
}

/// The statement of all anomalies of a partition, by offset and detector.
pub fn of_partition(partition: &PartitionId) -> Statement {
    partitions::of(
        "SELECT id, source, source_partition, source_offset, device_id, event_time, detector, score, threshold,
             severity, model_id, measure, observed, expected_low, expected_high, window_readings, explanation, origin, others,
             episode_ended_at, episode_end_offset, episode_readings, episode_peak_score
         FROM anomalies WHERE stream = $1 AND source = $2 AND source_partition = $3
         ORDER BY source_offset, detector",
        partition,
    )
}

/// The anomaly of a row.
pub fn anomaly_of(row: &Row) -> Result<Anomaly, ViewsError> {
    Ok(Anomaly {
        id: row.text("id")?,
        position: row.position()?,
        device: row.device()?,
        event_time: row.time("event_time")?,
        verdict: Verdict {
            detector: row.text("detector")?,
            score: row.real("score")?,
            threshold: row.real("threshold")?,
            severity: row.parsed("severity", Severity::parse)?,
            model_id: row.optional_text("model_id")?.map(ModelId::from_stored),
            explanation: Explanation {
                measure: row.text("measure")?,
                observed: row.real("observed")?,
                expected_low: row.optional_real("expected_low")?,
                expected_high: row.optional_real("expected_high")?,
                window_readings: row.count("window_readings")?,
                text: row.text("explanation")?,
                others: others_of(row)?,
            },
        },
        origin: row.parsed("origin", origin_named)?,
        ended: end_of(row)?,
    })
}

fn others_of(row: &Row) -> Result<Vec<Opinion>, ViewsError> {
    let Some(text) = row.optional_text("others")? else { return Ok(Vec::new()) };
    serde_json::from_str(&text)
        .map_err(|error| ViewsError::Corrupt { reason: format!("opinions of detectors are not readable: {error}") })
}

fn end_of(row: &Row) -> Result<Option<EpisodeEnd>, ViewsError> {
    let Some(ended_at) = row.optional_time("episode_ended_at")? else { return Ok(None) };
    Ok(Some(EpisodeEnd {
        ended_at,
        end_offset: row.offset("episode_end_offset")?,
        readings: row.count("episode_readings")?,
        peak_score: row.real("episode_peak_score")?,
    }))
}

fn values_of(stream: &StreamName, anomaly: &Anomaly) -> Result<Vec<Value>, ViewsError> {
    let others = serde_json::to_string(&anomaly.verdict.explanation.others)
        .map_err(|error| ViewsError::Refused { reason: format!("opinions cannot be written as JSON: {error}") })?;
    let Verdict { detector, score, threshold, severity, model_id, explanation } = &anomaly.verdict;
    Ok(vec![
        anomaly.id.as_str().into(),
        stream.as_str().into(),
        anomaly.position.source.as_str().into(),
        anomaly.position.partition.into(),
        anomaly.position.offset.as_i64().into(),
        anomaly.device.as_str().into(),
        anomaly.event_time.into(),
        detector.as_str().into(),
        (*score).into(),
        (*threshold).into(),
        severity.as_str().into(),
        model_id.as_ref().map(|id| id.as_str().to_owned()).into(),
        explanation.measure.as_str().into(),
        explanation.observed.into(),
        explanation.expected_low.into(),
        explanation.expected_high.into(),
        explanation.window_readings.into(),
        explanation.text.as_str().into(),
        origin_name(anomaly.origin).into(),
        others.into(),
    ])
}

const fn origin_name(origin: AnomalyOrigin) -> &'static str {
    match origin {
        AnomalyOrigin::Speed => "speed",
        AnomalyOrigin::Batch => "batch",
    }
}

fn origin_named(name: &str) -> Option<AnomalyOrigin> {
    [AnomalyOrigin::Speed, AnomalyOrigin::Batch].into_iter().find(|origin| origin_name(*origin) == name)
}
