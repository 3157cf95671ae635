//! Usage: merged windows of one measure. Stored windows are summed to hours,
//! days and months here, at the edge.

mod body;
mod fold;
mod list;
mod query;

pub(crate) use body::{UsageBody, UsageWindowBody};
pub(crate) use list::{find_usage, list_usage};
pub(crate) use query::{STORED_WINDOWS_SHOWN, UsageRequest, profile_offset};
