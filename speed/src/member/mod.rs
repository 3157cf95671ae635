//! One partition in the hands of one member, a step a file, so that a test can put a crash between any two:
//! [`claim`](PartitionWorker::claim) -> [`check`](PartitionWorker::check) -> [`restore`](PartitionWorker::restore)
//! -> micro-batches ([`fetch`](PartitionWorker::fetch), [`absorb`](PartitionWorker::absorb),
//! [`apply`](PartitionWorker::apply), which also records cuts) -> [`revoke`](PartitionWorker::revoke);
//! beside them [`Close`] brings what [`begin_close`](PartitionWorker::begin_close) hands over to the lake.
//!
//! What is decided without asking anybody is in `verdict`, [`kilowatch_shared::cut_line`], [`crate::unclosed`] and
//! [`crate::open_batch`]. The rules are those of DESIGN, "How speed stays exact"; L is the first offset that the lake
//! does not hold, A the first one that the views have not applied.

mod check;
mod claim;
mod close;
mod doors;
mod micro_batch;
mod rebuild;
mod restore;
mod revoke;
mod verdict;
mod worker;

pub(crate) use check::examine;
pub use close::{Close, CloseOutcome, ClosePart, CloseProgress};
pub use doors::Doors;
pub use micro_batch::{BatchReport, CutWish};
pub(crate) use rebuild::Rebuild;
pub use verdict::StopReason;
pub use worker::{PartitionWorker, PhaseName, Step};
