//! A device's readings.

use kilowatch_shared::{
    lake::{LakeTable, delta::LakeFile, schema::tombstones_of_readings, session::LakeSession},
    position::DeviceId,
};

use super::tables::Leaving;
use crate::{BatchError, rewriting::FileCopy};

const DEVICE: &str = "device_id";

/// The readings of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadingsOf<'a>(pub(crate) &'a DeviceId);

impl Leaving for ReadingsOf<'_> {
    const TABLE: LakeTable = LakeTable::Readings;

    fn device(&self) -> &DeviceId {
        self.0
    }

    fn may_be_in(&self, file: &LakeFile) -> bool {
        file.stats.may_hold_device(self.0)
    }

    async fn count(&self, session: &LakeSession) -> Result<u64, BatchError> {
        Ok(session.count_where(Self::TABLE.folder_name(), DEVICE, self.0.as_str()).await?)
    }

    async fn copy<'a>(&self, copy: FileCopy<'a>) -> Result<FileCopy<'a>, BatchError> {
        let (device, bucket) = (self.0.as_str(), copy.bucket());
        // Tombstones come first, as the name that they have sorts.
        let copy = copy.add_where((DEVICE, device, true), |rows| Ok(tombstones_of_readings(&rows, bucket)?)).await?;
        copy.add_where((DEVICE, device, false), Ok).await
    }
}
