//! Adaptation: a forest that the schedule grows anew on a sliding window follows a drift and keeps its alarm rate, a frozen
//! one does not, and a replay over the swaps finds every alarm where it was.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_batch::{
    BatchDeps, ScheduleConfig,
    schedule::{JobSettings, run_schedule},
};
use kilowatch_shared::{
    checkpoint::Pins,
    clock::Clock,
    detect::fold::{Folded, PartitionFold},
    job::JobStatus,
    log::LogRecord,
    model::{ModelId, ModelKind},
    position::Offset,
    stream::{KernelConfig, StreamRegistry},
};
use tokio_util::sync::CancellationToken;

use crate::{
    bench_room::{Room, instant},
    live::{LivePartition, models_of, record},
};

/// A plant is read twice an hour, and its forest is grown anew once a month from the last one.
const MONTH: i64 = 30 * 48;
const MONTHS: i64 = 5;

/// A clock on which ten minutes pass whenever somebody looks.
#[derive(Debug)]
struct NightClock {
    from: DateTime<Utc>,
    looks: AtomicI64,
}

impl Clock for NightClock {
    fn now(&self) -> DateTime<Utc> {
        self.from + TimeDelta::minutes(10 * self.looks.fetch_add(1, Ordering::Relaxed))
    }
}

fn time_of(reading: i64) -> DateTime<Utc> {
    instant("2025-01-01T00:00:00Z") + TimeDelta::minutes(30 * reading)
}

/// Output and wind of a park that gets a tenth more turbines every month: that is the drift.
fn measures(reading: i64) -> [f64; 2] {
    let noise = |prime: i64| (reading * reading % prime) as f64 / prime as f64 - 0.5;
    let day = std::f64::consts::TAU * (reading % 48) as f64 / 48.0;
    let wind = 8.0 + 2.0 * day.sin() + 3.0 * noise(997);
    let turbines = 1.0 + 0.1 * reading as f64 / MONTH as f64;
    [turbines * (4.0 * wind + 2.0 * noise(499)), wind]
}

async fn wind_park() -> Room {
    let mut room = Room::new().await;
    room.profile = StreamRegistry::built_in().unwrap().find(&"power-plant".parse().unwrap()).unwrap().clone();
    let [detector] = room.profile.detectors.as_mut_slice() else { panic!("one detector was expected") };
    let KernelConfig::IsolationForest(forest) = &mut detector.kernel else { panic!("no forest") };
    forest.train_window_days = Some(30);
    detector.cool_down_secs = 0;
    room
}

