//! Messages that became no reading.

mod list;

pub(crate) use list::{list_dead_letters, raw_text};
