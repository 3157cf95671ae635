//! What the fold remembers of each device, bounded.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::seen::SeenTimes;
use crate::{
    detect::detector::DetectorState,
    position::{DeviceId, Offset},
};

/// Devices that a partition remembers. A producer that invents a name for each message must not fill the memory; a
/// grid of more meters has more partitions.
const MAX_DEVICES: usize = 100_000;

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DeviceState {
    pub(super) last_offset: Offset,
    pub(super) seen: SeenTimes,
    /// One state a detector, in the order of the pins.
    pub(super) detectors: SmallVec<[DetectorState; 2]>,
}

/// Devices by id. Nothing depends on the map's order: what leaves it is sorted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Devices {
    by_id: HashMap<DeviceId, DeviceState>,
    max: usize,
}

impl Default for Devices {
    fn default() -> Self {
        Self::with_room_for(MAX_DEVICES)
    }
}

impl Devices {
    fn with_room_for(max: usize) -> Self {
        Self { by_id: HashMap::new(), max }
    }

    pub(super) fn from_saved(saved: Vec<(DeviceId, DeviceState)>) -> Self {
        Self { by_id: saved.into_iter().collect(), ..Self::default() }
    }

    /// All devices in the order of their ids.
    pub(super) fn sorted(&self) -> Vec<(&DeviceId, &DeviceState)> {
        let mut all: Vec<_> = self.by_id.iter().collect();
        all.sort_unstable_by_key(|(device, _)| *device);
        all
    }

    pub(super) fn states_mut(&mut self) -> impl Iterator<Item = &mut DeviceState> {
        self.by_id.values_mut()
    }

    /// The state of the device that a message at `offset` names; a new one has room for `detectors`.
    pub(super) fn touch(&mut self, device: &DeviceId, offset: Offset, detectors: usize) -> &mut DeviceState {
        if self.by_id.len() >= self.max && !self.by_id.contains_key(device) {
            self.forget_the_longest_silent();
        }
        let state = self.by_id.entry(device.clone()).or_insert_with(|| DeviceState {
            last_offset: offset,
            seen: SeenTimes::default(),
            detectors: smallvec![DetectorState::default(); detectors],
        });
        state.last_offset = offset;
        state
    }

    /// Forgets a tenth of the devices at a time, so that a reading costs little on average. Offsets are unique and the
    /// same in every replay, so the same devices go.
    fn forget_the_longest_silent(&mut self) {
        let mut offsets: Vec<Offset> = self.by_id.values().map(|state| state.last_offset).collect();
        offsets.sort_unstable();
        if let Some(oldest_kept) = offsets.get(offsets.len().div_ceil(10)).copied() {
            self.by_id.retain(|_, state| state.last_offset >= oldest_kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silent_devices_are_forgotten_first() {
        let mut devices = Devices::with_room_for(20);
        let device = |number: u64| DeviceId::parse(&format!("meter-{number}")).unwrap();
        for offset in 0..20 {
            devices.touch(&device(offset), Offset::new(offset), 0);
        }
        devices.touch(&device(0), Offset::new(20), 0);
        devices.touch(&device(99), Offset::new(21), 0);
        let left: Vec<&str> = devices.sorted().into_iter().map(|(device, _)| device.as_str()).collect();
        assert_eq!(left.len(), 19);
        assert!(left.contains(&"meter-0") && left.contains(&"meter-99") && left.contains(&"meter-3"));
        assert!(!left.contains(&"meter-1") && !left.contains(&"meter-2"));
    }
}
