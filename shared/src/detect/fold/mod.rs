//! The fold of one partition: record in, reading and anomalies out, state in between.
//!
//! A record is decoded, checked against the `seen` times of its device, and, unless it is a duplicate, judged by each
//! detector of the pins. `devices` keeps what is remembered, `saved` writes and reads it, `models` are what the
//! caller loaded. The fold does no I/O and asks no clock.

mod devices;
mod error;
mod models;
mod saved;
mod seen;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smallvec::SmallVec;

pub use error::FoldError;
pub use models::ModelSet;
pub use saved::without_device;

use self::devices::Devices;
use super::{
    Assessment, KERNELS_VERSION,
    clock_lead::vouched_micros,
    detector::{Detector, DetectorIdentity, DetectorState, Said},
    episode::{self, Step},
};
use crate::{
    anomaly::{Anomaly, AnomalyOrigin, EndedEpisode, Findings},
    checkpoint::Pins,
    dead_letter::DeadLetter,
    log::LogRecord,
    position::{Offset, PartitionId},
    reading::{FoldedReading, LakeReading, Reading},
    stream::{
        DECODER_VERSION, DecodeError, Decoder, StreamProfile,
        decode::{INJECTED_HEADER, time::nearest_in_range},
    },
};

/// Longest name of an injected anomaly in bytes; the header is no place for anything else.
const MAX_INJECTED_BYTES: usize = 64;

/// The fold over one partition, in the segment that was opened last.
#[derive(Debug, Clone)]
pub struct PartitionFold {
    partition: PartitionId,
    pins: Pins,
    decoder: Decoder,
    detectors: Vec<Detector>,
    devices: Devices,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Folded {
    /// A reading, with the alarms that it raised. A duplicate raises none.
    Reading {
        /// The reading.
        reading: FoldedReading,
        /// At most one a detector, in the order of the pins: each opens an episode.
        anomalies: Vec<Anomaly>,
        /// Episodes that it ended, at most one a detector.
        ended: Vec<EndedEpisode>,
    },
    /// No reading.
    DeadLetter(DeadLetter),
}

impl PartitionFold {
    /// A fold that has seen nothing, in a first segment with these pins.
    ///
    /// # Errors
    /// [`FoldError`] if this build or these models cannot run the pins.
    pub fn try_new(partition: PartitionId, pins: &Pins, models: &ModelSet) -> Result<Self, FoldError> {
        require_supported(pins)?;
        let detectors = Detector::all(pins, models, &[])?;
        let decoder = Decoder::new(&pins.profile);
        Ok(Self { partition, pins: pins.clone(), decoder, detectors, devices: Devices::default() })
    }

    /// Opens the next segment, at a cut. A detector whose kernel, configuration and features are as before keeps what it
    /// remembers, also under a new model; the others start afresh. An open episode goes on under the same name. Opening with the pins of the running segment changes nothing.
    ///
    /// # Errors
    /// [`FoldError`] if this build or these models cannot run the pins; the fold is then as it was.
    pub fn open_segment(&mut self, pins: &Pins, models: &ModelSet) -> Result<(), FoldError> {
        if *pins == self.pins {
            return Ok(());
        }
        require_supported(pins)?;
        let running =
            if only_detectors_differ(&pins.profile, &self.pins.profile) { self.detectors.as_slice() } else { &[] };
        let detectors = Detector::all(pins, models, running)?;
        let before = self.named_identities();
        self.decoder = Decoder::new(&pins.profile);
        self.pins = pins.clone();
        self.detectors = detectors;
        self.carry_over(&before);
        Ok(())
    }

    /// Folds a record of the log.
    pub fn fold(&mut self, record: &LogRecord) -> Folded {
        // A Kafka producer stamps its messages itself, and one that takes microseconds for milliseconds is in the year
        // 50000, for which the views have no text and the lake no bucket.
        let ingested_at = nearest_in_range(record.timestamp);
        let decoded = match &record.payload {
            Some(payload) => self.decoder.decode(payload),
            None => Err(DecodeError::Tombstone),
        };
        match decoded {
            Ok(mut reading) => {
                reading.injected = injected(record);
                let (is_duplicate, Findings { anomalies, ended }) = self.judge(record.offset, ingested_at, &reading);
                let reading = FoldedReading { reading, offset: record.offset, ingested_at, is_duplicate };
                Folded::Reading { reading, anomalies, ended }
            }
            // Copies, for a record shares the memory of a whole run of messages, which a dead letter would keep alive.
            Err(error) => Folded::DeadLetter(DeadLetter {
                position: self.partition.at(record.offset),
                key: record.key.as_deref().map(Bytes::copy_from_slice),
                raw: record.payload.as_deref().map(Bytes::copy_from_slice).unwrap_or_default(),
                reason: error.to_string(),
                seen_at: ingested_at,
            }),
        }
    }

