//! The detectors of some pins: each a kernel under its profile, with the state that it keeps of a device.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    FoldError, KERNELS_VERSION, Kernel, ModelSet,
    isolation_forest::IsolationForest,
    three_sigma::{ThreeSigma, ThreeSigmaState},
};
use crate::{anomaly::Verdict, checkpoint::Pins, model::ModelId, reading::Reading, stream::DetectorConfig};

/// A detector that is ready to judge.
#[derive(Debug, Clone)]
pub(super) struct Detector {
    pub(super) identity: DetectorIdentity,
    kernel: AnyKernel,
}

/// What makes two detectors the same one, so that the state of one is the state of the other: kernel version,
/// configuration (with the name) and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DetectorIdentity([u8; 32]);

#[derive(Debug, Clone)]
enum AnyKernel {
    ThreeSigma(ThreeSigma),
    IsolationForest(Box<IsolationForest>),
    /// A learned detector before its first model.
    Silent,
}

/// What a detector remembers of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum DetectorState {
    /// Nothing yet, or nothing ever.
    #[default]
    Fresh,
    ThreeSigma(ThreeSigmaState),
}

impl DetectorIdentity {
    fn of(config: &DetectorConfig, model: Option<&ModelId>) -> Result<Self, FoldError> {
        let identity = (KERNELS_VERSION, config, model);
        let body = serde_json::to_vec(&identity).map_err(|error| FoldError::Unserialisable(error.to_string()))?;
        Ok(Self(Sha256::digest(&body).into()))
    }
}

impl Detector {
    /// The detectors of `pins` in their order. Those of `running`, which know the same measures, are taken over where
    /// they are the same.
    pub(super) fn all(pins: &Pins, models: &ModelSet, running: &[Self]) -> Result<Vec<Self>, FoldError> {
        pins.profile.detectors.iter().map(|config| Self::one(config, pins, models, running)).collect()
    }

    fn one(config: &DetectorConfig, pins: &Pins, models: &ModelSet, running: &[Self]) -> Result<Self, FoldError> {
        let pinned = pins.models.get(config.name());
        let identity = DetectorIdentity::of(config, pinned)?;
        let kernel = match (config, pinned) {
            (DetectorConfig::ThreeSigma(config), _) => {
                let unfit = |measure| FoldError::UnknownMeasure { detector: config.name.clone(), measure };
                AnyKernel::ThreeSigma(ThreeSigma::try_new(config, &pins.profile).map_err(unfit)?)
            }
            (DetectorConfig::IsolationForest(config), Some(id)) => {
                let detector = || config.name.clone();
                // Reading a model takes a millisecond, and most cuts change nothing.
                if let Some(same) = running.iter().find(|other| other.identity == identity) {
                    return Ok(same.clone());
                }
                let bytes =
                    models.get(id).ok_or_else(|| FoldError::MissingModel { detector: detector(), id: id.clone() })?;
                let kernel = IsolationForest::try_new(config, &pins.profile, id, bytes)
                    .map_err(|problem| FoldError::UnfitModel { detector: detector(), id: id.clone(), problem })?;
                AnyKernel::IsolationForest(Box::new(kernel))
            }
            (DetectorConfig::IsolationForest(_), None) => AnyKernel::Silent,
        };
        Ok(Self { identity, kernel })
    }

    pub(super) fn judge(&self, state: &mut DetectorState, reading: &Reading) -> Option<Verdict> {
        match &self.kernel {
            AnyKernel::ThreeSigma(kernel) => {
                if !matches!(state, DetectorState::ThreeSigma(_)) {
                    *state = DetectorState::ThreeSigma(ThreeSigmaState::default());
                }
                match state {
                    DetectorState::ThreeSigma(state) => kernel.judge(state, reading),
                    DetectorState::Fresh => None,
                }
            }
            AnyKernel::IsolationForest(kernel) => kernel.judge(&mut (), reading),
            AnyKernel::Silent => None,
        }
    }
}
