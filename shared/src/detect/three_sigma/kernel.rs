//! The kernel: one window a measure, one verdict a reading.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{
    config::ThreeSigmaConfig,
    hour_of_week::{HourMoments, HourOfWeekModel, HourOfWeekProblem, MIN_WEEKS},
};
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
    usual: Usual,
    sigmas: f64,
}

/// Where mean and deviation come from.
#[derive(Debug, Clone)]
enum Usual {
    /// From the last values, so many at most and at least.
    Rolling { window: usize, min_readings: u32 },
    /// From a model, with the place of each measure in it.
    HourOfWeek { model: Box<HourOfWeekModel>, places: Vec<usize> },
}

/// What is usual for a value.
#[derive(Debug, Clone, Copy)]
struct Expected {
    mean: f64,
    sd: f64,
    readings: u32,
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
    /// The kernel that judges by a device's last `window_readings` values of a measure, and by at least `min_readings`;
    /// a measure that the profile lacks is the error.
    ///
    /// # Errors
    /// The name of the measure.
    pub fn try_rolling(
        config: &ThreeSigmaConfig,
        window_readings: u32,
        min_readings: u32,
        profile: &StreamProfile,
    ) -> Result<Self, String> {
        let usual = Usual::Rolling { window: window_readings.max(2) as usize, min_readings: min_readings.max(2) };
        Ok(Self { measures: judged_measures(config, profile)?, usual, sigmas: config.sigmas })
    }

    /// The kernel that judges by the bytes of a model of the hours of the week.
    ///
    /// # Errors
    /// [`HourOfWeekProblem`] if the bytes are no model, or one without a measure that is judged.
    pub fn try_hour_of_week(
        config: &ThreeSigmaConfig,
        profile: &StreamProfile,
        model_bytes: &[u8],
    ) -> Result<Self, HourOfWeekProblem> {
        let model = HourOfWeekModel::from_bytes(model_bytes)?;
        let measures = judged_measures(config, profile).map_err(HourOfWeekProblem::UnknownMeasure)?;
        let place = |measure: &JudgedMeasure| {
            model.place_of(&measure.name).ok_or_else(|| HourOfWeekProblem::UnknownMeasure(measure.name.clone()))
        };
        let places = measures.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { measures, usual: Usual::HourOfWeek { model: Box::new(model), places }, sigmas: config.sigmas })
    }

    /// A value beside what is usual.
    fn evidence(&self, measure: usize, value: f64, expected: Expected) -> ThreeSigmaEvidence {
        let Expected { mean, sd, readings } = expected;
        let sd = sd.max(self.measures[measure].min_sd.unwrap_or(DEFAULT_MIN_SD_SHARE * mean.abs())).max(MIN_SD);
        let deviations = ((value - mean) / sd).abs().min(MAX_DEVIATIONS);
        ThreeSigmaEvidence { measure: measure as u32, readings, value, mean, sd, deviations }
    }

    fn assess_rolling(
        &self,
        window: usize,
        min_readings: u32,
        state: &mut ThreeSigmaState,
        reading: &Reading,
    ) -> Sifted {
        state.windows.resize_with(self.measures.len(), RollingMoments::default);
        let mut sifted = Sifted::default();
        for (at, (measure, values)) in self.measures.iter().zip(&mut state.windows).enumerate() {
            let Some(value) = reading.measures.get(measure.index).copied().flatten() else { continue };
            let readings = values.len() as u32;
            let Some((mean, sd)) = values.mean_and_sd().filter(|_| readings >= min_readings) else {
                sifted.warm_up(readings);
                values.push(value, window);
                continue;
            };
            let evidence = self.evidence(at, value, Expected { mean, sd, readings });
            let farthest = CLIP_LIMITS * self.sigmas * evidence.sd;
            values.push(value.max(mean - farthest).min(mean + farthest), window);
            sifted.judge(evidence);
        }
        sifted
    }

    fn assess_hour(&self, model: &HourOfWeekModel, places: &[usize], reading: &Reading) -> Sifted {
        let hours = model.hours_at(&reading.device, reading.event_time);
        let mut sifted = Sifted::default();
        for (at, (measure, place)) in self.measures.iter().zip(places).enumerate() {
            let Some(value) = reading.measures.get(measure.index).copied().flatten() else { continue };
            let HourMoments { mean, sd, readings, weeks } =
                hours.as_ref().map(|hours| hours(*place)).unwrap_or_default();
            if weeks < MIN_WEEKS {
                sifted.warm_up(weeks);
            } else {
                sifted.judge(self.evidence(at, value, Expected { mean, sd, readings }));
            }
        }
        sifted
    }
}

/// The measures of a reading, one after the other.
#[derive(Default)]
struct Sifted {
    worst: Option<ThreeSigmaEvidence>,
    warming: Option<u32>,
}

impl Sifted {
    fn judge(&mut self, evidence: ThreeSigmaEvidence) {
        if self.worst.is_none_or(|worst| evidence.deviations > worst.deviations) {
            self.worst = Some(evidence);
        }
    }

    fn warm_up(&mut self, seen: u32) {
        self.warming = Some(self.warming.map_or(seen, |most| most.max(seen)));
    }
}

impl Kernel for ThreeSigma {
    type State = ThreeSigmaState;
    type Evidence = ThreeSigmaEvidence;

    fn assess(&self, state: &mut ThreeSigmaState, reading: &Reading) -> Assessment<ThreeSigmaEvidence> {
        let (Sifted { worst, warming }, needed) = match &self.usual {
            Usual::Rolling { window, min_readings } => {
                (self.assess_rolling(*window, *min_readings, state, reading), *min_readings)
            }
            Usual::HourOfWeek { model, places } => (self.assess_hour(model, places, reading), MIN_WEEKS),
        };
        match (worst, warming) {
            (Some(evidence), _) => {
                let alarms = evidence.deviations > self.sigmas;
                let alarm = alarms.then(|| severity(evidence.deviations / self.sigmas));
                Assessment::Judged { alarm, evidence }
            }
            (None, Some(readings)) => Assessment::WarmingUp { readings, needed },
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
        let of_what = match self.usual {
            Usual::Rolling { .. } => "the last",
            Usual::HourOfWeek { .. } => "this hour of the week,",
        };
        Explanation {
            measure: name.clone(),
            observed: value,
            expected_low: Some(low),
            expected_high: Some(high),
            window_readings: u64::from(readings),
            text: format!(
                "{name} of {value:.3} {unit} is {deviations:.1} standard deviations {side} the mean {mean:.3} {unit} of \
                 {of_what} {readings} readings; {low:.3} to {high:.3} {unit} was expected"
            ),
            others: Vec::new(),
        }
    }
}

/// The measures of a configuration under a profile, or the one that the profile lacks.
fn judged_measures(config: &ThreeSigmaConfig, profile: &StreamProfile) -> Result<Vec<JudgedMeasure>, String> {
    let judged = |name: &String| {
        let index = profile.measure_index(name).ok_or_else(|| name.clone())?;
        let unit = profile.measures[index].unit.clone();
        Ok(JudgedMeasure { index, name: name.clone(), unit, min_sd: config.min_sd.get(name).copied() })
    };
    config.measures.iter().map(judged).collect()
}

fn severity(multiple: f64) -> Severity {
    match SEVERITY_STEPS {
        [_, critical] if multiple >= critical => Severity::Critical,
        [warning, _] if multiple >= warning => Severity::Warning,
        _ => Severity::Minor,
    }
}
