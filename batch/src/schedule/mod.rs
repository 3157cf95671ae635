//! The jobs that run by themselves: [`ScheduleConfig`] says when, [`Schedule`] which are due.

mod config;
mod plan;

pub use config::ScheduleConfig;
pub use plan::{Schedule, ScheduledJob};
