//! Members of a consumer group on real Kafka, Postgres and S3, and what befalls them.
//!
//! A [`cluster`] has its own topic, group, schema and lake; the [`ledger`] is what the producer knows, and what lake and
//! views are held against after every test of [`faults`].

mod cluster;
mod faults;
mod ledger;
