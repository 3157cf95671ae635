//! What of a device stands beside the tables: detector states, and models that learned from it.

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{DeltaLake, objects::STATE_FORM};
use crate::{
    detect::{
        fold::{FoldError, without_device},
        three_sigma::HourOfWeekModel,
    },
    lake::{
        LakeError, SavedState,
        paths::{id_of_manifest_file, model_file, models_folder},
    },
    model::{ModelId, ModelKind},
    position::{DeviceId, PartitionId, StreamName},
};

impl DeltaLake {
    /// Takes a device out of all saved states of a partition. One that no build of ours can read any more is deleted:
    /// nobody would go on from it. Tells how many states were rewritten or deleted.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn forget_in_states(&self, partition: &PartitionId, device: &DeviceId) -> Result<u64, LakeError> {
        let mut changed = 0;
        for (_, meta) in self.state_files(partition).await? {
            let Some(bytes) = self.get_if_there(&meta.location).await? else { continue };
            let saved =
                bytes.strip_prefix(&[STATE_FORM]).and_then(|body| postcard::from_bytes::<SavedState>(body).ok());
            match saved.map(|saved| (without_device(&saved.state, device), saved)) {
                Some((Ok(None), _)) => continue,
                Some((Ok(Some(state)), saved)) => self.put_state(partition, &SavedState { state, ..saved }).await?,
                None | Some((Err(FoldError::CorruptState(_) | FoldError::UnsupportedState { .. }), _)) => {
                    self.store().objects().delete(&meta.location).await?;
                }
                Some((Err(error), _)) => {
                    return Err(LakeError::Corrupt { reason: format!("state of {partition}: {error}") });
                }
            }
            changed += 1;
        }
        Ok(changed)
    }

    /// The models of a stream that learned from a device by its name, by their folder: of all kinds a baseline alone names
    /// devices. One that this build cannot read counts if its bytes hold the name.
    ///
    /// # Errors
    /// The store's, or [`LakeError::Corrupt`].
    pub async fn models_naming(&self, stream: &StreamName, device: &DeviceId) -> Result<Vec<ModelId>, LakeError> {
        let mut found = Vec::new();
        let mut listing = self.store().objects().list(Some(&models_folder()));
        while let Some(meta) = listing.try_next().await? {
            let Some(id) = id_of_manifest_file(&meta.location) else { continue };
            let manifest = self.load_manifest(&id).await?;
            if manifest.stream != *stream || manifest.kind != ModelKind::HourOfWeek {
                continue;
            }
            let Some(bytes) = self.get_if_there(&model_file(&id)).await? else { continue };
            let name = device.as_str().as_bytes();
            let names = HourOfWeekModel::from_bytes(&bytes).map_or_else(
                |_unreadable| bytes.windows(name.len()).any(|window| window == name),
                |baselines| baselines.knows(device),
            );
            if names {
                found.push(id);
            }
        }
        found.sort();
        Ok(found)
    }
}
