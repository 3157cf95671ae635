//! The real half-year, where it is at hand.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use flate2::read::MultiGzDecoder;
use kilowatch_batch::ingest::FileOutcome;
use kilowatch_shared::rollup::Partial;

use crate::bench_room::{Room, request};

/// `../shared/data` beside the repository, wherever its worktree stands.
fn half_year() -> Option<PathBuf> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = ["../shared", "../../shared"]
        .iter()
        .map(|folder| repository.join(folder).join("data/uci_2007_h1.txt.gz"))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: ../shared/data/uci_2007_h1.txt.gz is not there");
    }
    found
}

/// Count, sum, least and greatest value.
type Hour = (u64, f64, f64, f64);

/// Hours by start and measure, by a reader that shares no code with the job.
fn independent_hours(path: &PathBuf) -> BTreeMap<(DateTime<Utc>, usize), Hour> {
    let mut hours = BTreeMap::new();
    let lines = BufReader::new(MultiGzDecoder::new(std::fs::File::open(path).unwrap())).lines();
    for line in lines.skip(1) {
        let line = line.unwrap();
        let fields: Vec<&str> = line.trim_end().split(';').collect();
        let local =
            NaiveDateTime::parse_from_str(&format!("{} {}", fields[0], fields[1]), "%d/%m/%Y %H:%M:%S").unwrap();
        let utc = (local - TimeDelta::hours(1)).and_utc();
        let hour = DateTime::from_timestamp(utc.timestamp() / 3600 * 3600, 0).unwrap();
        for (measure, field) in fields[2..].iter().enumerate() {
            if let Ok(value) = field.parse::<f64>() {
                let entry = hours.entry((hour, measure)).or_insert((0, 0.0, f64::INFINITY, f64::NEG_INFINITY));
                *entry = (entry.0 + 1, entry.1 + value, entry.2.min(value), entry.3.max(value));
            }
        }
    }
    hours
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_half_year_is_ingested_whole_and_its_hours_are_those_of_another_reader() {
    let Some(path) = half_year() else { return };
    let room = Room::new().await;
    let report = room.ingest(&request(&path)).await.unwrap();
    assert_eq!((report.rows, report.missing_rows), (260_640, 3_771));
    assert_eq!((report.bad_lines, report.identical_rows, report.conflicting_rows), (0, 0, 0));
    assert_eq!(room.ingest(&request(&path)).await.unwrap().outcome, FileOutcome::AlreadyIngested);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 260_640);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE active_power IS NULL").await, 3_771);

    room.rollup(false).await;
    let published = room.published().await;
    let expected = independent_hours(&path);
    assert_eq!(published.len(), expected.len());
    for (key, partial) in &published {
        let measure = room.profile.measure_index(&key.measure).unwrap();
        let (count, sum, min, max) = expected[&(key.window_start, measure)];
        assert_eq!((partial.count, partial.min, partial.max), (count, min, max), "{key:?}");
        #[expect(clippy::cast_precision_loss, reason = "60 minutes")]
        let (mean, other) = (partial.mean().unwrap(), sum / count as f64);
        assert!((mean - other).abs() <= 1e-9 * other.abs().max(1e-300), "{key:?}: {mean} and {other}");
    }
    assert_eq!(published.values().map(|partial: &Partial| partial.count).max(), Some(60));
    assert_eq!(room.verify().await.differing(), 0);
}
