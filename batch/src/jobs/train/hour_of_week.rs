//! What is usual in each hour of the week, from readings of the lake.

use std::{collections::BTreeMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::{
        Assessment, Kernel,
        three_sigma::{Baseline, HourOfWeekTrainer, ThreeSigma, ThreeSigmaConfig, ThreeSigmaState},
    },
    lake::LakeError,
    model::{ModelId, ModelKind, ModelManifest},
    reading::Reading,
    stream::{KernelConfig, StreamProfile},
};

use super::{
    candidate::{Candidate, named},
    detector::{AlarmRates, MIN_ROWS},
};
use crate::{
    BatchDeps, BatchError,
    features::judged::{Thinning, TrainWindow, each_reading},
    training::TrainError,
};

/// Readings that tell how often the baseline raises an alarm; of the 400,000 that the reader offers.
const PROBE_STEP: usize = 20;

/// Share of alarms that three standard deviations stand for on days like those that were learned from.
const ALARM_SHARE: f64 = 0.02;

/// Reads and learns.
pub(super) async fn candidate(
    deps: &BatchDeps,
    profile: &StreamProfile,
    seed: u64,
    until: DateTime<Utc>,
) -> Result<Candidate, BatchError> {
    let Some((config, days)) = profile.detectors.iter().find_map(|detector| match &detector.kernel {
        KernelConfig::ThreeSigma(config) => match config.baseline {
            Baseline::HourOfWeek { train_window_days } => Some((config.clone(), train_window_days)),
            Baseline::Rolling { .. } => None,
        },
        _ => None,
    }) else {
        let section = "three_sigma detector with baseline = { hour_of_week = {} }";
        return Err(TrainError::NotDeclared { stream: profile.name.to_string(), section }.into());
    };
    let start = Instant::now();
    let mut trainer = HourOfWeekTrainer::try_new(&config.measures, profile).map_err(TrainError::from)?;
    let names: Vec<&str> = config.measures.iter().map(String::as_str).collect();
    let (mut rows, mut span, mut probe) = (0_u64, None::<(DateTime<Utc>, DateTime<Utc>)>, Vec::new());
    let (mut thinning, mut refused) = (Thinning::default(), None);
    let window = TrainWindow { days, until };
    let lake_version = each_reading(&deps.lake, profile, &names, window, |reading, step| {
        if let Err(problem) = trainer.take(reading) {
            let reason = problem.to_string();
            refused = Some(problem);
            return Err(LakeError::Query { reason });
        }
        let time = reading.event_time;
        span = Some(span.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        rows += 1;
        if thinning.keeps(step.saturating_mul(PROBE_STEP)) {
            probe.push(reading.clone());
        }
        Ok(())
    })
    .await;
    if let Some(problem) = refused {
        return Err(TrainError::from(problem).into());
    }
    let lake_version = lake_version?;
    let load_seconds = start.elapsed().as_secs_f64();
    let Some((first, last)) = span.filter(|_| rows >= MIN_ROWS as u64) else {
        let needed = MIN_ROWS as u64;
        return Err(TrainError::TooLittle { what: "readings", found: rows, needed, until }.into());
    };
    let start = Instant::now();
    let model = trainer.finish();
    let bytes = model.to_bytes().map_err(TrainError::from)?;
    let rates = alarm_rates(&config, profile, &bytes, &probe, seed)?;
    let params = named([
        ("algorithm", "mean and deviation by device and hour of the week".into()),
        ("devices", model.devices().into()),
        ("train_window_days", days.into()),
        ("sigmas", config.sigmas.into()),
        ("alarm_rate", rates.all.into()),
        ("alarm_rate_newest_fifth", rates.newest_fifth.into()),
    ]);
    let manifest = ModelManifest {
        id: ModelId::of(&bytes),
        stream: profile.name.clone(),
        kind: ModelKind::HourOfWeek,
        created_at: deps.clock.now(),
        lake_version,
        train_from: first,
        train_until: last + TimeDelta::microseconds(1),
        train_rows: rows,
        features: config.measures.clone(),
        target: None,
        params,
        metrics: None,
        baselines: BTreeMap::default(),
    };
    let objection = rates.objection(ALARM_SHARE);
    Ok(Candidate { manifest, bytes, objection, load_seconds, fit_seconds: start.elapsed().as_secs_f64() })
}

fn alarm_rates(
    config: &ThreeSigmaConfig,
    profile: &StreamProfile,
    bytes: &[u8],
    probe: &[Reading],
    seed: u64,
) -> Result<AlarmRates, TrainError> {
    let kernel = ThreeSigma::try_hour_of_week(config, profile, bytes)?;
    let times: Vec<DateTime<Utc>> = probe.iter().map(|reading| reading.event_time).collect();
    let alarms = |at: usize| {
        let said = kernel.assess(&mut ThreeSigmaState::default(), &probe[at]);
        matches!(said, Assessment::Judged { alarm: Some(_), .. })
    };
    Ok(AlarmRates::of(&times, seed, alarms))
}
