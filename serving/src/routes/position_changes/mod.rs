//! What operators changed of partitions' positions.

mod list;

pub(crate) use list::list_position_changes;
