//! A made-up meter's history in UCI format: a reading every ten minutes, evenings and weekends take more.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

use crate::bench_room::{Room, instant, uci};

/// A room whose meter is read every ten minutes and forecast six hours ahead, so that weeks are few rows.
pub async fn ten_minute_room() -> Room {
    let mut room = Room::new().await;
    room.profile.interval_secs = 600;
    room.profile.detectors.iter_mut().for_each(|detector| detector.cool_down_secs = 1200);
    if let Some(forecast) = &mut room.profile.forecast {
        forecast.horizon_hours = 6;
    }
    room
}

/// The first reading as the file writes it, in local time.
pub fn first() -> DateTime<Utc> {
    instant("2007-01-01T00:00:00Z")
}

/// A file of the readings in `rows`, counted from the first one.
pub fn file(rows: std::ops::Range<i64>) -> Vec<u8> {
    let lines: Vec<String> = rows.map(line).collect();
    uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Readings of a week.
pub const WEEK: i64 = 7 * 24 * 6;

fn line(row: i64) -> String {
    let at = first() + TimeDelta::minutes(10 * row);
    // A noise that repeats after a prime number of rows is no help to anybody who looks a week back.
    let noise = f64::from(u32::try_from(row * row % 997).unwrap()) / 997.0 - 0.5;
    let evening = if (17..22).contains(&at.hour()) { 6.0 } else { 0.0 };
    let weekend = if at.weekday().num_days_from_monday() >= 5 { 3.0 } else { 0.0 };
    let amperes = 4.0 + evening + weekend + 2.0 * noise;
    let volts = 240.0 + f64::from(u32::try_from(row % 7).unwrap()) - 3.0;
    let power = 0.95 * volts * amperes / 1000.0;
    format!("{};{power:.3};0.100;{volts:.3};{amperes:.1};0.000;1.000;2.000", at.format("%-d/%-m/%Y;%H:%M:%S"))
}
