//! A probe that says what a test told it.

use std::sync::Mutex;

use kilowatch_serving::{ReadinessProbe, ReadinessReport};

/// Starts as a report without anything in it.
#[derive(Debug, Default)]
pub struct SetProbe(Mutex<ReadinessReport>);

impl SetProbe {
    /// What the next requests see.
    pub fn set(&self, report: ReadinessReport) {
        *self.0.lock().unwrap() = report;
    }
}

impl ReadinessProbe for SetProbe {
    fn report(&self) -> ReadinessReport {
        self.0.lock().unwrap().clone()
    }
}
