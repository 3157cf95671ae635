//! Moves of positions by operators, one transaction each.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Database, Row, Session, SqlViews, Statement, aging, outbox, partitions, publication};
use crate::{
    checkpoint::OffsetSpan,
    position::{PartitionId, StreamName},
    views::{
        Audit, MoveOutcome, OWNER_GONE_AFTER, PositionMove, PositionVerb, PositionViews, RecordedChange, RecordedMove,
        ViewsError,
    },
};

#[async_trait]
impl<D: Database> PositionViews for SqlViews<D> {
    async fn owner_seen_at(&self, partition: &PartitionId) -> Result<Option<DateTime<Utc>>, ViewsError> {
        let mut session = self.database.snapshot().await?;
        owner_seen_at(session.as_mut(), partition).await
    }

    async fn move_positions(
        &self,
        verb: PositionVerb,
        moves: &[PositionMove],
        forget_published: Option<&StreamName>,
        audit: &Audit,
    ) -> Result<MoveOutcome, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        for change in moves {
            let partition = &change.partition;
            // The first statement takes the row: an owner's transaction is before it or after it.
            let is_there = set_position(tx, change).await?;
            if let Some(seen_at) = live_owner(tx, partition, audit).await? {
                return Ok(MoveOutcome::LiveOwner { partition: partition.clone(), seen_at });
            }
            if !is_there {
                return Ok(MoveOutcome::Elsewhere { partition: partition.clone() });
            }
            put_out_of_office(tx, partition).await?;
            outbox::take_back(tx, change).await?;
            undo(tx, change).await?;
            if let Some(cut) = &change.cut {
                partitions::record_cut(tx, partition, cut).await?;
            }
            record(tx, verb, partition, change.recorded, audit).await?;
        }
        if let Some(stream) = forget_published {
            forget_publication(tx, stream).await?;
        }
        session.commit().await?;
        Ok(MoveOutcome::Moved)
    }

    async fn adopt_topic(
        &self,
        topic: &str,
        generation: u32,
        replaced: &[PartitionId],
        audit: &Audit,
    ) -> Result<MoveOutcome, ViewsError> {
        let mut session = self.database.write().await?;
        let tx = session.as_mut();
        for partition in replaced {
            // Takes the row, as a claim does: who claims later finds nobody, who claimed before is seen.
            put_out_of_office_unless_seen(tx, partition, audit).await?;
            if let Some(seen_at) = live_owner(tx, partition, audit).await? {
                return Ok(MoveOutcome::LiveOwner { partition: partition.clone(), seen_at });
            }
            if let Some((_, applied)) = partitions::owner_and_applied(tx, partition).await? {
                let stays = RecordedMove { from: applied, to: applied, gap: None };
                record(tx, PositionVerb::Adopt, partition, stays, audit).await?;
            }
        }
        let adopt = Statement::new(
            "INSERT INTO topic_generations (topic, generation) VALUES ($1, $2)
             ON CONFLICT (topic) DO UPDATE SET generation = excluded.generation
             WHERE topic_generations.generation < excluded.generation",
        );
        tx.execute(adopt.bind(topic).bind(generation)).await?;
        session.commit().await?;
        Ok(MoveOutcome::Moved)
    }

    async fn topic_generations(&self) -> Result<BTreeMap<String, u32>, ViewsError> {
        let rows = self.database.fetch(Statement::new("SELECT topic, generation FROM topic_generations")).await?;
        rows.iter().map(|row| Ok((row.text("topic")?, row.small("generation")?))).collect()
    }

    async fn position_changes(&self, stream: &StreamName, limit: u32) -> Result<Vec<RecordedChange>, ViewsError> {
        let statement = Statement::new(
            "SELECT stream, source, source_partition, verb, from_offset, to_offset, gap_from, gap_to, changed_at,
                 changed_by, reason
             FROM position_changes WHERE stream = $1 ORDER BY changed_at DESC, id DESC LIMIT $2",
        );
        let rows = self.database.fetch(statement.bind(stream.as_str()).bind(limit)).await?;
        rows.iter().map(change_of).collect()
    }
}

async fn owner_seen_at(
    session: &mut dyn Session,
    partition: &PartitionId,
) -> Result<Option<DateTime<Utc>>, ViewsError> {
    let statement = partitions::of(
        "SELECT owner_seen_at FROM partitions
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND owner IS NOT NULL",
        partition,
    );
    let row = session.fetch_optional(statement).await?;
    Ok(row.map(|row| row.optional_time("owner_seen_at")).transpose()?.flatten())
}

/// When the owner was seen, if that was lately.
pub(super) async fn live_owner(
    session: &mut dyn Session,
    partition: &PartitionId,
    audit: &Audit,
) -> Result<Option<DateTime<Utc>>, ViewsError> {
    let seen_at = owner_seen_at(session, partition).await?;
    Ok(seen_at.filter(|seen_at| audit.at - *seen_at < OWNER_GONE_AFTER))
}

