//! Somebody with `kilowatch speed` at hand, and a group whose log, lake and views do not fit together any more.

use serde_json::Value;

use super::{cluster::Cluster, ledger::Producer};
use crate::process::wait_until;

/// Three partitions that readings come to. `seed` is what the readings are drawn from.
pub async fn under_load(seed: u32) -> (Cluster, Producer) {
    let cluster = Cluster::new(3).await;
    let producer = Producer::start(&cluster, seed);
    (cluster, producer)
}

/// Somebody with `kilowatch speed` at hand.
pub struct Operator<'a>(pub &'a Cluster);

impl Operator<'_> {
    /// The changes on record.
    pub fn changes(&self) -> Vec<Value> {
        self.status("changes")
    }

    fn status(&self, list: &str) -> Vec<Value> {
        let answer = self.0.answer(&["speed", "status", "--stream", self.0.stream()]);
        answer[list].as_array().unwrap().clone()
    }

    /// What a verb would change; it changes nothing.
    pub fn looks_at(&self, verb: &str, partition: u32) -> String {
        let report = self.0.answer(&self.arguments(verb, &partition.to_string()));
        assert_eq!(report["done"], false, "nobody said yes: {report}");
        report["consequences"].to_string()
    }

    /// Why a verb cannot be done.
    pub fn is_refused(&self, verb: &str, partition: u32, more: &[&str]) -> String {
        let partition = partition.to_string();
        let args = [&self.arguments(verb, &partition)[..], more].concat();
        let refused = tokio::task::block_in_place(|| self.0.command(&args).output().unwrap());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        said
    }

    /// Does it. A member that looks at its stopped partition right now is in the way for a moment.
    pub async fn does(&self, verb: &str, partition: u32, more: &[&str]) {
        let partition = partition.to_string();
        let args = [&self.arguments(verb, &partition)[..], &["--yes", "--reason", "a test"], more].concat();
        wait_until("the verb is done", async || {
            let output = tokio::task::block_in_place(|| self.0.command(&args).output().unwrap());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || said.contains("has an owner"), "{said}");
            output.status.success()
        })
        .await;
    }

    /// Waits until each partition is stopped for one of these reasons, and nobody's.
    pub async fn sees_all_stopped(&self, reasons: &[&str]) {
        wait_until("every partition waits for an operator", async || {
            self.status("partitions").iter().all(|partition| {
                let reason = partition["stop"]["reason"].as_str();
                partition["owner_seen_at"].is_null() && reason.is_some_and(|reason| reasons.contains(&reason))
            })
        })
        .await;
    }

    /// How many partitions are stopped.
    pub fn stopped(&self) -> usize {
        self.status("partitions").iter().filter(|partition| !partition["stop"].is_null()).count()
    }

    fn arguments<'b>(&'b self, verb: &'b str, partition: &'b str) -> [&'b str; 6] {
        ["speed", verb, "--stream", self.0.stream(), "--partition", partition]
    }
}
