//! Devices and when they were last heard of.

mod list;

pub(crate) use list::list_devices;
