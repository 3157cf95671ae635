//! The vocabulary that the layers of kilowatch share, and the doors to lake, log and views.
//!
//! A message becomes a verdict in steps that each have a module:
//! [`log`] record -[`stream`] decodes-> [`reading::Reading`] -[`detect`] folds-> [`anomaly::Anomaly`] -> [`views`];
//! closed runs of offsets ([`checkpoint`], [`cut_line`]) go to the [`lake`], from which batch computes [`rollup`]s, [`model`]s and
//! [`forecast`]s. Nothing in here knows an HTTP route, a job or a consumer loop.

pub mod anomaly;
pub mod benchmark;
pub mod checkpoint;
pub mod clock;
pub mod cut_line;
pub mod dead_letter;
pub mod detect;
pub mod forecast;
pub mod job;
pub mod lake;
pub mod log;
pub mod model;
pub mod outbox;
pub mod position;
pub mod reading;
pub mod retry;
pub mod rollup;
pub mod secret;
pub mod stream;
pub mod verification;
pub mod views;
pub mod wording;