/// Lets the schedule come to the night after midnight, and returns the model that serves then.
async fn train_in_the_night(room: &Room, midnight: DateTime<Utc>) -> ModelId {
    // The schedule looks once when it begins, before 02:30, and once when it asks what is due, after it.
    let clock = Arc::new(NightClock { from: midnight + TimeDelta::minutes(145), looks: AtomicI64::new(0) });
    let deps = BatchDeps { clock, ..room.deps.clone() };
    let (stop, profiles) = (CancellationToken::new(), [room.profile.clone()]);
    let config = ScheduleConfig { rollup: String::new(), forecast: String::new(), ..ScheduleConfig::default() };
    let stream = &room.profile.name;
    let trainings = async || {
        let runs = room.deps.views.recent_job_runs(stream, 100).await.unwrap();
        assert!(runs.iter().all(|run| run.status == JobStatus::Succeeded), "{runs:?}");
        runs.len()
    };
    let before = trainings().await;
    let watch = async {
        while trainings().await == before {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(run_schedule(&deps, &profiles, &config, JobSettings::default(), stop.clone()), watch);
    assert_eq!(ran, Ok(()));
    room.deps.views.serving_model(stream, ModelKind::IsolationForest).await.unwrap().unwrap().id
}

#[tokio::test]
async fn a_forest_that_is_grown_anew_keeps_its_alarm_rate_under_drift_and_a_frozen_one_does_not() {
    let room = wind_park().await;
    let mut live = LivePartition::open(&room).await;
    let mut models = Vec::new();
    let mut frozen: Option<Frozen> = None;
    let mut rates = Vec::new();
    for month in 0..=MONTHS {
        let alarms_before = live.alarming_readings;
        let frozen_before = frozen.as_ref().map_or(0, |frozen| frozen.alarming_readings);
        for reading in month * MONTH..(month + 1) * MONTH {
            live.read(time_of(reading), &measures(reading));
            let Some(frozen) = &mut frozen else { continue };
            let offset = Offset::new(reading.unsigned_abs());
            frozen.take(&record(&room.profile, offset, time_of(reading), &measures(reading)));
        }
        let share = |alarms: u64| alarms as f64 / MONTH as f64;
        let frozen_alarms = frozen.as_ref().map_or(0, |frozen| frozen.alarming_readings) - frozen_before;
        rates.push((share(live.alarming_readings - alarms_before), share(frozen_alarms)));
        // The lake gets the month, the schedule trains on it, and the next cut takes the model up.
        live.close(&room).await;
        models.push(train_in_the_night(&room, time_of((month + 1) * MONTH)).await);
        let between = (month + 1) * MONTH;
        live.read(time_of(between) - TimeDelta::minutes(15), &measures(between));
        live.close_and_swap(&room).await;
        if month == 0 {
            let pins = Pins::of_this_build(&room.profile, [("isolation_forest".to_owned(), models[0].clone())].into());
            frozen = Some(Frozen::new(&room, &live, &pins).await);
        }
    }
    println!("alarm rates by month, grown anew and frozen: {rates:.3?}");
    let (last, last_frozen) = rates[MONTHS as usize];
    assert!(rates[1..].iter().all(|(rate, _)| *rate < 0.15), "{rates:?}");
    assert!(last_frozen > 0.5 && last_frozen > 5.0 * last, "{rates:?}");

    // Every reading of a month and the one after it was judged by the model of the month before.
    let swaps = room.deps.views.model_swaps(&room.profile.name, 50).await.unwrap();
    let places: Vec<_> = swaps.iter().rev().map(|swap| (swap.from.offset.get(), swap.model.clone().unwrap())).collect();
    let expected: Vec<_> =
        (1..).map(|month: u64| month * (MONTH.unsigned_abs() + 1)).zip(models.iter().cloned()).collect();
    assert_eq!(places, expected);
    assert!(swaps.iter().all(|swap| swap.promoted_at.is_some()));
    for anomaly in &live.anomalies {
        let judged_by = places.iter().rev().find(|(from, _)| *from <= anomaly.position.offset.get());
        assert_eq!(anomaly.verdict.model_id.as_ref(), judged_by.map(|(_, model)| model));
    }

    let report = room.verify().await;
    assert_eq!(report.differing(), 0, "{:?}", report.examples);
    assert_eq!(report.anomalies.checked, live.anomalies.len() as u64);
    assert!(report.not_replayed.is_empty());
}

/// A fold that keeps its first model for ever.
struct Frozen {
    fold: PartitionFold,
    open: BTreeSet<String>,
    alarming_readings: u64,
}

impl Frozen {
    async fn new(room: &Room, live: &LivePartition, pins: &Pins) -> Self {
        let fold = PartitionFold::try_new(live.partition.clone(), pins, &models_of(room, pins).await).unwrap();
        Self { fold, open: BTreeSet::new(), alarming_readings: 0 }
    }

    fn take(&mut self, record: &LogRecord) {
        let Folded::Reading { anomalies, ended, .. } = self.fold.fold(record) else { panic!("poison") };
        for ended in ended {
            self.open.remove(&ended.anomaly_id);
        }
        self.open.extend(anomalies.into_iter().map(|anomaly| anomaly.id));
        self.alarming_readings += u64::from(!self.open.is_empty());
    }
}
