//! Anomalies, newest first.

mod body;
mod list;
mod query;

pub(crate) use body::AnomalyBody;
pub(crate) use list::{find_page, list_anomalies};
pub(crate) use query::{AnomalyQuery, KNOWN, cursor_text};
