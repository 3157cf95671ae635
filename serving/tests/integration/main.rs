//! The serving layer from outside: every test starts what `main` starts, on a free port, and speaks HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod api;
mod health;
mod ops;
mod pages;
mod protocol;
mod startup;
mod support;
