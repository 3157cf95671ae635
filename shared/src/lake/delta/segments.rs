//! The lake as speed sees it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::DeltaLake;
use crate::{
    checkpoint::{Cut, OffsetSpan},
    dead_letter::DeadLetter,
    lake::{CommitOutcome, LakeError, LakeSnapshot, LakeTable, SavedState, Segment, SegmentLake},
    model::{ModelId, ModelManifest},
    position::{Offset, PartitionId, StreamName},
    reading::{LakeReading, ReadingColumns},
    stream::StreamProfile,
};

#[async_trait]
impl SegmentLake for DeltaLake {
    async fn snapshot(&self, stream: &StreamName, table: LakeTable) -> Result<LakeSnapshot, LakeError> {
        let state = self.table(stream, table).newest().await?;
        Ok(LakeSnapshot {
            version: state.as_ref().map(|state| state.version),
            closed: state.map(|state| state.closed(stream)).unwrap_or_default(),
        })
    }

    async fn append_readings(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<ReadingColumns>],
    ) -> Result<CommitOutcome, LakeError> {
        self.append(profile, base, segments).await
    }

    async fn append_dead_letters(
        &self,
        profile: &StreamProfile,
        base: &LakeSnapshot,
        segments: &[Segment<Vec<DeadLetter>>],
    ) -> Result<CommitOutcome, LakeError> {
        self.append(profile, base, segments).await
    }

    async fn committed_cuts(&self, partition: &PartitionId, span: OffsetSpan) -> Result<Vec<Cut>, LakeError> {
        let mut cuts = BTreeMap::new();
        for table in [LakeTable::DeadLetters, LakeTable::Readings] {
            let known = self.cuts_in_log(table, partition, span).await?;
            cuts.extend(known.into_iter().map(|cut| (cut.offset, cut)));
        }
        Ok(cuts.into_values().collect())
    }

    async fn read_readings(
        &self,
        profile: &StreamProfile,
        partition: &PartitionId,
        span: OffsetSpan,
    ) -> Result<Vec<LakeReading>, LakeError> {
        self.rows_of(profile, partition, span).await
    }

    async fn save_state(&self, partition: &PartitionId, state: &SavedState) -> Result<(), LakeError> {
        self.put_state(partition, state).await
    }

    async fn load_states(
        &self,
        partition: &PartitionId,
        at_most: Offset,
        limit: usize,
    ) -> Result<Vec<SavedState>, LakeError> {
        self.newest_states(partition, at_most, limit).await
    }

    async fn load_model(&self, id: &ModelId) -> Result<Bytes, LakeError> {
        self.get_model(id).await
    }

    async fn save_model(&self, manifest: &ModelManifest, bytes: Bytes) -> Result<(), LakeError> {
        self.put_model(manifest, bytes).await
    }
}
