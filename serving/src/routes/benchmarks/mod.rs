//! Benchmarks of the engine beside its peers.

mod body;
mod list;

pub(crate) use list::{find_page, list_benchmarks};
