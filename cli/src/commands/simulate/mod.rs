//! `kilowatch simulate`: a stream's producer, to the log, to a file or to standard output.
//!
//! [`Plan`] says which readings are stamped with which instants and how fast they go out, [`produce()`] sends them to a
//! [`Sink`], `file` writes history as a file.

mod file;
mod plan;
mod produce;

use std::{io::BufWriter, path::PathBuf, process::ExitCode};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use kilowatch_shared::{
    clock::{Clock, SystemClock},
    position::{DeviceId, StreamName},
    stream::StreamProfile,
};
use kilowatch_speed::simulate::{Injection, SimulatedStream, SimulationOptions, catalog::MAX_DEVICES};

use crate::{arguments, context::Context, exit::WrongUse, shutdown, stores};

pub use file::{write_training_set, write_uci_history};
pub use plan::Plan;
pub use produce::{Sink, produce};

/// The only stream whose devices have names of the user's own choice.
const HOUSEHOLD: &str = "household";

/// Where the readings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The stream's topic, which is made if it is missing.
    Log,
    /// A file of history: of a household in the UCI format, else with a column for each field and the ground truth in
    /// `injected`.
    Csv,
    /// Standard output, one JSON object a line.
    Stdout,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The stream: household, power-plant, campus, sensor or grid.
    #[arg(long, default_value = HOUSEHOLD)]
    stream: StreamName,
    /// Where the readings go.
    #[arg(long, value_enum, default_value = "stdout")]
    to: Target,
    /// File for `--to csv`.
    #[arg(long, value_name = "FILE", required_if_eq("to", "csv"))]
    file: Option<PathBuf>,
    /// The meter of a household [default: meter-0001].
    #[arg(long)]
    device: Option<DeviceId>,
    /// How many devices take turns [default: the stream's own number].
    #[arg(long, conflicts_with = "device", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DEVICES)))]
    devices: Option<u32>,
    /// Same seed, same readings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First event time of back-dated readings, RFC 3339 [default: so that they end now].
    #[arg(long, value_name = "TIME", value_parser = arguments::instant)]
    from: Option<DateTime<Utc>>,
    /// Seconds between two readings of a device: of event time if back-dated, else of the clock [default: the stream's own].
    #[arg(long, value_name = "SECONDS", visible_alias = "interval-secs", value_parser = arguments::interval_secs)]
    interval: Option<f64>,
    /// How many readings of all devices together; live without an end if neither this nor --from is given.
    #[arg(long, visible_alias = "rows")]
    count: Option<u64>,
    /// Readings a second of all devices together; back-dated the default is full speed.
    #[arg(long, value_parser = arguments::rate)]
    rate: Option<f64>,
    /// Share of readings that carry an injected anomaly, 0 to 0.5 [default: the profile's].
    #[arg(long, value_parser = arguments::anomaly_share)]
    anomaly_share: Option<f64>,
    /// Factor on the profile's sizes of what is injected: 0.5 is half, 2 is double.
    #[arg(long, default_value_t = 1.0, value_parser = arguments::anomaly_size)]
    anomaly_size: f64,
}

