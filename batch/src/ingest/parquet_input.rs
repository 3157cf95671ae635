//! Rows of a Parquet file, through the same choice of columns as text.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType},
    error::ArrowError,
};
use chrono::DateTime;
use kilowatch_shared::{
    position::DeviceId,
    stream::{StreamProfile, TimeFormat, decode::joined_key},
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use smallvec::SmallVec;

use super::{
    IngestError, IngestRequest, InputFormat, ParsedRows, Progress,
    columns::{Slot, key_parts, named_device, resolve},
    number::measurable,
    open::InputFile,
    rows::RowsBuilder,
    text::time_reason,
    time::{NotATime, epoch_micros, in_range, parse_instant},
};

/// As many rows as a block of text has.
const BATCH_ROWS: usize = 64 << 10;

/// Reads rows of Parquet, a batch at a time.
pub(crate) struct ParquetInput {
    reader: ParquetRecordBatchReader,
    request: IngestRequest,
    profile: StreamProfile,
    slots: Vec<(Slot, String)>,
    /// How many columns name the device together; 0 if one or none does.
    key_parts: usize,
    next_row: u64,
    bytes_per_row: f64,
    progress: Arc<dyn Progress>,
}

impl ParquetInput {
    /// Opens the file and finds its columns.
    pub(crate) fn open(
        file: &InputFile,
        request: &IngestRequest,
        profile: &StreamProfile,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, IngestError> {
        if !matches!(request.format, InputFormat::Auto | InputFormat::Parquet) {
            return Err(IngestError::BadRequest {
                reason: format!("{}: a Parquet file, but the format asked for is text", file.path.display()),
            });
        }
        let damaged =
            |reason: String| IngestError::Damaged { path: file.path.clone(), reason: format!("Parquet: {reason}") };
        let opened: File = file.file()?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|error| damaged(error.to_string()))?;
        let rows = builder.metadata().file_metadata().num_rows();
        if rows == 0 {
            return Err(IngestError::HeaderOnly { path: file.path.clone() });
        }
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let slots = resolve(&names, request, profile)?;
        let key_parts = key_parts(&slots, profile, request)?;
        let roots = slots.iter().enumerate().filter(|(_, slot)| **slot != Slot::Skip).map(|(index, _)| index);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| damaged(error.to_string()))?;
        let slots = slots.into_iter().zip(names).filter(|(slot, _)| *slot != Slot::Skip).collect();
        #[expect(clippy::cast_precision_loss, reason = "for a progress bar")]
        let bytes_per_row = file.size_bytes as f64 / rows as f64;
        Ok(Self {
            reader,
            request: request.clone(),
            profile: profile.clone(),
            slots,
            key_parts,
            next_row: 1,
            bytes_per_row,
            progress,
        })
    }

    /// The next rows, or `None` after the last one.
    pub(crate) fn next_rows(&mut self) -> Result<Option<ParsedRows>, IngestError> {
        let damaged = |error: ArrowError| IngestError::Damaged {
            path: self.request.path.clone(),
            reason: format!("Parquet: {error}"),
        };
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(damaged)?;
        let columns = self.typed_columns(&batch)?;
        let mut rows = RowsBuilder::new(self.profile.measures.len(), self.profile.tags.len(), batch.num_rows());
        let fixed_device = rows.known_device(&self.request.device);
        for row in 0..batch.num_rows() {
            let number = self.next_row;
            self.next_row += 1;
            match read_row(&columns, row, fixed_device, self.key_parts, &mut rows) {
                Ok((device, time)) => rows.push(number, device, time),
                Err(reason) => {
                    let device = device_of_row(&columns, row, self.key_parts, &self.request.device);
                    rows.push_bad(number, reason, describe(&batch, row).as_bytes(), device);
                }
            }
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "for a progress bar"
        )]
        self.progress.advance((batch.num_rows() as f64 * self.bytes_per_row) as u64);
        Ok(Some(rows.finish()))
    }

    /// The columns in types that rows are read from; a column of a type that cannot hold its slot is an error.
    fn typed_columns(&self, batch: &RecordBatch) -> Result<Vec<TypedColumn>, IngestError> {
        let mut columns = Vec::with_capacity(self.slots.len());
        for ((slot, name), column) in self.slots.iter().zip(batch.columns()) {
            let unfit = |what: &str| IngestError::BadRequest {
                reason: format!(
                    "{}: column `{name}` has type {}, which is no {what}",
                    self.request.path.display(),
                    column.data_type()
                ),
            };
            let to = |to: &DataType, what: &str| cast(column, to).map_err(|_| unfit(what));
            let offset_secs = self.request.utc_offset.map_or(0, |offset| i64::from(offset.local_minus_utc()));
            let values = match slot {
                Slot::Measure(_) => match column.data_type() {
                    kind if kind.is_numeric() || kind.is_null() => {
                        Values::Number(to(&DataType::Float64, "number")?.as_primitive::<Float64Type>().clone())
                    }
                    _ => return Err(unfit("number")),
                },
                Slot::Time => self.time_column(column, offset_secs).ok_or_else(|| unfit("time"))?,
                Slot::Device | Slot::Key { .. } | Slot::Tag(_) => Values::Text(to(&DataType::Utf8, "text")?),
                Slot::Skip | Slot::Date | Slot::Clock => continue,
            };
            columns.push(TypedColumn { slot: *slot, name: name.clone(), values });
        }
        Ok(columns)
    }

    fn time_column(&self, column: &ArrayRef, offset_secs: i64) -> Option<Values> {
        let format = self.profile.time_format;
        match column.data_type() {
            DataType::Timestamp(_, zone) => {
                // Instants without a zone are local times of the file.
                let shift = if zone.is_some() { 0 } else { offset_secs * 1_000_000 };
                let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).ok()?;
                Some(Values::Time(shifted(micros.as_primitive::<TimestampMicrosecondType>(), shift)))
            }
            DataType::Date32 | DataType::Date64 => {
                let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
                Some(Values::Time(shifted(micros.as_primitive::<TimestampMicrosecondType>(), offset_secs * 1_000_000)))
            }
            DataType::Int64 if format == TimeFormat::EpochMillis => {
                Some(Values::Time(column.as_primitive::<Int64Type>().unary(|millis| millis.saturating_mul(1000))))
            }
            kind if kind.is_numeric() && format != TimeFormat::Rfc3339 => {
                let numbers = cast(column, &DataType::Float64).ok()?;
                Some(Values::Epoch(numbers.as_primitive::<Float64Type>().clone(), format))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                Some(Values::TimeText(cast(column, &DataType::Utf8).ok()?, format, offset_secs))
            }
            _ => None,
        }
    }
}

