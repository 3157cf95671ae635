//! The state of a fold as bytes: equal folds give equal bytes, and a fold read back goes on to the last bit.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
const STATE_FORMAT: u32 = 1;

/// What is written, borrowed from the fold.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    detectors: Vec<DetectorIdentity>,
    devices: Vec<(&'a DeviceId, &'a DeviceState)>,
}

/// What is read.
#[derive(Deserialize)]
struct Read {
    #[expect(dead_code, reason = "checked before the rest is read")]
    format: u32,
    detectors: Vec<DetectorIdentity>,
    devices: Vec<(DeviceId, DeviceState)>,
}

impl PartitionFold {
    /// Everything that the fold remembers, independent of how it came to it.
    ///
    /// # Errors
    /// [`FoldError::Unserialisable`], which would be a bug.
    pub fn save(&self) -> Result<Bytes, FoldError> {
        let detectors = self.detectors.iter().map(|detector| detector.identity).collect();
        let written = Written { format: STATE_FORMAT, detectors, devices: self.devices.sorted() };
        let bytes = postcard::to_stdvec(&written).map_err(|error| FoldError::Unserialisable(error.to_string()))?;
        Ok(bytes.into())
    }

    /// A fold that goes on where the saved one stood, in a segment with these pins. Detectors that the pins change
    /// start afresh, as in [`PartitionFold::open_segment`].
    ///
    /// # Errors
    /// [`FoldError`]; after [`FoldError::CorruptState`] and [`FoldError::UnsupportedState`] an older state may do.
    pub fn restore(partition: PartitionId, pins: &Pins, models: &ModelSet, state: &[u8]) -> Result<Self, FoldError> {
        let corrupt = |error: postcard::Error| FoldError::CorruptState(error.to_string());
        let mut fold = Self::try_new(partition, pins, models)?;
        let (found, _) = postcard::take_from_bytes::<u32>(state).map_err(corrupt)?;
        if found != STATE_FORMAT {
            return Err(FoldError::UnsupportedState { found, supported: STATE_FORMAT });
        }
        let read: Read = postcard::from_bytes(state).map_err(corrupt)?;
        if read.devices.iter().any(|(_, device)| device.detectors.len() != read.detectors.len()) {
            return Err(FoldError::CorruptState("a device has not one state a detector".to_owned()));
        }
        fold.devices = Devices::from_saved(read.devices);
        fold.carry_over(&read.detectors);
        Ok(fold)
    }
}
