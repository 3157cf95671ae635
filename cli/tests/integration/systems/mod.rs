//! Each of the five systems from its simulator to the API and the topic of anomalies, on real Kafka, Postgres and S3.
//!
//! A [`system`] trains its models and plays its readings: one member judges the first half, three share the second, and
//! one of them is killed over it. What came of it is [`found`] and held against what was sent; [`five`] says what each
//! system adds to that.

mod api;
mod five;
mod found;
mod system;
