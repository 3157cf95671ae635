//! The speed layer against log, lake and views: every test drives the public steps or the running layer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, and so may its helpers")]

mod back_pressure;
mod backups;
mod bench;
mod closing;
mod doubles;
mod exactness;
mod hostility;
mod members;
mod outbox;
mod positions;
mod races;
mod refusals;
mod running;
mod stream;
mod truth;
mod watched_log;
mod world;
