//! Batch: whole history in, published results out. Each job is idempotent, so an operator may run it again without
//! thinking, and a crash at any instant leaves what was published before.
//!
//! file -[`jobs::ingest`]-> lake -[`jobs::rollup`]-> views; [`jobs::verify`] replays the lake and compares.
//! [`diff`] says what differs between two versions of the lake.
//! [`jobs::compact`] keeps the lake's data files few and so all that reads them fast, [`jobs::vacuum`] deletes what nobody
//! needs any more, [`jobs::expire`] what is older than its limit, and [`jobs::erase`] takes a device out of lake and views.
//! [`benchmark`] measures the engine beside others that are installed.
//! lake -[`features`]-> rows -[`training`]-> a model -[`jobs::forecast`]-> views. [`schedule`] runs the jobs by the clock.

pub mod benchmark;
pub mod compaction;
pub mod deps;
pub mod diff;
pub(crate) mod erasure;
pub mod error;
pub mod features;
pub mod ingest;
pub mod jobs;
mod marking;
pub mod retention;
mod rewriting;
pub mod rollups;
mod saved_states;
pub mod schedule;
mod sql;
pub mod training;

pub use deps::BatchDeps;
pub use error::BatchError;
pub use jobs::history::Summary;
pub use retention::{RetentionConfig, StreamLimits};
pub use schedule::ScheduleConfig;
