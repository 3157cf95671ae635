//! Readings as rows of Arrow batches, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};

use super::{ERASED_DEVICE, batch_of, columns, instant_type, readings_schema};
use crate::{
    lake::LakeError,
    position::DeviceId,
    reading::{LakeReading, Measures, Reading, Tags},
    stream::StreamProfile,
};

/// Readings as a batch of [`readings_schema`]. None of them is superseded yet.
///
/// # Errors
/// [`LakeError::Corrupt`] if a reading has not as many measures and tags as the profile, which is a bug.
pub fn readings_to_batch(profile: &StreamProfile, rows: &[&LakeReading]) -> Result<RecordBatch, LakeError> {
    if rows
        .iter()
        .any(|row| row.reading.measures.len() != profile.measures.len() || row.reading.tags.len() != profile.tags.len())
    {
        return Err(LakeError::Corrupt {
            reason: format!("a reading does not have the measures and tags of stream `{}`", profile.name),
        });
    }
    let mut columns: Vec<ArrayRef> = vec![
        texts(rows, |row| Some(row.reading.device.as_str())),
        instants(rows, |row| row.reading.event_time.timestamp_micros()),
    ];
    columns.extend((0..profile.measures.len()).map(|index| floats(rows, index)));
    columns.extend(
        (0..profile.tags.len())
            .map(|index| texts(rows, move |row| row.reading.tags.get(index).and_then(|tag| tag.as_deref()))),
    );
    let mut partitions = Int32Builder::with_capacity(rows.len());
    let mut offsets = Int64Builder::with_capacity(rows.len());
    let mut duplicates = BooleanBuilder::with_capacity(rows.len());
    for row in rows {
        partitions.append_value(row.position.partition.cast_signed());
        offsets.append_value(row.position.offset.as_i64());
        duplicates.append_value(row.is_duplicate);
    }
    columns.extend([
        texts(rows, |row| Some(row.position.source.as_str())),
        Arc::new(partitions.finish()),
        Arc::new(offsets.finish()),
        instants(rows, |row| row.ingested_at.timestamp_micros()),
        Arc::new(duplicates.finish()),
        Arc::new(BooleanArray::from(vec![false; rows.len()])),
        texts(rows, |row| row.reading.injected.as_deref()),
    ]);
    batch_of(readings_schema(profile), columns)
}

/// The readings of a batch, without tombstones. A measure or tag that the batch does not have, because its file is older
/// than the profile, is missing in its readings.
///
/// # Errors
/// [`LakeError::Corrupt`] if the batch cannot have come from [`readings_to_batch`].
pub fn readings_from_batch(profile: &StreamProfile, batch: &RecordBatch) -> Result<Vec<LakeReading>, LakeError> {
    let devices = columns::strings(batch, "device_id")?;
    let event_times = columns::instants(batch, "event_time")?;
    let ingested = columns::instants(batch, "ingested_at")?;
    let duplicates = columns::booleans(batch, "is_duplicate")?;
    let injected = columns::strings(batch, "injected")?;
    let mut positions = columns::Positions::of(batch)?;
    let measures = profile
        .measures
        .iter()
        .map(|measure| columns::optional_floats(batch, &measure.name))
        .collect::<Result<Vec<_>, _>>()?;
    let tags = profile.tags.iter().map(|tag| columns::optional_strings(batch, tag)).collect::<Result<Vec<_>, _>>()?;
    let mut device: Option<DeviceId> = None;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let name = devices.value(row);
        if name == ERASED_DEVICE {
            continue;
        }
        let known = match device.take() {
            Some(known) if known.as_str() == name => known,
            _ => DeviceId::parse(name).map_err(|error| columns::corrupt(&error))?,
        };
        device = Some(known.clone());
        let text = |column: &arrow::array::StringArray| column.is_valid(row).then(|| column.value(row).into());
        rows.push(LakeReading {
            reading: Reading {
                device: known,
                event_time: columns::instant(event_times.value(row))?,
                measures: measures
                    .iter()
                    .map(|column| column.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row)))
                    .collect::<Measures>(),
                tags: tags.iter().map(|column| column.as_ref().and_then(text)).collect::<Tags>(),
                injected: text(&injected),
            },
            position: positions.at(row)?,
            ingested_at: columns::instant(ingested.value(row))?,
            is_duplicate: duplicates.value(row),
        });
    }
    Ok(rows)
}

fn texts<'a>(rows: &[&'a LakeReading], text: impl Fn(&'a LakeReading) -> Option<&'a str>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
    for row in rows {
        builder.append_option(text(row));
    }
    Arc::new(builder.finish())
}

fn instants(rows: &[&LakeReading], micros: impl Fn(&LakeReading) -> i64) -> ArrayRef {
    let mut builder = TimestampMicrosecondBuilder::with_capacity(rows.len()).with_data_type(instant_type());
    for row in rows {
        builder.append_value(micros(row));
    }
    Arc::new(builder.finish())
}

fn floats(rows: &[&LakeReading], index: usize) -> ArrayRef {
    let mut builder = Float64Builder::with_capacity(rows.len());
    for row in rows {
        builder.append_option(row.reading.measures.get(index).copied().flatten());
    }
    Arc::new(builder.finish())
}
