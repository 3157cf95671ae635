//! One partition, step by step, until it is stopped or taken away: claimed, checked and restored (`task`), then window
//! after window (`window`), with a close beside them (`closing`). `showing` says how it is, `stopping` ends it.

mod closing;
mod showing;
mod stopping;
mod task;
mod window;

pub(super) use task::PartitionTask;
