//! What a stream's learned detector is trained on.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::cluster::{Cluster, succeeds};

/// A training set of the stream's own simulator.
#[derive(Debug, Clone, Copy)]
pub struct Training {
    /// The kind of the model.
    pub model: &'static str,
    /// Devices.
    pub devices: u32,
    /// Seconds of event time between two readings of a device.
    pub interval_secs: u32,
    /// Readings of a device.
    pub rounds: u32,
}

impl Training {
    /// Ingests the set, which ends where the live readings begin, and trains on it, by commands of a build. The model serves
    /// from then on.
    pub fn learn(&self, cluster: &Cluster, binary: &Path, until: DateTime<Utc>) {
        let run = |args: &[&str]| succeeds(&mut cluster.command_of(binary, args));
        let from = until - TimeDelta::seconds(i64::from(self.interval_secs) * i64::from(self.rounds));
        let (from, rows) = (from.to_rfc3339(), (self.rounds * self.devices).to_string());
        let (file, interval) =
            (cluster.folder().join("training.csv").display().to_string(), self.interval_secs.to_string());
        let stream = cluster.stream();
        let mut simulation =
            vec!["simulate", "--stream", stream, "--to", "csv", "--file", &file, "--from", &from, "--rows", &rows];
        // A household's history is one of minutes.
        if stream != "household" {
            simulation.extend(["--interval", &interval]);
        }
        run(&simulation);
        run(&["batch", "ingest", &file, "--stream", stream]);
        let output = run(&["--json", "batch", "train", "--stream", stream, "--model", self.model]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["promotion"]["outcome"], "promoted", "{report}");
    }
}
