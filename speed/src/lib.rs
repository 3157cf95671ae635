//! The speed layer: every message of a stream is judged within seconds of its arrival, and exactly once.
//!
//! log record -`segmented_fold`-> reading and anomalies -[`open_batch`]-> effects -[`member`]-> views,
//! rows -[`unclosed`]-> segments -[`member::Close`]-> lake, and entries -[`outbox`]-> the world outside. [`layer`] runs
//! it, [`replay`] proves it, [`simulate`] plays the meters.

pub mod config;
pub mod error;
pub mod layer;
mod log_times;
pub mod member;
pub mod model_shelf;
pub mod open_batch;
pub mod outbox;
pub mod pins_source;
pub mod positions;
pub mod replay;
pub mod rollup_buffer;
mod segmented_fold;
pub mod simulate;
pub mod status;
mod telemetry;
pub mod unclosed;

pub use config::SpeedConfig;
pub use error::{SpeedError, StepError};
pub use layer::{SpeedDeps, SpeedLayer};
pub use outbox::{Outbox, Sink};
pub use status::{CloseTrouble, OutboxStatus, PartitionStatus, SpeedStatus};
