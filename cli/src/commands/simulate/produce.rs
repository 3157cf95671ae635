//! Sends simulated readings.

use std::{
    io::{BufWriter, Write},
    time::Duration,
};

use anyhow::Context as _;
use chrono::Utc;
use kilowatch_shared::{
    log::{LogError, NewRecord, SharedLog},
    retry::{Backoff, RetryHint},
};
use kilowatch_speed::simulate::Simulator;
use tokio_util::sync::CancellationToken;

use super::Plan;
use crate::exit;

/// Messages of one append at full speed: large enough for one transaction to pay, small enough to stop at once.
const FULL_SPEED_BATCH: u64 = 5_000;

/// Up to fifty appends a second: a rate of thousands must not mean thousands of transactions, and a reading must not wait
/// for long until the simulator sends it.
const SHORTEST_TICK_SECS: f64 = 0.02;

/// Where a producer writes.
#[derive(Debug)]
pub enum Sink {
    /// A topic.
    Log {
        /// The log.
        log: SharedLog,
        /// The topic.
        topic: String,
    },
    /// Lines of JSON.
    Stdout(BufWriter<std::io::Stdout>),
}

impl Sink {
    async fn send(&mut self, records: &[NewRecord]) -> anyhow::Result<()> {
        match self {
            Self::Log { log, topic } => append(log, topic, records).await.context("appending simulated readings")?,
            Self::Stdout(out) => {
                for payload in records.iter().filter_map(|record| record.payload.as_ref()) {
                    out.write_all(payload).and_then(|()| out.write_all(b"\n")).map_err(exit::writing)?;
                }
                out.flush().map_err(exit::writing)?;
            }
        }
        Ok(())
    }
}

/// Devices wait for a log that is away, however long it takes.
async fn append(log: &SharedLog, topic: &str, records: &[NewRecord]) -> Result<(), LogError> {
    let mut delays = Backoff::patient().delays();
    loop {
        match log.append(topic, records).await {
            Ok(_) => return Ok(()),
            Err(error) if error.retry_hint() == RetryHint::WithBackoff => {
                let pause = delays.next().unwrap_or_default();
                tracing::warn!(%error, retry_ms = pause.as_millis(), "simulated readings wait for the log");
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sends readings until the plan is done or `stop` is cancelled.
///
/// # Errors
/// The sink fails.
pub async fn produce(
    mut simulator: Box<dyn Simulator>,
    plan: &Plan,
    sink: &mut Sink,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let tick_secs = plan.rate.map(|rate| (1.0 / rate).max(SHORTEST_TICK_SECS));
    let mut ticker = tick_secs.map(|secs| tokio::time::interval(Duration::from_secs_f64(secs)));
    let devices = simulator.devices();
    let total = plan.count.unwrap_or(u64::MAX);
    let (mut sent, mut ticks) = (0_u64, 0_u64);
    while sent < total && !stop.is_cancelled() {
        if let Some(ticker) = ticker.as_mut() {
            tokio::select! { _ = ticker.tick() => {}, () = stop.cancelled() => break }
        }
        ticks += 1;
        // What is due by this tick, so that a rate that is no multiple of fifty is met as well.
        let due = match (plan.rate, tick_secs) {
            (Some(rate), Some(tick_secs)) => (rate * tick_secs * ticks as f64).round() as u64,
            _ => sent.saturating_add(FULL_SPEED_BATCH),
        };
        let until = due.min(total);
        let mut records = Vec::with_capacity(usize::try_from(until.saturating_sub(sent))?);
        while sent < until {
            let at = plan.instant(devices, sent).unwrap_or_else(Utc::now);
            let Some(record) = simulator.next_record(at)? else { return Ok(()) };
            records.push(record);
            sent += 1;
        }
        if !records.is_empty() {
            tokio::select! { sent = sink.send(&records) => sent?, () = stop.cancelled() => break }
        }
    }
    Ok(())
}
