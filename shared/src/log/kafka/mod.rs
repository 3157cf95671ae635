//! The log in Kafka, over librdkafka.
//!
//! A `group` says which partitions are ours, and its `group_health` whether it answers at all. Positions belong to the
//! views, so no group keeps any: a read of a partition takes a `reader` that stands at the position asked for from the
//! `pool`, or moves one there. A reader is a `buffer` and a thread that fills it, its `poller`; how much is `prefetched` is
//! a metric. `producer` appends and waits until the brokers have it, `admin` makes topics and tells their ends, `kafka_log`
//! is the handle on all of them.
//!
//! Kafka does not tell a topic that was deleted and made again from the old one. Whoever does that adopts the topic as
//! another one, or raises `generation` in the `config`, which makes the sources (`kafka:<topic>#<generation>`) others.
//! `security` is what the brokers ask of a client, and `contact` knows what keeps it from them.

mod admin;
mod buffer;
mod config;
mod contact;
mod error;
mod group;
mod group_health;
mod kafka_log;
mod poller;
mod pool;
mod prefetched;
mod producer;
mod reader;
mod security;
mod telemetry;

pub use config::KafkaConfig;
pub use kafka_log::KafkaLog;
pub use security::{ClientCertificate, KafkaSecurity, Sasl, SaslMechanism, Tls};
