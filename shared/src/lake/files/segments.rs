//! Segments of readings as data files: cut by bucket, sorted by device and event time.

use arrow::array::RecordBatch;
use chrono::{DateTime, NaiveDate};

use super::{EncodedFile, FileEncoder};
use crate::{
    lake::{
        LakeError, Segment,
        schema::{Place, PlacedRun, bucket_of, gathered_to_batch, readings_schema},
    },
    position::DeviceId,
    reading::ReadingColumns,
    stream::{StreamProfile, profile::Bucket},
};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Rows that are made Arrow columns at a time: enough for the encoder to work in bulk, few enough that the segment is not
/// held twice.
const ROWS_AT_ONCE: usize = 1 << 15;

/// The readings of segments as one file a bucket. Those of one device and instant keep the order of their offsets.
///
/// # Errors
/// [`LakeError::Corrupt`] if the readings are not of the profile, which is a bug.
pub fn encode_segments(
    profile: &StreamProfile,
    segments: &[Segment<ReadingColumns>],
) -> Result<Vec<EncodedFile>, LakeError> {
    let runs: Vec<PlacedRun<'_>> = segments
        .iter()
        .flat_map(|segment| segment.rows.runs().iter().map(|run| PlacedRun { partition: &segment.partition, run }))
        .filter(|at| !at.run.is_empty())
        .collect();
    if runs.iter().any(|at| at.run.measures() != profile.measures.len() || at.run.tags() != profile.tags.len()) {
        let reason = format!("a reading does not have the measures and tags of stream `{}`", profile.name);
        return Err(LakeError::Corrupt { reason });
    }
    let ranks = Ranks::of(&runs);
    let columns = readings_schema(profile);
    let mut files = Vec::new();
    for (bucket, places) in by_bucket(profile.bucket, &runs)? {
        let mut file = FileEncoder::try_new(&columns, bucket)?;
        for part in ranks.in_file_order(&runs, &places).chunks(ROWS_AT_ONCE) {
            let batch: RecordBatch = gathered_to_batch(profile, &runs, part)?;
            file.write(&batch)?;
        }
        files.push(file.finish()?);
    }
    Ok(files)
}

/// The place of each device in the order of their ids.
struct Ranks {
    devices: usize,
    /// By run, then by the device's number in it.
    by_run: Vec<Vec<u32>>,
}

impl Ranks {
    fn of(runs: &[PlacedRun<'_>]) -> Self {
        let mut all: Vec<&DeviceId> = runs.iter().flat_map(|at| at.run.devices()).collect();
        all.sort_unstable();
        all.dedup();
        let rank = |device: &DeviceId| all.partition_point(|other| *other < device) as u32;
        let by_run = runs.iter().map(|at| at.run.devices().iter().map(rank).collect()).collect();
        Self { devices: all.len(), by_run }
    }

    /// Sorts by device, in two passes over the rows, and then the rows of each device that did not come in time order.
    fn in_file_order(&self, runs: &[PlacedRun<'_>], places: &[Place]) -> Vec<Place> {
        let rank = |place: &Place| {
            let number = runs[place.run as usize].run.device_numbers()[place.row as usize];
            self.by_run[place.run as usize][number as usize] as usize
        };
        let micros = |place: &Place| runs[place.run as usize].run.event_micros()[place.row as usize];
        // Where the rows of each device begin, and, once they are placed, where they end.
        let mut ends = vec![0_usize; self.devices + 1];
        for place in places {
            ends[rank(place) + 1] += 1;
        }
        for device in 0..self.devices {
            ends[device + 1] += ends[device];
        }
        let mut sorted = vec![Place::default(); places.len()];
        for place in places {
            let end = &mut ends[rank(place)];
            sorted[*end] = *place;
            *end += 1;
        }
        let mut begin = 0;
        for end in ends.into_iter().take(self.devices) {
            let of_device = &mut sorted[begin..end];
            if !of_device.is_sorted_by_key(micros) {
                of_device.sort_by_key(micros);
            }
            begin = end;
        }
        sorted
    }
}

/// The rows of each bucket, in the order in which they come.
fn by_bucket(bucket: Bucket, runs: &[PlacedRun<'_>]) -> Result<Vec<(NaiveDate, Vec<Place>)>, LakeError> {
    let mut buckets: Vec<(NaiveDate, Vec<Place>)> = Vec::new();
    // Neighbours mostly share a day, and dividing is cheaper than a calendar.
    let mut known: Option<(i64, usize)> = None;
    for (number, at) in (0_u32..).zip(runs) {
        for (row, micros) in (0_u32..).zip(at.run.event_micros()) {
            let day = micros.div_euclid(MICROS_PER_DAY);
            let place = match known {
                Some((known_day, place)) if known_day == day => place,
                _ => {
                    let instant = DateTime::from_timestamp_micros(*micros)
                        .ok_or_else(|| LakeError::Corrupt { reason: format!("{micros} us is outside the calendar") })?;
                    let date = bucket_of(bucket, instant);
                    buckets.iter().position(|(known, _)| *known == date).unwrap_or_else(|| {
                        buckets.push((date, Vec::new()));
                        buckets.len() - 1
                    })
                }
            };
            known = Some((day, place));
            buckets[place].1.push(Place { run: number, row });
        }
    }
    Ok(buckets)
}
