//! `kilowatch erase`: what there is of a device is shown first, and then it is gone.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    process::{kilowatch, run, timed},
    rounds::rounds,
};

fn ok(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(data: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&ok(data, &[&["--json"], args].concat())).unwrap()
}

#[test]
fn a_device_is_shown_erased_and_on_record_without_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let simulate = ["simulate", "--to", "csv", "--file", "a.csv", "--from", "2026-01-05T00:00:00Z", "--count", "1440"];
    ok(&data, &simulate);
    ok(&data, &["batch", "ingest", "a.csv"]);
    ok(&data, &["batch", "rollup"]);
    let devices = json(&data, &["lake", "sql", "SELECT DISTINCT device_id FROM household.readings"]);
    let device = devices[0]["device_id"].as_str().unwrap();

    let shown = json(&data, &["erase", "--device", device]);
    assert_eq!((shown["done"].as_bool(), shown["readings"].as_u64()), (Some(false), Some(1440)));
    let told = ok(&data, &["erase", "--device", device, "--dry-run", "--yes"]);
    assert!(told.contains("would erase 1,440 readings") && told.contains("nothing was changed"), "{told}");
    let named = run(&data, &["erase", "--device", device, "--yes", "--reason", &format!("{device} moved")]);
    assert_eq!(named.status.code(), Some(2), "{}", String::from_utf8_lossy(&named.stderr));

    let told = ok(&data, &["erase", "--device", device, "--yes", "--reason", "ticket 88"]);
    assert!(told.contains("erased 1,440 readings") && told.contains("done, and on record"), "{told}");
    let left = "SELECT device_id, count(*) AS n FROM household.readings GROUP BY device_id";
    assert_eq!(json(&data, &["lake", "sql", left]), serde_json::json!([{"device_id": "", "n": 1440}]));
    assert!(ok(&data, &["batch", "verify"]).contains("0 differences among 1440 positions"));
    let record = json(&data, &["erase", "--list", "--device", device]);
    assert_eq!((record[0]["readings"].as_u64(), record[0]["reason"].as_str()), (Some(1440), Some("ticket 88")));
    assert_eq!(json(&data, &["erase", "--list", "--device", "somebody else"]), serde_json::json!([]));
    let listed = ok(&data, &["erase", "--list"]);
    assert!(listed.contains("sha256:") && !listed.contains(device), "{listed}");
    assert!(ok(&data, &["erase", "--device", device, "--yes"]).contains("nothing is known of the device"));
}

#[test]
fn the_bad_lines_of_a_file_go_with_the_device_that_the_file_was_said_to_be_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (device, power) in [("villa", 1), ("mill", 2)] {
        let file = folder.path().join(format!("{device}.csv"));
        let lines = format!("timestamp,active_power\n2026-01-05T00:00:00Z,{power}\n2026-01-05T00:01:00Z,no villa\n");
        std::fs::write(&file, lines).unwrap();
        let file = file.display().to_string();
        let columns = ["--columns", "active_power=active_power", "--device", device];
        ok(&data, &[&["batch", "ingest", &file], columns.as_slice()].concat());
    }
    let told = ok(&data, &["erase", "--device", "villa", "--yes"]);
    assert!(told.contains("erased 1 reading, 1 dead letter,"), "{told}");
    let left = "SELECT CAST(key AS VARCHAR) AS key, CAST(raw AS VARCHAR) AS raw, reason FROM household.dead_letters ORDER BY reason";
    let left = json(&data, &["lake", "sql", left]);
    assert_eq!(left[0]["key"].as_str(), Some("mill"), "whatever its line says: {left}");
    assert_eq!((left[1]["raw"].as_str(), left[1]["reason"].as_str()), (Some(""), Some("erased")));
}

#[tokio::test]
async fn an_erasure_that_is_killed_at_any_moment_is_ended_by_the_next_one_and_each_row_is_on_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    let header = "timestamp,active_power\n";
    let lines: String = (10..60).map(|minute| format!("2026-01-05T00:{minute}:00Z,1\n")).collect();
    std::fs::write(folder.path().join("a.csv"), format!("{header}{lines}not a line\n")).unwrap();
    let columns = ["--columns", "active_power=active_power", "--device", "villa"];
    ok(&first, &[&["batch", "ingest", "a.csv"], columns.as_slice()].concat());
    ok(&first, &["batch", "rollup"]);
    let copied = |name: String| {
        let to = folder.path().join(name);
        assert!(Command::new("cp").arg("-r").args([&first, &to]).status().unwrap().success());
        to
    };
    let erase = ["erase", "--device", "villa", "--yes"];
    let whole = copied("whole".to_owned());
    let erasing = timed(|| drop(ok(&whole, &erase)));
    let kills = u32::try_from(rounds(8, 100)).unwrap();
    for kill in 1..kills {
        let data = copied(format!("killed-{kill}"));
        let mut dying = kilowatch(&data, &erase).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // No condition to wait for: the moments are spread over all of its work.
        tokio::time::sleep(erasing * kill / kills).await;
        let _gone = dying.kill();
        dying.wait().unwrap();
        ok(&data, &erase);
        let records = json(&data, &["erase", "--list", "--device", "villa"]);
        let sum = |field: &str| records.as_array().unwrap().iter().map(|of| of[field].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("readings"), sum("dead_letters")), (50, 1), "killed at {kill} of {kills}: {records}");
        let verified = ok(&data, &["batch", "verify"]);
        assert!(verified.contains("0 differences"), "killed at {kill} of {kills}: {verified}");
    }
}
