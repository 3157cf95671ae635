//! Detection as a pure fold: per (source, partition, device), over (pins, key, bytes, headers, log timestamp), in
//! offset order. No clock, no network, no device table: the same messages give the same verdicts to the last bit,
//! whatever the micro-batches, segments, restarts and rebalances were.
//!
//! [`fold::PartitionFold`] decodes a record, marks duplicates and asks each [`detector`] of the pins, which wraps a
//! kernel: [`three_sigma`], [`isolation_forest`]. A kernel is a [`Kernel`]: config, state and verdict, no I/O, no log.

pub mod detector;
pub mod fold;
pub mod isolation_forest;
pub mod three_sigma;

pub use fold::{FoldError, Folded, ModelSet, PartitionFold};

use crate::{anomaly::Verdict, reading::Reading};

/// Raised whenever a kernel may judge the same readings otherwise.
pub const KERNELS_VERSION: u32 = 1;

/// Judges the readings of a device, one after the other.
///
/// A verdict on a reading uses only readings before it and the reading itself (no future leaks), and depends on
/// nothing but the kernel and the state: the same readings give the same bits on every machine, which leaves
/// `+ - * / sqrt` and comparisons, and no `exp`, `ln` or `sin` of the platform.
pub trait Kernel {
    /// What it remembers of a device. Serialised and read back, it judges on as if nothing had happened.
    type State;

    /// Judges a reading that is no duplicate, then takes it into the state.
    fn judge(&self, state: &mut Self::State, reading: &Reading) -> Option<Verdict>;
}
