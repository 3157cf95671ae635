//! Episodes and memory over cuts, restarts and other pins.

use super::*;

/// Folds one reading of a device a minute and tells what begins (`+`) and ends (`-`).
fn run(fold: &mut PartitionFold, readings: &[(u32, f64)]) -> (String, Findings) {
    let (mut told, mut findings) = (String::new(), Findings::default());
    for (minute, power) in readings {
        let Folded::Reading { anomalies, ended, .. } =
            fold.fold(&record(u64::from(*minute), Some(payload(1, *minute, *power))))
        else {
            panic!("poison")
        };
        told.push_str(match (anomalies.len(), ended.len()) {
            (0, 0) => ".",
            (0, _) => "-",
            (_, 0) => "+",
            _ => "±",
        });
        findings.extend(Findings { anomalies, ended });
    }
    (told, findings)
}

/// Three-sigma alone, after forty quiet minutes.
fn three_sigma_alone() -> (PartitionFold, Pins) {
    let mut profile = profile();
    profile.detectors.truncate(1);
    let pins = Pins::of_this_build(&profile, BTreeMap::new());
    let mut fold = PartitionFold::try_new(partition(), &pins, &ModelSet::default()).unwrap();
    for minute in 0..40 {
        fold.fold(&record(u64::from(minute), Some(payload(1, minute, 1.0 + f64::from(minute % 3) / 10.0))));
    }
    (fold, pins)
}

#[test]
fn an_episode_is_one_anomaly_and_its_end_names_it() {
    let (mut fold, _) = three_sigma_alone();
    let (told, findings) = run(&mut fold, &[(40, 9.0), (41, 30.0), (42, 1.0), (46, 1.1), (47, 1.0), (48, 1.0)]);
    assert_eq!(told, "+..-..", "five minutes after 9:41 it is over");
    let settled = findings.settle();
    let end = settled[0].ended.unwrap();
    assert_eq!((end.readings, end.end_offset, end.ended_at.timestamp()), (2, Offset::new(46), 46 * 60));
    assert!(end.peak_score >= settled[0].verdict.score);
}

#[test]
fn a_clock_that_is_years_ahead_mutes_its_device_for_an_hour_and_not_for_years() {
    let (mut fold, pins) = three_sigma_alone();
    let clock = DateTime::from_timestamp(40 * 60, 0).unwrap();
    // The log's time goes with the meter's own, but for one reading that says 2050.
    let say = |fold: &mut PartitionFold, minute: u32, says: &str, power: f64| {
        let log_time = DateTime::from_timestamp(i64::from(minute) * 60, 0).unwrap();
        let payload = format!(r#"{{"device_id":"m-1","timestamp":"{says}","active_power":{power},"voltage":240.0}}"#);
        let record = LogRecord { timestamp: log_time, ..record(u64::from(minute), Some(payload)) };
        let Folded::Reading { anomalies, ended, .. } = fold.fold(&record) else { panic!("poison") };
        Findings { anomalies, ended }
    };
    let minute = |minute: i64| (clock + chrono::TimeDelta::minutes(minute - 40)).to_rfc3339();
    let state = fold.save().unwrap();
    assert_eq!(say(&mut fold, 40, "2050-01-01T00:00:00Z", 90.0).anomalies.len(), 1);
    // Five minutes of cool-down after the hour that a clock may be ahead.
    for quiet in 41..105 {
        let found = say(&mut fold, quiet, &minute(i64::from(quiet)), 1.0 + f64::from(quiet % 3) / 10.0);
        assert!(found.ended.is_empty() && found.anomalies.is_empty(), "minute {quiet}: {found:?}");
    }
    let found = say(&mut fold, 105, &minute(105), 1.0);
    assert_eq!(found.ended.len(), 1);
    assert_eq!(say(&mut fold, 106, &minute(106), 90.0).anomalies.len(), 1, "the device is heard again");

    let mut replayed = PartitionFold::restore(partition(), &pins, &ModelSet::default(), &state).unwrap();
    let mut live = PartitionFold::restore(partition(), &pins, &ModelSet::default(), &state).unwrap();
    let record = record(40, Some(payload(1, 40, 90.0).replace("1970", "2050")));
    let Folded::Reading { reading, anomalies, ended } = live.fold(&record) else { panic!("poison") };
    assert_eq!(replayed.replay(&reading.in_partition(&partition())), Findings { anomalies, ended });
    assert_eq!(live.save().unwrap(), replayed.save().unwrap());
}

#[test]
fn an_open_episode_outlives_a_restart_and_another_configuration() {
    let (mut fold, pins) = three_sigma_alone();
    let (told, opened) = run(&mut fold, &[(40, 9.0)]);
    assert_eq!(told, "+");
    let state = fold.save().unwrap();
    let restored = PartitionFold::restore(partition(), &pins, &ModelSet::default(), &state).unwrap();
    let mut changed = pins;
    if let KernelConfig::ThreeSigma(config) = &mut changed.profile.detectors[0].kernel {
        config.sigmas = 5.0;
    }
    changed.profile.detectors[0].min_readings = 2;
    for mut fold in [fold, restored] {
        fold.open_segment(&changed, &ModelSet::default()).unwrap();
        let (told, findings) = run(&mut fold, &[(44, 1.0), (46, 1.1), (47, 1.2)]);
        assert_eq!(told, "..-", "it has to learn two readings before it can tell that all is quiet");
        assert_eq!(findings.ended[0].anomaly_id, opened.anomalies[0].id);
    }
}

#[test]
fn a_new_model_of_the_same_features_goes_on_with_what_was_remembered() {
    let mut profile = profile();
    profile.detectors.remove(0);
    if let KernelConfig::IsolationForest(config) = &mut profile.detectors[0].kernel {
        config.features = ["active_power", "lag(active_power, 1)"].map(str::to_owned).to_vec();
    }
    let model = |seed| {
        let names = ["active_power", "lag(active_power, 1)"].map(str::to_owned);
        let values: Vec<f64> = (0..600_u32).flat_map(|i| [f64::from(i % 7), f64::from((i + 6) % 7)]).collect();
        let rows = TrainingRows { features: &names, values: &values };
        let model = train(rows, ForestParams { trees: 10, sample_size: 64 }, 0.9, seed).unwrap();
        let bytes = Bytes::from(model.to_bytes().unwrap());
        let id = ModelId::of(&bytes);
        let pins = Pins::of_this_build(&profile, BTreeMap::from([("isolation_forest".to_owned(), id.clone())]));
        (pins, ModelSet::from_iter([(id, bytes)]))
    };
    let ((first, first_models), (second, second_models)) = (model(1), model(2));
    let mut swapped = PartitionFold::try_new(partition(), &first, &first_models).unwrap();
    let mut from_the_start = PartitionFold::try_new(partition(), &second, &second_models).unwrap();
    for fold in [&mut swapped, &mut from_the_start] {
        fold.fold(&record(0, Some(payload(1, 0, 3.0))));
    }
    swapped.open_segment(&second, &second_models).unwrap();
    let next = record(1, Some(payload(1, 1, 90.0)));
    let (after, whole) = (swapped.fold(&next), from_the_start.fold(&next));
    assert_eq!(after, whole, "the swapped model sees the reading before the cut, and nothing of the first model");
    let Folded::Reading { anomalies, .. } = after else { panic!("poison") };
    assert_eq!(anomalies[0].verdict.model_id, second.models.get("isolation_forest").cloned());
}
