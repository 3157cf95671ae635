//! Readings of the lake, whole buckets of them; the windows that they were summed up in stay.
//!
//! First what the lake holds is published, and the floor raised: from then on windows below it are what they are. Then those
//! data files go of which the published version already names every row, and which no replay wants: all their offsets lie
//! below a detector state that is saved at or below L and A. The smallest one of such states is where replays begin from now on.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::SourcePartition,
    cut_line::CutLine,
    lake::{
        LakeTable,
        delta::{ExpiredFiles, LakeFile, TableFiles},
    },
    position::{Offset, PartitionId, SourceId},
    stream::StreamProfile,
    views::Aged,
};
use object_store::path::Path;

use super::{Expired, expire_files, floor_of_buckets};
use crate::{
    BatchDeps, BatchError,
    jobs::{
        rollup::{RollupRequest, publish},
        verify::extents_of,
    },
    saved_states::{newest_state, recorded_cuts, smallest_state_above},
};

/// Takes out the data files of buckets that end at the floor or before.
pub(super) async fn expire(
    deps: &BatchDeps,
    profile: &StreamProfile,
    floor: DateTime<Utc>,
    dry_run: bool,
) -> Result<Expired, BatchError> {
    let floor = floor_of_buckets(profile, floor);
    let mut expired = Expired::new(Aged::Readings, floor);
    if !dry_run {
        publish(deps, profile, RollupRequest::default()).await?;
    }
    // What is published before the floor is raised counts in its windows.
    let Some(version) = deps.views.boundary(&profile.name).await?.lake_version else { return Ok(expired) };
    if !dry_run {
        deps.views.raise_age_floor(&profile.name, Aged::Readings, floor).await?;
    }
    let published = deps.lake.open_table(&profile.name, LakeTable::Readings, Some(version)).await?;
    let published: HashSet<&Path> = published.files.iter().map(|file| &file.path).collect();
    let found = expire_files(deps, profile, (LakeTable::Readings, dry_run), async |table| {
        unneeded(deps, profile, table, (&published, floor)).await
    });
    expired.add_files(&found.await?.files);
    if let Some(table) = deps.lake.newest_table(&profile.name, LakeTable::Readings).await? {
        let left = table.files.iter().filter(|file| file.is_before(floor)).count() as u64;
        // A look leaves those that it found.
        expired.waiting_files = if dry_run { left - expired.lake_files.min(left) } else { left };
    }
    Ok(expired)
}

/// The data files that may go, and where replays begin then.
async fn unneeded(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    (published, floor): (&HashSet<&Path>, DateTime<Utc>),
) -> Result<ExpiredFiles, BatchError> {
    let mut expired = ExpiredFiles { floor, ..ExpiredFiles::default() };
    let mut partitions: BTreeMap<SourcePartition, Replayable> = BTreeMap::new();
    let old = table.files.iter().filter(|file| file.is_before(floor) && published.contains(&file.path));
    for file in old {
        let last_offsets = last_offsets(deps, table, file).await?;
        let mut is_unneeded = true;
        for (partition, last) in &last_offsets {
            let known = match partitions.entry(partition.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unseen) => unseen.insert(Replayable::of(deps, profile, table, partition).await?),
            };
            is_unneeded &= known.newest_state.is_some_and(|state| state > *last);
        }
        if is_unneeded {
            for (partition, last) in last_offsets {
                if let Some(partition) = partitions.get_mut(&partition) {
                    partition.gone_to = partition.gone_to.max(Some(last));
                }
            }
            expired.files.push(file.clone());
        }
    }
    for (partition, replayable) in partitions {
        if let Some(from) = replayable.begin(deps).await? {
            expired.replay_from.insert(partition, from);
        }
    }
    Ok(expired)
}

/// The last offset that a data file has of each partition of a log. Rows of files are never replayed.
async fn last_offsets(
    deps: &BatchDeps,
    table: &TableFiles,
    file: &LakeFile,
) -> Result<Vec<(SourcePartition, Offset)>, BatchError> {
    if let Some(told) = told_by_statistics(file) {
        return Ok(told);
    }
    let extents = extents_of(deps, &table.only(|other| other.path == file.path)).await?;
    let of_logs = extents.into_iter().filter(|(partition, _)| partition.source.is_log());
    Ok(of_logs.map(|(partition, extent)| (partition, offset_of(extent.greatest))).collect())
}

/// The same from the file's statistics, if it has rows of one partition only.
fn told_by_statistics(file: &LakeFile) -> Option<Vec<(SourcePartition, Offset)>> {
    let (source, last_source) = file.stats.source.as_ref()?;
    let (partition, last_partition) = file.stats.source_partition?;
    let (_, last) = file.stats.source_offset?;
    if source != last_source || partition != last_partition {
        return None;
    }
    let source = SourceId::parse(source).ok()?;
    if !source.is_log() {
        return Some(Vec::new());
    }
    let partition = SourcePartition { source, partition: u32::try_from(partition).ok()? };
    Some(vec![(partition, offset_of(last))])
}

/// Offsets of the lake are those of a log, which has no negative ones.
fn offset_of(offset: i64) -> Offset {
    Offset::new(u64::try_from(offset).unwrap_or_default())
}

/// A partition and the states that a replay of it may begin at.
struct Replayable {
    id: PartitionId,
    cuts: Option<CutLine>,
    /// The newest state at or below L and A that counts.
    newest_state: Option<Offset>,
    /// The last offset of the rows that go.
    gone_to: Option<Offset>,
}

impl Replayable {
    async fn of(
        deps: &BatchDeps,
        profile: &StreamProfile,
        table: &TableFiles,
        partition: &SourcePartition,
    ) -> Result<Self, BatchError> {
        let SourcePartition { source, partition: number } = partition.clone();
        let id = PartitionId { stream: profile.name.clone(), source, partition: number };
        let cuts = recorded_cuts(deps, &id, "expire").await?;
        let closed = table.closed.get(partition).copied().unwrap_or_default();
        // Views that came back from a backup stand below L, and go on from a state at or below where they stand.
        let applied = deps.views.partition(&id).await?.map_or(Offset::ZERO, |state| state.applied);
        let newest_state = match &cuts {
            Some(cuts) => newest_state(deps, &id, cuts, closed.min(applied)).await?.map(|state| state.offset),
            None => None,
        };
        Ok(Self { id, cuts, newest_state, gone_to: None })
    }

    /// The smallest state above the rows that go: the longer a replay, the more it proves.
    async fn begin(&self, deps: &BatchDeps) -> Result<Option<Offset>, BatchError> {
        let (Some(gone_to), Some(cuts), Some(newest)) = (self.gone_to, &self.cuts, self.newest_state) else {
            return Ok(None);
        };
        smallest_state_above(deps, &self.id, cuts, (gone_to, newest)).await.map(Some)
    }
}
