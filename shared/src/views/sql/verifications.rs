//! The last result of `verify`, one a stream.

use super::{Row, Session, Statement};
use crate::{verification::Verification, views::ViewsError};

/// Keeps a result in the place of the one before.
pub async fn keep(session: &mut dyn Session, verification: &Verification) -> Result<(), ViewsError> {
    let statement = Statement::new(
        "INSERT INTO verifications (stream, verified_at, lake_version, differing, unproved, message)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (stream) DO UPDATE SET verified_at = excluded.verified_at, lake_version = excluded.lake_version,
             differing = excluded.differing, unproved = excluded.unproved, message = excluded.message",
    )
    .bind(verification.stream.as_str())
    .bind(verification.verified_at)
    .bind(verification.lake_version)
    .bind(verification.differing)
    .bind(verification.unproved)
    .bind(verification.message.as_str());
    session.execute(statement).await?;
    Ok(())
}

/// The statement of all of them.
pub fn all() -> Statement {
    Statement::new(
        "SELECT stream, verified_at, lake_version, differing, unproved, message FROM verifications ORDER BY stream",
    )
}

/// The result of a row.
pub fn verification_of(row: &Row) -> Result<Verification, ViewsError> {
    Ok(Verification {
        stream: row.stream()?,
        verified_at: row.time("verified_at")?,
        lake_version: row.int("lake_version")?,
        differing: row.count("differing")?,
        unproved: row.count("unproved")?,
        message: row.text("message")?,
    })
}