fn shifted(micros: &arrow::array::TimestampMicrosecondArray, by: i64) -> Int64Array {
    micros.unary(|instant| instant.saturating_sub(by))
}

struct TypedColumn {
    slot: Slot,
    name: String,
    values: Values,
}

enum Values {
    Number(Float64Array),
    Text(ArrayRef),
    Time(Int64Array),
    Epoch(Float64Array, TimeFormat),
    TimeText(ArrayRef, TimeFormat, i64),
}

fn read_row(
    columns: &[TypedColumn],
    row: usize,
    fixed_device: u32,
    key_parts: usize,
    rows: &mut RowsBuilder,
) -> Result<(u32, i64), String> {
    let (mut device, mut time) = (fixed_device, None);
    let mut key: SmallVec<[&str; 2]> = SmallVec::from_elem("", key_parts);
    for TypedColumn { slot, name, values } in columns {
        match (slot, values) {
            (Slot::Measure(index), Values::Number(column)) => {
                let out_of_range = || format!("{name}: not a finite number from -1e18 to 1e18");
                let value =
                    column.is_valid(row).then(|| measurable(column.value(row)).ok_or_else(out_of_range)).transpose()?;
                if let Some(place) = rows.values.get_mut(*index) {
                    *place = value;
                }
            }
            (Slot::Device, Values::Text(column)) => {
                let text = column.as_string::<i32>();
                let text = if text.is_valid(row) { text.value(row) } else { "" };
                device = rows.device(text.trim()).map_err(|invalid| invalid.to_string())?;
            }
            (Slot::Key { part, tag }, Values::Text(column)) => {
                let text = column.as_string::<i32>();
                let text = if text.is_valid(row) { text.value(row).trim() } else { "" };
                if text.is_empty() {
                    return Err(format!("{name}: a part of the device's name is empty"));
                }
                if let Some(place) = key.get_mut(*part) {
                    *place = text;
                }
                if let Some(place) = tag.and_then(|tag| rows.texts.get_mut(tag)) {
                    *place = Some(text.into());
                }
            }
            (Slot::Tag(index), Values::Text(column)) => {
                let text = column.as_string::<i32>();
                if let Some(place) = rows.texts.get_mut(*index) {
                    *place = text.is_valid(row).then(|| text.value(row).into());
                }
            }
            (_, values) => time = Some(read_time(values, row).map_err(|reason| format!("{name}: {reason}"))?),
        }
    }
    if key_parts > 0 {
        device = rows.device(&joined_key(key.into_iter())).map_err(|invalid| invalid.to_string())?;
    }
    time.map(|time| (device, time)).ok_or_else(|| "no event time".to_owned())
}

/// The device of a row that became no reading.
fn device_of_row(columns: &[TypedColumn], row: usize, key_parts: usize, of_file: &DeviceId) -> Option<DeviceId> {
    let texts = columns.iter().filter_map(|column| match &column.values {
        Values::Text(texts) if column.slot.names_device() => {
            let texts = texts.as_string::<i32>();
            Some((column.slot, if texts.is_valid(row) { texts.value(row) } else { "" }))
        }
        _ => None,
    });
    let texts: Vec<(Slot, &str)> = texts.collect();
    if texts.is_empty() { Some(of_file.clone()) } else { named_device(texts.into_iter(), key_parts) }
}

fn read_time(values: &Values, row: usize) -> Result<i64, String> {
    let parsed = match values {
        Values::Time(column) if column.is_valid(row) => in_range(column.value(row)),
        Values::Epoch(column, format) if column.is_valid(row) => {
            epoch_micros(column.value(row), *format).and_then(in_range)
        }
        Values::TimeText(column, format, offset_secs) => {
            let text = column.as_string::<i32>();
            let text = if text.is_valid(row) { text.value(row).as_bytes() } else { b"" };
            return parse_instant(text, *format, *offset_secs).map_err(|reason| time_reason(reason, text));
        }
        _ => return Err("missing".to_owned()),
    };
    parsed.map_err(|reason: NotATime| time_reason(reason, b""))
}

/// A bad row as text for the dead letters: its columns as JSON.
fn describe(batch: &RecordBatch, row: usize) -> String {
    let mut object = serde_json::Map::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let text = match column.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) if column.is_valid(row) => {
                DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row))
                    .map(|instant| instant.to_rfc3339())
            }
            _ => arrow::util::display::array_value_to_string(column, row).ok(),
        };
        let value = if column.is_null(row) { None } else { text };
        object.insert(field.name().clone(), value.map_or(serde_json::Value::Null, serde_json::Value::String));
    }
    serde_json::Value::Object(object).to_string()
}
