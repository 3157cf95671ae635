//! Integration tests of the shared crate, one binary.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may fail loudly")]

mod contracts;
mod lake;
#[cfg(feature = "service-tests")]
mod schema;