    /// Folds a reading that the lake kept, as [`PartitionFold::fold`] folded its message: a dead letter leaves no trace
    /// in the state, so the readings of a span in offset order rebuild it.
    pub fn replay(&mut self, reading: &LakeReading) -> Findings {
        self.judge(reading.position.offset, reading.ingested_at, &reading.reading).1
    }

    /// The pins of the running segment.
    #[must_use]
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    fn judge(&mut self, offset: Offset, ingested_at: DateTime<Utc>, reading: &Reading) -> (bool, Findings) {
        let device = self.devices.touch(&reading.device, offset, self.detectors.len());
        if device.seen.is_repeated(reading.event_time) {
            return (true, Findings::default());
        }
        let judging = self.detectors.iter().zip(&mut device.detectors);
        // Four fit without an allocation, which nearly every reading does not need.
        let said: SmallVec<[Said<'_>; 4]> = judging.map(|(detector, state)| detector.judge(state, reading)).collect();
        let mut findings = Findings::default();
        for (at, words) in said.iter().enumerate() {
            let (detector, state) = (&self.detectors[at], &mut device.detectors[at]);
            let Assessment::Judged { alarm, evidence } = words else { continue };
            if alarm.is_none() && state.episode.is_none() {
                continue;
            }
            let at_micros = vouched_micros(reading.event_time, ingested_at);
            let step = Step { offset, at_micros, alarm: alarm.map(|_| evidence.score().value) };
            let change = episode::step(&mut state.episode, detector.cool_down_secs, step);
            let stream = &self.partition.stream;
            if let Some((opened_at, end)) = change.ended {
                let anomaly_id = Anomaly::id_of(stream, &self.partition.at(opened_at), &detector.name);
                findings.ended.push(EndedEpisode { anomaly_id, end });
            }
            if let Some(severity) = alarm.filter(|_| change.opens) {
                let others = self.detectors.iter().zip(&said).enumerate().filter(|(other, _)| *other != at);
                let others = others.map(|(_, (other, words))| other.opinion(words)).collect();
                let verdict = detector.verdict(severity, evidence, others);
                let (position, device) = (self.partition.at(offset), reading.device.clone());
                let origin = AnomalyOrigin::Speed;
                findings.anomalies.push(Anomaly::new(stream, position, device, reading.event_time, verdict, origin));
            }
        }
        (false, findings)
    }

    /// Puts what the detectors of `before` remember in the places of those that are the same, and the episodes that they
    /// are in in the places of those of the same name: an alarm that was raised is over when its detector says so, with
    /// whatever configuration. The episode of a detector that is no more stays open for good.
    fn carry_over(&mut self, before: &[(DetectorIdentity, String)]) {
        let place = |same: &dyn Fn(&(DetectorIdentity, String), &Detector) -> bool| -> Vec<Option<usize>> {
            self.detectors.iter().map(|new| before.iter().position(|old| same(old, new))).collect()
        };
        let memories = place(&|(identity, _), new| *identity == new.identity);
        let episodes = place(&|(_, name), new| *name == new.name);
        if memories.len() == before.len() && memories.iter().enumerate().all(|(at, from)| *from == Some(at)) {
            return;
        }
        for device in self.devices.states_mut() {
            let mut old = std::mem::take(&mut device.detectors);
            let mut open: Vec<_> = old.iter_mut().map(|state| state.episode.take()).collect();
            let carried = memories.iter().zip(&episodes).map(|(memory, episode)| {
                let state = memory.and_then(|at| old.get_mut(at)).map(std::mem::take).unwrap_or_default();
                DetectorState { episode: episode.and_then(|at| open.get_mut(at)).and_then(Option::take), ..state }
            });
            device.detectors = carried.collect();
        }
    }

    /// The running detectors, for [`Self::carry_over`].
    fn named_identities(&self) -> Vec<(DetectorIdentity, String)> {
        self.detectors.iter().map(|detector| (detector.identity, detector.name.clone())).collect()
    }
}

/// Whether a detector that both profiles configure alike is the same one: a feature asks for measures, tags and the
/// calendar, too.
fn only_detectors_differ(one: &StreamProfile, other: &StreamProfile) -> bool {
    one.measures == other.measures && one.tags == other.tags && one.calendar() == other.calendar()
}

fn require_supported(pins: &Pins) -> Result<(), FoldError> {
    let versions =
        [("decoder", pins.decoder_version, DECODER_VERSION), ("kernels", pins.kernels_version, KERNELS_VERSION)];
    match versions.into_iter().find(|(_, pinned, supported)| pinned != supported) {
        Some((what, pinned, supported)) => Err(FoldError::UnsupportedPins { what, pinned, supported }),
        None => Ok(()),
    }
}

fn injected(record: &LogRecord) -> Option<Box<str>> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == INJECTED_HEADER)?;
    let kind = std::str::from_utf8(value).ok()?;
    let is_name = !kind.is_empty() && kind.len() <= MAX_INJECTED_BYTES && !kind.chars().any(char::is_control);
    is_name.then(|| kind.into())
}

#[cfg(test)]
mod tests;
