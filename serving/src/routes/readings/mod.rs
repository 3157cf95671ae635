//! Readings posted to the log: body -[`split`]-> items -decoder-> accepted and rejected -> durable positions.

mod append;
mod body;
mod split;

pub(crate) use append::append_readings;
