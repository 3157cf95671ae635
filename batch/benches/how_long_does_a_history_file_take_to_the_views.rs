//! Prints the seconds from a file in UCI format to a committed lake on disk, and from there to published hourly windows
//! in SQLite, with rows a second, bytes of Parquet and the peak of resident memory.
//!
//! `KILOWATCH_UCI_FILE=.../uci_x8.csv cargo bench -p kilowatch-batch --bench how_long_does_a_history_file_take_to_the_views`
//! `KILOWATCH_BENCH_DIR` keeps lake and views in that folder, as for `dev/check_hourly.py`; else they are temporary.

use std::{env, error::Error, path::PathBuf, sync::Arc};

use kilowatch_batch::{
    BatchDeps,
    ingest::{IngestRequest, NoProgress},
    jobs::{
        ingest::ingest,
        rollup::{RollupRequest, rollup},
    },
};
use kilowatch_shared::{
    clock::SystemClock,
    lake::{delta::DeltaLake, store::LakeStore},
    position::{DeviceId, StreamName},
    stream::StreamRegistry,
    views::sqlite::SqliteViews,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(file) = env::var("KILOWATCH_UCI_FILE") else {
        println!("skipped: KILOWATCH_UCI_FILE names no file in UCI format");
        return Ok(());
    };
    let temporary = tempfile::tempdir()?;
    let folder = env::var("KILOWATCH_BENCH_DIR").map_or_else(|_| temporary.path().to_owned(), PathBuf::from);
    let clock = Arc::new(SystemClock);
    let store = LakeStore::open(&folder.join("lake").display().to_string(), &std::collections::BTreeMap::new())?;
    let lake = Arc::new(DeltaLake::new(store, clock.clone()));
    let views = Arc::new(SqliteViews::open(&folder.join("views.db")).await?);
    let deps = BatchDeps { lake, views, clock };
    let registry = StreamRegistry::built_in()?;
    let profile = registry.find(&StreamName::parse("household")?).ok_or("no profile `household`")?;

    let request = IngestRequest::new(PathBuf::from(file), DeviceId::parse(IngestRequest::DEFAULT_DEVICE)?);
    let report = ingest(&deps, profile, &request, Arc::new(NoProgress)).await?;
    println!("{}", report.summary());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = report.rows as f64 / report.seconds.max(1e-9);
    let megabytes = report.file_bytes / 1_000_000;
    println!("ingest: {:.3} s, {rate:.0} rows/s, {} files, {megabytes} MB of Parquet", report.seconds, report.files);
    println!("peak after ingest: {} MB resident", peak_megabytes());
    for full in [false, true] {
        let report = rollup(&deps, profile, &RollupRequest { full, as_of: None }).await?;
        println!(
            "roll-up (full: {full}): query {:.3} s, publication {:.3} s, {} partials",
            report.query_seconds, report.publish_seconds, report.partials
        );
    }
    println!("peak: {} MB resident", peak_megabytes());
    Ok(())
}

/// The high-water mark of this process's memory, where the system tells.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() / 1024
}
