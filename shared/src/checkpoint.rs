//! Offsets as checkpoints: spans, cuts with their pins, and the boundary between batch and speed.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
    stream::StreamProfile,
};

/// A half-open run of offsets, `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OffsetSpan {
    /// The first offset in it.
    pub from: Offset,
    /// The first offset after it.
    pub to: Offset,
}

impl OffsetSpan {
    /// Whether no offset is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.to.get() <= self.from.get()
    }
}

impl fmt::Display for OffsetSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// What a segment is judged with, fixed at the cut that opens it. A replay needs nothing else but the messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pins {
    /// Version of the decoder ([`crate::stream::DECODER_VERSION`] at the time).
    pub decoder_version: u32,
    /// Version of the kernels ([`crate::detect::KERNELS_VERSION`] at the time).
    pub kernels_version: u32,
    /// The profile: how to decode, and which detectors judge with which configuration. What a simulator injects is left
    /// out, since no judgement hangs on it.
    pub profile: StreamProfile,
    /// The model that each learned detector uses, by the detector's name. A detector without one stays silent.
    pub models: BTreeMap<String, ModelId>,
    /// Messages just before the segment that are in neither log nor lake. They are pinned, for a state that was folded
    /// over them is not the state of a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<OffsetSpan>,
}

impl Pins {
    /// The pins of a segment that this build opens.
    #[must_use]
    pub fn of_this_build(profile: &StreamProfile, models: BTreeMap<String, ModelId>) -> Self {
        Self {
            decoder_version: crate::stream::DECODER_VERSION,
            kernels_version: crate::detect::KERNELS_VERSION,
            profile: StreamProfile { injection: None, ..profile.clone() },
            models,
            gap: None,
        }
    }

    /// Address of these pins by content.
    ///
    /// # Errors
    /// A value that JSON cannot hold, which is a bug.
    pub fn id(&self) -> Result<PinsId, serde_json::Error> {
        let body = serde_json::to_vec(self)?;
        Ok(PinsId(hex::encode(Sha256::digest(&body))))
    }
}

/// SHA-256 of pins, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PinsId(String);

impl PinsId {
    /// Takes an id that [`Pins::id`] made and a store kept.
    #[must_use]
    pub const fn from_stored(id: String) -> Self {
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The end of one segment and the start of the next, as the views recorded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// The first offset of the segment that it opens.
    pub offset: Offset,
    /// What that segment is judged with. Shared: a partition has a thousand cuts a day, and few different pins.
    pub pins: Arc<Pins>,
}

/// The last cut at or below `offset` in `cuts`, which are in ascending order.
#[must_use]
pub fn cut_at_or_below(cuts: &[Cut], offset: Offset) -> Option<&Cut> {
    cuts.iter().rev().find(|cut| cut.offset <= offset)
}

/// A random token: whoever holds the partition's current one owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerToken(Uuid);

impl OwnerToken {
    /// A token that nobody had before.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::new_v4())
    }
}

impl std::str::FromStr for OwnerToken {
    type Err = uuid::Error;
    /// Takes a token that a store kept as its text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 over a message's key and payload; tells a recreated topic from the one that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageHash(String);

impl MessageHash {
    /// The hash of a message; an absent part differs from an empty one.
    #[must_use]
    pub fn of(key: Option<&[u8]>, payload: Option<&[u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in [key, payload] {
            match part {
                None => hasher.update([0]),
                Some(bytes) => {
                    hasher.update([1]);
                    hasher.update((bytes.len() as u64).to_be_bytes());
                    hasher.update(bytes);
                }
            }
        }
        Self(hex::encode(hasher.finalize()))
    }

    /// Takes a hash that a store kept.
    #[must_use]
    pub const fn from_stored(hash: String) -> Self {
        Self(hash)
    }

    /// The hash in hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the batch views of a stream have seen: everything in the lake at `lake_version`, and of each log partition
/// exactly the offsets below its entry. From there on speed answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// Version of the `readings` table; `None` before the first publication.
    pub lake_version: Option<i64>,
    /// The first offset that batch has not seen. A partition that is not in it counts from its first offset.
    pub partitions: BTreeMap<SourcePartition, Offset>,
}

/// A partition of a source, inside one stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourcePartition {
    /// The log.
    pub source: SourceId,
    /// Its partition.
    pub partition: u32,
}

impl From<SourcePartition> for String {
    fn from(key: SourcePartition) -> Self {
        format!("{}/{}", key.source, key.partition)
    }
}

impl TryFrom<String> for SourcePartition {
    type Error = crate::position::InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let invalid = || crate::position::InvalidId {
            what: "source partition",
            value: text.clone(),
            rule: "`<source>/<partition>`",
        };
        let (source, partition) = text.rsplit_once('/').ok_or_else(invalid)?;
        Ok(Self { source: SourceId::parse(source)?, partition: partition.parse().map_err(|_| invalid())? })
    }
}

impl From<&PartitionId> for SourcePartition {
    fn from(id: &PartitionId) -> Self {
        Self { source: id.source.clone(), partition: id.partition }
    }
}
