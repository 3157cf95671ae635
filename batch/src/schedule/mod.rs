//! The jobs that run by themselves: [`ScheduleConfig`] says when, [`Schedule`] which are due, [`run_schedule`] runs them.

mod config;
mod plan;
mod run;

pub use config::ScheduleConfig;
pub use plan::{Schedule, ScheduledJob};
pub use run::run_schedule;
