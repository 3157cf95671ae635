//! Commands with good and bad input: answers, errors and exit codes.

use std::{fs, net::TcpListener};

use crate::process::{Running, kilowatch, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_typo_in_the_config_file_stops_the_start_and_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kilowatch.toml"), "[serving]\nlistn = \"127.0.0.1:0\"\n").unwrap();
    let output = run(&folder.path().join("data"), &["config", "show"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("serving.listn") && error.contains("did you mean `listen`"), "{error}");
}

#[test]
fn an_unknown_subcommand_is_wrong_use_and_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&folder.path().join("data"), &["fly"]).status.code(), Some(2));
}

#[test]
fn a_history_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder.path().join("data"), &["batch", "ingest", "nowhere.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nowhere.csv"), "{}", text(&output.stderr));
}

#[test]
fn a_simulated_file_goes_in_once_however_often_it_is_ingested() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let simulated = run(
        &data,
        &["simulate", "--to", "csv", "--file", "a.csv", "--from", "2026-01-05T00:00:00Z", "--count", "2880"],
    );
    assert!(simulated.status.success(), "{}", text(&simulated.stderr));
    fs::copy(folder.path().join("a.csv"), folder.path().join("b.csv")).unwrap();
    let mut rows = Vec::new();
    for file in ["a.csv", "a.csv", "b.csv"] {
        let output = run(&data, &["--json", "batch", "ingest", file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows.push(report["rows"].as_u64().unwrap());
    }
    assert_eq!(rows, [2880, 0, 0]);
    let verified = run(&data, &["batch", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&folder.path().join("data"), &["--listen", &address, "up", "--no-simulator"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
}

#[test]
fn a_taken_data_folder_is_named_with_the_way_out_and_batch_runs_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = Running::start(&mut kilowatch(&data, &["--listen", "127.0.0.1:0", "up", "--no-simulator"]));
    let second = run(&data, &["--listen", "127.0.0.1:0", "up", "--no-simulator"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("in use"), "{}", text(&second.stderr));
    let beside = run(&data, &["models", "list"]);
    assert!(beside.status.success(), "{}", text(&beside.stderr));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn the_server_does_not_listen_beyond_loopback_without_authentication() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder.path().join("data"), &["--listen", "0.0.0.0:0", "serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("loopback"), "{}", text(&output.stderr));
}
