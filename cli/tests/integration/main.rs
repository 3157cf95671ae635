//! The binary as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may fail loudly")]

mod bad_input;
mod benchmark;
mod commands;
mod dead_letters;
mod duplicates;
mod embedded;
mod erase;
mod expansion;
#[cfg(feature = "service-tests")]
mod group;
mod hourly_totals;
mod housekeeping;
#[cfg(feature = "service-tests")]
mod ingest_s3;
mod lake;
mod process;
mod publishing;
mod refused_lake;
mod rounds;
#[cfg(feature = "service-tests")]
#[path = "../../../shared/tests/integration/schema.rs"]
mod schema;
mod seam;
#[cfg(feature = "service-tests")]
mod secured;
mod small_disk;
#[cfg(feature = "service-tests")]
mod systems;
