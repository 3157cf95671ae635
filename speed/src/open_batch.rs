//! A micro-batch while it is gathered: every message that was folded, turned into effects and rows.

use std::sync::Arc;

use bytes::Bytes;
use kilowatch_shared::{
    anomaly::{self, Anomaly, EndedEpisode},
    checkpoint::{MessageHash, OffsetSpan, Pins},
    dead_letter::DeadLetter,
    detect::fold::Folded,
    log::LogRecord,
    outbox::OutboxEntry,
    position::Offset,
    reading::{FoldedReading, LakeReading, MessageCounts, columns::ReadingRun},
    views::Effects,
};

use crate::{
    log_times::LogTimes, outbox::message, rollup_buffer::RollupBuffer, segmented_fold::Absorb, unclosed::Rows,
};

/// Messages of one segment, folded but not applied.
#[derive(Debug)]
pub struct OpenBatch {
    span: OffsetSpan,
    pins: Arc<Pins>,
    rollups: RollupBuffer,
    anomalies: Vec<Anomaly>,
    ended: Vec<EndedEpisode>,
    dead_letters: Vec<DeadLetter>,
    outbox: Vec<OutboxEntry>,
    counts: MessageCounts,
    rows: Rows,
    messages: usize,
    bytes: usize,
    last: Option<(Offset, Option<Bytes>, Option<Bytes>)>,
    log_times: LogTimes,
}

/// What a gathered micro-batch turned out to be.
#[derive(Debug)]
pub struct SealedBatch {
    /// Its offsets.
    pub span: OffsetSpan,
    /// What it changes in the views, the cut aside.
    pub effects: Effects,
    /// What it brings to the lake.
    pub rows: Rows,
    /// How many messages it held.
    pub messages: usize,
    /// When the log took them, as a sample.
    pub(crate) log_times: LogTimes,
}

impl OpenBatch {
    /// An empty one, from `from` on, judged with `pins`.
    #[must_use]
    pub fn new(from: Offset, pins: Arc<Pins>) -> Self {
        Self {
            span: OffsetSpan { from, to: from },
            rollups: RollupBuffer::new(&pins.profile),
            pins,
            anomalies: Vec::new(),
            ended: Vec::new(),
            dead_letters: Vec::new(),
            outbox: Vec::new(),
            counts: MessageCounts::default(),
            rows: Rows::default(),
            messages: 0,
            bytes: 0,
            last: None,
            log_times: LogTimes::default(),
        }
    }

    /// Notes that all below `to` is in it, offsets that the log never delivered included.
    pub const fn reach(&mut self, to: Offset) {
        self.span.to = to;
    }

    /// Its offsets so far.
    #[must_use]
    pub const fn span(&self) -> OffsetSpan {
        self.span
    }

    /// Messages in it.
    #[must_use]
    pub const fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes of their keys and payloads.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ends it.
    #[must_use]
    pub fn seal(self) -> SealedBatch {
        let names = self.rows.readings.runs().first().map_or(&[][..], ReadingRun::devices);
        let (rollups, devices) = self.rollups.finish(&self.pins.profile, names);
        // A hash of an earlier message would be compared with whatever stands at A-1.
        let last_message = self
            .last
            .filter(|(offset, ..)| offset.plus(1) == self.span.to)
            .map(|(_, key, payload)| MessageHash::of(key.as_deref(), payload.as_deref()));
        let effects = Effects {
            anomalies: self.anomalies,
            ended: self.ended,
            rollups,
            dead_letters: self.dead_letters,
            outbox: self.outbox,
            devices,
            counts: self.counts,
            last_message,
            cut: None,
        };
        SealedBatch { span: self.span, effects, rows: self.rows, messages: self.messages, log_times: self.log_times }
    }

    /// Takes a reading of the lake, whose message the log has no more. Nothing is told of it: whoever wrote it did so.
    pub(crate) fn take_again(&mut self, reading: LakeReading, findings: anomaly::Findings) {
        let LakeReading { reading, position, ingested_at, is_duplicate } = reading;
        self.messages += 1;
        self.count(&FoldedReading { reading, offset: position.offset, ingested_at, is_duplicate });
        self.anomalies.extend(findings.anomalies);
        self.ended.extend(findings.ended);
    }

    fn count(&mut self, reading: &FoldedReading) {
        let counts = !reading.is_duplicate;
        if counts {
            self.counts.readings += 1;
        } else {
            self.counts.duplicates += 1;
        }
        let device = self.rows.push_reading(reading);
        self.rollups.add(device, &reading.reading, counts);
    }

    fn tell(&mut self, anomaly: &Anomaly, record: &LogRecord) {
        match message::of_anomaly(&self.pins.profile, anomaly, record) {
            Ok(entry) => self.outbox.push(entry),
            Err(error) => tracing::error!(anomaly.id = %anomaly.id, %error, "an anomaly has no form in JSON"),
        }
    }
}

impl Absorb for OpenBatch {
    fn take(&mut self, record: LogRecord, folded: Folded) {
        self.messages += 1;
        self.log_times.note(record.timestamp);
        self.bytes += record.key.as_ref().map_or(0, Bytes::len) + record.payload.as_ref().map_or(0, Bytes::len);
        match folded {
            Folded::Reading { reading, anomalies, ended } => {
                self.count(&reading);
                for anomaly in anomalies {
                    self.tell(&anomaly, &record);
                    self.anomalies.push(anomaly);
                }
                self.ended.extend(ended);
            }
            Folded::DeadLetter(letter) => {
                self.counts.dead_letters += 1;
                self.outbox.push(message::of_dead_letter(&self.pins.profile, &letter, &record));
                self.rows.push_dead_letter(letter.clone());
                self.dead_letters.push(letter);
            }
        }
        self.last = Some((record.offset, record.key, record.payload));
    }
}
