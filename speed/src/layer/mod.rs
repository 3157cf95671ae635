//! The running layer: a task a partition drives the steps of [`crate::member`], a task a stream closes segments, and
//! a supervisor a stream follows the group that shares out the topic's partitions, and the serving models.
//!
//! ```text
//! log -[batch_rows, batch_bytes]-> partition task -[1 close a partition]-> closer -> lake
//!                                        |
//!                                        +--- effects, offset, cut: one transaction ---> views
//! ```

mod closer;
mod ending;
mod lag;
mod pace;
mod partition_task;
mod pins_watch;
mod speed_layer;
mod stream_context;
mod supervisor;

pub use speed_layer::{SpeedDeps, SpeedLayer};
