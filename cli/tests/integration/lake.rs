//! `kilowatch lake`: what is there, what was there, and what is told where there is nothing.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{kilowatch, run, wait_until};

/// A data folder with two ingested files of a day each, the second one two rows longer.
struct Lake {
    folder: TempDir,
}

impl Lake {
    fn new() -> Self {
        let lake = Self { folder: tempfile::tempdir().unwrap() };
        for (name, from, count) in
            [("a.csv", "2026-01-05T00:00:00Z", "1440"), ("b.csv", "2026-01-06T00:00:00Z", "1442")]
        {
            lake.ok(&["simulate", "--to", "csv", "--file", name, "--from", from, "--count", count]);
            lake.ok(&["batch", "ingest", name]);
        }
        lake
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = run(&self.data(), args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json", "lake"], args].concat())).unwrap()
    }

    /// The exit code and what is said of a command that does not work.
    fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = run(&self.data(), &[&["lake"], args].concat());
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn tables_versions_files_and_schema_tell_what_the_log_says() {
    let lake = Lake::new();
    let tables = lake.json(&["tables"]);
    let readings = &tables[0];
    assert_eq!(readings["table"], "household.readings");
    assert_eq!((readings["version"].as_i64(), readings["rows"].as_u64()), (Some(1), Some(2882)));
    assert_eq!(readings["first_event"], "2026-01-05T00:00:00Z");
    let versions = lake.json(&["versions", "household"]);
    assert_eq!((versions[0]["version"].as_i64(), versions[0]["rows_added"].as_u64()), (Some(1), Some(1442)));
    assert_eq!((versions[1]["by"]["kind"].as_str(), versions[1]["by"]["name"].as_str()), (Some("file"), Some("a.csv")));
    let files = lake.json(&["files", "household.readings", "--as-of", "0"]);
    assert_eq!((files.as_array().unwrap().len(), files[0]["rows"].as_u64()), (1, Some(1440)));
    let schema = lake.json(&["schema", "household.readings"]);
    assert_eq!((schema[0]["name"].as_str(), schema[0]["nullable"].as_bool()), (Some("device_id"), Some(false)));
    for args in [&["tables"][..], &["versions", "household"], &["files", "household"], &["schema", "household"]] {
        let text = lake.ok(&[&["lake"], args].concat());
        assert!(text.lines().count() >= 2, "{text}");
    }
    assert_eq!(lake.ok(&["lake", "versions", "household", "--limit", "1"]).lines().count(), 2);
}

#[test]
fn a_query_answers_in_every_form_and_of_every_time() {
    let lake = Lake::new();
    let count = "SELECT count(*) AS n FROM household.readings";
    assert_eq!(lake.json(&["sql", count]), serde_json::json!([{"n": 2882}]));
    assert_eq!(lake.json(&["sql", count, "--as-of", "0"]), serde_json::json!([{"n": 1440}]));
    assert_eq!(lake.json(&["sql", count, "--as-of", "household.readings=0"]), serde_json::json!([{"n": 1440}]));
    assert_eq!(lake.json(&["sql", count, "--as-of", "2199-01-01T00:00:00Z"]), serde_json::json!([{"n": 2882}]));
    let rows = "SELECT device_id, sub_metering_1, source_offset FROM household.readings ORDER BY source_offset LIMIT 3";
    let text = lake.ok(&["lake", "sql", rows, "--format", "csv"]);
    assert_eq!(text.lines().next(), Some("device_id,sub_metering_1,source_offset"));
    assert_eq!(text.lines().count(), 4);
    assert!(lake.ok(&["lake", "sql", rows]).contains("3 rows"));
    let nothing = "SELECT device_id FROM household.readings WHERE device_id = 'nobody'";
    assert_eq!(lake.ok(&["lake", "sql", nothing, "--format", "csv"]), "device_id\n");
    assert_eq!(lake.json(&["sql", nothing]), serde_json::json!([]));
    assert!(lake.ok(&["lake", "sql", nothing]).contains("0 rows"));
    lake.ok(&["lake", "sql", "SELECT * FROM household.readings", "--output", "all.parquet"]);
    let bytes = fs::read(lake.folder.path().join("all.parquet")).unwrap();
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
    assert_eq!(lake.json(&["head", "household", "-n", "7"]).as_array().unwrap().len(), 7);
    assert!(lake.ok(&["lake", "sql", "SHOW TABLES"]).contains("household"));
    let pages = lake.ok(&["lake", "sql", "SELECT source_offset FROM household.readings"]);
    assert_eq!(pages.matches("source_offset").count(), 3, "2,882 rows are three pages");
}

#[test]
fn a_diff_names_the_rows_and_hours_that_came() {
    let lake = Lake::new();
    let diff = lake.json(&["diff", "household", "--from", "0"]);
    assert_eq!(diff["rows"], serde_json::json!({"added": 1442, "removed": 0, "changed": 0}));
    let hours = diff["hourly_aggregates"].as_u64().unwrap();
    let listed = lake.json(&["diff", "household", "--from", "0", "--list", "hours"]);
    assert_eq!(listed.as_array().unwrap().len() as u64, hours);
    assert_eq!((listed[0]["count_before"].as_i64(), listed[0]["count_after"].as_i64()), (Some(0), Some(60)));
    let rows = lake.ok(&["lake", "diff", "household", "--from", "0", "--list", "rows", "--format", "csv"]);
    assert_eq!(rows.lines().count(), 1443);
    let back = lake.json(&["diff", "household", "--from", "1", "--to", "0"]);
    assert_eq!(back["rows"]["removed"], 1442);
    assert!(lake.ok(&["lake", "diff", "household", "--from", "1", "--to", "1"]).contains("0 rows added"));
}

#[test]
fn what_does_not_work_names_the_place_and_the_fix() {
    let lake = Lake::new();
    let all = "SELECT * FROM household.readings";
    let join = "SELECT 1 FROM household.readings a, household.dead_letters b";
    for (args, code, told) in [
        (&["head", "houshold"][..], 1, "it has household.readings"),
        (&["sql", "SELECT * FROM grid.readings"], 1, "it has household.readings"),
        (&["head", "household", "--as-of", "9"], 1, "reaches from 0 to 1"),
        (&["head", "household", "--as-of", "2001-01-01T00:00:00Z"], 1, "kilowatch lake versions household.readings"),
        (&["head", "household", "--as-of", "soon"], 2, "2007-01-31T18:00:00Z"),
        (&["sql", "SELEC 1"], 1, "SELEC"),
        (&["sql", "DROP TABLE household.readings"], 1, "only queries are taken here"),
        (&["sql", all, "--max-rows", "10"], 1, "lake.sql.max_rows"),
        (&["sql", all, "--max-rows", "0"], 2, "at least 1"),
        (&["sql", join, "--as-of", "1"], 2, "each table has versions of its own"),
        (&["sql", all, "--as-of", "grid.readings=1"], 2, "the query does not read grid.readings"),
        (&["sql", all, "--as-of", "0", "--as-of", "1"], 2, "more than one point for all tables"),
        (&["sql", all, "--max-secs", "18446744073709551615"], 2, "must be 1 to 86400"),
        (&["sql", all, "--output", "nowhere/x.csv"], 1, "nowhere"),
        (&["files", "Household.x"], 2, "household.readings"),
    ] {
        let (found, error) = lake.refused(args);
        assert_eq!(found, Some(code), "{args:?}: {error}");
        assert!(error.contains(told), "{args:?}: {error}");
    }
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let lake = Lake::new();
    fs::write(lake.folder.path().join("kept.csv"), "before").unwrap();
    let (_, error) =
        lake.refused(&["sql", "SELECT * FROM household.readings", "--output", "kept.csv", "--max-rows", "1000"]);
    assert!(error.contains("lake.sql.max_rows"), "{error}");
    assert_eq!(fs::read_to_string(lake.folder.path().join("kept.csv")).unwrap(), "before");
    let beside: Vec<_> = fs::read_dir(lake.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(beside.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{beside:?}");
}

#[test]
fn a_query_as_long_as_one_may_be_does_not_break_the_process() {
    let lake = Lake::new();
    let end = "voltage > 2";
    for query in [
        format!("SELECT {}1 AS n", "1+".repeat(8_000)),
        format!("SELECT {}voltage AS n FROM household.readings LIMIT 1", "voltage+".repeat(2_000)),
        format!("SELECT count(*) AS n FROM household.readings WHERE {}{end}", "voltage>1 OR ".repeat(1_200)),
        format!("SELECT count(*) AS n FROM (SELECT 1{})", " UNION ALL SELECT 1".repeat(800)),
        format!("SELECT {}1{} AS n", "(".repeat(8_000), ")".repeat(8_000)),
    ] {
        let output = run(&lake.data(), &["lake", "sql", &query, "--format", "csv", "--max-secs", "3"]);
        let error = String::from_utf8_lossy(&output.stderr);
        // That it would take too long is a fine answer, too; a signal is not.
        assert!(output.status.code().is_some_and(|code| code < 2), "{}: {error}", &query[..60]);
        assert!(!error.contains("overflow") && !error.contains("panicked"), "{}: {error}", &query[..60]);
    }
}

#[test]
fn a_limit_of_time_ends_what_never_waits() {
    let lake = Lake::new();
    let endless = "SELECT count(*) FROM household.readings a, household.readings b, household.readings c \
                   WHERE a.voltage + b.voltage <> c.voltage";
    let (code, error) = lake.refused(&["sql", endless, "--max-secs", "1"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("took longer than 1 s"), "{error}");
    let (_, error) = lake.refused(&["diff", "household", "--from", "0", "--list", "rows", "--max-rows", "100"]);
    assert!(error.contains("lake.sql.max_rows"), "{error}");
}

#[test]
fn a_query_that_nobody_writes_can_be_interrupted() {
    let lake = Lake::new();
    let mut waiting =
        kilowatch(&lake.data(), &["lake", "sql", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let handled = || -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", waiting.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << 14) != 0
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(wait_until("signals are handled", async || handled()));
    assert!(Command::new("kill").args(["-TERM", &waiting.id().to_string()]).status().unwrap().success());
    let stdin = waiting.stdin.take();
    let ended = waiting.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
}

#[test]
fn an_interrupted_query_ends_and_leaves_no_file() {
    let lake = Lake::new();
    let endless = "SELECT a.voltage FROM household.readings a, household.readings b, household.readings c";
    let args = ["lake", "sql", endless, "--output", "endless.csv", "--max-rows", "1000000000000", "--max-secs", "3600"];
    let query = kilowatch(&lake.data(), &args).stderr(Stdio::piped()).spawn().unwrap();
    let names = || -> Vec<String> {
        let entries = fs::read_dir(lake.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    let writes = || names().iter().any(|name| name.starts_with(".tmp"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(wait_until("the query writes", async || writes()));
    let pid = query.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = query.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{error}");
    assert!(error.contains("interrupted"), "{error}");
    assert!(!writes() && !names().contains(&"endless.csv".to_owned()), "{:?}", names());
}
