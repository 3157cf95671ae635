//! The answer to posted readings.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct AppendedBody {
    pub accepted: usize,
    pub rejected: Vec<RejectedBody>,
    /// Of each accepted reading, in order, where the log keeps it.
    pub positions: Vec<PositionBody>,
}

/// A reading that the stream's decoder refuses. It is neither logged nor dead-lettered: the sender knows.
#[derive(Debug, Serialize)]
pub(crate) struct RejectedBody {
    /// Its place in the body, from 0; blank lines do not count.
    pub index: usize,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct PositionBody {
    pub index: usize,
    /// `<source>/<partition>@<offset>`.
    pub position: String,
}
