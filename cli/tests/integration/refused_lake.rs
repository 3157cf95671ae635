//! A run that is to end with its topic, over a lake that cannot be read.

use std::fs;

use crate::process::{kilowatch, run};

#[test]
fn it_ends_with_the_reason_after_its_patience_and_goes_on_once_the_lake_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let simulate = ["simulate", "--to", "log", "--from", "2026-01-05T00:00:00Z", "--count", "60"];
    let drain = ["--json", "speed", "run", "--until-caught-up"];
    assert!(run(&data, &simulate).status.success());
    assert!(run(&data, &drain).status.success());
    assert!(run(&data, &simulate).status.success());
    let broken = data.join("lake/household/readings/_delta_log/00000000000000000001.json");
    assert!(!broken.exists(), "the first run made one commit");
    fs::write(&broken, "no line of a log").unwrap();

    let ended = kilowatch(&data, &drain).env("KILOWATCH_SPEED__STOP_DEADLINE_MS", "1500").output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot go on, and could not for 1.5 s (speed.stop_deadline_ms): "), "{said}");
    assert!(said.contains("Delta log"), "{said}");

    fs::remove_file(&broken).unwrap();
    let went_on = run(&data, &drain);
    assert!(went_on.status.success(), "{}", String::from_utf8_lossy(&went_on.stderr));
    let report: serde_json::Value = serde_json::from_slice(&went_on.stdout).unwrap();
    assert_eq!(report["messages"], 60);
}
