//! A disk that is full for a while, with log, lake and views on it.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    ended::ends_well,
    sender::{Ledger, send},
    up,
};
use crate::{
    process::{Running, run, wait_until},
    rounds::rounds,
    small_disk::SmallDisk,
};

/// Log, lake and views of some thousand readings.
const DISK_MB: u32 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_readings_and_loses_none_that_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(disk) = SmallDisk::mount(&disk, DISK_MB, "a_full_disk_...") else { return };
    let data = disk.path().join("data");
    let (url, ledger, enough) =
        (Arc::new(Mutex::new(String::new())), Ledger::default(), Arc::new(AtomicBool::new(false)));
    let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
    url.lock().unwrap().clone_from(&process.url);
    let sender = tokio::spawn(send(Arc::clone(&url), Arc::clone(&ledger), Arc::clone(&enough), 7));
    let sent = || ledger.lock().unwrap().len();
    for _ in 0..rounds(2, 20) {
        let before = sent();
        wait_until("readings are taken", async || sent() > before + 3_000).await;
        let ballast = tokio::task::block_in_place(|| disk.fill());
        wait_until("readings are refused", async || refuses(&process.url).await).await;
        fs::remove_file(ballast).unwrap();
        let before = sent();
        wait_until("readings are taken again", async || sent() > before + 3_000).await;
        // The boundary has to move between the faults, or the seam would never be tried.
        let published = tokio::task::block_in_place(|| run(&data, &["batch", "rollup"]));
        assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    }
    enough.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    assert_eq!(tokio::task::block_in_place(|| process.stop()), Some(0));
    let acknowledged = ledger.lock().unwrap().clone();
    ends_well(&data, folder.path(), &acknowledged).await;
}

/// Whether a reading is not taken just now, by an answer that tells a client to try again.
async fn refuses(url: &str) -> bool {
    let reading = r#"{"device_id":"probe","timestamp":"2026-01-01T00:00:00Z","active_power":1.0}"#;
    let request = reqwest::Client::new().post(format!("{url}/api/readings?stream=household"));
    let answer = request.header("Content-Type", "application/json").body(reading).send().await.unwrap();
    assert!(answer.status().is_success() || answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE);
    !answer.status().is_success()
}
