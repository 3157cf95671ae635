//! Values beside what the systems show.

use super::*;

fn values(readings: &[Reading], measure: usize) -> Vec<f64> {
    readings.iter().filter_map(|reading| reading.measures[measure]).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

#[test]
fn a_normal_grid_stays_around_240_volts_and_no_average_of_ten_reaches_250() {
    let readings = readings("grid", 3, Injection::NONE, TimeDelta::seconds(10), 500);
    let volts = values(&readings, 0);
    assert!((238.0..242.0).contains(&mean(&volts)), "{}", mean(&volts));
    let devices = SimulatedStream::find("grid").unwrap().devices as usize;
    for meter in 0..devices {
        let of_meter: Vec<f64> = volts.iter().skip(meter).step_by(devices).copied().collect();
        assert!(of_meter.windows(10).all(|window| mean(window) < 250.0), "meter {meter}");
    }
    let (least, most) = extremes(&values(&readings, 1));
    assert!(least > 2.0 && most < 20.0, "{least} to {most} A");
}

#[test]
fn a_normal_sensor_keeps_below_its_limits_in_every_season() {
    let readings = readings("sensor", 3, Injection::NONE, TimeDelta::hours(1), 365 * 24);
    let (coldest, hottest) = extremes(&values(&readings, 0));
    assert!((5.0..20.0).contains(&coldest) && (30.0..40.0).contains(&hottest), "{coldest} to {hottest}");
    let (least, most) = extremes(&values(&readings, 1));
    assert!(least > 85.0 && most < 118.0, "{least} to {most}");
}

#[test]
fn a_campus_uses_more_at_noon_than_by_day_and_more_by_day_than_at_night() {
    let readings = readings("campus", 3, Injection::NONE, TimeDelta::minutes(10), 144 * 3);
    let at_hours = |hours: std::ops::Range<u32>, measure: usize| {
        let of_hours = |reading: &&Reading| hours.contains(&chrono::Timelike::hour(&reading.event_time));
        let chosen: Vec<Reading> = readings.iter().filter(of_hours).cloned().collect();
        mean(&values(&chosen, measure))
    };
    for measure in [0, 1] {
        let [night, day, noon] = [at_hours(0..5, measure), at_hours(8..11, measure), at_hours(12..15, measure)];
        assert!(night * 1.15 < day && day * 1.1 < noon, "{night} {day} {noon}");
    }
    let (least, most) = extremes(&values(&readings, 0));
    assert!(least > 60.0 && most < 300.0, "{least} to {most} kWh");
}

#[test]
fn what_is_random_in_a_campus_is_alike_from_second_to_second_and_forgotten_within_minutes() {
    let readings = readings("campus", 3, Injection::NONE, TimeDelta::seconds(10), 6 * 60 * 6);
    // One floor in the six hours of the night in which nothing but the random part varies.
    let floor: Vec<f64> = readings
        .iter()
        .filter(|reading| reading.device.as_str() == "Building A/1")
        .filter_map(|r| r.measures[0])
        .collect();
    let middle = mean(&floor);
    let covariance =
        |lag: usize| floor.iter().zip(&floor[lag..]).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let after = |readings: usize| covariance(readings) / covariance(0);
    assert!(after(1) > 0.8, "{} after ten seconds", after(1));
    assert!(after(60).abs() < 0.3, "{} after ten minutes", after(60));
}

#[test]
fn plants_follow_their_drivers_and_never_exceed_their_capacity_by_more_than_the_meters_noise() {
    let readings = readings("power-plant", 3, Injection::NONE, TimeDelta::hours(1), 24 * 365);
    let of = |kind: &str| -> Vec<Reading> {
        readings.iter().filter(|reading| reading.tags[0].as_deref() == Some(kind)).cloned().collect()
    };
    for (kind, driver, capacity) in [("wind", 1, 60.0), ("solar", 2, 40.0), ("hydro", 3, 80.0), ("gas", 4, 120.0)] {
        let rows = of(kind);
        let (least, most) = extremes(&values(&rows, 0));
        assert!(least >= 0.0 && most < 1.06 * capacity, "{kind}: {least} to {most} MW");
        assert!(most > 0.6 * capacity, "{kind} never gives more than {most} MW");
        assert_eq!(values(&rows, driver).len(), rows.len());
        for other in (1..5).filter(|other| *other != driver) {
            assert!(values(&rows, other).is_empty(), "{kind} has the driver of another kind");
        }
    }
    let sun = of("solar");
    let night = |reading: &&Reading| chrono::Timelike::hour(&reading.event_time) < 3;
    assert!(sun.iter().filter(night).all(|reading| reading.measures[0] == Some(0.0)));
    let month = |number: u32| {
        let rows: Vec<Reading> =
            sun.iter().filter(|r| chrono::Datelike::month(&r.event_time) == number).cloned().collect();
        mean(&values(&rows, 0))
    };
    assert!(month(6) > 2.0 * month(12), "June {} December {}", month(6), month(12));
}

#[test]
fn the_same_sun_gives_less_from_month_to_month_until_an_overhaul() {
    let readings = readings("power-plant", 3, Injection::NONE, TimeDelta::hours(3), 8 * 365 * 2);
    let yields: Vec<(usize, f64)> = readings
        .iter()
        .filter(|reading| reading.device.as_str() == "solar-01")
        .enumerate()
        .filter_map(|(hour, reading)| {
            let sun = reading.measures[2].filter(|sun| *sun > 400.0)?;
            Some((hour / (8 * 30), reading.measures[0]? / sun))
        })
        .collect();
    let month = |number: usize| {
        let of: Vec<f64> = yields.iter().filter(|(month, _)| *month == number).map(|(_, value)| *value).collect();
        mean(&of)
    };
    let by_month: Vec<f64> = (0..24).map(month).filter(|value| value.is_finite()).collect();
    let (worst, best) = extremes(&by_month);
    assert!(worst < 0.93 * best, "{by_month:?}");
    let falls = by_month.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let rises = by_month.len() - 1 - falls;
    assert!(falls > 2 * rises, "{by_month:?}");
}
