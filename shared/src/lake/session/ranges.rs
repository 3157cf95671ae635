//! What the log knows of the files' columns, in the form in which DataFusion asks.

use std::{collections::HashSet, sync::Arc};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use chrono::NaiveDate;
use datafusion::common::{Column, ScalarValue, pruning::PruningStatistics};

use crate::lake::{
    delta::LakeFile,
    files::FileStats,
    schema::{BUCKET_COLUMN, instant_type},
};

/// Ranges that cover the files' columns, though not always tightly: enough to leave a file out.
pub(super) struct FileRanges<'a>(pub &'a [Arc<LakeFile>]);

impl FileRanges<'_> {
    fn ends(&self, column: &Column, greatest: bool) -> Option<ArrayRef> {
        let files = self.0.iter();
        let stats = self.0.iter().map(|file| &file.stats);
        Some(match column.name() {
            BUCKET_COLUMN => Arc::new(files.map(|file| file.bucket.map(days_since_1970)).collect::<Date32Array>()),
            "event_time" => Arc::new(
                stats
                    .map(|stats| end(stats.event_time.as_ref(), greatest).map(|instant| instant.timestamp_micros()))
                    .collect::<TimestampMicrosecondArray>()
                    .with_data_type(instant_type()),
            ),
            "device_id" => texts(stats.map(|stats| end(stats.device_id.as_ref(), greatest))),
            "source" => texts(stats.map(|stats| end(stats.source.as_ref(), greatest))),
            "source_partition" => {
                let ends = stats.map(|stats: &FileStats| end(stats.source_partition.as_ref(), greatest).copied());
                Arc::new(ends.collect::<Int32Array>())
            }
            "source_offset" => {
                let ends = stats.map(|stats: &FileStats| end(stats.source_offset.as_ref(), greatest).copied());
                Arc::new(ends.collect::<Int64Array>())
            }
            _ => return None,
        })
    }
}

impl PruningStatistics for FileRanges<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column, true)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|file| file.stats.rows).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A date as Arrow counts it.
pub(super) fn days_since_1970(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or_default()
}

fn end<T>(range: Option<&(T, T)>, greatest: bool) -> Option<&T> {
    range.map(|(from, to)| if greatest { to } else { from })
}

fn texts<'a>(ends: impl Iterator<Item = Option<&'a String>>) -> ArrayRef {
    Arc::new(ends.map(|end| end.map(String::as_str)).collect::<StringArray>())
}
