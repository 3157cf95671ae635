//! Estimate models of the lake, kept by id: an id never changes its bytes, so what is kept is never stale.

use std::{collections::VecDeque, sync::Arc};

use kilowatch_shared::{
    lake::SegmentLake,
    model::{EstimateModel, ModelError, ModelId, ModelKind, load_estimate},
    stream::StreamProfile,
    views::{ServedModel, SharedViews},
};
use tokio::sync::Mutex;

use crate::http::{ApiError, ErrorCode};

/// Models kept at once: the serving one of a handful of streams and its predecessor. A forest has some megabytes.
const MODELS_KEPT: usize = 8;

/// A model that is ready to answer.
#[derive(Clone)]
pub(crate) struct ReadyModel {
    pub served: ServedModel,
    pub model: Arc<EstimateModel>,
}

/// The kept models, the one used last at the end.
#[derive(Default)]
pub(crate) struct EstimateModels {
    kept: Mutex<VecDeque<(ModelId, Arc<EstimateModel>)>>,
}

impl EstimateModels {
    /// The estimate model that serves now. Which one that is, is asked anew every time; only its bytes are kept.
    pub async fn serving(
        &self,
        views: &SharedViews,
        lake: Option<&Arc<dyn SegmentLake>>,
        profile: &StreamProfile,
    ) -> Result<ReadyModel, ApiError> {
        let served = views.served_model(&profile.name, ModelKind::Estimate).await?.ok_or_else(|| no_model(profile))?;
        let model = self.load(lake, &served.manifest.id).await?;
        Ok(ReadyModel { served, model })
    }

    async fn load(&self, lake: Option<&Arc<dyn SegmentLake>>, id: &ModelId) -> Result<Arc<EstimateModel>, ApiError> {
        // Held while loading: whoever asks meanwhile waits for one load and does not start another.
        let mut kept = self.kept.lock().await;
        if let Some(index) = kept.iter().position(|(known, _)| known == id)
            && let Some(found) = kept.remove(index)
        {
            let model = Arc::clone(&found.1);
            kept.push_back(found);
            return Ok(model);
        }
        let lake = lake
            .ok_or_else(|| ApiError::new(ErrorCode::LakeUnavailable, "this process has no lake to load models from"))?;
        let model = Arc::new(load_estimate(lake.as_ref(), id).await?);
        if kept.len() == MODELS_KEPT {
            kept.pop_front();
        }
        kept.push_back((id.clone(), Arc::clone(&model)));
        Ok(model)
    }
}

fn no_model(profile: &StreamProfile) -> ApiError {
    ApiError::new(ErrorCode::NoModel, format!("no estimate model of stream {} serves yet", profile.name))
        .hint(format!("train one with `kilowatch batch train --stream {} --model estimate`", profile.name))
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Lake(error) => error.into(),
            _ => Self::internal(error),
        }
    }
}
