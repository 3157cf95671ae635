//! Models of the lake by id, kept while they are in use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::Pins,
    detect::fold::ModelSet,
    lake::{LakeError, SegmentLake},
    model::ModelId,
};

/// One for each learned detector and the one before it, with some to spare; beyond it the shelf is cleared.
const KEPT_MODELS: usize = 16;

/// Reads each model once: models are immutable.
#[derive(Debug)]
pub struct ModelShelf {
    lake: Arc<dyn SegmentLake>,
    kept: Mutex<BTreeMap<ModelId, Bytes>>,
}

impl ModelShelf {
    /// An empty shelf before this lake.
    #[must_use]
    pub fn new(lake: Arc<dyn SegmentLake>) -> Self {
        Self { lake, kept: Mutex::default() }
    }

    /// The models that these pins name.
    ///
    /// # Errors
    /// The lake's, with [`LakeError::NoSuchModel`] for one that is not there.
    pub async fn models_of(&self, pins: &Pins) -> Result<ModelSet, LakeError> {
        let mut models = ModelSet::default();
        for id in pins.models.values() {
            models.insert(id.clone(), self.model(id).await?);
        }
        Ok(models)
    }

    /// One model.
    ///
    /// # Errors
    /// As above.
    pub async fn model(&self, id: &ModelId) -> Result<Bytes, LakeError> {
        if let Some(bytes) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(bytes.clone());
        }
        let bytes = self.lake.load_model(id).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MODELS {
            kept.clear();
        }
        kept.insert(id.clone(), bytes.clone());
        Ok(bytes)
    }
}
