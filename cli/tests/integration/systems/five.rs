//! The five, and what each promises beyond the others.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::rollup::{Partial, window_start};
use serde_json::json;

use super::{
    api::Api,
    found::Found,
    system::{Played, System},
};
use crate::group::training::Training;

/// At the size of injection that the profile states.
fn finds_its_own_anomalies(found: &Found) {
    let quality = found.quality();
    println!("{quality}");
    assert!(quality.recall >= 0.8 && quality.precision >= 0.6, "{quality}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grid_tells_of_high_voltage_in_the_words_of_its_users() {
    let profile = include_str!("../../../../shared/profiles/grid.toml");
    let Played { found, .. } =
        System { profile, devices: 100, interval_secs: 10, rounds: 300, training: None }.play().await;
    for (anomaly, told) in found.every_anomaly_as_it_was_told() {
        assert_eq!(told["anomalyType"], "voltage_spike");
        assert_eq!(told["severity"], "WARNING");
        assert_eq!(told["thresholdUsed"], 250.0);
        assert_eq!(told["deviation"].as_f64().unwrap(), anomaly.verdict.score - 250.0);
        let original = told["originalEvent"].as_object().unwrap();
        let fields: Vec<&str> = original.keys().map(String::as_str).collect();
        assert_eq!(fields.len(), 6, "{fields:?}");
        assert_eq!(original["meterId"], anomaly.device.as_str());
        assert_eq!(original["timestamp"], anomaly.event_time.timestamp_millis());
        assert_eq!(original["status"], "normal");
    }
    finds_its_own_anomalies(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sensors_score_one_where_a_rule_holds() {
    let profile = include_str!("../../../../shared/profiles/sensor.toml");
    let Played { found, .. } =
        System { profile, devices: 5, interval_secs: 10, rounds: 2_000, training: None }.play().await;
    for (anomaly, told) in found.every_anomaly_as_it_was_told() {
        assert_eq!(told["score"], 1.0);
        let original = &told["originalEvent"];
        let (temperature, pressure) =
            (original["temperature"].as_f64().unwrap(), original["pressure"].as_f64().unwrap());
        assert!(temperature > 40.0 || pressure > 120.0, "{original}");
        assert_eq!(original["sensor_id"].to_string(), anomaly.device.as_str());
    }
    finds_its_own_anomalies(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_campus_finds_floors_far_from_low_medium_and_high_use() {
    // Five days and nights; those of a weekend alone would make anomalies of Mondays.
    let training = Some(Training { model: "k-means", devices: 15, interval_secs: 150, rounds: 5 * 24 * 24 });
    let profile = include_str!("../../../../shared/profiles/campus.toml");
    // With the cluster go the views that the API answers from.
    let Played { found, api, _cluster } =
        System { profile, devices: 15, interval_secs: 30, rounds: 1_500, training }.play().await;
    for (anomaly, told) in found.every_anomaly_as_it_was_told() {
        // The ladder of the system, whose threshold was 1.86.
        let (times, severity) = (anomaly.verdict.score / anomaly.verdict.threshold, told["severity"].as_str().unwrap());
        let expected = [(3.5 / 1.86, "CRITICAL"), (2.5 / 1.86, "WARNING"), (1.0, "MINOR")];
        let expected = expected.iter().find(|(least, _)| times > *least).unwrap().1;
        assert_eq!(severity, expected, "{times} times the threshold");
        let original = &told["originalEvent"];
        let floor = format!("{}/{}", original["building"].as_str().unwrap(), original["floor"]);
        assert_eq!(floor, anomaly.device.as_str());
    }
    building_a_has_its_half_minutes(&found, &api).await;
    finds_its_own_anomalies(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_plants_forest_names_its_model_and_what_it_looked_at() {
    let training = Some(Training { model: "isolation-forest", devices: 8, interval_secs: 900, rounds: 4 * 24 * 365 });
    let profile = include_str!("../../../../shared/profiles/power-plant.toml");
    let Played { found, .. } =
        System { profile, devices: 8, interval_secs: 900, rounds: 4 * 24 * 20, training }.play().await;
    let mut models = BTreeMap::<String, usize>::new();
    for (anomaly, told) in found.every_anomaly_as_it_was_told() {
        *models.entry(told["model_id"].as_str().unwrap().to_owned()).or_default() += 1;
        assert_eq!(told["originalEvent"]["plant_id"], anomaly.device.as_str());
        assert!(told["originalEvent"]["output_mw"].is_f64());
    }
    assert_eq!(models.len(), 1, "one model served: {models:?}");
    finds_its_own_anomalies(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_household_is_judged_by_three_sigma_a_forest_and_a_rule_side_by_side() {
    let training = Some(Training { model: "isolation-forest", devices: 1, interval_secs: 60, rounds: 60 * 24 * 60 });
    let profile = include_str!("../../../../shared/profiles/household.toml");
    let Played { found, .. } =
        System { profile, devices: 1, interval_secs: 60, rounds: 10 * 24 * 60, training }.play().await;
    let mut by_detector = BTreeMap::<&str, usize>::new();
    for (anomaly, told) in found.every_anomaly_as_it_was_told() {
        *by_detector.entry(&anomaly.verdict.detector).or_default() += 1;
        let time: DateTime<Utc> = told["originalEvent"]["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(time, anomaly.event_time);
        let others = told["explanation"]["others"].as_array().unwrap();
        assert_eq!(others.len(), 2, "what the other detectors said: {others:?}");
        assert!(others.iter().all(|other| other["detector"] != json!(anomaly.verdict.detector)), "{others:?}");
    }
    assert_eq!(by_detector.len(), 3, "{by_detector:?}");
    finds_its_own_anomalies(&found);
}

/// The windows that the system's own panels show: average, least and most of a building in 30 seconds.
async fn building_a_has_its_half_minutes(found: &Found, api: &Api) {
    let building = "Building A";
    let mut expected = BTreeMap::<DateTime<Utc>, Partial>::new();
    for reading in
        found.sent.iter().map(|sent| &sent.reading).filter(|reading| reading.tags[0].as_deref() == Some(building))
    {
        let window = expected.entry(window_start(reading.event_time, 30)).or_insert(Partial::EMPTY);
        window.merge(&Partial::of(reading.measures[1].unwrap()));
    }
    let (from, until) = (System::start().to_rfc3339(), (System::start() + TimeDelta::days(30)).to_rfc3339());
    let parameters =
        [("measure", "water_l"), ("group", building), ("window", "30s"), ("from", &from), ("until", &until)];
    let shown = api.list("usage", &parameters).await;
    assert_eq!(shown.len(), expected.len());
    for window in shown {
        let truth = expected[&window["start"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap()];
        assert_eq!((&window["count"], &window["min"]), (&json!(truth.count), &json!(truth.min)), "{window}");
        assert_eq!(window["max"], truth.max, "{window}");
        let mean = truth.sum / truth.count as f64;
        assert!((window["mean"].as_f64().unwrap() - mean).abs() <= 1e-9 * mean, "{window}");
    }
}
