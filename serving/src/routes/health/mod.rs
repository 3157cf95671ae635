//! Health, for whoever restarts and whoever routes.

mod live;
mod ready;

pub(crate) use live::find_liveness;
pub(crate) use ready::{find_problems, find_readiness};
