//! Health, for whoever restarts and whoever routes.

mod live;
mod ready;

pub(crate) use live::{describe_liveness, find_liveness};
pub(crate) use ready::{describe_readiness, find_problems, find_readiness};
