//! Commands with good and bad input: answers, errors and exit codes.

use std::{fs, net::TcpListener, path::Path, process::Stdio};

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
fn an_input_of_a_stream_that_does_not_exist_stops_the_start_and_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[[schedule.inputs]]\nstream = \"gird\"\nfiles = [\"inbox\"]\n";
    fs::write(folder.path().join("kilowatch.toml"), config).unwrap();
    let output = run(&folder.path().join("data"), &["config", "show"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("schedule.inputs[0].stream: there is no stream `gird`") && error.contains("grid"),
        "{error}"
    );
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

/// A file of a simulated meter, of so many minutes.
fn simulated(folder: &Path, name: &str, from: &str, minutes: &str) {
    let simulate = ["simulate", "--to", "csv", "--file", name, "--from", from, "--count", minutes];
    let output = run(&folder.join("data"), &simulate);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// What each report says that it brought.
fn new_rows(stdout: &[u8]) -> Vec<u64> {
    let reports = serde_json::Deserializer::from_slice(stdout).into_iter::<serde_json::Value>();
    reports.map(|report| report.unwrap()["rows"].as_u64().unwrap()).collect()
}

#[test]
fn a_file_that_cannot_be_ingested_is_told_of_and_the_others_go_in() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    simulated(folder.path(), "in/a.csv", "2026-01-05T00:00:00Z", "60");
    fs::write(folder.path().join("in/b.csv"), "").unwrap();
    simulated(folder.path(), "in/c.csv", "2026-01-06T00:00:00Z", "30");
    let output = run(&folder.path().join("data"), &["--json", "batch", "ingest", "in"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(new_rows(&output.stdout), [60, 30]);
    let errors = text(&output.stderr);
    assert!(errors.contains("in/b.csv: the file is empty") && errors.contains("1 of 3 files"), "{errors}");
}

#[test]
fn standard_input_is_a_file_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    simulated(folder.path(), "a.csv", "2026-01-05T00:00:00Z", "60");
    let data = folder.path().join("data");
    for expected in [60, 0] {
        let input = fs::File::open(folder.path().join("a.csv")).unwrap();
        let output = kilowatch(&data, &["--json", "batch", "ingest", "-"]).stdin(input).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(new_rows(&output.stdout), [expected]);
    }
}

#[test]
fn statistics_are_of_one_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, from) in [("a.csv", "2026-01-05T00:00:00Z"), ("b.csv", "2026-01-06T00:00:00Z")] {
        simulated(folder.path(), name, from, "60");
    }
    let command = ["--json", "batch", "ingest", "a.csv", "b.csv", "--stats", "hourly.json"];
    let output = run(&folder.path().join("data"), &command);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the statistics are of one file"), "{}", text(&output.stderr));
    assert_eq!(new_rows(&output.stdout), [0_u64; 0]);
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
    let error = text(&output.stderr);
    assert!(error.contains("other machines") && error.contains("listen on 127.0.0.1:0"), "{error}");
}

