//! The batch jobs against a real lake and real views, both in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, and so may its helpers")]

mod adaptation;
mod as_of;
mod bench_room;
mod compact;
mod crashes;
mod diff;
mod erase;
mod expansion;
mod expire;
mod expire_readings;
mod forecast;
mod held_out;
mod history;
mod ingest_bad_lines;
mod ingest_formats;
mod ingest_inputs;
mod ingest_refusals;
mod ingest_repeats;
mod ingest_replace;
mod ingest_uci;
mod live;
mod real_data;
mod replay;
mod rollup;
mod schedule;
mod schedule_ingest;
mod train;
mod train_detectors;
mod vacuum;
mod verify;
