//! Tombstones in the place of what is left of a device in a table, some data files at a time, whatever else is committed
//! meanwhile.

use std::{collections::HashSet, sync::Arc};

use kilowatch_shared::{
    lake::{
        LakeTable,
        delta::{LakeFile, Rewrite, TableFiles, WrittenFile},
        session::LakeSession,
    },
    position::DeviceId,
    stream::StreamProfile,
};
use object_store::path::Path;

use crate::{
    BatchDeps, BatchError,
    ingest::Progress,
    rewriting::{FileCopy, MAX_LOOKS, Rewriting},
};

/// Files of one commit. What is committed stays done when the job stops.
const FILES_AT_ONCE: usize = 16;

/// What of a device is to leave a table.
pub(crate) trait Leaving: Sync {
    /// The table.
    const TABLE: LakeTable;

    /// The device.
    fn device(&self) -> &DeviceId;

    /// Whether something of it may be in a data file, as far as the log tells.
    fn may_be_in(&self, file: &LakeFile) -> bool;

    /// How many rows of the session's data files are to become tombstones.
    fn count(&self, session: &LakeSession) -> impl Future<Output = Result<u64, BatchError>> + Send;

    /// Adds all rows to a copy, with tombstones in the place of those.
    fn copy<'a>(&self, copy: FileCopy<'a>) -> impl Future<Output = Result<FileCopy<'a>, BatchError>> + Send;
}

/// How many rows of the table would become tombstones now.
pub(crate) async fn count_in<L: Leaving>(
    deps: &BatchDeps,
    profile: &StreamProfile,
    leaving: &L,
) -> Result<u64, BatchError> {
    let rewriting = rewriting::<L>(deps, profile);
    let Some(table) = rewriting.newest().await? else { return Ok(0) };
    let mut rows = 0;
    for file in table.files.iter().filter(|file| leaving.may_be_in(file)) {
        rows += leaving.count(&rewriting.session(&alone(&table, file))?).await?;
    }
    Ok(rows)
}

/// Rewrites the data files that hold something of the device, until none does; tells how many rows are tombstones now that
/// were none. Rows that come while it works are erased as well if it finds them.
pub(crate) async fn erase_from<L: Leaving>(
    deps: &BatchDeps,
    profile: &StreamProfile,
    leaving: &L,
    progress: &(dyn Progress + 'static),
) -> Result<u64, BatchError> {
    let rewriting = rewriting::<L>(deps, profile);
    // A data file never changes, so it is looked at once.
    let mut without: HashSet<Path> = HashSet::new();
    let (mut erased, mut total_bytes) = (0, 0);
    for _ in 0..MAX_LOOKS {
        let Some(table) = rewriting.newest().await? else { return Ok(erased) };
        let mut holding = Vec::new();
        for file in table.files.iter().filter(|file| leaving.may_be_in(file)) {
            if without.contains(&file.path) {
                continue;
            }
            match leaving.count(&rewriting.session(&alone(&table, file))?).await? {
                0 => _ = without.insert(file.path.clone()),
                rows => holding.push((Arc::clone(file), rows)),
            }
        }
        if holding.is_empty() {
            return Ok(erased);
        }
        total_bytes += holding.iter().map(|(file, _)| file.size_bytes).sum::<u64>();
        progress.begin(total_bytes);
        for some in holding.chunks(FILES_AT_ONCE) {
            let mut new = Vec::with_capacity(some.len());
            for (file, _) in some {
                match copied(leaving, rewriting, &alone(&table, file)).await {
                    Ok(copy) => new.push(copy),
                    Err(error) => {
                        rewriting.discard(&new).await;
                        return Err(error);
                    }
                }
                progress.advance(file.size_bytes);
            }
            let old: Vec<Arc<LakeFile>> = some.iter().map(|(file, _)| Arc::clone(file)).collect();
            let rows = some.iter().map(|(_, rows)| rows).sum();
            let rewrite = Rewrite::Erased { device: leaving.device(), rows };
            if rewriting.replace(&old, &new, rewrite).await? {
                erased += rows;
                without.extend(new.into_iter().map(|file| file.path));
            }
        }
    }
    Err(rewriting.contended())
}

async fn copied<L: Leaving>(
    leaving: &L,
    rewriting: Rewriting<'_>,
    file: &TableFiles,
) -> Result<WrittenFile, BatchError> {
    leaving.copy(FileCopy::of(rewriting, file)?).await?.store().await
}

const fn rewriting<'a, L: Leaving>(deps: &'a BatchDeps, profile: &'a StreamProfile) -> Rewriting<'a> {
    Rewriting { deps, profile, kind: L::TABLE, job: "erase" }
}

fn alone(table: &TableFiles, file: &Arc<LakeFile>) -> TableFiles {
    table.of_files(vec![Arc::clone(file)])
}
