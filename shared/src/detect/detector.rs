//! The detectors of some pins: each a kernel under its profile, with what is common to all.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Assessment, DetectorConfig, FoldError, KERNELS_VERSION, Kernel, KernelConfig, ModelSet, Score,
    episode::Episode,
    features::FeatureState,
    isolation_forest::{IsolationEvidence, IsolationForest},
    kmeans::{KMeans, KMeansEvidence},
    moving_average::{MovingAverage, MovingAverageEvidence, MovingAverageState},
    three_sigma::{Baseline, ThreeSigma, ThreeSigmaEvidence, ThreeSigmaState},
    threshold::{Threshold, ThresholdEvidence},
};
use crate::{
    anomaly::{Explanation, Opinion, OpinionState, Severity, Verdict},
    checkpoint::Pins,
    model::ModelId,
    reading::Reading,
    stream::StreamProfile,
};

/// A detector that is ready to judge.
#[derive(Debug, Clone)]
pub(super) struct Detector {
    pub(super) identity: DetectorIdentity,
    /// What it was made from: where that is the same, so is the detector.
    made_from: DetectorIdentity,
    pub(super) name: String,
    model_id: Option<ModelId>,
    min_readings: u32,
    pub(super) cool_down_secs: u32,
    kernel: AnyKernel,
}

/// SHA-256 of what makes two detectors the same one. The state of one is the state of the other if kernel version,
/// configuration (with the name) and the features of the model are the same: a new model of the same features goes on
/// where the old one stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DetectorIdentity([u8; 32]);

#[derive(Debug, Clone)]
enum AnyKernel {
    ThreeSigma(ThreeSigma),
    IsolationForest(Box<IsolationForest>),
    KMeans(Box<KMeans>),
    Threshold(Threshold),
    MovingAverage(MovingAverage),
    /// A learned one before its first model.
    Untrained,
}

/// What a detector remembers of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DetectorState {
    /// Readings that were judged, up to the detector's warm-up.
    pub(super) judged: u32,
    pub(super) memory: Memory,
    /// The episode that it is in.
    pub(super) episode: Option<Box<Episode>>,
}

/// What a kernel remembers of a device. Boxed: a device without a reading of the measure costs little.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Memory {
    /// Nothing yet, or nothing ever.
    #[default]
    Fresh,
    ThreeSigma(Box<ThreeSigmaState>),
    MovingAverage(Box<MovingAverageState>),
    Features(Box<FeatureState>),
}

