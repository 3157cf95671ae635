//! A model's bytes: a mark, the format, the model. Equal models have equal bytes, so their hash addresses them.

use serde::{Deserialize, Serialize};

use super::{EstimateModel, ForecastModel, ModelId, ModelKind};
use crate::lake::{LakeError, SegmentLake};

/// Tells our models from any other file.
const MARK: &[u8; 4] = b"kwm\0";

/// Raised when the serialised form changes; an older model is then read by the code that is kept for it.
const FORMAT: u8 = 1;

/// A model that predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ModelBody {
    /// The target from the measures of the same instant.
    Estimate(EstimateModel),
    /// The target in the hours ahead.
    Forecast(ForecastModel),
}

/// A model that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The lake does not have it, or cannot be reached.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The bytes are no model, or not a sound one.
    #[error("not a model of kilowatch: {reason}")]
    Unreadable {
        /// What was found.
        reason: String,
    },
    /// Another version wrote it.
    #[error("model of format {found}, but this build reads {FORMAT}; train it again")]
    UnsupportedFormat {
        /// Its format.
        found: u8,
    },
    /// It is for something else.
    #[error("model {id} is of kind {}, not {}", found.as_str(), expected.as_str())]
    WrongKind {
        /// Which one.
        id: ModelId,
        /// What it is for.
        found: ModelKind,
        /// What it should be for.
        expected: ModelKind,
    },
}

impl ModelBody {
    /// What the model is for.
    #[must_use]
    pub const fn kind(&self) -> ModelKind {
        match self {
            Self::Estimate(_) => ModelKind::Estimate,
            Self::Forecast(_) => ModelKind::Forecast,
        }
    }

    /// The model's bytes.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`], which would be a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = MARK.to_vec();
        bytes.push(FORMAT);
        postcard::to_extend(self, bytes).map_err(unreadable)
    }

    /// Reads and checks a model.
    ///
    /// # Errors
    /// [`ModelError::Unreadable`] or [`ModelError::UnsupportedFormat`]; whatever the bytes are, nothing else happens.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let reason = |reason: &str| ModelError::Unreadable { reason: reason.to_owned() };
        let (format, body) = bytes
            .strip_prefix(MARK)
            .and_then(|rest| rest.split_first())
            .ok_or_else(|| reason("it does not begin like one"))?;
        if *format != FORMAT {
            return Err(ModelError::UnsupportedFormat { found: *format });
        }
        let (body, rest) = postcard::take_from_bytes::<Self>(body).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err(reason("bytes follow its end"));
        }
        let sound = match &body {
            Self::Estimate(model) => model.is_sound(),
            Self::Forecast(model) => model.is_sound(),
        };
        if sound { Ok(body) } else { Err(reason("its parts do not fit together")) }
    }
}

fn unreadable(error: postcard::Error) -> ModelError {
    ModelError::Unreadable { reason: error.to_string() }
}

/// Loads an estimate.
///
/// # Errors
/// [`ModelError`].
pub async fn load_estimate(lake: &dyn SegmentLake, id: &ModelId) -> Result<EstimateModel, ModelError> {
    match ModelBody::from_bytes(&lake.load_model(id).await?)? {
        ModelBody::Estimate(model) => Ok(model),
        other => Err(wrong_kind(id, &other, ModelKind::Estimate)),
    }
}

/// Loads a forecast.
///
/// # Errors
/// [`ModelError`].
pub async fn load_forecast(lake: &dyn SegmentLake, id: &ModelId) -> Result<ForecastModel, ModelError> {
    match ModelBody::from_bytes(&lake.load_model(id).await?)? {
        ModelBody::Forecast(model) => Ok(model),
        other => Err(wrong_kind(id, &other, ModelKind::Forecast)),
    }
}

fn wrong_kind(id: &ModelId, found: &ModelBody, expected: ModelKind) -> ModelError {
    ModelError::WrongKind { id: id.clone(), found: found.kind(), expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{estimate::tests::two_inputs, forecast::tests::one_lag},
        *,
    };

    #[test]
    fn a_model_survives_its_bytes() {
        for body in [ModelBody::Estimate(two_inputs()), ModelBody::Forecast(one_lag())] {
            let bytes = body.to_bytes().unwrap();
            assert_eq!(ModelBody::from_bytes(&bytes).unwrap(), body);
            assert_eq!(bytes, body.to_bytes().unwrap());
        }
    }

    #[test]
    fn a_model_of_another_format_is_told_so() {
        let mut bytes = ModelBody::Estimate(two_inputs()).to_bytes().unwrap();
        bytes[4] = 9;
        assert!(matches!(ModelBody::from_bytes(&bytes), Err(ModelError::UnsupportedFormat { found: 9 })));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let body = ModelBody::Forecast(ForecastModel { medians: Vec::new(), ..one_lag() });
        assert!(matches!(ModelBody::from_bytes(&body.to_bytes().unwrap()), Err(ModelError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn a_damaged_model_is_refused_or_sound_and_never_a_panic(at in 0_usize..400, value in any::<u8>(), cut in 0_usize..400) {
            for body in [ModelBody::Estimate(two_inputs()), ModelBody::Forecast(one_lag())] {
                let mut bytes = body.to_bytes().unwrap();
                let at = at % bytes.len();
                bytes[at] = value;
                if let Ok(ModelBody::Forecast(model)) = ModelBody::from_bytes(&bytes) {
                    prop_assert!(model.predict(&[], 1).value.is_finite());
                }
                prop_assert!(ModelBody::from_bytes(&bytes[..cut % bytes.len()]).is_err());
            }
        }
    }
}
