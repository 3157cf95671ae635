//! `kilowatch simulate`: a stream's producer, to the log, to a UCI file or to standard output.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clap::{Args, ValueEnum};
use kilowatch_shared::{
    log::{NewRecord, SharedLog},
    position::{DeviceId, StreamName},
    stream::{Decoder, StreamProfile},
};
use kilowatch_speed::simulate::{HouseholdOptions, HouseholdSimulator, household};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments,
    context::Context,
    exit::{self, WrongUse},
    shutdown, stores,
};

/// Where the readings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The stream's topic.
    Log,
    /// A file in the UCI format; history only.
    Csv,
    /// Standard output, one JSON object a line.
    Stdout,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// Where the readings go.
    #[arg(long, value_enum, default_value = "stdout")]
    to: Target,
    /// File for `--to csv`.
    #[arg(long, value_name = "FILE", required_if_eq("to", "csv"))]
    file: Option<PathBuf>,
    /// The meter.
    #[arg(long, default_value = "meter-0001")]
    device: DeviceId,
    /// Same seed, same readings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First event time of back-dated readings, RFC 3339 [default: now for live, else a year ago].
    #[arg(long, value_name = "TIME", value_parser = arguments::instant)]
    from: Option<DateTime<Utc>>,
    /// Seconds of event time between two back-dated readings [default: the profile's interval].
    #[arg(long, value_name = "SECONDS")]
    interval_secs: Option<u32>,
    /// How many readings; live without an end if neither this nor --from is given.
    #[arg(long)]
    count: Option<u64>,
    /// Readings a second; with --from or --count the default is full speed, live it is 1.
    #[arg(long, value_parser = arguments::rate)]
    rate: Option<f64>,
    /// Share of readings that carry an injected anomaly, 0 to 0.5.
    #[arg(long, default_value_t = 0.05, value_parser = arguments::anomaly_share)]
    anomaly_share: f64,
}

/// Runs the producer.
pub async fn run(args: SimulateArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let profile = context.profile(&args.stream)?;
    require_simulator(&profile)?;
    if args.to == Target::Csv {
        return write_history_file(&args, &profile);
    }
    let stop = shutdown::on_signal()?;
    let mut sink = match args.to {
        Target::Log => {
            let log = stores::open_log(context).await?;
            log.create_topic(&profile.topic, profile.partitions).await?;
            Sink::Log { log, topic: profile.topic.clone() }
        }
        Target::Csv | Target::Stdout => Sink::Stdout(BufWriter::new(std::io::stdout())),
    };
    let plan = Plan::of(&args, &profile);
    let simulator = HouseholdSimulator::new(
        args.device.clone(),
        args.seed,
        HouseholdOptions { anomaly_share: args.anomaly_share, ..HouseholdOptions::live() },
    );
    produce(simulator, &plan, &mut sink, &stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a stream that cannot read what the simulated meter sends: its own payload, the household's.
///
/// # Errors
/// [`WrongUse`] with the way out.
pub fn require_simulator(profile: &StreamProfile) -> anyhow::Result<()> {
    let device = DeviceId::parse("meter-0001")?;
    let sample = HouseholdSimulator::new(device, 1, HouseholdOptions::live()).next_reading(DateTime::UNIX_EPOCH);
    let understood = Decoder::new(profile)
        .decode(&household::to_json(&sample)?)
        .is_ok_and(|reading| reading.measures.iter().any(Option::is_some));
    if understood {
        return Ok(());
    }
    let stream = &profile.name;
    let problem = format!(
        "there is no simulated meter for stream `{stream}`: send it readings with POST /api/readings?stream={stream}, \
         and start `up` with --no-simulator"
    );
    Err(WrongUse(problem).into())
}

/// When readings are stamped and how fast they are sent.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Event time of the first reading; `None` stamps each with the moment it is sent.
    pub from: Option<DateTime<Utc>>,
    /// Event time between two readings.
    pub interval: TimeDelta,
    /// How many; `None` for no end.
    pub count: Option<u64>,
    /// Readings a second; `None` for full speed.
    pub rate: Option<f64>,
}

impl Plan {
    fn of(args: &SimulateArgs, profile: &StreamProfile) -> Self {
        let interval = TimeDelta::seconds(i64::from(args.interval_secs.unwrap_or(profile.interval_secs)));
        let back_dated = args.from.is_some() || args.count.is_some();
        Self {
            from: back_dated.then(|| args.from.unwrap_or_else(a_year_ago)),
            interval,
            count: args.count,
            rate: args.rate.or(if back_dated { None } else { Some(1.0) }),
        }
    }
}

/// Where back-dated readings begin unless told, at a whole minute as a meter's would.
fn a_year_ago() -> DateTime<Utc> {
    let then = Utc::now() - TimeDelta::days(365);
    then.duration_trunc(TimeDelta::minutes(1)).unwrap_or(then)
}

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
            Self::Log { log, topic } => {
                log.append(topic, records).await.context("appending simulated readings")?;
            }
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

/// Messages of one append at full speed: large enough for one transaction to pay, small enough to stop at once.
const FULL_SPEED_BATCH: u64 = 5_000;

/// Sends readings until the plan is done or `stop` is cancelled.
///
/// # Errors
/// The sink fails.
pub async fn produce(
    mut simulator: HouseholdSimulator,
    plan: &Plan,
    sink: &mut Sink,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // Up to twenty appends a second: a rate of thousands must not mean thousands of transactions.
    let tick = plan.rate.map(|rate| Duration::from_secs_f64((1.0 / rate).max(0.05)));
    let per_tick = plan.rate.map_or(FULL_SPEED_BATCH, |rate| ((rate * 0.05).round() as u64).max(1));
    let mut ticker = tick.map(tokio::time::interval);
    let mut next = plan.from;
    let mut left = plan.count.unwrap_or(u64::MAX);
    while left > 0 && !stop.is_cancelled() {
        if let Some(ticker) = ticker.as_mut() {
            tokio::select! { _ = ticker.tick() => {}, () = stop.cancelled() => break }
        }
        let batch = per_tick.min(left);
        let mut records = Vec::with_capacity(usize::try_from(batch)?);
        for _ in 0..batch {
            let at = next.unwrap_or_else(Utc::now);
            records.push(household::to_record(&simulator.next_reading(at))?);
            next = next.map(|time| time + plan.interval);
        }
        sink.send(&records).await?;
        left -= batch;
    }
    Ok(())
}

fn write_history_file(args: &SimulateArgs, profile: &StreamProfile) -> anyhow::Result<ExitCode> {
    let path = args.file.as_ref().context("--to csv needs --file FILE")?;
    let from = args.from.unwrap_or_else(a_year_ago);
    let minutes = args.count.unwrap_or(365 * 24 * 60);
    let until = from + TimeDelta::minutes(i64::try_from(minutes)?);
    let utc_offset_minutes = profile.forecast.as_ref().map_or(0, |forecast| forecast.utc_offset_minutes);
    let options = HouseholdOptions { utc_offset_minutes, ..HouseholdOptions::history() };
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut out = BufWriter::new(file);
    household::write_uci(&mut out, args.device.clone(), from, until, args.seed, options)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
