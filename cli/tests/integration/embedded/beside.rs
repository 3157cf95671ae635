//! I1 on one table that everybody writes to at once: a live layer, two ingests of overlapping files, a compaction.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    drain,
    sender::{Ledger, send},
    up,
};
use crate::{
    process::{Running, run, wait_until},
    rounds::{rounds, seed},
};

/// Minutes of the first file of a round, and of the second one: half of them are in both.
const MINUTES: [std::ops::Range<i64>; 2] = [0..3_000, 1_500..4_500];

/// What the second file says of every seventh minute, and nobody else.
const REVISED_KW: &str = "99.5";

fn is_revised(minute: i64) -> bool {
    minute % 7 == 0
}

/// The instant of a minute, in SQL.
fn at(minute: i64) -> String {
    format!("TIMESTAMP '{}'", (start() + TimeDelta::minutes(minute)).to_rfc3339())
}

/// The first instant that the sender sends of.
fn start() -> DateTime<Utc> {
    "2007-03-01T00:00:00Z".parse().unwrap()
}

/// A file of a meter that sends live as well, from the same instant on.
fn write_file(path: &Path, device: u64, minutes: std::ops::Range<i64>, revises: bool) {
    let mut text = "device_id,timestamp,active_power,voltage\n".to_owned();
    for minute in minutes {
        let power = if revises && is_revised(minute) { REVISED_KW } else { "1.25" };
        let at = (start() + TimeDelta::minutes(minute)).to_rfc3339();
        writeln!(text, "meter-{device:04},{at},{power},240").unwrap();
    }
    fs::write(path, text).unwrap();
}

fn ok(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn number(data: &Path, what: &str) -> u64 {
    let answer = ok(data, &["--json", "lake", "sql", &format!("SELECT {what} AS n FROM household.readings")]);
    serde_json::from_str::<Value>(&answer).unwrap()[0]["n"].as_u64().unwrap()
}

/// Both ingests and a compaction, beside each other.
fn one_round(data: &Path, folder: &Path, device: u64) {
    let columns = "--columns=active_power=active_power,voltage=voltage";
    let names = [format!("kept-{device}.csv"), format!("replacing-{device}.csv")];
    for ((name, minutes), revises) in names.iter().zip(MINUTES).zip([false, true]) {
        write_file(&folder.join(name), device, minutes, revises);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| ok(data, &["batch", "ingest", columns, &names[0]]));
        scope.spawn(|| ok(data, &["batch", "ingest", columns, "--on-conflict", "replace", &names[1]]));
        scope.spawn(|| ok(data, &["batch", "compact"]));
        scope.spawn(|| ok(data, &["batch", "rollup"]));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ingests_a_compaction_and_a_live_layer_at_once_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (ledger, enough) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
    let url = Arc::new(Mutex::new(process.url.clone()));
    let sender = tokio::spawn(send(url, Arc::clone(&ledger), Arc::clone(&enough), seed()));
    let sent = || ledger.lock().unwrap().len();
    // A device a round, of the five that the sender has.
    let rounds = rounds(2, 5) as u64;
    for device in 0..rounds {
        let before = sent();
        wait_until("readings are taken", async || sent() > before + 2_000).await;
        tokio::task::block_in_place(|| one_round(&data, folder.path(), device));
    }
    enough.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    assert_eq!(tokio::task::block_in_place(|| process.stop()), Some(0));
    let acknowledged = ledger.lock().unwrap().clone();
    assert!(acknowledged.len() > 4_000, "only {} readings were sent: the test tried too little", acknowledged.len());

    tokio::task::block_in_place(|| {
        drain(&data);
        ok(&data, &["batch", "rollup"]);
        let live = "FILTER (WHERE source LIKE 'log:%')";
        let offsets = number(&data, &format!("COUNT(DISTINCT source_offset) {live}"));
        assert_eq!(number(&data, &format!("COUNT(*) {live}")), offsets, "a message stands twice");
        assert_eq!(number(&data, &format!("MAX(source_offset) {live}")), offsets - 1, "a message is lost");
        assert!(acknowledged.keys().all(|offset| *offset < offsets), "an acknowledged reading is not in the lake");
        let counting = "FILTER (WHERE NOT superseded AND NOT is_duplicate)";
        let keys = number(&data, &format!("COUNT(DISTINCT device_id || CAST(event_time AS VARCHAR)) {counting}"));
        assert_eq!(number(&data, &format!("COUNT(*) {counting}")), keys, "a device and time counts twice");
        // Where the first file came after a live reading, that one counts.
        for device in 0..rounds {
            let of_device = format!("device_id = 'meter-{device:04}' AND event_time < {}", at(MINUTES[1].end));
            let counted =
                number(&data, &format!("COUNT(*) FILTER (WHERE NOT superseded AND NOT is_duplicate AND {of_device})"));
            assert_eq!(
                counted,
                (MINUTES[0].start..MINUTES[1].end).count() as u64,
                "a minute of device {device} is lost"
            );
        }
        let replacing = format!("event_time >= {} AND source LIKE 'file:%'", at(MINUTES[1].start));
        let replacing = number(&data, &format!("COUNT(*) FILTER (WHERE NOT superseded AND {replacing})"));
        assert_eq!(replacing, rounds * MINUTES[1].clone().count() as u64, "a row that was to replace others is lost");
        let revised = MINUTES[1].clone().filter(|minute| is_revised(*minute)).count() as u64;
        let of_revised = format!("FILTER (WHERE NOT superseded AND active_power = {REVISED_KW})");
        assert_eq!(number(&data, &format!("COUNT(*) {of_revised}")), rounds * revised, "a replaced row counts");
        ok(&data, &["batch", "verify"]);
    });
}
