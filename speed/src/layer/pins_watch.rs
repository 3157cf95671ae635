//! Which pins the next segments get: those of the serving models, as far as they can be run.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use kilowatch_shared::{
    checkpoint::Pins,
    cut_line::PinSet,
    model::ModelId,
    position::{PartitionId, SourceId},
    retry::RetryHint,
    stream::StreamProfile,
};
use tokio::sync::watch;

use crate::{error::StepError, member::Doors, pins_source::PinsSource, segmented_fold::SegmentedFold};

/// Follows the serving models of one stream.
#[derive(Debug)]
pub(super) struct PinsWatch {
    doors: Arc<Doors>,
    source: Arc<dyn PinsSource>,
    profile: Arc<StreamProfile>,
    /// What the pins are made of that were found last.
    found: Option<(BTreeMap<String, ModelId>, PinSet)>,
    /// Models that this build cannot load or run; each is warned of once.
    refused: BTreeSet<ModelId>,
}

impl PinsWatch {
    pub(super) const fn new(doors: Arc<Doors>, source: Arc<dyn PinsSource>, profile: Arc<StreamProfile>) -> Self {
        Self { doors, source, profile, found: None, refused: BTreeSet::new() }
    }

    /// The pins for the next cut. A model that is missing or cannot be run is left out, and its detector stays silent:
    /// once a cut has recorded pins, every owner has to be able to run them.
    pub(super) async fn look(&mut self) -> Result<PinSet, StepError> {
        let mut models = self.source.serving_models(&self.profile).await?;
        models.retain(|_, id| !self.refused.contains(id));
        if let Some((known, pin_set)) = &self.found
            && *known == models
        {
            return Ok(pin_set.clone());
        }
        let candidates: Vec<(String, ModelId)> = models.iter().map(|(name, id)| (name.clone(), id.clone())).collect();
        for (detector, model) in candidates {
            if let Err(reason) = self.try_model(&detector, &model).await? {
                tracing::warn!(stream = %self.profile.name, %detector, %model, %reason, "a serving model is left out");
                models.remove(&detector);
                self.refused.insert(model);
            }
        }
        let pin_set = self.pin_set(models.clone())?;
        self.found = Some((models, pin_set.clone()));
        Ok(pin_set)
    }

    /// Looks again and again, and sends what has changed.
    pub(super) async fn follow(&mut self, every: Duration, pins: &watch::Sender<PinSet>) -> Infallible {
        loop {
            tokio::time::sleep(every).await;
            match self.look().await {
                Ok(now) => {
                    pins.send_if_modified(|before| {
                        let changed = before.id != now.id;
                        *before = now;
                        changed
                    });
                }
                Err(error) => tracing::debug!(stream = %self.profile.name, %error, "the pins stay as they are"),
            }
        }
    }

    /// Whether this build can judge with the model; the inner error says why not.
    async fn try_model(&self, detector: &str, id: &ModelId) -> Result<Result<(), String>, StepError> {
        let pins = self.pin_set(BTreeMap::from([(detector.to_owned(), id.clone())]))?;
        let models = match self.doors.models.models_of(&pins.pins).await {
            Ok(models) => models,
            Err(error) if error.retry_hint() == RetryHint::WithBackoff => return Err(error.into()),
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(SegmentedFold::try_new(&self.nowhere()?, &pins, &models).map(drop).map_err(|error| error.to_string()))
    }

    fn pin_set(&self, models: BTreeMap<String, ModelId>) -> Result<PinSet, StepError> {
        PinSet::try_new(Arc::new(Pins::of_this_build(&self.profile, models))).map_err(|error| self.unusable(&error))
    }

    /// A partition for trials: a fold needs one, and judges nothing here.
    fn nowhere(&self) -> Result<PartitionId, StepError> {
        let source = SourceId::parse("log:trial").map_err(|error| self.unusable(&error))?;
        Ok(PartitionId { stream: self.profile.name.clone(), source, partition: 0 })
    }

    fn unusable(&self, error: &dyn std::fmt::Display) -> StepError {
        StepError::CannotPin { stream: self.profile.name.clone(), reason: error.to_string() }
    }
}
