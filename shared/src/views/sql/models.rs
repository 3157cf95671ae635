//! Models, and which one served from when to when.

use chrono::{DateTime, Utc};

use super::{Row, Session, Statement};
use crate::{
    model::{ModelId, ModelKind, ModelManifest},
    position::StreamName,
    views::{ServedModel, ViewsError},
};

/// Adds a model to the list; a known one is left as it is.
pub async fn add(session: &mut dyn Session, manifest: &ModelManifest) -> Result<(), ViewsError> {
    let body = serde_json::to_string(manifest)
        .map_err(|error| ViewsError::Refused { reason: format!("the manifest cannot be written as JSON: {error}") })?;
    let statement = Statement::new(
        "INSERT INTO models (stream, kind, id, created_at, manifest) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (stream, kind, id) DO NOTHING",
    )
    .bind(manifest.stream.as_str())
    .bind(manifest.kind.as_str())
    .bind(manifest.id.as_str())
    .bind(manifest.created_at)
    .bind(body);
    session.execute(statement).await?;
    Ok(())
}

/// From `at` on this model serves; false if it does already.
pub async fn promote(
    session: &mut dyn Session,
    stream: &StreamName,
    kind: ModelKind,
    id: &ModelId,
    at: DateTime<Utc>,
) -> Result<bool, ViewsError> {
    let known = Statement::new("SELECT id FROM models WHERE stream = $1 AND kind = $2 AND id = $3")
        .bind(stream.as_str())
        .bind(kind.as_str())
        .bind(id.as_str());
    if session.fetch_optional(known).await?.is_none() {
        return Err(ViewsError::Refused {
            reason: format!(
                "stream {stream} has no {} model {id}; list them with `kilowatch models list`",
                kind.as_str()
            ),
        });
    }
    let open = Statement::new(
        "SELECT id, model_id, served_from FROM model_service_periods
         WHERE stream = $1 AND kind = $2 AND served_until IS NULL",
    );
    let mut from = at;
    if let Some(period) = session.fetch_optional(open.bind(stream.as_str()).bind(kind.as_str())).await? {
        if period.text("model_id")? == id.as_str() {
            return Ok(false);
        }
        // Clocks of two machines differ: a period does not end before it began.
        from = at.max(period.time("served_from")?);
        let end =
            Statement::new("UPDATE model_service_periods SET served_until = $2 WHERE id = $1 AND served_until IS NULL");
        session.execute(end.bind(period.int("id")?).bind(from)).await?;
    }
    let begin = Statement::new(
        "INSERT INTO model_service_periods (stream, kind, model_id, served_from) VALUES ($1, $2, $3, $4)
         ON CONFLICT (stream, kind) WHERE served_until IS NULL DO NOTHING",
    )
    .bind(stream.as_str())
    .bind(kind.as_str())
    .bind(id.as_str())
    .bind(from);
    if session.execute(begin).await? == 1 {
        Ok(true)
    } else {
        Err(ViewsError::Unavailable { reason: "another promotion happened at the same moment".to_owned() })
    }
}

/// The statement of the model that serves now.
pub fn serving(stream: &StreamName, kind: ModelKind) -> Statement {
    Statement::new(
        "SELECT m.manifest, p.served_from FROM model_service_periods p
         JOIN models m ON m.stream = p.stream AND m.kind = p.kind AND m.id = p.model_id
         WHERE p.stream = $1 AND p.kind = $2 AND p.served_until IS NULL",
    )
    .bind(stream.as_str())
    .bind(kind.as_str())
}

/// The served model of such a row.
pub fn served_of(row: &Row) -> Result<ServedModel, ViewsError> {
    Ok(ServedModel { manifest: manifest_of(row)?, since: row.time("served_from")? })
}

/// The statement of the models of a stream, newest first.
pub fn newest(stream: &StreamName, limit: u32) -> Statement {
    Statement::new("SELECT manifest FROM models WHERE stream = $1 ORDER BY created_at DESC, kind, id LIMIT $2")
        .bind(stream.as_str())
        .bind(limit)
}

/// The manifest of a row.
pub fn manifest_of(row: &Row) -> Result<ModelManifest, ViewsError> {
    serde_json::from_str(&row.text("manifest")?)
        .map_err(|error| ViewsError::Corrupt { reason: format!("a model's manifest is not readable: {error}") })
}
