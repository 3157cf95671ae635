//! How the speed layer is, for readiness, pages and whoever waits until it has caught up: tasks write it on a `board`, and
//! a look at it is `seen` whole, with what of it is a problem.

mod board;
mod seen;
#[cfg(test)]
mod tests;

pub(crate) use board::StatusBoard;
pub use seen::{CloseTrouble, OutboxStatus, PartitionStatus, SpeedStatus};