/// False if A is not where the move begins.
async fn set_position(session: &mut dyn Session, change: &PositionMove) -> Result<bool, ViewsError> {
    let statement = partitions::of(
        "UPDATE partitions SET applied_offset = $5, last_message = $6,
             readings = readings - $7, duplicates = duplicates - $8, dead_letters = dead_letters - $9
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND applied_offset = $4",
        &change.partition,
    )
    .bind(change.from.as_i64())
    .bind(change.to.as_i64())
    .bind(change.last_message.as_ref().map(|hash| hash.as_str().to_owned()))
    .bind(change.uncounted.readings)
    .bind(change.uncounted.duplicates)
    .bind(change.uncounted.dead_letters);
    Ok(session.execute(statement).await? == 1)
}

pub(super) async fn put_out_of_office(session: &mut dyn Session, partition: &PartitionId) -> Result<(), ViewsError> {
    let statement = partitions::of(
        "UPDATE partitions SET owner = NULL WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    session.execute(statement).await?;
    Ok(())
}

async fn put_out_of_office_unless_seen(
    session: &mut dyn Session,
    partition: &PartitionId,
    audit: &Audit,
) -> Result<(), ViewsError> {
    let statement = partitions::of(
        "UPDATE partitions SET owner = CASE WHEN owner_seen_at > $4 THEN owner ELSE NULL END
         WHERE stream = $1 AND source = $2 AND source_partition = $3",
        partition,
    );
    session.execute(statement.bind(audit.at - OWNER_GONE_AFTER)).await?;
    Ok(())
}

/// Takes effects out of the views. `undone_from` is a cut, so no segment's gain is split.
async fn undo(session: &mut dyn Session, change: &PositionMove) -> Result<(), ViewsError> {
    const FROM_THE_CUT: [&str; 4] = [
        "DELETE FROM cuts WHERE stream = $1 AND source = $2 AND source_partition = $3 AND cut_offset > $4",
        "DELETE FROM rollup_speed WHERE stream = $1 AND source = $2 AND source_partition = $3 AND tag >= $4",
        "DELETE FROM anomalies WHERE stream = $1 AND source = $2 AND source_partition = $3 AND source_offset >= $4
             AND origin = 'speed'",
        // What ended there is open again.
        "UPDATE anomalies SET episode_ended_at = NULL, episode_end_offset = NULL, episode_readings = NULL,
             episode_peak_score = NULL
         WHERE stream = $1 AND source = $2 AND source_partition = $3 AND episode_end_offset >= $4 AND origin = 'speed'",
    ];
    for text in FROM_THE_CUT {
        session.execute(partitions::of(text, &change.partition).bind(change.undone_from.as_i64())).await?;
    }
    let dead_letters = partitions::of(
        "DELETE FROM dead_letters WHERE stream = $1 AND source = $2 AND source_partition = $3 AND source_offset >= $4",
        &change.partition,
    );
    session.execute(dead_letters.bind(change.to.as_i64())).await?;
    Ok(())
}

async fn forget_publication(session: &mut dyn Session, stream: &StreamName) -> Result<(), ViewsError> {
    const FORGET: [&str; 2] = [
        "UPDATE boundaries SET lake_version = NULL, published_at = NULL WHERE stream = $1",
        "DELETE FROM boundary_partitions WHERE stream = $1",
    ];
    for text in FORGET {
        session.execute(Statement::new(text).bind(stream.as_str())).await?;
    }
    // Of windows below it nothing but what was published is left.
    let floor = aging::floors(session, stream).await?.of_computed_windows();
    publication::forget_windows(session, stream, floor).await
}

async fn record(
    session: &mut dyn Session,
    verb: PositionVerb,
    partition: &PartitionId,
    moved: RecordedMove,
    audit: &Audit,
) -> Result<(), ViewsError> {
    let statement = partitions::of(
        "INSERT INTO position_changes
             (stream, source, source_partition, verb, from_offset, to_offset, gap_from, gap_to, changed_at, changed_by,
              reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        partition,
    )
    .bind(verb.as_str())
    .bind(moved.from.as_i64())
    .bind(moved.to.as_i64())
    .bind(moved.gap.map(|gap| gap.from.as_i64()))
    .bind(moved.gap.map(|gap| gap.to.as_i64()))
    .bind(audit.at)
    .bind(audit.by.as_str())
    .bind(audit.reason.as_str());
    session.execute(statement).await?;
    Ok(())
}

fn change_of(row: &Row) -> Result<RecordedChange, ViewsError> {
    let gap = match row.optional_int("gap_from")? {
        None => None,
        Some(_) => Some(OffsetSpan { from: row.offset("gap_from")?, to: row.offset("gap_to")? }),
    };
    Ok(RecordedChange {
        partition: PartitionId {
            stream: row.stream()?,
            source: row.source()?,
            partition: row.small("source_partition")?,
        },
        verb: row.parsed("verb", PositionVerb::parse)?,
        moved: RecordedMove { from: row.offset("from_offset")?, to: row.offset("to_offset")?, gap },
        audit: Audit { at: row.time("changed_at")?, by: row.text("changed_by")?, reason: row.text("reason")? },
    })
}
