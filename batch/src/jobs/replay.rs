//! `replay`: dead letters pass the decoder of today, and those that are readings now become rows of the lake.
//!
//! Each is an ingest of its own, with source `dead:<position>` and its own `txn`, so a second replay changes nothing. The
//! live fold has passed its position long ago and never sees it. Rows whose key the lake has are left out, as those of a
//! file are.

use std::collections::HashSet;

use kilowatch_shared::{
    dead_letter::DeadLetter,
    job::JobStatus,
    lake::{
        CommitOutcome, LakeTable,
        delta::{TableFiles, replayed_position},
    },
    position::SourcePosition,
    reading::LakeReading,
    stream::{Decoder, StreamProfile},
};
use serde::{Deserialize, Serialize};

use super::history::{Summary, recorded};
use crate::{
    BatchDeps, BatchError,
    ingest::{DeviceNumbers, KeySet, LakeKeys, ParsedRows, find_repeats},
};

/// How often the rows are compared anew because something else was ingested meanwhile.
const MAX_TRIES: u32 = 5;

/// Letters that are still dead and are named in the report.
const EXAMPLES: usize = 10;

/// A letter that the decoder still refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillDead {
    /// Where it stands.
    pub position: String,
    /// What is wrong with it now.
    pub reason: String,
}

/// What became of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Letters that were looked at.
    pub letters: u64,
    /// Those that are rows of the lake now.
    pub appended: u64,
    /// Those that an earlier replay had taken.
    pub already_replayed: u64,
    /// Those whose reading the lake had already, under another position.
    pub identical: u64,
    /// Those whose device and time the lake had with other values; the earlier row stays.
    pub conflicting: u64,
    /// Those that still are no reading.
    pub still_dead: u64,
    /// Some of them.
    pub still_dead_examples: Vec<StillDead>,
}

impl ReplayReport {
    /// Adds what became of other letters.
    pub fn add(&mut self, other: Self) {
        self.letters += other.letters;
        self.appended += other.appended;
        self.already_replayed += other.already_replayed;
        self.identical += other.identical;
        self.conflicting += other.conflicting;
        self.still_dead += other.still_dead;
        self.still_dead_examples.extend(other.still_dead_examples);
        self.still_dead_examples.truncate(EXAMPLES);
    }

    fn still_dead(&mut self, position: &SourcePosition, reason: String) {
        self.still_dead += 1;
        if self.still_dead_examples.len() < EXAMPLES {
            self.still_dead_examples.push(StillDead { position: position.to_string(), reason });
        }
    }
}

impl Summary for ReplayReport {
    fn status(&self) -> JobStatus {
        if self.appended == 0 { JobStatus::Skipped } else { JobStatus::Succeeded }
    }

    fn changed_rows(&self) -> u64 {
        self.appended
    }

    fn sentence(&self) -> String {
        let parts = [
            (self.appended, "became readings"),
            (self.already_replayed, "had been replayed before"),
            (self.identical, "were in the lake already"),
            (self.conflicting, "conflict with a row of the lake"),
            (self.still_dead, "are still dead"),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if told.is_empty() {
            return "no dead letters to replay".to_owned();
        }
        format!("of {} dead letters {}", self.letters, told.join(", "))
    }
}

/// Replays these letters, all of them in one commit.
///
/// # Errors
/// [`BatchError::Lake`], [`BatchError::Views`] or [`BatchError::Contended`]; the lake holds none of them then, except if
/// the store failed to answer the commit itself: replaying again tells.
pub async fn replay(
    deps: &BatchDeps,
    profile: &StreamProfile,
    letters: &[DeadLetter],
) -> Result<ReplayReport, BatchError> {
    recorded(deps, profile, "replay", run(deps, profile, letters)).await
}

async fn run(deps: &BatchDeps, profile: &StreamProfile, letters: &[DeadLetter]) -> Result<ReplayReport, BatchError> {
    for _ in 0..MAX_TRIES {
        let table = deps.lake.newest_table(&profile.name, LakeTable::Readings).await?;
        let base = table.as_ref().map(TableFiles::snapshot).unwrap_or_default();
        let mut report = ReplayReport { letters: letters.len() as u64, ..ReplayReport::default() };
        let (accepted, decoded) = decode(deps, profile, letters, &mut report).await?;
        let done: Vec<SourcePosition> = decoded.iter().map(|row| row.position.clone()).collect();
        let rows = without_repeats(deps, profile, table, decoded, &mut report).await?;
        if !done.is_empty() && deps.lake.append_replayed(profile, &base, &done, &rows).await? == CommitOutcome::Conflict
        {
            continue;
        }
        report.appended = rows.len() as u64;
        // Also those of earlier replays: the note may have been lost with the process.
        deps.views.mark_replayed(&profile.name, &accepted, deps.clock.now()).await?;
        return Ok(report);
    }
    Err(BatchError::Contended {
        job: "replay",
        attempts: MAX_TRIES,
        reason: "something else was ingested each time".to_owned(),
    })
}

/// The letters that the decoder takes, and the readings of those that no replay took before, each where it will stand.
async fn decode(
    deps: &BatchDeps,
    profile: &StreamProfile,
    letters: &[DeadLetter],
    report: &mut ReplayReport,
) -> Result<(Vec<SourcePosition>, Vec<LakeReading>), BatchError> {
    let decoder = Decoder::new(profile);
    let (mut accepted, mut decoded) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for letter in letters.iter().filter(|letter| seen.insert(&letter.position)) {
        match (decoder.decode(&letter.raw), replayed_position(&letter.position)) {
            (Err(error), _) => report.still_dead(&letter.position, error.to_string()),
            (_, Err(error)) => report.still_dead(&letter.position, error.to_string()),
            (Ok(reading), Ok(position)) => {
                accepted.push(letter.position.clone());
                decoded.push(LakeReading { reading, position, ingested_at: letter.seen_at, is_duplicate: false });
            }
        }
    }
    let positions: Vec<SourcePosition> = decoded.iter().map(|row| row.position.clone()).collect();
    let mut known = deps.lake.replayed(&profile.name, &positions).await?.into_iter();
    decoded.retain(|_| !known.next().unwrap_or(false));
    report.already_replayed = (positions.len() - decoded.len()) as u64;
    Ok((accepted, decoded))
}

/// The rows whose key neither the lake nor an earlier one of them has.
async fn without_repeats(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: Option<TableFiles>,
    decoded: Vec<LakeReading>,
    report: &mut ReplayReport,
) -> Result<Vec<LakeReading>, BatchError> {
    let rows = ParsedRows::of_readings(profile, decoded.iter().map(|row| &row.reading));
    let (mut numbers, mut keys, mut lake_keys) = (DeviceNumbers::default(), KeySet::default(), LakeKeys::of(table));
    lake_keys.read_for(&rows, &deps.lake, profile, &mut numbers).await?;
    let repeats = find_repeats(&rows, &mut numbers, &mut keys, &lake_keys);
    for repeat in &repeats {
        if repeat.identical {
            report.identical += 1;
        } else {
            report.conflicting += 1;
        }
    }
    let repeated: HashSet<usize> = repeats.into_iter().map(|repeat| repeat.index).collect();
    let kept = decoded.into_iter().enumerate().filter(|(index, _)| !repeated.contains(index));
    Ok(kept.map(|(_, row)| row).collect())
}
