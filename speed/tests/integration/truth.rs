//! What has to come out, computed from the messages and the recorded cuts alone, with none of speed's own code.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    anomaly::{Anomaly, Findings},
    checkpoint::Cut,
    dead_letter::DeadLetter,
    detect::fold::{Folded, ModelSet, PartitionFold},
    log::LogRecord,
    position::PartitionId,
    reading::LakeReading,
    rollup::{Partial, window_start},
};

use crate::stream::WINDOW_SECS;

pub type Usage = BTreeMap<(String, DateTime<Utc>), Partial>;

/// What a run of messages is.
#[derive(Debug, Default)]
pub struct Truth {
    pub readings: Vec<LakeReading>,
    pub dead_letters: Vec<DeadLetter>,
    pub anomalies: Vec<Anomaly>,
}

impl Truth {
    /// Folds `records` in one go; each is judged with the pins of the cut at or below it.
    pub fn of(partition: &PartitionId, cuts: &[Cut], records: &[LogRecord]) -> Self {
        let mut truth = Self::default();
        let mut findings = Findings::default();
        let Some(first) = cuts.first() else { return truth };
        let models = ModelSet::default();
        let mut fold = PartitionFold::try_new(partition.clone(), &first.pins, &models).unwrap();
        let mut later = cuts[1..].iter().peekable();
        for record in records {
            while let Some(cut) = later.next_if(|cut| cut.offset <= record.offset) {
                fold.open_segment(&cut.pins, &models).unwrap();
            }
            match fold.fold(record) {
                Folded::Reading { reading, anomalies, ended } => {
                    truth.readings.push(reading.in_partition(partition));
                    findings.extend(Findings { anomalies, ended });
                }
                Folded::DeadLetter(letter) => truth.dead_letters.push(letter),
            }
        }
        truth.anomalies = findings.settle();
        truth
    }

    /// What a merged read has to serve.
    pub fn usage(&self) -> Usage {
        usage_of(&self.readings)
    }
}

/// Windows of the readings that count.
pub fn usage_of(readings: &[LakeReading]) -> Usage {
    let mut usage = Usage::new();
    for row in readings.iter().filter(|row| !row.is_duplicate) {
        if let Some(power) = row.reading.measures[0] {
            let key = (row.reading.device.to_string(), window_start(row.reading.event_time, WINDOW_SECS));
            usage.entry(key).or_insert(Partial::EMPTY).merge(&Partial::of(power));
        }
    }
    usage
}

/// Fails unless both say the same: counts and extremes equal, sums within 1e-9 relative.
pub fn assert_same_usage(served: &Usage, truth: &Usage, when: &str) {
    let keys = |usage: &Usage| usage.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(served), keys(truth), "I2: other windows are served {when}");
    for (key, truth) in truth {
        let served = &served[key];
        let same = served.count == truth.count
            && served.min.total_cmp(&truth.min).is_eq()
            && served.max.total_cmp(&truth.max).is_eq()
            && close(served.sum, truth.sum)
            && close(served.sum_squares, truth.sum_squares);
        assert!(same, "I2: {key:?} is served as {served:?}, the truth is {truth:?} {when}");
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
