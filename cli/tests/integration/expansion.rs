//! A stream gains a measure and a tag while its speed layer runs, on the embedded log.

use std::{fs, path::Path, process::Output};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::process::{Running, kilowatch, wait_until};

const PROFILE: &str = r#"
name = "boiler"
description = "Boilers of a plant"
topic = "boilers"
partitions = 1
key_field = "device_id"
time_field = "at"
time_format = "any"
interval_secs = 60
tags = []
rollup_windows_secs = [3600]
rollup_tags = []
measures = [{ name = "steam", unit = "t/h", label = "Steam" }]
"#;

const STEAM: &str = r#"{ name = "steam", unit = "t/h", label = "Steam" }"#;

/// The profile with these measures and tags.
fn profile(measures: &str, tags: &str) -> String {
    PROFILE.replace(STEAM, measures).replace("tags = []\nrollup_w", &format!("tags = [{tags}]\nrollup_w"))
}

/// Runs a command of a process that has this profile.
fn run(folder: &Path, profile: &str, args: &[&str]) -> Output {
    let mut command = kilowatch(&folder.join("data"), args);
    command.env("KILOWATCH_STREAM_FILES", format!("[\"{profile}\"]")).output().unwrap()
}

fn ok(folder: &Path, profile: &str, args: &[&str]) -> String {
    let output = run(folder, profile, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn up(folder: &Path, profile: &str) -> Running {
    let args = ["--listen", "127.0.0.1:0", "up", "--no-simulator", "--stream", "boiler"];
    let mut command = kilowatch(&folder.join("data"), &args);
    let command = command.env("KILOWATCH_STREAM_FILES", format!("[\"{profile}\"]"));
    // Short windows and segments, so that there is a commit on either side of each step.
    tokio::task::block_in_place(|| {
        Running::start(command.env("KILOWATCH_SPEED__WINDOW_MS", "100").env("KILOWATCH_SPEED__SEGMENT_MS", "500"))
    })
}

/// Posts a reading a minute from this one on.
async fn post(member: &Running, from_minute: i64, count: i64, also: Value) {
    let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().unwrap();
    let reading = |minute: i64| {
        let mut reading = json!({"device_id": "b-1", "at": start + TimeDelta::minutes(minute), "steam": 1.0});
        reading.as_object_mut().unwrap().extend(also.as_object().unwrap().clone());
        reading
    };
    let body: Vec<Value> = (from_minute..from_minute + count).map(reading).collect();
    let target = format!("{}/api/readings?stream=boiler", member.url);
    let answer = reqwest::Client::new().post(target).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// What the lake counts of a column.
fn counted(folder: &Path, profile: &str, column: &str) -> i64 {
    let query = format!("SELECT COUNT({column}) AS n FROM boiler.readings");
    let output = run(folder, profile, &["--json", "lake", "sql", &query]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    answer[0]["n"].as_i64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_member_goes_on_without_the_new_columns_and_its_successor_fills_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wider = format!("{STEAM}, {{ name = \"water\", unit = \"m3/h\", label = \"Water\" }}");
    fs::write(folder.join("old.toml"), PROFILE).unwrap();
    fs::write(folder.join("new.toml"), profile(&wider, "\"fuel\"")).unwrap();
    let in_lake = async |rows: i64| {
        wait_until("the readings are in the lake", async || {
            tokio::task::block_in_place(|| counted(folder, "old.toml", "steam")) == rows
        })
        .await;
    };

    let member = up(folder, "old.toml");
    post(&member, 0, 100, json!({})).await;
    in_lake(100).await;
    let checked = tokio::task::block_in_place(|| ok(folder, "old.toml", &["streams", "check", "new.toml"]));
    assert!(checked.contains("the lake gains column `water` (double); rows that are there have none"), "{checked}");
    assert!(checked.contains("the lake gains column `fuel` (string)"), "{checked}");

    // The table is widened by a file of the new profile, beside the member of the old one.
    let history = "device_id,at,steam,water,fuel\nb-1,2026-01-04T00:00:00Z,1,7,gas\nb-1,2026-01-04T00:01:00Z,1,7,oil\n";
    fs::write(folder.join("history.csv"), history).unwrap();
    tokio::task::block_in_place(|| ok(folder, "new.toml", &["batch", "ingest", "--stream", "boiler", "history.csv"]));
    post(&member, 100, 100, json!({})).await;
    in_lake(202).await;
    tokio::task::block_in_place(|| ok(folder, "old.toml", &["batch", "rollup", "--stream", "boiler"]));
    assert_eq!(tokio::task::block_in_place(|| member.stop()), Some(0));

    // A segment is read by the profile that it was opened with, so the new one begins at the next cut.
    let member = up(folder, "new.toml");
    let mut probes = 0;
    wait_until("a segment of the new profile is in the lake", async || {
        post(&member, 200 + probes, 1, json!({"water": 7.0, "fuel": "gas"})).await;
        probes += 1;
        tokio::task::block_in_place(|| counted(folder, "new.toml", "water")) > 2
    })
    .await;
    in_lake(202 + probes).await;
    let before = tokio::task::block_in_place(|| counted(folder, "new.toml", "water"));
    post(&member, 10_000, 50, json!({"water": 7.0, "fuel": "gas"})).await;
    in_lake(252 + probes).await;
    assert_eq!(tokio::task::block_in_place(|| member.stop()), Some(0));
    tokio::task::block_in_place(|| {
        for column in ["water", "fuel"] {
            assert_eq!(counted(folder, "new.toml", column), before + 50, "{column}");
        }
        for job in ["compact", "rollup", "verify"] {
            ok(folder, "new.toml", &["batch", job, "--stream", "boiler"]);
        }
        assert_eq!(counted(folder, "new.toml", "water"), before + 50, "a merge keeps what either profile wrote");
        what_is_not_allowed_is_named(folder);
    });
}

fn what_is_not_allowed_is_named(folder: &Path) {
    let water = "{ name = \"water\", unit = \"m3/h\", label = \"Water\" }";
    let refused = [
        (
            profile(&format!("{STEAM}, {}", water.replace("m3/h", "l/s")), "\"fuel\""),
            "is in m3/h in the lake and in l/s",
        ),
        (profile(STEAM, "\"fuel\""), "column `water` is in the lake and no longer in the profile"),
        (
            profile(&format!("{STEAM}, {}", water.replace("\"water", "\"feed")), "\"fuel\""),
            "aliases = { feed = \"water\" }",
        ),
        (profile(STEAM, "\"fuel\", \"water\""), "column `water` is double in the lake and string in the profile"),
    ];
    for (text, reason) in refused {
        fs::write(folder.join("other.toml"), text).unwrap();
        let output = run(folder, "new.toml", &["streams", "check", "other.toml"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(reason), "{error}");
    }
    // The last one would take no row, so nothing starts with it.
    let output = run(folder, "other.toml", &["speed", "run", "--stream", "boiler", "--until-caught-up"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("does not fit its table in the lake"), "{error}");
}
