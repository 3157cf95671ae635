//! Detector states and models: plain objects beside the tables.

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, path::Path};

use super::{DeltaLake, StoredObject};
use crate::{
    checkpoint::SourcePartition,
    lake::{
        LakeError, LakeTable, SavedState,
        checks::check_model,
        paths::{manifest_file, model_file, offset_of_state_file, state_file, state_folder},
    },
    model::{ModelId, ModelManifest},
    position::{Offset, PartitionId, StreamName},
};

/// Form of a stored state. Raised when [`SavedState`] changes; another form counts as no state.
pub(super) const STATE_FORM: u8 = 1;

impl DeltaLake {
    pub(super) async fn put_state(&self, partition: &PartitionId, state: &SavedState) -> Result<(), LakeError> {
        let bytes = postcard::to_extend(state, vec![STATE_FORM])
            .map_err(|error| LakeError::Corrupt { reason: format!("state of {partition}: {error}") })?;
        self.store().objects().put(&state_file(partition, state.offset), bytes.into()).await?;
        Ok(())
    }

    pub(super) async fn newest_states(
        &self,
        partition: &PartitionId,
        at_most: Offset,
        limit: usize,
    ) -> Result<Vec<SavedState>, LakeError> {
        let mut states = Vec::new();
        for (offset, ObjectMeta { location: file, .. }) in self.state_files(partition).await? {
            if states.len() == limit {
                break;
            }
            if offset > at_most {
                continue;
            }
            let Some(bytes) = self.get_if_there(&file).await? else { continue };
            match bytes.split_first() {
                Some((&STATE_FORM, body)) => match postcard::from_bytes::<SavedState>(body) {
                    Ok(state) => states.push(state),
                    // An older state, or a longer replay, does as well.
                    Err(error) => {
                        tracing::warn!(lake.path = %file, error = %error, "a detector state cannot be read and is left out");
                    }
                },
                _ => tracing::warn!(lake.path = %file, "a detector state has another form and is left out"),
            }
        }
        Ok(states)
    }

    /// The saved states of a stream's partitions that no restore needs: of those at or below L all but the newest `keep`,
    /// the newest of each day since `daily_since`, from which views are caught up that come back from a backup, and the one
    /// at which replays begin since older readings are gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn stale_states(
        &self,
        stream: &StreamName,
        keep: usize,
        daily_since: DateTime<Utc>,
    ) -> Result<Vec<StoredObject>, LakeError> {
        let Some(table) = self.table(stream, LakeTable::Readings).newest().await? else { return Ok(Vec::new()) };
        let (mut stale, begins) = (Vec::new(), table.replay_from(stream));
        for (SourcePartition { source, partition }, closed) in table.closed(stream) {
            let partition = PartitionId { stream: stream.clone(), source, partition };
            let begin = begins.get(&SourcePartition::from(&partition));
            let below = self.state_files(&partition).await?.into_iter().filter(|(offset, _)| *offset <= closed);
            let mut days = HashSet::new();
            for (number, (offset, meta)) in below.enumerate() {
                let is_first_of_day = days.insert(meta.last_modified.date_naive());
                if number >= keep && begin != Some(&offset) && (!is_first_of_day || meta.last_modified < daily_since) {
                    stale.push(meta.into());
                }
            }
        }
        Ok(stale)
    }

    pub(super) async fn get_model(&self, id: &ModelId) -> Result<Bytes, LakeError> {
        let bytes = self.get_if_there(&model_file(id)).await?;
        let bytes = bytes.ok_or_else(|| LakeError::NoSuchModel { id: id.clone() })?;
        check_model(id, &bytes)?;
        Ok(bytes)
    }

    /// What a model's maker wrote about it.
    ///
    /// # Errors
    /// [`LakeError::NoSuchModel`], or [`LakeError::Corrupt`] if it cannot be read.
    pub async fn load_manifest(&self, id: &ModelId) -> Result<ModelManifest, LakeError> {
        let bytes = self.get_if_there(&manifest_file(id)).await?;
        let bytes = bytes.ok_or_else(|| LakeError::NoSuchModel { id: id.clone() })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| LakeError::Corrupt { reason: format!("manifest of model {id}: {error}") })
    }

    pub(super) async fn put_model(&self, manifest: &ModelManifest, bytes: Bytes) -> Result<(), LakeError> {
        check_model(&manifest.id, &bytes)?;
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| LakeError::Corrupt { reason: format!("manifest of model {}: {error}", manifest.id) })?;
        // The manifest first: whoever finds the model then also finds where it comes from.
        self.create_if_absent(&manifest_file(&manifest.id), text.into()).await?;
        self.create_if_absent(&model_file(&manifest.id), bytes).await
    }

    /// The states of a partition, newest first.
    pub(super) async fn state_files(&self, partition: &PartitionId) -> Result<Vec<(Offset, ObjectMeta)>, LakeError> {
        let mut files = Vec::new();
        let mut listing = self.store().objects().list(Some(&state_folder(partition)));
        loop {
            match listing.try_next().await {
                Ok(Some(meta)) => files.extend(offset_of_state_file(&meta.location).map(|at| (at, meta))),
                Ok(None) | Err(StoreError::NotFound { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        files.sort_by_key(|(offset, _)| std::cmp::Reverse(*offset));
        Ok(files)
    }

    pub(super) async fn get_if_there(&self, file: &Path) -> Result<Option<Bytes>, LakeError> {
        match self.store().objects().get(file).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn create_if_absent(&self, file: &Path, bytes: Bytes) -> Result<(), LakeError> {
        match self.store().objects().put_opts(file, bytes.into(), PutMode::Create.into()).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
