//! Usage: merged windows of one measure. Hours are stored; days and months are summed from them here, at the edge.

mod body;
mod fold;
mod list;
mod query;

pub(crate) use body::{UsageBody, UsageWindowBody};
pub(crate) use list::{find_usage, list_usage};
pub(crate) use query::{UsageRequest, profile_offset};
