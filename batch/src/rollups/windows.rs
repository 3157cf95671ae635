//! Runs the roll-up over data files and gives its rows as they come.

use std::time::{Duration, Instant};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeError,
        delta::{DeltaLake, TableFiles},
        schema::instant_type,
        session::{LakeSession, SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::DeviceId,
    rollup::{RollupKey, RollupRow},
    stream::StreamProfile,
};

use super::{
    TouchedWindows,
    partial_of::{partial_of, read_partials},
};
use crate::{BatchError, sql};

/// A query over the rows of some data files.
pub(crate) struct WindowQuery<'a> {
    session: LakeSession,
    profile: &'a StreamProfile,
    /// The first and the last device; all without them.
    devices: Option<(DeviceId, DeviceId)>,
    elapsed: Duration,
}

/// Where a row of the engine's answer stands.
pub(super) struct WindowColumns {
    devices: arrow::array::StringArray,
    starts: arrow::array::TimestampMicrosecondArray,
}

impl<'a> WindowQuery<'a> {
    /// A query over these files.
    pub(crate) fn over(lake: &DeltaLake, files: &TableFiles, profile: &'a StreamProfile) -> Result<Self, BatchError> {
        let files = files.with_columns_of(profile);
        let readings = SessionTable { name: "readings", files: &files };
        let session = lake_session(lake.store(), &[readings], &SessionLimits::default())?;
        session.register_aggregate(partial_of());
        Ok(Self { session, profile, devices: None, elapsed: Duration::ZERO })
    }

    /// A query over what differs between two sets of files, for [`Self::touch_differing`].
    pub(crate) fn between(
        lake: &DeltaLake,
        (before, after): (&TableFiles, &TableFiles),
        profile: &'a StreamProfile,
    ) -> Result<Self, BatchError> {
        let (before, after) = (before.with_columns_of(profile), after.with_columns_of(profile));
        let tables = [SessionTable { name: "before", files: &before }, SessionTable { name: "after", files: &after }];
        let session = lake_session(lake.store(), &tables, &SessionLimits::default())?;
        Ok(Self { session, profile, devices: None, elapsed: Duration::ZERO })
    }

    /// Only of the devices from one to another, in the order of their ids.
    pub(crate) fn of_devices(mut self, first: &DeviceId, last: &DeviceId) -> Self {
        self.devices = Some((first.clone(), last.clone()));
        self
    }

    /// How long the engine has worked.
    pub(crate) const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Hands the rows of all windows of one length to `take`, or of those in `only`; a measure without a value in a
    /// window has no row. Some thousand rows at a time, in no order.
    pub(crate) async fn for_each(
        &mut self,
        window_secs: u32,
        only: Option<&TouchedWindows>,
        mut take: impl AsyncFnMut(Vec<RollupRow>) -> Result<(), BatchError>,
    ) -> Result<(), BatchError> {
        let mut began = Instant::now();
        let mut batches = self.stream(include_str!("windows.sql"), window_secs).await?;
        while let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))? {
            let rows = self.rows_of(&batch, window_secs, only)?;
            self.elapsed += began.elapsed();
            take(rows).await?;
            began = Instant::now();
        }
        self.elapsed += began.elapsed();
        Ok(())
    }

    /// The windows of one length that the rows of the files fall into, up to too many.
    pub(crate) async fn touch(&mut self, window_secs: u32, touched: &mut TouchedWindows) -> Result<(), BatchError> {
        self.gather(include_str!("touched.sql"), window_secs, touched).await
    }

    /// The windows of the rows that only one of two sets of files has, up to too many.
    pub(crate) async fn touch_differing(
        &mut self,
        window_secs: u32,
        touched: &mut TouchedWindows,
    ) -> Result<(), BatchError> {
        self.gather(include_str!("differing.sql"), window_secs, touched).await
    }

    async fn gather(
        &mut self,
        template: &str,
        window_secs: u32,
        touched: &mut TouchedWindows,
    ) -> Result<(), BatchError> {
        let began = Instant::now();
        let mut batches = self.stream(template, window_secs).await?;
        while !touched.too_many()
            && let Some(batch) = batches.try_next().await.map_err(|error| stream_error(&error))?
        {
            let columns = WindowColumns::of(&batch)?;
            for row in 0..batch.num_rows() {
                touched.insert(columns.device(row)?, window_secs, columns.start(row)?);
            }
        }
        self.elapsed += began.elapsed();
        Ok(())
    }

    async fn stream(&self, template: &str, window_secs: u32) -> Result<SendableRecordBatchStream, BatchError> {
        let devices = self.devices.as_ref().map(|(first, last)| (first.as_str(), last.as_str()));
        let query = sql::for_devices(&sql::for_profile(template, self.profile, window_secs), devices);
        Ok(self.session.stream(&query).await?)
    }

    fn rows_of(
        &self,
        batch: &RecordBatch,
        window_secs: u32,
        only: Option<&TouchedWindows>,
    ) -> Result<Vec<RollupRow>, BatchError> {
        let columns = WindowColumns::of(batch)?;
        let groups = text_column(batch, "Group")?;
        let mut measures = Vec::with_capacity(self.profile.measures.len());
        for measure in &self.profile.measures {
            let column = column(batch, &measure.name)?;
            let partials = read_partials(column).map_err(|error| stream_error(&error))?;
            measures.push((&measure.name, partials));
        }
        let mut rows = Vec::new();
        let mut last: Option<DeviceId> = None;
        for row in 0..batch.num_rows() {
            let device = match last.take() {
                Some(device) if device.as_str() == columns.devices.value(row) => device,
                _ => columns.device(row)?,
            };
            let window_start = columns.start(row)?;
            if only.is_none_or(|touched| touched.contains(&device, window_secs, window_start)) {
                // Every tag brings its own `/`; the key has them between the tags.
                let group = groups.value(row);
                let group = group.strip_prefix('/').unwrap_or(group);
                rows.extend(measures.iter().filter_map(|(measure, partials)| {
                    let partial = partials.get(row).filter(|partial| partial.count > 0)?;
                    let key = RollupKey {
                        device: device.clone(),
                        window_secs,
                        window_start,
                        measure: (*measure).clone(),
                        group: group.to_owned(),
                    };
                    Some(RollupRow { key, partial: *partial })
                }));
            }
            last = Some(device);
        }
        Ok(rows)
    }
}

impl WindowColumns {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let starts = cast(column(batch, "Start")?, &instant_type()).map_err(|error| unexpected(&error))?;
        Ok(Self {
            devices: text_column(batch, "device_id")?,
            starts: starts.as_primitive::<TimestampMicrosecondType>().clone(),
        })
    }

    pub(super) fn device(&self, row: usize) -> Result<DeviceId, BatchError> {
        DeviceId::parse(self.devices.value(row)).map_err(|error| unexpected(&error))
    }

    pub(super) fn start(&self, row: usize) -> Result<DateTime<Utc>, BatchError> {
        let micros = self.starts.value(row);
        DateTime::from_timestamp_micros(micros)
            .ok_or_else(|| unexpected(&format!("instant {micros} us is outside the calendar")))
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b arrow::array::ArrayRef, BatchError> {
    batch.column_by_name(name).ok_or_else(|| unexpected(&format!("no column `{name}` in the answer")))
}

fn text_column(batch: &RecordBatch, name: &str) -> Result<arrow::array::StringArray, BatchError> {
    let text = cast(column(batch, name)?, &DataType::Utf8).map_err(|error| unexpected(&error))?;
    Ok(text.as_string::<i32>().clone())
}

fn unexpected(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("roll-up: {reason}") }.into()
}
