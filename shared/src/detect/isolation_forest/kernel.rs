//! The kernel: a frozen forest judges one reading at a time and remembers nothing.

use super::{
    config::IsolationForestConfig,
    features::FeatureVector,
    model::{IsolationForestModel, ModelProblem},
};
use crate::{
    anomaly::{Explanation, Severity, Verdict},
    detect::Kernel,
    model::ModelId,
    reading::Reading,
    stream::StreamProfile,
};

/// The detector under one profile, with its model.
#[derive(Debug, Clone)]
pub struct IsolationForest {
    name: String,
    model_id: ModelId,
    model: IsolationForestModel,
    /// Index and unit of each feature's measure.
    measures: Vec<(usize, String)>,
}

impl IsolationForest {
    /// The kernel of a configuration and the bytes of its model. The model's own features count: a configuration that
    /// names others is served by the next training.
    ///
    /// # Errors
    /// [`ModelProblem`] if the bytes are no model, or one of another stream.
    pub fn try_new(
        config: &IsolationForestConfig,
        profile: &StreamProfile,
        model_id: &ModelId,
        model_bytes: &[u8],
    ) -> Result<Self, ModelProblem> {
        let model = IsolationForestModel::from_bytes(model_bytes)?;
        let measure = |name: &str| {
            let index = profile.measure_index(name).ok_or_else(|| ModelProblem::UnknownFeature(name.to_owned()))?;
            Ok((index, profile.measures[index].unit.clone()))
        };
        let measures = model.feature_names().map(measure).collect::<Result<_, ModelProblem>>()?;
        Ok(Self { name: config.name.clone(), model_id: model_id.clone(), model, measures })
    }

    /// The feature without which the reading would be least unusual: the one whose return to the median lengthens the
    /// path most; the first of equals.
    fn weightiest(&self, vector: &FeatureVector, path: f64) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for feature in 0..self.measures.len() {
            let mut without = *vector;
            without[feature] = 0.0;
            let gain = self.model.mean_path(&without) - path;
            if gain > best.1 {
                best = (feature, gain);
            }
        }
        best.0
    }

    fn verdict(&self, reading: &Reading, vector: &FeatureVector, path: f64, severity: Severity) -> Verdict {
        let at = self.weightiest(vector, path);
        let (feature, (index, unit)) = (&self.model.features[at], &self.measures[at]);
        let observed = reading.measures.get(*index).copied().flatten().unwrap_or(feature.median);
        let (score, threshold) = (self.model.score_of_path(path), self.model.threshold());
        let (name, low, high) = (&feature.name, feature.low, feature.high);
        let place = if (low..=high).contains(&observed) {
            format!("{name} of {observed:.3} {unit} does not go with the other values")
        } else {
            format!("{name} of {observed:.3} {unit} is outside the usual {low:.3} to {high:.3} {unit}")
        };
        Verdict {
            detector: self.name.clone(),
            score,
            threshold,
            severity,
            model_id: Some(self.model_id.clone()),
            explanation: Explanation {
                measure: name.clone(),
                observed,
                expected_low: Some(low),
                expected_high: Some(high),
                window_readings: u64::from(self.model.sample_size()),
                text: format!("{place}; isolation score {score:.3}, alarms from {threshold:.3}"),
            },
        }
    }
}

impl Kernel for IsolationForest {
    type State = ();

    fn judge(&self, (): &mut (), reading: &Reading) -> Option<Verdict> {
        let values = self.measures.iter().map(|(index, _)| reading.measures.get(*index).copied().flatten());
        if values.clone().all(|value| value.is_none()) {
            return None;
        }
        let vector = self.model.vector(values);
        let path = self.model.mean_path(&vector);
        let [minor, warning, critical] = self.model.alarm_paths;
        let severity = match path {
            _ if path < critical => Severity::Critical,
            _ if path < warning => Severity::Warning,
            _ if path < minor => Severity::Minor,
            _ => return None,
        };
        Some(self.verdict(reading, &vector, path, severity))
    }
}
