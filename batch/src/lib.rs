//! Batch: whole history in, published results out. Each job is idempotent, so an operator may run it again without
//! thinking, and a crash at any instant leaves what was published before.

pub mod features;
pub mod schedule;
pub mod training;

pub use schedule::ScheduleConfig;
