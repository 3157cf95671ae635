//! The kernel: the distance to the nearest centre, beside the one that was learned.

use super::model::{KMeansModel, KMeansProblem};
use crate::{
    anomaly::{Explanation, Severity},
    detect::{
        Assessment, Kernel, Score,
        features::{FeatureSet, FeatureState, FeatureValues},
    },
    reading::Reading,
    stream::StreamProfile,
};

/// Multiples of the threshold from which an anomaly is a warning, then critical. The campus system's ladder (minor to
/// 2.5, anomaly to 3.5, critical beyond) was written for a threshold of 1.86; it scales with the one that is learned.
const SEVERITY_STEPS: [f64; 2] = [2.5 / 1.86, 3.5 / 1.86];

/// The detector under one profile, with its model.
#[derive(Debug, Clone)]
pub struct KMeans {
    model: KMeansModel,
    features: FeatureSet,
}

/// The features of a reading and the nearest centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansEvidence {
    values: FeatureValues,
    centre: u32,
    distance: f64,
}

impl KMeans {
    /// The kernel of the bytes of a model. The model's own features count: a configuration that names others is served
    /// by the next training.
    ///
    /// # Errors
    /// [`KMeansProblem`] if the bytes are no model, or one of another stream.
    pub fn try_new(profile: &StreamProfile, model_bytes: &[u8]) -> Result<Self, KMeansProblem> {
        let model = KMeansModel::from_bytes(model_bytes)?;
        let features = FeatureSet::try_new(model.feature_names(), profile).map_err(KMeansProblem::UnknownFeature)?;
        Ok(Self { model, features })
    }

    /// What it looks at.
    #[must_use]
    pub const fn features(&self) -> &FeatureSet {
        &self.features
    }

    /// The feature that lies furthest from the centre.
    fn weightiest(&self, evidence: &KMeansEvidence) -> usize {
        let (point, centre) = (self.model.point(&evidence.values), &self.model.centres[evidence.centre as usize]);
        self.features.weightiest(|at| (point[at] - centre.0[at]).abs())
    }
}

impl Kernel for KMeans {
    type State = FeatureState;
    type Evidence = KMeansEvidence;

    fn assess(&self, state: &mut FeatureState, reading: &Reading) -> Assessment<KMeansEvidence> {
        let Some(values) = self.features.take(state, reading) else { return Assessment::Unjudged };
        let (centre, distance) = self.model.nearest(&self.model.point(&values));
        let multiple = distance / self.model.threshold;
        let [warning, critical] = SEVERITY_STEPS;
        let alarm = match multiple {
            _ if multiple > critical => Some(Severity::Critical),
            _ if multiple > warning => Some(Severity::Warning),
            _ if multiple > 1.0 => Some(Severity::Minor),
            _ => None,
        };
        Assessment::Judged { alarm, evidence: KMeansEvidence { values, centre: centre as u32, distance } }
    }

    fn score(&self, evidence: &KMeansEvidence) -> Score {
        Score { value: evidence.distance, threshold: self.model.threshold }
    }

    fn explain(&self, evidence: &KMeansEvidence) -> Explanation {
        let at = self.weightiest(evidence);
        let (scale, centre) = (&self.model.features[at], &self.model.centres[evidence.centre as usize]);
        let (name, unit) = self.features.text_and_unit(at);
        let observed = if evidence.values[at].is_nan() { scale.mean } else { evidence.values[at] };
        let middle = scale.mean + centre.0[at] * scale.sd;
        let reach = self.model.threshold * scale.sd;
        let level = self.model.level(evidence.centre as usize);
        Explanation {
            measure: name.to_owned(),
            observed,
            expected_low: Some(middle - reach),
            expected_high: Some(middle + reach),
            window_readings: self.model.rows,
            text: format!(
                "{name} of {observed:.3} {unit} is furthest off: the nearest level, {level}, is at {middle:.3} {unit}; distance \
                 {:.2}, alarms beyond {:.2}",
                evidence.distance, self.model.threshold
            ),
            others: Vec::new(),
        }
    }
}
