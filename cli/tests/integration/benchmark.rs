//! `batch benchmark` with the binary itself, and peers that are missing or fail.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::process::{kilowatch, run, wait_until};

/// A DuckDB that knows its version and nothing else.
fn broken_peer(folder: &Path) -> String {
    let path = folder.join("duckdb");
    fs::write(&path, "#!/bin/sh\n[ \"$1\" = --version ] && echo v9.9.9 && exit\necho 'no such engine' >&2\nexit 1\n")
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn it_measures_this_engine_and_says_who_is_missing_or_failed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let duckdb = broken_peer(folder.path());
    let arguments = [
        "--json",
        "batch",
        "benchmark",
        "--sizes",
        "1,2",
        "--rounds",
        "1",
        "--python",
        "/no/python",
        "--duckdb",
        &duckdb,
    ];
    // Settings of whoever asks must not lead the measured engine to their stores.
    let mut command = kilowatch(&data, &arguments);
    let elsewhere = folder.path().join("elsewhere");
    let output = command.env("KILOWATCH_LAKE__URL", &elsewhere).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let engines: Vec<_> = report["engines"].as_array().unwrap().iter().map(|found| &found["absence"]).collect();
    assert_eq!(engines, [&Value::Null, &Value::Null, &"not installed".into(), &"not installed".into()]);
    let measurements = report["measurements"].as_array().unwrap();
    assert_eq!(measurements.len(), 8, "two tasks, sizes and engines: {measurements:?}");
    for measured in measurements {
        let (engine, result) = (measured["engine"].as_str().unwrap(), &measured["result"]);
        if engine == "kilowatch" {
            let figures = &result["measured"];
            for figure in ["wall_secs", "cpu_secs", "peak_bytes", "engine_secs"] {
                assert!(figures[figure]["median"].as_f64().unwrap() > 0.0, "{figure} in {measured}");
            }
        } else {
            assert!(result["failed"].as_str().unwrap().ends_with("no such engine"), "{measured}");
        }
        let bytes = measured["input_bytes"].as_u64().unwrap();
        assert!((900_000..=2_000_000).contains(&bytes), "{measured}");
    }
    assert!(!data.join("benchmark").exists(), "the scratch folder is left");
    assert!(!elsewhere.join("household").exists(), "the measured engine wrote into the lake of whoever asked");
}

#[tokio::test]
async fn a_stopped_benchmark_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["batch", "benchmark", "--sizes", "60", "--python", "/no/python", "--duckdb", "/no/duckdb"];
    let mut child = kilowatch(&data, &arguments).stderr(Stdio::null()).spawn().unwrap();
    let scratch = data.join("benchmark");
    // The simulator writes; a process of the benchmark runs.
    wait_until("data is made", async || scratch.join("household.csv").exists()).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!scratch.exists(), "the scratch folder is left");
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    let name = scratch.display().to_string();
    let left: Vec<_> = processes.filter(|line| String::from_utf8_lossy(line).contains(&name)).collect();
    assert!(left.is_empty(), "{} processes go on", left.len());
}

#[test]
fn a_size_of_nothing_is_wrong_use() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder.path().join("data"), &["batch", "benchmark", "--sizes", "0"]);
    assert_eq!(output.status.code(), Some(2));
}
