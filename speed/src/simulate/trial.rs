//! A trial of a profile: its detectors learn from one simulated stretch and judge others, and [`super::quality`] says what
//! they are worth.
//!
//! Recall is counted without cool-downs: one that still runs from an earlier alarm finds nothing. Precision is that of the
//! alarms that the profile raises as it is.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, EndedEpisode},
    checkpoint::Pins,
    detect::{
        FoldError, Folded, KernelConfig, ModelSet, PartitionFold,
        features::{FeatureSet, FeatureState, FeatureValues},
        isolation_forest, kmeans,
    },
    log::{LogRecord, NewRecord},
    model::ModelId,
    position::{Offset, PartitionId, SourceId},
    stream::{Decoder, StreamProfile, decode::INJECTED_HEADER},
};

use super::{
    Injection, SimulatedStream, SimulationOptions,
    csv::instant_of,
    quality::{Quality, Scoring},
};

/// All detectors of the profile, as one.
pub const TOGETHER: &str = "together";

/// Most rows that a model is learned from; more are thinned evenly, as batch does.
const MAX_TRAINING_ROWS: usize = 100_000;

/// A stretch of a stream's simulated life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Same seed, same readings.
    pub seed: u64,
    /// The instant of the first reading.
    pub from: DateTime<Utc>,
    /// Event time between two readings of a device.
    pub interval: TimeDelta,
    /// Readings of each device.
    pub rounds: u64,
}

