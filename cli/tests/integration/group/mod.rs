//! Members of a consumer group on real Kafka, Postgres and S3, and what befalls them.
//!
//! A [`cluster`] has its own topic, group, schema and lake, and each [`member`] is a process; the [`ledger`] is what the
//! producer knows, and what lake, views and the topic of anomalies are held against after every test, once the group has
//! come to [`rest`]. A test that stops a server has one of its own ([`servers`]). Each fault befalls one stream a few times;
//! in a soak it befalls all of them, and one of them many times ([`trials`]). Some days take an [`operator`]. What a
//! cluster made goes with it ([`leftovers`]).

mod backups;
mod clock;
pub mod cluster;
mod drains;
mod faults;
mod kills;
mod ledger;
mod leftovers;
pub mod member;
mod operator;
mod outages;
mod positions;
mod readings;
pub mod rest;
pub mod servers;
mod stalls;
pub mod topic;
mod topics;
pub mod training;
mod trials;
mod upgrade;
mod zombie;

/// What a member says when its group gives it a partition.
const ASSIGNED: &str = "a partition was assigned";
/// What it says when one is taken from it.
const GIVEN_AWAY: &str = "a partition goes to another member";
