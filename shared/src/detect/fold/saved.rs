//! The state of a fold as bytes: equal folds give equal bytes, and a fold read back goes on to the last bit.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    FoldError, ModelSet, PartitionFold,
    devices::{DeviceState, Devices},
};
use crate::{
    checkpoint::Pins,
    detect::detector::DetectorIdentity,
    position::{DeviceId, PartitionId},
};

/// Raised when the serialised form changes. An unreadable state costs a replay from an older one, nothing else.
const STATE_FORMAT: u32 = 4;

/// SHA-256 over the rest, at the end: a flipped bit in a sum would not be noticed otherwise, only judged by.
const DIGEST_BYTES: usize = 32;

/// What is written, borrowed from the fold; the format comes before it.
#[derive(Serialize)]
struct Written<'a> {
    detectors: Vec<(DetectorIdentity, String)>,
    devices: Vec<(&'a DeviceId, &'a DeviceState)>,
}

/// What is read.
#[derive(Deserialize)]
struct Read {
    detectors: Vec<(DetectorIdentity, String)>,
    devices: Vec<(DeviceId, DeviceState)>,
}

/// A saved state that no longer knows a device, as if it had never seen it; `None` if it does not know it. Devices do not
/// know of each other, so the others stay as they are.
///
/// # Errors
/// [`FoldError::CorruptState`] or [`FoldError::UnsupportedState`]: no fold would go on from it either.
pub fn without_device(state: &[u8], device: &DeviceId) -> Result<Option<Bytes>, FoldError> {
    let Read { detectors, mut devices } = read(state)?;
    let known = devices.len();
    devices.retain(|(name, _)| name != device);
    if devices.len() == known {
        return Ok(None);
    }
    let devices = devices.iter().map(|(name, state)| (name, state)).collect();
    write(Written { detectors, devices }).map(Some)
}

impl PartitionFold {
    /// Everything that the fold remembers, independent of how it came to it.
    ///
    /// # Errors
    /// [`FoldError::Unserialisable`], which would be a bug.
    pub fn save(&self) -> Result<Bytes, FoldError> {
        write(Written { detectors: self.named_identities(), devices: self.devices.sorted() })
    }

    /// A fold that goes on where the saved one stood, in a segment with these pins. Detectors that the pins change
    /// start afresh, as in [`PartitionFold::open_segment`].
    ///
    /// # Errors
    /// [`FoldError`]; after [`FoldError::CorruptState`] and [`FoldError::UnsupportedState`] an older state may do.
    pub fn restore(partition: PartitionId, pins: &Pins, models: &ModelSet, state: &[u8]) -> Result<Self, FoldError> {
        let mut fold = Self::try_new(partition, pins, models)?;
        let read = read(state)?;
        fold.devices = Devices::from_saved(read.devices);
        fold.carry_over(&read.detectors);
        Ok(fold)
    }
}

fn write(written: Written<'_>) -> Result<Bytes, FoldError> {
    let unserialisable = |error: postcard::Error| FoldError::Unserialisable(error.to_string());
    let mut bytes = postcard::to_stdvec(&(STATE_FORMAT, written)).map_err(unserialisable)?;
    bytes.extend_from_slice(&Sha256::digest(&bytes));
    Ok(bytes.into())
}

fn read(state: &[u8]) -> Result<Read, FoldError> {
    let corrupt = |reason: String| FoldError::CorruptState(reason);
    let (body, _) = state
        .split_last_chunk::<DIGEST_BYTES>()
        .filter(|(body, digest)| Sha256::digest(body).as_slice() == digest.as_slice())
        .ok_or_else(|| corrupt("its checksum does not fit".to_owned()))?;
    let (found, rest) = postcard::take_from_bytes::<u32>(body).map_err(|error| corrupt(error.to_string()))?;
    if found != STATE_FORMAT {
        return Err(FoldError::UnsupportedState { found, supported: STATE_FORMAT });
    }
    let read: Read = postcard::from_bytes(rest).map_err(|error| corrupt(error.to_string()))?;
    if read.devices.iter().any(|(_, device)| device.detectors.len() != read.detectors.len()) {
        return Err(corrupt("a device has not one state a detector".to_owned()));
    }
    Ok(read)
}
