//! What both lakes check before they take anything in: that L advances, and that a model is what its id says.

use std::collections::BTreeMap;

use super::{LakeError, LakeSnapshot, Segment};
use crate::{
    checkpoint::SourcePartition,
    model::ModelId,
    position::{Offset, StreamName},
};

/// The L values that a commit of `segments` sets. Several segments of one partition follow each other.
pub(super) fn advance<T>(
    stream: &StreamName,
    base: &LakeSnapshot,
    segments: &[Segment<T>],
) -> Result<BTreeMap<SourcePartition, Offset>, LakeError> {
    let mut moved: BTreeMap<SourcePartition, Offset> = BTreeMap::new();
    for Segment { partition, span, .. } in segments {
        if partition.stream != *stream {
            return Err(LakeError::WrongStream { partition: partition.to_string(), stream: stream.clone() });
        }
        let key = SourcePartition::from(partition);
        let closed = moved.get(&key).or_else(|| base.closed.get(&key)).copied();
        if closed.is_some_and(|closed| closed != span.from) || span.is_empty() {
            return Err(LakeError::NotAdvancing {
                partition: partition.to_string(),
                from: span.from,
                to: span.to,
                closed: closed.unwrap_or_default(),
            });
        }
        moved.insert(key, span.to);
    }
    Ok(moved)
}

/// Whether the L values of `moved` are in `now` what they were in `base`.
pub(super) fn still_where_base_has_them(
    moved: &BTreeMap<SourcePartition, Offset>,
    base: &LakeSnapshot,
    now: &BTreeMap<SourcePartition, Offset>,
) -> bool {
    moved.keys().all(|key| base.closed.get(key) == now.get(key))
}

/// Bytes that are not what the id says never enter or leave the lake.
pub(super) fn check_model(id: &ModelId, bytes: &[u8]) -> Result<(), LakeError> {
    let found = ModelId::of(bytes);
    if found == *id {
        Ok(())
    } else {
        Err(LakeError::Corrupt { reason: format!("the bytes of model {id} have the SHA-256 {found}") })
    }
}
