//! The streams that this process knows.

mod list;

pub(crate) use list::list_streams;
