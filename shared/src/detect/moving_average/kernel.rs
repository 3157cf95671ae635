//! The kernel: one window a device, one comparison a reading.

use serde::{Deserialize, Serialize};

use super::config::MovingAverageConfig;
use crate::{
    anomaly::{Explanation, Severity},
    detect::{Assessment, Kernel, Score, rolling_moments::RollingMoments},
    reading::Reading,
    stream::StreamProfile,
};

/// The detector under one profile.
#[derive(Debug, Clone)]
pub struct MovingAverage {
    index: usize,
    name: String,
    unit: String,
    window: usize,
    question: Question,
    severity: Severity,
}

#[derive(Debug, Clone, Copy)]
enum Question {
    /// Is the average above it?
    Limit(f64),
    /// Is the reading further from the average?
    MaxDeviation(f64),
}

/// What it remembers of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MovingAverageState {
    window: RollingMoments,
}

/// A reading beside the average that it is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MovingAverageEvidence {
    value: f64,
    average: f64,
    readings: u32,
}

impl MovingAverage {
    /// The kernel of a configuration that is valid under the profile; a measure that the profile lacks is the error.
    ///
    /// # Errors
    /// The name of the measure.
    pub fn try_new(config: &MovingAverageConfig, profile: &StreamProfile) -> Result<Self, String> {
        let index = profile.measure_index(&config.measure).ok_or_else(|| config.measure.clone())?;
        let question = match (config.limit, config.max_deviation) {
            (Some(limit), _) => Question::Limit(limit),
            (None, most) => Question::MaxDeviation(most.unwrap_or(f64::INFINITY)),
        };
        Ok(Self {
            index,
            name: config.measure.clone(),
            unit: profile.measures[index].unit.clone(),
            window: config.window_readings.max(1) as usize,
            question,
            severity: config.severity,
        })
    }
}

impl Kernel for MovingAverage {
    type State = MovingAverageState;
    type Evidence = MovingAverageEvidence;

    fn assess(&self, state: &mut MovingAverageState, reading: &Reading) -> Assessment<MovingAverageEvidence> {
        let Some(value) = reading.measures.get(self.index).copied().flatten() else { return Assessment::Unjudged };
        let before = (state.window.mean(), state.window.len() as u32);
        state.window.push(value, self.window);
        let (average, readings, threshold) = match (self.question, before) {
            (Question::Limit(limit), _) => (state.window.mean().unwrap_or(value), state.window.len() as u32, limit),
            (Question::MaxDeviation(most), (Some(average), readings)) => (average, readings, most),
            (Question::MaxDeviation(_), (None, readings)) => {
                return Assessment::WarmingUp { readings, needed: 1 };
            }
        };
        let evidence = MovingAverageEvidence { value, average, readings };
        let alarms = self.score(&evidence).value > threshold;
        Assessment::Judged { alarm: alarms.then_some(self.severity), evidence }
    }

    fn score(&self, evidence: &MovingAverageEvidence) -> Score {
        let MovingAverageEvidence { value, average, .. } = *evidence;
        match self.question {
            Question::Limit(limit) => Score { value: average, threshold: limit },
            Question::MaxDeviation(most) => Score { value: (value - average).abs(), threshold: most },
        }
    }

    fn explain(&self, evidence: &MovingAverageEvidence) -> Explanation {
        let MovingAverageEvidence { value, average, readings } = *evidence;
        let (name, unit) = (&self.name, &self.unit);
        let (low, high, text) = match self.question {
            Question::Limit(limit) => (
                None,
                limit,
                format!(
                    "the last {readings} readings of {name} average {average:.3} {unit}, the limit is {limit:.3} {unit}; the \
                     newest is {value:.3} {unit}"
                ),
            ),
            Question::MaxDeviation(most) => (
                Some(average - most),
                average + most,
                format!(
                    "{name} of {value:.3} {unit} is {:.3} {unit} from the average {average:.3} {unit} of the {readings} \
                     readings before; up to {most:.3} {unit} was expected",
                    (value - average).abs()
                ),
            ),
        };
        Explanation {
            measure: name.clone(),
            observed: value,
            expected_low: low,
            expected_high: Some(high),
            window_readings: u64::from(readings),
            text,
            others: Vec::new(),
        }
    }
}
