//! Tombstones in the place of a device's readings.

use std::sync::Arc;

use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeTable,
        delta::{LakeFile, TableFiles, WrittenFile},
        files::FileEncoder,
        schema::tombstones_of_readings,
        session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::DeviceId,
    stream::StreamProfile,
};

use super::rewrite::{FILES_AT_ONCE, MAX_LOOKS, add, bucket_of, contended, newest, replace, store};
use crate::{
    BatchDeps, BatchError,
    compaction::{READINGS_ORDER, as_stored},
    ingest::Progress,
};

const READINGS: LakeTable = LakeTable::Readings;
const DEVICE: &str = "device_id";

/// How many rows of a device the table has now.
pub(crate) async fn rows_of_device(
    deps: &BatchDeps,
    profile: &StreamProfile,
    device: &DeviceId,
) -> Result<u64, BatchError> {
    let Some(table) = newest(deps, profile, READINGS).await? else { return Ok(0) };
    let mut rows = 0;
    for file in candidates(&table, device) {
        rows += rows_in(deps, &table, &file, device).await?;
    }
    Ok(rows)
}

/// Rewrites the data files that hold rows of a device, until none does; tells how many rows are tombstones now that were
/// none. Rows that come while it works are erased as well if it finds them.
pub(crate) async fn erase_readings(
    deps: &BatchDeps,
    profile: &StreamProfile,
    device: &DeviceId,
    progress: &dyn Progress,
) -> Result<u64, BatchError> {
    let (mut erased, mut total_bytes) = (0, 0);
    for _ in 0..MAX_LOOKS {
        let Some(table) = newest(deps, profile, READINGS).await? else { return Ok(erased) };
        let mut holding = Vec::new();
        for file in candidates(&table, device) {
            let rows = rows_in(deps, &table, &file, device).await?;
            if rows > 0 {
                holding.push((file, rows));
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
                new.push(rewritten(deps, profile, &table, file, device).await?);
                progress.advance(file.size_bytes);
            }
            let old: Vec<Arc<LakeFile>> = some.iter().map(|(file, _)| Arc::clone(file)).collect();
            if replace(deps, profile, READINGS, &old, &new).await? {
                erased += some.iter().map(|(_, rows)| rows).sum::<u64>();
            }
        }
    }
    Err(contended())
}

/// The data files whose range of devices has room for this one.
fn candidates(table: &TableFiles, device: &DeviceId) -> Vec<Arc<LakeFile>> {
    let may_hold = |file: &&Arc<LakeFile>| {
        let range = file.stats.device_id.as_ref();
        range.is_none_or(|(least, greatest)| least.as_str() <= device.as_str() && device.as_str() <= greatest.as_str())
    };
    table.files.iter().filter(may_hold).cloned().collect()
}

async fn rows_in(deps: &BatchDeps, table: &TableFiles, file: &LakeFile, device: &DeviceId) -> Result<u64, BatchError> {
    Ok(session(deps, table, file)?.count_where("readings", DEVICE, device.as_str()).await?)
}

/// Stores a copy of a data file in which the device's rows are tombstones. They come first, as their names sort.
async fn rewritten(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    file: &LakeFile,
    device: &DeviceId,
) -> Result<WrittenFile, BatchError> {
    let bucket = bucket_of(file)?;
    let session = session(deps, table, file)?;
    let schema = Arc::clone(&table.schema);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut encoder = FileEncoder::try_new(&schema, bucket)?;
    for of_device in [true, false] {
        let only = (DEVICE, device.as_str(), of_device);
        let mut rows = session.sorted_where("readings", &columns, &READINGS_ORDER, only).await?;
        while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
            let batch = if of_device { tombstones_of_readings(&as_stored(&batch, &schema)?, bucket)? } else { batch };
            encoder = add(encoder, batch, &schema).await?;
        }
    }
    let new = store(deps, profile, READINGS, encoder).await?;
    if file.stats.rows.is_some_and(|rows| rows != new.rows) {
        let reason = format!("{:?} rows were read and {} came out", file.stats.rows, new.rows);
        return Err(BatchError::Internal { job: "erase", reason });
    }
    Ok(new)
}

fn session(deps: &BatchDeps, table: &TableFiles, file: &LakeFile) -> Result<LakeSession, BatchError> {
    let only = table.only(|other| other.path == file.path);
    let readings = SessionTable { name: "readings", files: &only };
    Ok(lake_session(deps.lake.store(), &[readings], &SessionLimits::default())?)
}
