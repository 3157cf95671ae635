//! Which partition of its table a row belongs to.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::TimestampMicrosecondType,
};
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};

use crate::{lake::LakeError, stream::profile::Bucket};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The bucket of an instant: the first day of its month, or its day, in UTC. Years outside 1 to 9999 count to the
/// nearest one inside, because no other reader of the lake knows them as dates.
#[must_use]
pub fn bucket_of(bucket: Bucket, instant: DateTime<Utc>) -> NaiveDate {
    let day = instant.date_naive();
    let day = match day.year() {
        ..1 => NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or(day),
        10_000.. => NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or(day),
        _ => day,
    };
    match bucket {
        Bucket::Day => day,
        Bucket::Month => day.with_day(1).unwrap_or(day),
    }
}

/// The first instant after a bucket, whichever length buckets had when it was made: a day that begins a month may stand
/// for the whole month.
#[must_use]
pub fn end_of_bucket(bucket: NaiveDate) -> Option<DateTime<Utc>> {
    let next = if bucket.day() == 1 { bucket.checked_add_months(Months::new(1)) } else { bucket.succ_opt() };
    next?.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc())
}

/// Cuts a batch by the bucket of the instants in `column`. Rows keep their order, and a batch that is in time order is
/// cut without copying.
///
/// # Errors
/// [`LakeError::Corrupt`] if the column is missing, is not of [`super::instant_type`], or holds nulls.
pub fn split_by_bucket(
    bucket: Bucket,
    column: &str,
    batch: &RecordBatch,
) -> Result<Vec<(NaiveDate, RecordBatch)>, LakeError> {
    let buckets = row_buckets(bucket, column, batch)?;
    let mut runs: Vec<(NaiveDate, usize, usize)> = Vec::new();
    for (row, bucket) in buckets.iter().enumerate() {
        match runs.last_mut() {
            Some((last, _, end)) if last == bucket => *end = row + 1,
            _ => runs.push((*bucket, row, row + 1)),
        }
    }
    if runs.is_sorted_by(|a, b| a.0 < b.0) {
        return Ok(runs.into_iter().map(|(bucket, from, to)| (bucket, batch.slice(from, to - from))).collect());
    }
    let mut rows: std::collections::BTreeMap<NaiveDate, Vec<u32>> = std::collections::BTreeMap::new();
    for (row, bucket) in (0u32..).zip(&buckets) {
        rows.entry(*bucket).or_default().push(row);
    }
    rows.into_iter()
        .map(|(bucket, rows)| Ok((bucket, take_record_batch(batch, &UInt32Array::from(rows)).map_err(corrupt)?)))
        .collect()
}

fn row_buckets(bucket: Bucket, column: &str, batch: &RecordBatch) -> Result<Vec<NaiveDate>, LakeError> {
    let missing = || LakeError::Corrupt { reason: format!("rows without instants in `{column}`") };
    let instants: &ArrayRef = batch.column_by_name(column).ok_or_else(missing)?;
    let instants = instants.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(missing)?;
    if instants.null_count() > 0 {
        return Err(missing());
    }
    // Neighbours mostly share a day, and dividing is cheaper than a calendar.
    let mut known: Option<(i64, NaiveDate)> = None;
    let mut buckets = Vec::with_capacity(instants.len());
    for micros in instants.values() {
        let day = micros.div_euclid(MICROS_PER_DAY);
        let bucket = match known {
            Some((known_day, bucket)) if known_day == day => bucket,
            _ => bucket_of(bucket, DateTime::from_timestamp_micros(*micros).ok_or_else(missing)?),
        };
        known = Some((day, bucket));
        buckets.push(bucket);
    }
    Ok(buckets)
}

fn corrupt(error: arrow::error::ArrowError) -> LakeError {
    LakeError::Corrupt { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_with_its_month_unless_it_can_only_be_a_day() {
        let end = |day: &str| end_of_bucket(day.parse().unwrap()).unwrap().to_rfc3339();
        assert_eq!(end("2007-12-01"), "2008-01-01T00:00:00+00:00");
        assert_eq!(end("2008-02-29"), "2008-03-01T00:00:00+00:00");
        assert_eq!(end_of_bucket(NaiveDate::MAX), None);
    }
}
