//! What the world outside is told: written with the effects, delivered at least once, in the order of the positions.
//!
//! a verdict -[`message`]-> `OutboxEntry` -apply-> views -`dispatcher`-> a [`Sink`]. A sink is one place that takes
//! entries: [`LogSink`] writes the topics of the log, [`MemorySink`] is the twin for tests. Both keep the promises of
//! `speed/tests/integration/outbox/`. Nothing waits for a sink: entries stay in the views until it has them.

mod dispatcher;
mod error;
mod log_sink;
mod memory_sink;
pub mod message;

use std::sync::Arc;

use async_trait::async_trait;
use kilowatch_shared::{outbox::OutboxEntry, views::OutboxViews};

pub(crate) use dispatcher::Dispatcher;
pub use error::SinkError;
pub use log_sink::{ID_HEADER, LogSink};
pub use memory_sink::MemorySink;

/// A place that takes entries.
#[async_trait]
pub trait Sink: std::fmt::Debug + Send + Sync {
    /// Delivers the entries, those of one key in their order, and returns once all of them are durable. Where an entry
    /// goes is made if it is missing. A receiver finds the entry's id with it.
    ///
    /// # Errors
    /// It is then unknown which of the entries arrived: all of them are given again, under the same ids.
    async fn deliver(&self, entries: &[OutboxEntry]) -> Result<(), SinkError>;
}

/// Where entries wait and where they go.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// The views that hold them.
    pub views: Arc<dyn OutboxViews>,
    /// Who takes them.
    pub sink: Arc<dyn Sink>,
}
