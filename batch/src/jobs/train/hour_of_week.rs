//! What is usual in each hour of the week, from readings of the lake.

use std::{collections::BTreeMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    detect::{
        Assessment, Kernel,
        three_sigma::{
            Baseline, HourOfWeekModel, HourOfWeekProblem, HourOfWeekTrainer, MIN_WEEKS, ThreeSigma, ThreeSigmaConfig,
            ThreeSigmaState,
        },
    },
    lake::LakeError,
    model::{ModelId, ModelKind, ModelManifest},
    reading::Reading,
    stream::{KernelConfig, StreamProfile},
};

use super::{
    alarm_check::{AlarmRates, PAST_SHARE, PROBE_ROWS, alarm_rate},
    candidate::{Candidate, named},
    detector::MIN_ROWS,
};
use crate::{
    BatchDeps, BatchError,
    features::{
        Known,
        judged::{JudgedReadings, Thinning, TrainWindow},
    },
    training::TrainError,
};

/// Readings of the whole window that tell how often the baseline raises an alarm: a fifth of them are held out.
const PROBE_READINGS: u64 = 5 * PROBE_ROWS as u64;

/// Share of alarms that three standard deviations stand for on days like those that were learned from.
const ALARM_SHARE: f64 = 0.02;

/// Reads and learns.
pub(super) async fn candidate(
    deps: &BatchDeps,
    profile: &StreamProfile,
    seed: u64,
    known: Known,
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
    let names: Vec<&str> = config.measures.iter().map(String::as_str).collect();
    let readings = JudgedReadings::open(&deps.lake, profile, TrainWindow { days, known }).await?;
    let mut pass = Pass::over(&readings, &config, profile).map_err(TrainError::from)?;
    let mut refused = None;
    let read = readings.each(&names, |reading| {
        pass.take(reading).map_err(|problem| {
            let reason = problem.to_string();
            refused = Some(problem);
            LakeError::Query { reason }
        })
    });
    let read = read.await;
    if let Some(problem) = refused {
        return Err(TrainError::from(problem).into());
    }
    read?;
    let load_seconds = start.elapsed().as_secs_f64();
    let Pass { whole, past, check, rows, span } = pass;
    let Some((first, last)) = span.filter(|_| rows >= MIN_ROWS as u64) else {
        let needed = MIN_ROWS as u64;
        return Err(TrainError::TooLittle { what: "readings", found: rows, needed, until: known.until }.into());
    };
    let start = Instant::now();
    let (model, past) = (whole.finish(), past.finish());
    let bytes = model.to_bytes().map_err(TrainError::from)?;
    let rates = check.rates(&config, profile, &bytes, &past, seed)?;
    let mut params = named([
        ("algorithm", "mean and deviation by device and hour of the week".into()),
        ("devices", model.devices().into()),
        ("train_window_days", days.into()),
        ("sigmas", config.sigmas.into()),
    ]);
    params.extend(rates.findings());
    let manifest = ModelManifest {
        id: ModelId::of(&bytes),
        stream: profile.name.clone(),
        kind: ModelKind::HourOfWeek,
        created_at: deps.clock.now(),
        lake_version: readings.lake_version(),
        train_from: first,
        train_until: last + TimeDelta::microseconds(1),
        train_rows: rows,
        features: config.measures.clone(),
        target: None,
        params,
        metrics: None,
        baselines: BTreeMap::default(),
    };
    let objection = if rates.held_out.is_some() { rates.objection(ALARM_SHARE) } else { Some(too_few_hours()) };
    Ok(Candidate { manifest, bytes, objection, load_seconds, fit_seconds: start.elapsed().as_secs_f64() })
}

/// One pass over the readings.
struct Pass {
    /// Learns from all of them.
    whole: HourOfWeekTrainer,
    /// Learns from those that are not held out.
    past: HourOfWeekTrainer,
    check: Check,
    rows: u64,
    span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Pass {
    fn over(
        readings: &JudgedReadings<'_>,
        config: &ThreeSigmaConfig,
        profile: &StreamProfile,
    ) -> Result<Self, HourOfWeekProblem> {
        let trainer = HourOfWeekTrainer::try_new(&config.measures, profile)?;
        let check = Check {
            held_out_from: readings.cut_at_share(PAST_SHARE),
            thinning: readings.thinned_to(PROBE_READINGS),
            probe: Vec::new(),
        };
        Ok(Self { whole: trainer.clone(), past: trainer, check, rows: 0, span: None })
    }

    fn take(&mut self, reading: &Reading) -> Result<(), HourOfWeekProblem> {
        let time = reading.event_time;
        self.whole.take(reading)?;
        if self.check.held_out_from.is_some_and(|cut| time < cut) {
            self.past.take(reading)?;
        }
        self.span = Some(self.span.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        self.rows += 1;
        if self.check.thinning.keeps_next() {
            self.check.probe.push(reading.clone());
        }
        Ok(())
    }
}

/// Readings that a baseline is checked on.
struct Check {
    held_out_from: Option<DateTime<Utc>>,
    thinning: Thinning,
    probe: Vec<Reading>,
}

impl Check {
    /// How often the baseline of these bytes alarms, and the one of the past on what came after it.
    fn rates(
        &self,
        config: &ThreeSigmaConfig,
        profile: &StreamProfile,
        bytes: &[u8],
        past: &HourOfWeekModel,
        seed: u64,
    ) -> Result<AlarmRates, TrainError> {
        let all: Vec<usize> = (0..self.probe.len()).collect();
        let is_newest = |at: &usize| self.held_out_from.is_some_and(|cut| self.probe[*at].event_time >= cut);
        let newest: Vec<usize> = all.iter().copied().filter(is_newest).collect();
        // Of those that are judged: what is silent for want of weeks says nothing.
        let rate = |bytes: &[u8], among: &[usize]| -> Result<(usize, f64), TrainError> {
            let kernel = ThreeSigma::try_hour_of_week(config, profile, bytes)?;
            let said = |at: usize| kernel.assess(&mut ThreeSigmaState::default(), &self.probe[at]);
            let is_judged = |at: &usize| matches!(said(*at), Assessment::Judged { .. });
            let judged: Vec<usize> = among.iter().copied().filter(is_judged).collect();
            let alarms = |at| matches!(said(at), Assessment::Judged { alarm: Some(_), .. });
            Ok((judged.len(), alarm_rate(&judged, seed, alarms)))
        };
        let (judged, held_out) = rate(&past.to_bytes()?, &newest)?;
        let is_checked = judged > 0 && 2 * judged >= newest.len();
        Ok(AlarmRates { learned: rate(bytes, &all)?.1, held_out: is_checked.then_some(held_out) })
    }
}

/// Why a baseline must not serve that knows no hour, or too few that it could be checked on.
fn too_few_hours() -> String {
    format!(
        "most hours of the newest fifth of the readings, on which it is checked, were not seen in {MIN_WEEKS} weeks before it; it \
         needs about four weeks of readings"
    )
}