/// Runs the producer.
pub async fn run(args: SimulateArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let profile = context.profile(&args.stream)?;
    let simulated = find_simulated(&profile)?;
    args.check()?;
    let now = SystemClock.now();
    if let (Target::Csv, Some(file)) = (args.to, &args.file) {
        write_file(&args, &profile, simulated, file, now)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stop = shutdown::on_signal()?;
    let mut sink = match args.to {
        Target::Log => {
            let log = stores::open_log(context, None).await?;
            log.create_topic(&profile.topic, profile.partitions).await?;
            Sink::Log { log, topic: profile.topic.clone() }
        }
        Target::Csv | Target::Stdout => Sink::Stdout(BufWriter::new(std::io::stdout())),
    };
    let simulator = simulated.open(&args.options(&profile, Injection::live(&profile)));
    let plan = args.plan(&profile, simulated, simulator.devices(), now)?;
    produce(simulator, &plan, &mut sink, &stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// How a stream is simulated.
///
/// # Errors
/// [`WrongUse`] for a stream of the user's own, with the way out, and for a profile that asks for what its simulator
/// cannot do.
pub fn find_simulated(profile: &StreamProfile) -> anyhow::Result<&'static SimulatedStream> {
    let stream = &profile.name;
    let found = SimulatedStream::find(stream.as_str()).ok_or_else(|| {
        let known: Vec<&str> = SimulatedStream::all().map(|simulated| simulated.stream).collect();
        WrongUse(format!(
            "there are no simulated devices for stream `{stream}` (but for {}): send it readings with \
             POST /api/readings?stream={stream}, and start `up` with --no-simulator",
            known.join(", ")
        ))
    });
    let simulated = found?;
    let problems = simulated.problems(profile);
    if problems.is_empty() { Ok(simulated) } else { Err(WrongUse(problems.join("\n")).into()) }
}

/// Refuses a name for the devices of a stream that names its own.
///
/// # Errors
/// [`WrongUse`]: `--device` beside another stream than `household`.
pub fn check_device(stream: &StreamName, device: Option<&DeviceId>) -> anyhow::Result<()> {
    if device.is_none() || stream.as_str() == HOUSEHOLD {
        return Ok(());
    }
    let problem = format!("--device: the simulated devices of `{stream}` have names of their own; leave it out");
    Err(WrongUse(problem).into())
}

impl SimulateArgs {
    fn check(&self) -> anyhow::Result<()> {
        check_device(&self.stream, self.device.as_ref())?;
        if self.rate.is_some() && self.interval.is_some() && !self.is_back_dated() {
            let problem = "--rate and --interval both say how fast live readings go out; give one of them";
            return Err(WrongUse(problem.to_owned()).into());
        }
        Ok(())
    }

    const fn is_back_dated(&self) -> bool {
        self.from.is_some() || self.count.is_some()
    }

    fn options(&self, profile: &StreamProfile, usual: Injection) -> SimulationOptions {
        let share = self.anomaly_share.unwrap_or(usual.share);
        SimulationOptions {
            devices: self.devices,
            device: self.device.clone(),
            ..SimulationOptions::new(profile, self.seed, Injection { share, factor: self.anomaly_size })
        }
    }

    fn plan(
        &self,
        profile: &StreamProfile,
        simulated: &SimulatedStream,
        devices: usize,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Plan> {
        if self.is_back_dated() {
            let interval = plan::seconds(self.interval.unwrap_or_else(|| f64::from(profile.interval_secs)))?;
            return Ok(Plan::back_dated(self.from, interval, self.count, devices, now).at_rate(self.rate));
        }
        let interval_secs = self.interval.unwrap_or(simulated.live_interval_secs);
        Ok(Plan::live(self.rate.unwrap_or(devices as f64 / interval_secs)))
    }
}

fn write_file(
    args: &SimulateArgs,
    profile: &StreamProfile,
    simulated: &SimulatedStream,
    file: &std::path::Path,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if profile.name.as_str() == HOUSEHOLD {
        let minutes = args.count.unwrap_or(365 * 24 * 60);
        let minute = chrono::TimeDelta::minutes(1);
        let from = Plan::back_dated(args.from, minute, Some(minutes), 1, now).from.unwrap_or_default();
        let device = args.device.clone().map_or_else(|| DeviceId::parse("meter-0001"), Ok)?;
        return write_uci_history(file, profile, device, from, minutes, args.seed);
    }
    let (rows, interval, usual) = match &simulated.training {
        Some(training) => (training.rows, training.interval, Injection::training(profile)),
        None => (100_000, plan::seconds(f64::from(profile.interval_secs))?, Injection::live(profile)),
    };
    let interval = args.interval.map_or(Ok(interval), plan::seconds)?;
    let simulator = simulated.open(&args.options(profile, usual));
    let plan = Plan::back_dated(args.from, interval, Some(args.count.unwrap_or(rows)), simulator.devices(), now);
    write_training_set(file, profile, simulator, &plan)
}
