//! How much of what the simulators inject do the detectors of the built-in profiles find, and how often are they right?
//!
//! `cargo bench -p kilowatch-speed --bench how_much_of_what_is_injected_do_the_detectors_find`
//!
//! Trains on the training set of each profile, judges other seeds at half, full and double size, and prints the table of
//! docs/DETECTORS.md. Whoever tunes a profile names it with `-- --profile FILE` and looks at `--tuning` seeds, so that
//! the others stay unseen.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its answer and may fail loudly")]

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::stream::{StreamProfile, StreamRegistry};
use kilowatch_speed::simulate::{
    Injection,
    quality::Quality,
    trial::{Stretch, TOGETHER, judge, train},
};

/// Training seed and live seeds that detectors are tuned with, and those that the table is made with.
const TUNING_SEEDS: (u64, [u64; 3]) = (1, [2, 3, 4]);
const TEST_SEEDS: (u64, [u64; 3]) = (21, [22, 23, 24]);

const SIZES: [(&str, f64); 3] = [("half", 0.5), ("full", 1.0), ("double", 2.0)];

/// Seconds between two readings, and readings of a device.
type Pace = (i64, u64);

/// How a stream is trained and judged.
struct Trial {
    stream: &'static str,
    /// What is special.
    about: &'static str,
    /// Share of anomalies in the training set, if it is another than the profile's.
    training_share: Option<f64>,
    training: Pace,
    live: Pace,
}

impl Trial {
    const fn of(stream: &'static str, training: Pace, live: Pace) -> Self {
        Self { stream, about: "", training_share: None, training, live }
    }

    /// A day and a half of the campus after its training set of 200,000 rows.
    const fn of_campus(about: &'static str, training_share: Option<f64>) -> Self {
        Self { about, training_share, ..Self::of("campus", (30, 13_333), (30, 4_320)) }
    }
}

const TRIALS: [Trial; 8] = [
    // A year and three weeks of minutes.
    Trial::of("household", (60, 365 * 1440), (60, 21 * 1440)),
    // A year and two months of quarter hours.
    Trial::of("power-plant", (900, 365 * 96), (900, 61 * 96)),
    Trial::of_campus(", every 30 s", None),
    Trial { live: (1, 10_800), ..Trial::of_campus(", every second", None) },
    Trial::of_campus(", trained on 2 % anomalies", Some(0.02)),
    Trial::of_campus(", trained on none", Some(0.0)),
    Trial::of("sensor", (10, 1), (10, 20_000)),
    Trial::of("grid", (10, 1), (10, 2_000)),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (training_seed, live_seeds) =
        if arguments.iter().any(|argument| argument == "--tuning") { TUNING_SEEDS } else { TEST_SEEDS };
    let mine = arguments.iter().position(|argument| argument == "--profile").map(|at| {
        let text = std::fs::read_to_string(&arguments[at + 1]).unwrap();
        StreamProfile::parse(&text, &arguments[at + 1]).unwrap()
    });
    println!("| stream | detector | size | recall | precision | injected | alarms | recall by kind |");
    println!("|---|---|---|--:|--:|--:|--:|---|");
    for Trial { stream, about, training_share, training, live } in TRIALS {
        let mut profile = match &mine {
            Some(mine) if mine.name.as_str() != stream => continue,
            Some(mine) => mine.clone(),
            None => StreamRegistry::built_in().unwrap().find(&stream.parse().unwrap()).unwrap().clone(),
        };
        if let (Some(share), Some(injection)) = (training_share, &mut profile.injection) {
            injection.training_share = share;
        }
        let live_from: DateTime<Utc> = "2026-03-02T00:00:00Z".parse().unwrap();
        let stretch = |seed, from, (interval_secs, rounds)| Stretch {
            seed,
            from,
            interval: TimeDelta::seconds(interval_secs),
            rounds,
        };
        let history = TimeDelta::seconds(training.0 * training.1.cast_signed());
        let trained = train(&profile, stretch(training_seed, live_from - history, training)).unwrap();
        for (size, factor) in SIZES {
            let injection = Injection { factor, ..Injection::live(&profile) };
            let stretches = live_seeds.map(|seed| stretch(seed, live_from, live));
            let mut qualities = judge(&profile, &trained, &stretches, injection).unwrap();
            // Of one detector, all together say nothing more.
            qualities.retain(|detector, _| profile.detectors.len() > 1 || detector != TOGETHER);
            for (detector, quality) in &qualities {
                print_row(&format!("{stream}{about}"), detector, size, quality);
            }
        }
    }
}

fn print_row(stream: &str, detector: &str, size: &str, quality: &Quality) {
    let Quality { recall, precision, injected, alarms, recall_by_kind } = quality;
    let kinds: Vec<String> = recall_by_kind.iter().map(|(kind, recall)| format!("{kind} {recall:.2}")).collect();
    let kinds = kinds.join(", ");
    println!("| {stream} | {detector} | {size} | {recall:.2} | {precision:.2} | {injected} | {alarms} | {kinds} |");
}
