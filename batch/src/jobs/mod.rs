//! The jobs, one a file. Each takes what it works with, the stream's profile and a request, and gives a report; each run
//! leaves a line in the history (`history`).
//!
//! [`ingest`] brings a file into the lake, [`rollup`] publishes what the lake holds, [`verify`] checks both.
//! [`explain`] says why a roll-up computed what it computed. [`compact`] merges small data files, [`vacuum`] deletes what
//! nobody needs, [`expire`] what is older than its limit. [`erase`] takes a device out of lake and views. [`replay`] gives dead letters another try.
//! [`train`] makes models of the history, and [`forecast`] asks one for the hours ahead.

pub mod compact;
pub mod erase;
pub mod expire;
pub mod explain;
pub mod forecast;
pub(crate) mod history;
pub mod ingest;
pub mod replay;
pub mod rollup;
pub mod scheduled_ingest;
pub mod train;
pub mod vacuum;
pub mod verify;
