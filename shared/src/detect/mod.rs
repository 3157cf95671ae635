//! Detection as a pure fold: per (source, partition, device), over (pins, key, bytes, headers, log timestamp), in
//! offset order. No clock, no network, no device table: the same messages give the same verdicts to the last bit,
//! whatever the micro-batches, segments, restarts and rebalances were.
//!
//! [`fold::PartitionFold`] decodes a record, marks duplicates and asks each kernel of the pins:
//! [`three_sigma`], [`isolation_forest`].

pub mod fold;
pub mod isolation_forest;
pub mod three_sigma;

/// Raised whenever a kernel may judge the same readings otherwise.
pub const KERNELS_VERSION: u32 = 1;
