//! History as a UCI file.

use super::*;
use crate::simulate::household::{UciRowCounts, write_uci};

fn file(seed: u64, from: &str, until: &str) -> (String, UciRowCounts) {
    let mut bytes = Vec::new();
    let options = HouseholdOptions::history();
    let counts = write_uci(&mut bytes, meter(), instant(from), instant(until), seed, options).unwrap();
    (String::from_utf8(bytes).unwrap(), counts)
}

#[test]
fn a_file_has_the_originals_header_line_ends_and_columns() {
    let (text, counts) = file(1, "2026-01-31T22:58:00Z", "2026-01-31T23:01:00Z");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with("Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_"));
    assert!(lines[1].starts_with("31/1/2026;23:58:00;"), "{}", lines[1]);
    assert!(lines[3].starts_with("1/2/2026;00:00:00;"), "{}", lines[3]);
    assert_eq!((lines[4], lines.len(), counts.rows), ("", 5, 3));
    for value in lines[1].split(';').skip(2) {
        let (whole, decimals) = value.split_once('.').unwrap();
        assert!(whole.parse::<u32>().is_ok() && decimals.len() == 3, "{value}");
    }
}

#[test]
fn missing_rows_are_written_as_in_the_original_and_are_counted() {
    let (text, counts) = file(1, "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z");
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(rows.len() as u64, counts.rows);
    assert_eq!(counts.rows, 120 * 24 * 60);
    assert_eq!(rows.iter().filter(|row| row.ends_with(";?;?;?;?;?;?;")).count() as u64, counts.missing);
    assert!(rows.iter().all(|row| row.split(';').count() == 9));
    let share = counts.missing as f64 / counts.rows as f64;
    assert!((0.006..0.02).contains(&share), "{share}");
}

#[test]
fn the_same_seed_writes_the_same_file() {
    let run = |seed| file(seed, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z").0;
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
