//! What an operator erases of a device: meter data is personal.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Audit, ViewsError};
use crate::position::{DeviceId, Offset, PartitionId, SourcePosition, StreamName};

/// What is to leave the views.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceErasure {
    /// The stream.
    pub stream: StreamName,
    /// The device.
    pub device: DeviceId,
    /// Dead letters that name it; with them goes what the outbox still tells of them.
    pub dead_letters: Vec<SourcePosition>,
    /// Where each partition of the stream's logs stood when the lake was rewritten: A, up to which the lake holds all. Who
    /// applied more since did so with what it remembered of the device.
    pub partitions: Vec<(PartitionId, Offset)>,
    /// Rows of the lake that are tombstones now, for the record.
    pub rows: ErasedRows,
    /// What the record says.
    pub audit: Audit,
}

/// What the views hold of a device, or held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRows {
    /// Anomalies.
    pub anomalies: u64,
    /// Windows that speed filled and batch has not cleared yet; those that batch published go with a roll-up.
    pub speed_windows: u64,
    /// Forecasts as they were issued.
    pub forecasts: u64,
    /// Messages that wait to be sent.
    pub outbox: u64,
    /// Windows that batch published and that are too old to be computed again.
    pub kept_windows: u64,
}

/// Rows of the lake that became tombstones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// Readings.
    pub readings: u64,
    /// Dead letters.
    pub letters: u64,
}

/// How an erasure ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EraseOutcome {
    /// It is done and on record.
    Erased(DeviceRows),
    /// Somebody works on a partition and may remember the device; nothing changed.
    LiveOwner {
        /// Which one.
        partition: PartitionId,
        /// When the owner was seen last.
        seen_at: DateTime<Utc>,
    },
    /// A partition is not where it was any more; nothing changed.
    Elsewhere {
        /// Which one.
        partition: PartitionId,
    },
}

/// An erasure on record. It does not name the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedErasure {
    /// The stream.
    pub stream: StreamName,
    /// [`DeviceId::sha256`].
    pub device_sha256: String,
    /// Rows of the lake that became tombstones.
    pub readings: u64,
    /// Dead letters of the lake that became tombstones.
    pub dead_letters: u64,
    /// Anomalies that left the views.
    pub anomalies: u64,
    /// Forecasts that left the views.
    pub forecasts: u64,
    /// Who, when and why.
    #[serde(flatten)]
    pub audit: Audit,
}

/// What an erasure needs of the views.
#[async_trait]
pub trait ErasureViews: std::fmt::Debug + Send + Sync {
    /// What there is of a device.
    async fn device_rows(&self, stream: &StreamName, device: &DeviceId) -> Result<DeviceRows, ViewsError>;

    /// Takes a device out of all that speed, forecasts and notifications left, in one transaction that records it, unless
    /// a partition is elsewhere or has an owner that was seen within [`OWNER_GONE_AFTER`](super::OWNER_GONE_AFTER). An
    /// older owner is put out of office.
    ///
    /// What roll-ups staged of the device before the erasure was asked for goes as well. Whoever staged that is dead, or
    /// is refused its publication, because it read the lake before the device left it. What was staged since may be of
    /// readings that came since, and stays.
    async fn erase_device(&self, erasure: &DeviceErasure) -> Result<EraseOutcome, ViewsError>;

    /// Gives the space of what was deleted back, so that no copy of it is left in a file of ours. A database that others
    /// keep does so by its own rules.
    async fn overwrite_deleted(&self) -> Result<(), ViewsError>;

    /// How many readings and dead letters of a device are on record as erased, all its erasures together.
    async fn erased_on_record(&self, stream: &StreamName, device: &DeviceId) -> Result<ErasedRows, ViewsError>;

    /// The newest erasures of a stream, at most `limit`.
    async fn erasures(&self, stream: &StreamName, limit: u32) -> Result<Vec<RecordedErasure>, ViewsError>;
}
