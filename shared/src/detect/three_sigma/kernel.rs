//! The kernel: one window a measure, one verdict a reading.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::config::{Baseline, ThreeSigmaConfig};
use crate::{
    anomaly::{Explanation, Severity},
    detect::{Assessment, Kernel, Score, rolling_moments::RollingMoments},
    reading::Reading,
    stream::StreamProfile,
};

/// Smallest standard deviation as a share of the mean's size, where the configuration names none. A value that stood
/// still for the whole window would otherwise make the last digit an alarm.
const DEFAULT_MIN_SD_SHARE: f64 = 0.01;

/// Smallest standard deviation of all, so that no distance is divided by zero. In any unit it is below what a meter
/// resolves.
const MIN_SD: f64 = 1e-9;

/// Values enter the window clipped to this many alarm limits from the mean. On the UCI household's minutes without a
/// floor, clipping at one limit let a heater that came on alarm for hours (12 % of all readings, 4 % unclipped), because
/// the window learned the new level too slowly; from two limits on the rate is that of the unclipped window, and a
/// spike of any size still swells the deviation no more than one of twice the limit.
const CLIP_LIMITS: f64 = 2.0;

/// Largest score. Beyond it a number says nothing more, and an infinite one is no JSON.
const MAX_DEVIATIONS: f64 = 1e6;

/// Multiples of the alarm threshold from which an anomaly is a warning, then critical: 6 and 12 standard deviations
/// for a threshold of 3.
const SEVERITY_STEPS: [f64; 2] = [2.0, 4.0];

/// The detector under one profile.
#[derive(Debug, Clone)]
pub struct ThreeSigma {
    measures: Vec<JudgedMeasure>,
    window: usize,
    min_readings: u32,
    sigmas: f64,
}

#[derive(Debug, Clone)]
struct JudgedMeasure {
    index: usize,
    name: String,
    unit: String,
    min_sd: Option<f64>,
}

/// What it remembers of a device: one window a measure, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreeSigmaState {
    windows: SmallVec<[RollingMoments; 2]>,
}

/// The measure that lies furthest out, beside what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThreeSigmaEvidence {
    measure: u32,
    readings: u32,
    value: f64,
    mean: f64,
    sd: f64,
    deviations: f64,
}

impl ThreeSigma {
    /// The kernel of a configuration that is valid under the profile, which judges by at least `min_readings` values
    /// of a measure; a measure that the profile lacks is the error.
    ///
    /// # Errors
    /// The name of the measure.
    pub fn try_new(config: &ThreeSigmaConfig, min_readings: u32, profile: &StreamProfile) -> Result<Self, String> {
        let judged = |name: &String| {
            let index = profile.measure_index(name).ok_or_else(|| name.clone())?;
            let unit = profile.measures[index].unit.clone();
            Ok(JudgedMeasure { index, name: name.clone(), unit, min_sd: config.min_sd.get(name).copied() })
        };
        let Baseline::Rolling { window_readings } = config.baseline;
        Ok(Self {
            measures: config.measures.iter().map(judged).collect::<Result<_, String>>()?,
            window: window_readings.max(2) as usize,
            min_readings: min_readings.max(2),
            sigmas: config.sigmas,
        })
    }
}

impl Kernel for ThreeSigma {
    type State = ThreeSigmaState;
    type Evidence = ThreeSigmaEvidence;

    fn assess(&self, state: &mut ThreeSigmaState, reading: &Reading) -> Assessment<ThreeSigmaEvidence> {
        state.windows.resize_with(self.measures.len(), RollingMoments::default);
        let (mut worst, mut warming): (Option<ThreeSigmaEvidence>, Option<u32>) = (None, None);
        for (at, (measure, window)) in self.measures.iter().zip(&mut state.windows).enumerate() {
            let Some(value) = reading.measures.get(measure.index).copied().flatten() else { continue };
            let readings = window.len() as u32;
            let Some((mean, sd)) = window.mean_and_sd().filter(|_| readings >= self.min_readings) else {
                warming = Some(warming.map_or(readings, |most| most.max(readings)));
                window.push(value, self.window);
                continue;
            };
            let sd = sd.max(measure.min_sd.unwrap_or(DEFAULT_MIN_SD_SHARE * mean.abs())).max(MIN_SD);
            let deviations = ((value - mean) / sd).abs().min(MAX_DEVIATIONS);
            let farthest = CLIP_LIMITS * self.sigmas * sd;
            window.push(value.max(mean - farthest).min(mean + farthest), self.window);
            if worst.is_none_or(|worst| deviations > worst.deviations) {
                worst = Some(ThreeSigmaEvidence { measure: at as u32, readings, value, mean, sd, deviations });
            }
        }
        match (worst, warming) {
            (Some(evidence), _) => {
                let alarms = evidence.deviations > self.sigmas;
                let alarm = alarms.then(|| severity(evidence.deviations / self.sigmas));
                Assessment::Judged { alarm, evidence }
            }
            (None, Some(readings)) => Assessment::WarmingUp { readings, needed: self.min_readings },
            (None, None) => Assessment::Unjudged,
        }
    }

    fn score(&self, evidence: &ThreeSigmaEvidence) -> Score {
        Score { value: evidence.deviations, threshold: self.sigmas }
    }

    fn explain(&self, evidence: &ThreeSigmaEvidence) -> Explanation {
        let ThreeSigmaEvidence { measure, readings, value, mean, sd, deviations } = *evidence;
        let JudgedMeasure { name, unit, .. } = &self.measures[measure as usize];
        let side = if value > mean { "above" } else { "below" };
        let (low, high) = (mean - self.sigmas * sd, mean + self.sigmas * sd);
        Explanation {
            measure: name.clone(),
            observed: value,
            expected_low: Some(low),
            expected_high: Some(high),
            window_readings: u64::from(readings),
            text: format!(
                "{name} of {value:.3} {unit} is {deviations:.1} standard deviations {side} the mean {mean:.3} {unit} of the \
                 last {readings} readings; {low:.3} to {high:.3} {unit} was expected"
            ),
            others: Vec::new(),
        }
    }
}

fn severity(multiple: f64) -> Severity {
    match SEVERITY_STEPS {
        [_, critical] if multiple >= critical => Severity::Critical,
        [warning, _] if multiple >= warning => Severity::Warning,
        _ => Severity::Minor,
    }
}