/// What an assessment rests on, beside the kernel that can read it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Evidence<'k> {
    ThreeSigma(&'k ThreeSigma, ThreeSigmaEvidence),
    IsolationForest(&'k IsolationForest, IsolationEvidence),
    KMeans(&'k KMeans, KMeansEvidence),
    Threshold(&'k Threshold, ThresholdEvidence),
    MovingAverage(&'k MovingAverage, MovingAverageEvidence),
}

/// What a detector says of a reading.
pub(super) type Said<'k> = Assessment<Evidence<'k>>;

impl Evidence<'_> {
    pub(super) fn score(&self) -> Score {
        match self {
            Self::ThreeSigma(kernel, evidence) => kernel.score(evidence),
            Self::IsolationForest(kernel, evidence) => kernel.score(evidence),
            Self::KMeans(kernel, evidence) => kernel.score(evidence),
            Self::Threshold(kernel, evidence) => kernel.score(evidence),
            Self::MovingAverage(kernel, evidence) => kernel.score(evidence),
        }
    }

    fn explain(&self) -> Explanation {
        match self {
            Self::ThreeSigma(kernel, evidence) => kernel.explain(evidence),
            Self::IsolationForest(kernel, evidence) => kernel.explain(evidence),
            Self::KMeans(kernel, evidence) => kernel.explain(evidence),
            Self::Threshold(kernel, evidence) => kernel.explain(evidence),
            Self::MovingAverage(kernel, evidence) => kernel.explain(evidence),
        }
    }
}

impl DetectorIdentity {
    fn of(what: &impl Serialize) -> Result<Self, FoldError> {
        let body = serde_json::to_vec(what).map_err(|error| FoldError::Unserialisable(error.to_string()))?;
        Ok(Self(Sha256::digest(&body).into()))
    }
}

impl Detector {
    /// The detectors of `pins` in their order. Those of `running`, which know the same profile but for its detectors,
    /// are taken over where they are the same.
    pub(super) fn all(pins: &Pins, models: &ModelSet, running: &[Self]) -> Result<Vec<Self>, FoldError> {
        pins.profile.detectors.iter().map(|config| Self::one(config, pins, models, running)).collect()
    }

    fn one(config: &DetectorConfig, pins: &Pins, models: &ModelSet, running: &[Self]) -> Result<Self, FoldError> {
        let model = pins.models.get(&config.name);
        let made_from = DetectorIdentity::of(&(KERNELS_VERSION, config, model))?;
        // Reading a model takes a millisecond, and most cuts change nothing.
        if let Some(same) = running.iter().find(|other| other.made_from == made_from) {
            return Ok(same.clone());
        }
        let kernel = AnyKernel::try_new(config, &pins.profile, model, models)?;
        Ok(Self {
            identity: DetectorIdentity::of(&(KERNELS_VERSION, config, kernel.features()))?,
            made_from,
            name: config.name.clone(),
            model_id: model.cloned(),
            min_readings: config.min_readings,
            cool_down_secs: config.cool_down_secs,
            kernel,
        })
    }

    /// Judges a reading that is no duplicate. In the warm-up the kernel learns, and its alarms are not heard.
    pub(super) fn judge(&self, state: &mut DetectorState, reading: &Reading) -> Said<'_> {
        let said = self.kernel.assess(&mut state.memory, reading);
        if state.judged >= self.min_readings || matches!(said, Assessment::Unjudged) {
            return said;
        }
        let readings = state.judged;
        state.judged += 1;
        Assessment::WarmingUp { readings, needed: self.min_readings }
    }

    /// The verdict on a reading that it judged to be an anomaly, beside what the others said of it.
    pub(super) fn verdict(&self, severity: Severity, evidence: &Evidence<'_>, others: Vec<Opinion>) -> Verdict {
        let (score, explanation) = (evidence.score(), evidence.explain());
        Verdict {
            detector: self.name.clone(),
            score: score.value,
            threshold: score.threshold,
            severity,
            model_id: self.model_id.clone(),
            explanation: Explanation { others, ..explanation },
        }
    }

    /// What it said of a reading, for another detector's explanation.
    pub(super) fn opinion(&self, said: &Said<'_>) -> Opinion {
        let (state, score) = match said {
            Assessment::Unjudged if matches!(self.kernel, AnyKernel::Untrained) => (OpinionState::Untrained, None),
            Assessment::Unjudged => (OpinionState::Unjudged, None),
            Assessment::WarmingUp { .. } => (OpinionState::WarmingUp, None),
            Assessment::Judged { alarm, evidence } => {
                let state = if alarm.is_some() { OpinionState::Alarm } else { OpinionState::Quiet };
                (state, Some(evidence.score()))
            }
        };
        Opinion {
            detector: self.name.clone(),
            state,
            score: score.map(|score| score.value),
            threshold: score.map(|score| score.threshold),
        }
    }
}

impl AnyKernel {
    fn try_new(
        config: &DetectorConfig,
        profile: &StreamProfile,
        model: Option<&ModelId>,
        models: &ModelSet,
    ) -> Result<Self, FoldError> {
        let detector = || config.name.clone();
        let unfit = |measure| FoldError::UnknownMeasure { detector: detector(), measure };
        let unfit_model =
            |id: &ModelId, problem: String| FoldError::UnfitModel { detector: detector(), id: id.clone(), problem };
        let bytes_of = |id: &ModelId| {
            models.get(id).ok_or_else(|| FoldError::MissingModel { detector: detector(), id: id.clone() })
        };
        Ok(match (&config.kernel, model) {
            (KernelConfig::ThreeSigma(kernel), model) => match (&kernel.baseline, model) {
                (Baseline::Rolling { window_readings }, _) => {
                    let rolling = ThreeSigma::try_rolling(kernel, *window_readings, config.min_readings, profile);
                    Self::ThreeSigma(rolling.map_err(unfit)?)
                }
                (Baseline::HourOfWeek { .. }, Some(id)) => {
                    let learned = ThreeSigma::try_hour_of_week(kernel, profile, bytes_of(id)?);
                    Self::ThreeSigma(learned.map_err(|problem| unfit_model(id, problem.to_string()))?)
                }
                (Baseline::HourOfWeek { .. }, None) => Self::Untrained,
            },
            (KernelConfig::Threshold(kernel), _) => {
                Self::Threshold(Threshold::try_new(kernel, profile).map_err(unfit)?)
            }
            (KernelConfig::MovingAverage(kernel), _) => {
                Self::MovingAverage(MovingAverage::try_new(kernel, profile).map_err(unfit)?)
            }
            (KernelConfig::IsolationForest(_), Some(id)) => {
                let kernel = IsolationForest::try_new(profile, bytes_of(id)?);
                Self::IsolationForest(Box::new(kernel.map_err(|problem| unfit_model(id, problem.to_string()))?))
            }
            (KernelConfig::KMeans(_), Some(id)) => {
                let kernel = KMeans::try_new(profile, bytes_of(id)?);
                Self::KMeans(Box::new(kernel.map_err(|problem| unfit_model(id, problem.to_string()))?))
            }
            (KernelConfig::IsolationForest(_) | KernelConfig::KMeans(_), None) => Self::Untrained,
        })
    }

    fn assess(&self, memory: &mut Memory, reading: &Reading) -> Said<'_> {
        if matches!(memory, Memory::Fresh) {
            *memory = self.fresh_memory();
        }
        match (self, memory) {
            (Self::ThreeSigma(kernel), Memory::ThreeSigma(state)) => {
                kernel.assess(state, reading).map(|evidence| Evidence::ThreeSigma(kernel, evidence))
            }
            (Self::MovingAverage(kernel), Memory::MovingAverage(state)) => {
                kernel.assess(state, reading).map(|evidence| Evidence::MovingAverage(kernel, evidence))
            }
            (Self::IsolationForest(kernel), Memory::Features(state)) => {
                kernel.assess(state, reading).map(|evidence| Evidence::IsolationForest(kernel, evidence))
            }
            (Self::KMeans(kernel), Memory::Features(state)) => {
                kernel.assess(state, reading).map(|evidence| Evidence::KMeans(kernel, evidence))
            }
            (Self::Threshold(kernel), Memory::Features(state)) => {
                kernel.assess(state, reading).map(|evidence| Evidence::Threshold(kernel, evidence))
            }
            (Self::Threshold(kernel), Memory::Fresh) => kernel
                .assess(&mut FeatureState::default(), reading)
                .map(|evidence| Evidence::Threshold(kernel, evidence)),
            // The identity, which a state is carried over by, rules out the memory of another kernel.
            (
                Self::ThreeSigma(_)
                | Self::MovingAverage(_)
                | Self::IsolationForest(_)
                | Self::KMeans(_)
                | Self::Threshold(_)
                | Self::Untrained,
                _,
            ) => Assessment::Unjudged,
        }
    }

    /// The features that its memory is made for.
    fn features(&self) -> Vec<&str> {
        match self {
            Self::IsolationForest(kernel) => kernel.features().texts().collect(),
            Self::KMeans(kernel) => kernel.features().texts().collect(),
            Self::ThreeSigma(_) | Self::Threshold(_) | Self::MovingAverage(_) | Self::Untrained => Vec::new(),
        }
    }

    fn fresh_memory(&self) -> Memory {
        match self {
            Self::ThreeSigma(_) => Memory::ThreeSigma(Box::default()),
            Self::MovingAverage(_) => Memory::MovingAverage(Box::default()),
            Self::IsolationForest(_) | Self::KMeans(_) => Memory::Features(Box::default()),
            Self::Threshold(kernel) if kernel.looks_back() => Memory::Features(Box::default()),
            Self::Threshold(_) | Self::Untrained => Memory::Fresh,
        }
    }
}
