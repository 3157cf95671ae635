//! The lake alone on a disk that is full, or that nobody may write, for a while.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use super::{
    ended::ends_well,
    sender::{Ledger, send},
    up,
};
use crate::{
    process::{Running, kilowatch, run, wait_until},
    rounds::rounds,
    small_disk::SmallDisk,
};

/// Segments of some thousand readings.
const LAKE_MB: u32 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detection_goes_on_while_the_lake_refuses_and_what_waited_is_in_it_once_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("lake")).unwrap();
    let Some(disk) = SmallDisk::mount(&data.join("lake"), LAKE_MB, "detection_goes_on_while_the_lake_refuses_...")
    else {
        return;
    };
    let url = Arc::new(Mutex::new(String::new()));
    let (ledger, enough) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let mut process = tokio::task::block_in_place(|| start(&data, &url));
    let sender = tokio::spawn(send(Arc::clone(&url), Arc::clone(&ledger), Arc::clone(&enough), 11));

    for round in 0..rounds(2, 10) {
        goes_on(&process.url).await;
        let ballast = tokio::task::block_in_place(|| disk.fill());
        says(&process.url, "No space left on device").await;
        goes_on(&process.url).await;
        if round == 0 {
            // A stop does not wait for the lake, a run to the end of the log says what it could not do, and the next
            // process judges on at once.
            assert_eq!(tokio::task::block_in_place(|| process.stop()), Some(0));
            process = tokio::task::block_in_place(|| {
                says_what_is_left(&data);
                start(&data, &url)
            });
            goes_on(&process.url).await;
        }
        tokio::task::block_in_place(|| fs::remove_file(ballast).unwrap());
        is_ready(&process.url).await;
        tokio::task::block_in_place(|| disk.lock(true));
        says(&process.url, "Read-only file system").await;
        goes_on(&process.url).await;
        tokio::task::block_in_place(|| disk.lock(false));
        is_ready(&process.url).await;
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

fn start(data: &Path, url: &Mutex<String>) -> Running {
    let process = Running::start(up(data).env("KILOWATCH_SPEED__STOP_DEADLINE_MS", "2000"));
    url.lock().unwrap().clone_from(&process.url);
    process
}

fn says_what_is_left(data: &Path) {
    let mut drain = kilowatch(data, &["speed", "run", "--until-caught-up"]);
    let ended = drain.env("KILOWATCH_SPEED__STOP_DEADLINE_MS", "2000").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("everything is applied, but the lake does not take it (the lake refused: "), "{said}");
}

/// Waits until many more readings are judged.
async fn goes_on(url: &str) {
    let counts = format!("{url}/api/counts?stream=household");
    let judged = async || {
        let answer: Value = reqwest::get(&counts).await.unwrap().json().await.unwrap();
        answer["data"]["speed"]["readings"].as_u64().unwrap()
    };
    let before = judged().await;
    wait_until("more readings are judged", async || judged().await > before + 3_000).await;
}

/// Waits until readiness names what the disk of the lake says.
async fn says(url: &str, error: &str) {
    wait_until("readiness says what the lake refuses", async || {
        let ready = reqwest::get(format!("{url}/readyz")).await.unwrap().text().await.unwrap();
        assert!(!ready.contains("is stopped"), "{ready}");
        ready.contains("the lake refused") && ready.contains(error)
    })
    .await;
}

async fn is_ready(url: &str) {
    wait_until("all is well again", async || reqwest::get(format!("{url}/readyz")).await.unwrap().status() == 200)
        .await;
}
