//! One of the five systems at work.

use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};

use super::{api::Api, found::Found};
use crate::{
    group::{
        cluster::{Cluster, succeeds},
        member::Member,
        rest::come_to_rest,
        servers::Addresses,
        training::Training,
    },
    process::{own_binary, wait_until},
};

/// Readings a second of the second half, so that it is still flowing when a member is killed.
const SECOND_HALF_RATE: &str = "4000";

/// A profile and what is played by it.
pub struct System {
    /// The built-in profile.
    pub profile: &'static str,
    /// Devices of its simulator.
    pub devices: u32,
    /// Seconds of event time between two readings of a device.
    pub interval_secs: u32,
    /// Readings of a device in each half.
    pub rounds: u32,
    /// What its learned detector is trained on.
    pub training: Option<Training>,
}

/// What came of it.
pub struct Played {
    pub found: Found,
    pub api: Api,
    pub _cluster: Cluster,
}

impl System {
    /// A Monday.
    pub fn start() -> DateTime<Utc> {
        "2025-03-03T00:00:00Z".parse().unwrap()
    }

    /// Plays both halves, and finds the same on every way.
    pub async fn play(&self) -> Played {
        let mut cluster = Cluster::of(Addresses::shared(), self.profile).await;
        cluster.set("KILOWATCH_SPEED__SEGMENT_MS", "2000");
        if let Some(training) = &self.training {
            tokio::task::block_in_place(|| training.learn(&cluster, own_binary(), Self::start()));
        }

        let member = cluster.start_member();
        succeeds(&mut self.simulator(&cluster, 0));
        come_to_rest(&cluster, vec![member]).await;
        let half = Found::read(&cluster).await;
        half.stands_up_to_a_replay(&cluster);

        self.play_second_half(&cluster, half.readings()).await;
        let found = Found::read(&cluster).await;
        assert_eq!(found.readings(), (2 * self.rounds * self.devices) as usize);
        found.stands_up_to_a_replay(&cluster);
        let api = Api::start(&cluster);
        found.is_what_the_api_shows(&api).await;
        cluster.run(&["batch", "rollup", "--stream", cluster.stream()]);
        found.is_what_the_api_shows(&api).await;
        assert!(cluster.verify()["partials"]["checked"].as_u64().is_some_and(|checked| checked > 0));
        Played { found, api, _cluster: cluster }
    }

    /// With three members, one of which is killed over it.
    async fn play_second_half(&self, cluster: &Cluster, applied: usize) {
        let mut members: Vec<Member> = (0..3).map(|_| cluster.start_member()).collect();
        let partitions = cluster.profile.partitions as usize;
        wait_until("each partition has its member", async || {
            members.iter().map(Member::partitions).sum::<usize>() == partitions
        })
        .await;
        let mut simulator = self.simulator(cluster, 1);
        let mut simulator = simulator.args(["--rate", SECOND_HALF_RATE]).spawn().unwrap();
        wait_until("the second half is on its way", async || cluster.applied().await > applied as u64).await;
        let victim = members.iter().position(|member| member.partitions() > 0).unwrap();
        members.swap_remove(victim).kill();
        assert!(tokio::task::block_in_place(|| simulator.wait()).unwrap().success());
        come_to_rest(cluster, members).await;
    }

    /// The producer of the first half of the live readings, or of the second.
    fn simulator(&self, cluster: &Cluster, half: u32) -> Command {
        let from = (Self::start() + span(self.interval_secs, self.rounds * half)).to_rfc3339();
        let (rows, interval) = ((self.rounds * self.devices).to_string(), self.interval_secs.to_string());
        let mut command = cluster.command(&["simulate", "--stream", cluster.stream(), "--to", "log"]);
        command.args(["--from", &from, "--rows", &rows, "--interval", &interval, "--seed", &(2 + half).to_string()]);
        command
    }
}

fn span(interval_secs: u32, rounds: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(interval_secs) * i64::from(rounds))
}
