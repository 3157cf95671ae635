//! The jobs that run by themselves: [`ScheduleConfig`] says when, [`Schedule`] which are due, [`run_schedule`] runs them in
//! the one process that holds the lease of the stream's schedule (`keeper`).

mod config;
mod input;
mod keeper;
mod plan;
mod run;

pub use config::{Misfire, ScheduleConfig};
pub use input::ScheduledInput;
pub use plan::{Schedule, ScheduledJob};
pub use run::{JobSettings, run_schedule};
