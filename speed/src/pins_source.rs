//! What the next segment is to be judged with.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use kilowatch_shared::{
    model::ModelId,
    stream::StreamProfile,
    views::{BatchViews, ViewsError},
};

/// Tells which models serve now, by the name of the detector that uses each.
#[async_trait]
pub trait PinsSource: std::fmt::Debug + Send + Sync {
    /// The models of the profile's learned detectors. One that has none yet is absent and its detector stays silent.
    async fn serving_models(&self, profile: &StreamProfile) -> Result<BTreeMap<String, ModelId>, ViewsError>;
}

/// The models that batch promoted.
#[derive(Debug)]
pub struct PromotedModels(pub Arc<dyn BatchViews>);

#[async_trait]
impl PinsSource for PromotedModels {
    async fn serving_models(&self, profile: &StreamProfile) -> Result<BTreeMap<String, ModelId>, ViewsError> {
        let mut models = BTreeMap::new();
        for detector in &profile.detectors {
            let Some(kind) = detector.kernel.model_kind() else { continue };
            if let Some(manifest) = self.0.serving_model(&profile.name, kind).await? {
                models.insert(detector.name().to_owned(), manifest.id);
            }
        }
        Ok(models)
    }
}
