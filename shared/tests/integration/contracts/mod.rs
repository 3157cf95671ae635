//! One suite for each door; every implementation has to pass it.

mod lake;
mod log;
mod views;