#[test]
fn what_can_never_work_is_wrong_use_and_says_what_would() {
    let folder = tempfile::tempdir().unwrap();
    for (args, hint) in [
        (
            &["batch", "rollup", "--stream", "hosehold"][..],
            "known streams: campus, grid, household, power-plant, sensor",
        ),
        (&["up", "--rate", "0"], "above 0"),
        (&["simulate", "--anomaly-share", "0.9"], "from 0 to 0.5"),
        (&["batch", "train", "--model", "estimate", "--until", "soon"], "2007-01-31T18:00:00Z"),
        (&["batch", "train", "--model", "oracle"], "use one of estimate"),
        (&["--config", "nowhere.toml", "config", "show"], "nowhere.toml"),
    ] {
        let output = run(&folder.path().join("data"), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(hint), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for args in [&["up"][..], &["speed", "run"], &["models", "list"], &["serve"]] {
        let mut command = kilowatch(&folder.path().join("file/data"), args);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("file/data"), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_configuration_is_shown_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let output = kilowatch(&folder.path().join("data"), &["--json", "config", "show"])
        .env("KILOWATCH_VIEWS__URL", "postgres://me:hunter2@db/kilowatch")
        .env("KILOWATCH_LOG__PROPERTIES", "{\"sasl.password\"=\"hunter2\"}")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("hunter2"), "{}", text(&output.stdout));
    let shown: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(shown.iter().any(|value| value["origin"] == "variable KILOWATCH_VIEWS__URL"), "{shown:?}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = kilowatch(&folder.path().join("data"), &["simulate", "--count", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

/// A stream of the user's own that no simulator speaks.
const BOILER: &str = r#"
name = "boiler"
description = "A boiler's water"
topic = "boiler"
partitions = 1
key_field = "boiler"
time_field = "at"
time_format = "rfc3339"
time_stamps = "start"
interval_secs = 60
rollup_windows_secs = [3600]
bucket = "month"
measures = [{ name = "water_temperature", unit = "°C", label = "Water" }]
"#;

#[tokio::test]
async fn the_stream_that_up_runs_is_the_one_that_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("boiler.toml"), BOILER).unwrap();
    fs::write(folder.path().join("kilowatch.toml"), "stream_files = [\"boiler.toml\"]\n").unwrap();
    let none = run(&data, &["--listen", "127.0.0.1:0", "up", "--stream", "boiler"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stderr));
    assert!(text(&none.stderr).contains("--no-simulator"), "{}", text(&none.stderr));

    let args = ["--listen", "127.0.0.1:0", "up", "--stream", "boiler", "--no-simulator"];
    let up = Running::start(&mut kilowatch(&data, &args));
    let counts = reqwest::get(format!("{}/api/counts", up.url)).await.unwrap();
    assert_eq!(counts.status(), 200);
    let page = reqwest::get(&up.url).await.unwrap().text().await.unwrap();
    assert!(page.contains("data-stream=\"boiler\""), "{page}");
    let metrics = reqwest::get(format!("{}/metrics", up.url)).await.unwrap().text().await.unwrap();
    let bucket = "kilowatch_http_request_duration_seconds_bucket{route=\"/api/counts\",le=\"0.001\"}";
    assert!(metrics.contains(bucket), "{metrics}");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_is_older_than_its_limit_leaves_the_views_of_the_streams_that_have_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    simulated(folder.path(), "a.csv", "2026-01-05T00:00:00Z", "120");
    for command in [["batch", "ingest", "a.csv"].as_slice(), &["batch", "rollup"]] {
        let output = run(&data, command);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    // The simulated readings lie months back, whenever this runs.
    let with_limits = |streams: &str, args: &[&str]| {
        let mut command = kilowatch(&data, args);
        command.env("KILOWATCH_RETENTION__WINDOWS_DAYS", "30").env("KILOWATCH_RETENTION__STREAMS", streams);
        let output = command.output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = with_limits("{huosehold={windows_days=0}}", &["batch", "expire"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("retention.streams.huosehold") && error.contains("household"), "{error}");
    let (code, said, error) = with_limits("{household={windows_days=0}}", &["batch", "expire"]);
    assert_eq!((code, said.trim()), (Some(0), "no age limit is set: everything is kept"), "{error}");

    let rows_of = |args: &[&str]| {
        let (code, said, error) = with_limits("{}", args);
        assert_eq!(code, Some(0), "{error}");
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (report["expired"].as_array().unwrap().len(), &report["expired"][0]["what"]),
            (1, &"windows".into())
        );
        report["expired"][0]["rows"].as_u64().unwrap()
    };
    let would_go = rows_of(&["--json", "batch", "expire", "--dry-run"]);
    assert!(would_go > 0);
    let went = ["--json", "batch", "expire"];
    assert_eq!((rows_of(&went), rows_of(&went)), (would_go, 0));
    for command in [["batch", "rollup", "--full"].as_slice(), &["batch", "verify"]] {
        let output = run(&data, command);
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
    assert_eq!(rows_of(&went), 0, "no roll-up brought them back");
}
