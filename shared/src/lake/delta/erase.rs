//! What of a device stands beside the tables: detector states, and models that learned from it.

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::{DeltaLake, objects::STATE_FORM};
use crate::{
    detect::fold::{FoldError, without_device},
    lake::{LakeError, SavedState, paths::models_folder},
    position::{DeviceId, PartitionId},
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

    /// The models of all streams that hold a device's name, by their folder: a baseline of each device is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn models_naming(&self, device: &DeviceId) -> Result<Vec<String>, LakeError> {
        let name = device.as_str().as_bytes();
        let mut found = Vec::new();
        let mut listing = self.store().objects().list(Some(&models_folder()));
        while let Some(meta) = listing.try_next().await? {
            let Some(bytes) = self.get_if_there(&meta.location).await? else { continue };
            if bytes.windows(name.len()).any(|window| window == name) {
                found.extend(folder_of(&meta.location));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

fn folder_of(location: &Path) -> Option<String> {
    let parts: Vec<_> = location.parts().collect();
    parts.get(parts.len().checked_sub(2)?).map(|folder| folder.as_ref().to_owned())
}
