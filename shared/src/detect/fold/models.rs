//! The models that a caller loaded for some pins.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::ModelId;

/// Bytes of models by id. The caller does the I/O and the fold none.
#[derive(Debug, Clone, Default)]
pub struct ModelSet(BTreeMap<ModelId, Bytes>);

impl ModelSet {
    /// Adds a model.
    pub fn insert(&mut self, id: ModelId, bytes: Bytes) {
        self.0.insert(id, bytes);
    }

    /// Whether the model is there.
    #[must_use]
    pub fn contains(&self, id: &ModelId) -> bool {
        self.0.contains_key(id)
    }

    /// A model's bytes.
    #[must_use]
    pub fn get(&self, id: &ModelId) -> Option<&Bytes> {
        self.0.get(id)
    }
}

impl FromIterator<(ModelId, Bytes)> for ModelSet {
    fn from_iter<I: IntoIterator<Item = (ModelId, Bytes)>>(models: I) -> Self {
        Self(models.into_iter().collect())
    }
}
