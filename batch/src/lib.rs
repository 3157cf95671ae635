//! Batch: whole history in, published results out. Each job is idempotent, so an operator may run it again without
//! thinking, and a crash at any instant leaves what was published before.
//!
//! file -[`jobs::ingest`]-> lake -[`jobs::rollup`]-> views; [`jobs::verify`] replays the lake and compares.
//! [`diff`] says what differs between two versions of the lake.
//! lake -[`features`]-> rows -[`training`]-> a model -[`jobs::forecast`]-> views. [`schedule`] runs the jobs by the clock.

pub mod deps;
pub mod diff;
pub mod error;
pub mod features;
pub mod ingest;
pub mod jobs;
pub mod rollups;
pub mod schedule;
mod sql;
pub mod training;

pub use deps::BatchDeps;
pub use error::BatchError;
pub use jobs::history::Summary;
pub use schedule::ScheduleConfig;
