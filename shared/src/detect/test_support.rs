//! What the tests of the kernels share.

use smallvec::SmallVec;

use super::{Assessment, Kernel, Score};
use crate::{
    anomaly::{Explanation, Severity},
    position::DeviceId,
    reading::Reading,
    stream::{StreamProfile, StreamRegistry},
};

/// An alarm with all that a kernel says of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alarm {
    pub severity: Severity,
    pub score: f64,
    pub threshold: f64,
    pub explanation: Explanation,
}

pub(super) fn household() -> StreamProfile {
    let registry = StreamRegistry::built_in().unwrap();
    registry.iter().find(|profile| profile.name.as_str() == "household").unwrap().clone()
}

/// A reading of the household: kW and V.
pub(super) fn reading(active_power: Option<f64>, voltage: Option<f64>) -> Reading {
    let mut measures: SmallVec<_> = smallvec::smallvec![None; 7];
    (measures[0], measures[2]) = (active_power, voltage);
    Reading {
        device: DeviceId::parse("m").unwrap(),
        event_time: chrono::DateTime::UNIX_EPOCH,
        measures,
        tags: SmallVec::new(),
        injected: None,
    }
}

/// The alarm on a reading, if it is one.
pub(super) fn alarm<K: Kernel>(kernel: &K, state: &mut K::State, reading: &Reading) -> Option<Alarm> {
    match kernel.assess(state, reading) {
        Assessment::Judged { alarm: Some(severity), evidence } => {
            let (Score { value: score, threshold }, explanation) = (kernel.score(&evidence), kernel.explain(&evidence));
            Some(Alarm { severity, score, threshold, explanation })
        }
        _ => None,
    }
}

/// The score of a reading, alarming or quiet.
pub(super) fn score<K: Kernel>(kernel: &K, state: &mut K::State, reading: &Reading) -> Option<f64> {
    match kernel.assess(state, reading) {
        Assessment::Judged { evidence, .. } => Some(kernel.score(&evidence).value),
        _ => None,
    }
}
