//! What the rest of the process says of itself; the wiring connects it to speed.

use std::fmt;

use kilowatch_shared::position::StreamName;

/// How the live side of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveState {
    /// Readings are judged as they come.
    Live,
    /// It is claiming or restoring and will be live soon.
    Starting,
    /// It stands still until somebody decides.
    Stopped {
        /// Why, and what to do, in one sentence.
        reason: String,
    },
    /// This process has no speed layer; another one may.
    Elsewhere,
}

/// The live side of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLiveState {
    /// The stream.
    pub stream: StreamName,
    /// How it is.
    pub state: LiveState,
    /// Messages in the log that are not judged yet, where that is known.
    pub lag_messages: Option<u64>,
}

/// Something that keeps the process from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessProblem {
    /// The part: `speed`, `lake`, `schedule`, ...
    pub component: String,
    /// What is wrong and what to do, in one sentence without secrets.
    pub reason: String,
}

/// What a probe saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadinessReport {
    /// Whether the process is on its way out.
    pub stopping: bool,
    /// What keeps the process from being ready; empty if nothing does.
    pub problems: Vec<ReadinessProblem>,
    /// The live side of the streams that run in this process.
    pub streams: Vec<StreamLiveState>,
}

impl ReadinessReport {
    /// The live side of `stream`; a stream that is not in the report runs elsewhere.
    #[must_use]
    pub fn stream(&self, stream: &StreamName) -> StreamLiveState {
        self.streams.iter().find(|state| state.stream == *stream).cloned().unwrap_or_else(|| StreamLiveState {
            stream: stream.clone(),
            state: LiveState::Elsewhere,
            lag_messages: None,
        })
    }
}

/// Tells how the process is, from memory: it is asked on every page and must not wait.
pub trait ReadinessProbe: fmt::Debug + Send + Sync {
    /// The state now.
    fn report(&self) -> ReadinessReport;
}

/// The probe of a replica that only serves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSpeedHere;

impl ReadinessProbe for NoSpeedHere {
    fn report(&self) -> ReadinessReport {
        ReadinessReport::default()
    }
}
