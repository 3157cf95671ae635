//! The kernel: a frozen forest judges one reading at a time and remembers no more than its features do.

use super::{
    model::{IsolationForestModel, ModelProblem},
    scale::FeatureVector,
};
use crate::{
    anomaly::{Explanation, Severity},
    detect::{
        Assessment, Kernel, Score,
        features::{FeatureSet, FeatureState, FeatureValues},
    },
    reading::Reading,
    stream::StreamProfile,
};

/// The detector under one profile, with its model.
#[derive(Debug, Clone)]
pub struct IsolationForest {
    model: IsolationForestModel,
    features: FeatureSet,
}

/// The features of a reading and how soon the forest isolates them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IsolationEvidence {
    values: FeatureValues,
    /// Mean path of a reading that is an anomaly; that of a quiet one was not walked to its end.
    anomalous_path: Option<f64>,
}

impl IsolationForest {
    /// The kernel of the bytes of a model. The model's own features count: a configuration that names others is served
    /// by the next training.
    ///
    /// # Errors
    /// [`ModelProblem`] if the bytes are no model, or one of another stream.
    pub fn try_new(profile: &StreamProfile, model_bytes: &[u8]) -> Result<Self, ModelProblem> {
        let model = IsolationForestModel::from_bytes(model_bytes)?;
        let features = FeatureSet::try_new(model.feature_names(), profile).map_err(ModelProblem::UnknownFeature)?;
        Ok(Self { model, features })
    }

    /// What it looks at.
    #[must_use]
    pub const fn features(&self) -> &FeatureSet {
        &self.features
    }

    fn vector(&self, values: &FeatureValues) -> FeatureVector {
        self.model.vector(values.iter().map(|value| (!value.is_nan()).then_some(*value)))
    }

    fn path(&self, evidence: &IsolationEvidence) -> f64 {
        evidence.anomalous_path.unwrap_or_else(|| self.model.mean_path(&self.vector(&evidence.values)))
    }

    /// The feature without which the reading would be least unusual: the one whose return to the median lengthens the
    /// path most.
    fn weightiest(&self, vector: &FeatureVector, path: f64) -> usize {
        self.features.weightiest(|feature| {
            let mut without = *vector;
            without[feature] = 0.0;
            self.model.mean_path(&without) - path
        })
    }
}

impl Kernel for IsolationForest {
    type State = FeatureState;
    type Evidence = IsolationEvidence;

    fn assess(&self, state: &mut FeatureState, reading: &Reading) -> Assessment<IsolationEvidence> {
        let Some(values) = self.features.take(state, reading) else { return Assessment::Unjudged };
        let [minor, warning, critical] = self.model.alarm_paths;
        let anomalous_path = self.model.mean_path_below(&self.vector(&values), minor);
        let alarm = anomalous_path.map(|path| match path {
            _ if path < critical => Severity::Critical,
            _ if path < warning => Severity::Warning,
            _ => Severity::Minor,
        });
        Assessment::Judged { alarm, evidence: IsolationEvidence { values, anomalous_path } }
    }

    fn score(&self, evidence: &IsolationEvidence) -> Score {
        Score { value: self.model.score_of_path(self.path(evidence)), threshold: self.model.threshold() }
    }

    fn explain(&self, evidence: &IsolationEvidence) -> Explanation {
        let at = self.weightiest(&self.vector(&evidence.values), self.path(evidence));
        let scale = &self.model.features[at];
        let (name, unit) = self.features.text_and_unit(at);
        let (observed, low, high) = (evidence.values[at], scale.low, scale.high);
        let observed = if observed.is_nan() { scale.median } else { observed };
        let place = if (low..=high).contains(&observed) {
            format!("{name} of {observed:.3} {unit} does not go with the other values")
        } else {
            format!("{name} of {observed:.3} {unit} is outside the usual {low:.3} to {high:.3} {unit}")
        };
        let Score { value: score, threshold } = self.score(evidence);
        Explanation {
            measure: name.to_owned(),
            observed,
            expected_low: Some(low),
            expected_high: Some(high),
            window_readings: u64::from(self.model.sample_size()),
            text: format!("{place}; isolation score {score:.3}, alarms from {threshold:.3}"),
            others: Vec::new(),
        }
    }
}
