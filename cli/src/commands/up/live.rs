//! What goes on beside the layers: the simulated devices, and the clean-up of the embedded log.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    clock::Clock,
    lake::{LakeTable, SegmentLake},
    log::SharedLog,
    position::DeviceId,
    stream::StreamProfile,
};
use kilowatch_speed::simulate::{Injection, SimulatedStream, SimulationOptions};
use tokio_util::sync::CancellationToken;

use super::UpArgs;
use crate::commands::simulate::{Plan, Sink, produce};

/// The log grows by a few megabytes an hour at home; once an hour is often enough to give it back.
const TRIM_INTERVAL: Duration = Duration::from_secs(3600);

/// The simulated devices.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    simulated: &'static SimulatedStream,
    device: Option<DeviceId>,
    /// Each start is another stretch of the devices' lives; a seed of its own keeps the stretches from being alike.
    seed: u64,
    rate: Option<f64>,
}

impl LiveOptions {
    /// What `up` was asked for, of a start at `now`.
    pub fn of(args: &UpArgs, simulated: &'static SimulatedStream, now: DateTime<Utc>) -> Self {
        let seed = args.seed.wrapping_add(now.timestamp().cast_unsigned());
        Self { simulated, device: args.device.clone(), seed, rate: args.rate }
    }
}

/// Sends live readings until `stop`.
///
/// # Errors
/// The log fails for good.
pub async fn simulate(
    options: LiveOptions,
    profile: &StreamProfile,
    log: SharedLog,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let simulated = options.simulated;
    let usual = SimulationOptions::new(profile, options.seed, Injection::live(profile));
    let options_of_device = SimulationOptions { device: options.device, ..usual };
    let simulator = simulated.open(&options_of_device);
    let rate = options.rate.unwrap_or(simulator.devices() as f64 / simulated.live_interval_secs);
    let mut sink = Sink::Log { log, topic: profile.topic.clone() };
    produce(simulator, &Plan::live(rate), &mut sink, stop).await
}

/// Gives back what the lake holds and what is older than the retention; never anything at or above L.
///
/// # Errors
/// None: a clean-up that fails is logged and tried again.
pub async fn trim_log(
    profile: &StreamProfile,
    log: &SharedLog,
    lake: &impl SegmentLake,
    retention_days: u32,
    clock: &dyn Clock,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut ticker = tokio::time::interval(TRIM_INTERVAL);
    loop {
        tokio::select! { _ = ticker.tick() => {}, () = stop.cancelled() => return Ok(()) }
        let before = clock.now() - TimeDelta::days(i64::from(retention_days));
        let trimmed = async {
            let held = lake.snapshot(&profile.name, LakeTable::Readings).await?;
            let mut dropped = 0;
            // The lake may also hold partitions of a log that the stream came from before.
            for partition in log.partitions(&profile.topic).await? {
                if let Some(closed) = held.closed.get(&partition) {
                    dropped += log.trim(&partition, *closed, before).await?;
                }
            }
            anyhow::Ok(dropped)
        };
        match trimmed.await {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(log.dropped = dropped, "gave back messages that the lake holds"),
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "could not clean up the log; trying again later")
            }
        }
    }
}
