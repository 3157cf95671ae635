//! One suite for each door; every implementation has to pass it.

pub mod lake;
mod log;
mod views;