/// A profile with the models that its learned detectors got.
#[derive(Debug, Clone)]
pub struct Trained {
    /// What judges.
    pub pins: Pins,
    /// The models that the pins name.
    pub models: ModelSet,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Nobody simulates the stream.
    #[error("there are no simulated devices for stream `{0}`")]
    NotSimulated(String),
    /// A detector learned nothing.
    #[error("detector `{detector}` cannot be trained: {reason}")]
    Untrainable {
        /// Its name.
        detector: String,
        /// Why.
        reason: String,
    },
    /// A simulated message is no reading of the profile.
    #[error("a simulated message is no reading: {0}")]
    NoReading(String),
    /// The fold cannot run the profile.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Trains the profile's learned detectors on a stretch with the profile's own share of anomalies for training.
///
/// # Errors
/// [`TrialError`].
pub fn train(profile: &StreamProfile, stretch: Stretch) -> Result<Trained, TrialError> {
    let (mut ids, mut models) = (BTreeMap::new(), ModelSet::default());
    for detector in &profile.detectors {
        let features = match &detector.kernel {
            KernelConfig::IsolationForest(config) => &config.features,
            KernelConfig::KMeans(config) => &config.features,
            KernelConfig::ThreeSigma(_) | KernelConfig::Threshold(_) | KernelConfig::MovingAverage(_) => continue,
        };
        let untrainable = |reason: String| TrialError::Untrainable { detector: detector.name.clone(), reason };
        let rows = features_of(profile, features, stretch)?;
        let bytes = match &detector.kernel {
            KernelConfig::IsolationForest(config) => {
                let values: Vec<f64> = rows.iter().flat_map(|row| &row[..features.len()]).copied().collect();
                let rows = isolation_forest::TrainingRows { features, values: &values };
                let params = isolation_forest::ForestParams::of(config);
                let model = isolation_forest::train(rows, params, config.alarm_quantile, stretch.seed)
                    .map_err(|error| untrainable(error.to_string()))?;
                model.to_bytes().map_err(|error| untrainable(error.to_string()))?
            }
            KernelConfig::KMeans(config) => {
                let model = kmeans::train(features, &rows, kmeans::KMeansParams::of(config), stretch.seed)
                    .map_err(|error| untrainable(error.to_string()))?;
                model.to_bytes().map_err(|error| untrainable(error.to_string()))?
            }
            KernelConfig::ThreeSigma(_) | KernelConfig::Threshold(_) | KernelConfig::MovingAverage(_) => continue,
        };
        let id = ModelId::of(&bytes);
        ids.insert(detector.name.clone(), id.clone());
        models.insert(id, Bytes::from(bytes));
    }
    Ok(Trained { pins: Pins::of_this_build(profile, ids), models })
}

/// Judges some stretches. Returns what each detector of the profile is worth, by name, and all of them [`TOGETHER`].
///
/// # Errors
/// [`TrialError`].
pub fn judge(
    profile: &StreamProfile,
    trained: &Trained,
    stretches: &[Stretch],
    injection: Injection,
) -> Result<BTreeMap<String, Quality>, TrialError> {
    let mut without_cool_down = trained.pins.clone();
    without_cool_down.profile.detectors.iter_mut().for_each(|detector| detector.cool_down_secs = 0);
    let (mut raised, mut alarming) = (Scores::of(profile), Scores::of(profile));
    for stretch in stretches {
        for (pins, scores) in [(&trained.pins, &mut raised), (&without_cool_down, &mut alarming)] {
            let mut fold = PartitionFold::try_new(partition(profile)?, pins, &trained.models)?;
            for (offset, message) in messages(profile, *stretch, injection)?.enumerate() {
                let (at, message) = message?;
                let truth = truth(&message);
                let folded = fold.fold(&record(offset as u64, at, message));
                let Folded::Reading { reading, anomalies, ended } = folded else {
                    return Err(TrialError::NoReading(format!("message {offset}")));
                };
                // Devices of another seed live another life.
                let device = format!("{}/{}", stretch.seed, reading.reading.device);
                scores.take(&device, truth.as_deref(), &anomalies, &ended);
            }
        }
    }
    let found = alarming.qualities();
    let quality = |(detector, raised): (String, Quality)| {
        let Quality { recall, recall_by_kind, .. } = found.get(&detector)?.clone();
        Some((detector, Quality { recall, recall_by_kind, ..raised }))
    };
    Ok(raised.qualities().into_iter().filter_map(quality).collect())
}

/// The messages of a stretch, one after the other.
///
/// # Errors
/// [`TrialError::NotSimulated`].
pub fn messages(
    profile: &StreamProfile,
    stretch: Stretch,
    injection: Injection,
) -> Result<impl Iterator<Item = Result<(DateTime<Utc>, NewRecord), TrialError>>, TrialError> {
    let stream = profile.name.as_str();
    let simulated = SimulatedStream::find(stream).ok_or_else(|| TrialError::NotSimulated(stream.to_owned()))?;
    let mut simulator = simulated.open(&SimulationOptions::new(profile, stretch.seed, injection));
    let devices = simulator.devices();
    Ok((0..stretch.rounds * devices as u64).map_while(move |message| {
        let at = instant_of(stretch.from, stretch.interval, devices, message);
        match simulator.next_record(at) {
            Ok(record) => record.map(|record| Ok((at, record))),
            Err(error) => Some(Err(TrialError::NoReading(error.to_string()))),
        }
    }))
}

/// The features of a training stretch, thinned evenly.
fn features_of(
    profile: &StreamProfile,
    features: &[String],
    stretch: Stretch,
) -> Result<Vec<FeatureValues>, TrialError> {
    let set = FeatureSet::try_new(features.iter().map(String::as_str), profile).map_err(TrialError::NoReading)?;
    let decoder = Decoder::new(profile);
    let mut states: HashMap<String, FeatureState> = HashMap::new();
    let mut rows = Vec::new();
    for message in messages(profile, stretch, Injection::training(profile))? {
        let payload = message?.1.payload.unwrap_or_default();
        let reading = decoder.decode(&payload).map_err(|error| TrialError::NoReading(error.to_string()))?;
        rows.extend(set.take(states.entry(reading.device.to_string()).or_default(), &reading));
    }
    let step = rows.len().div_ceil(MAX_TRAINING_ROWS).max(1);
    Ok(rows.into_iter().step_by(step).collect())
}

fn partition(profile: &StreamProfile) -> Result<PartitionId, TrialError> {
    let source = SourceId::parse("log:quality").map_err(|error| TrialError::NoReading(error.to_string()))?;
    Ok(PartitionId { stream: profile.name.clone(), source, partition: 0 })
}

fn record(offset: u64, at: DateTime<Utc>, message: NewRecord) -> LogRecord {
    let NewRecord { key, payload, headers } = message;
    LogRecord { offset: Offset::new(offset), key, payload, headers, timestamp: at }
}

fn truth(message: &NewRecord) -> Option<String> {
    let (_, kind) = message.headers.iter().find(|(name, _)| name == INJECTED_HEADER)?;
    Some(String::from_utf8_lossy(kind).into_owned())
}

/// Episodes and alarms by detector.
struct Scores(BTreeMap<String, Scoring>);

impl Scores {
    fn of(profile: &StreamProfile) -> Self {
        let names = profile.detectors.iter().map(|detector| detector.name.clone());
        Self(names.chain([TOGETHER.to_owned()]).map(|name| (name, Scoring::default())).collect())
    }

    /// Takes a reading: what was injected into it, and which alarms it raised and ended.
    fn take(&mut self, device: &str, truth: Option<&str>, anomalies: &[Anomaly], ended: &[EndedEpisode]) {
        for (name, scoring) in &mut self.0 {
            scoring.reading(device, truth);
            for ended in ended {
                scoring.alarm_ends(&in_device(device, &ended.anomaly_id));
            }
            for anomaly in anomalies.iter().filter(|anomaly| name == TOGETHER || anomaly.verdict.detector == *name) {
                scoring.alarm_begins(device, &in_device(device, &anomaly.id));
            }
        }
    }

    fn qualities(&self) -> BTreeMap<String, Quality> {
        self.0.iter().map(|(name, scoring)| (name.clone(), scoring.quality())).collect()
    }
}

/// Positions, and with them the ids of anomalies, are the same in every stretch.
fn in_device(device: &str, anomaly_id: &str) -> String {
    format!("{device} {anomaly_id}")
}
