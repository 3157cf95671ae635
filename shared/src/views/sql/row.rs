//! A row of either database, read column by column.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use super::instant;
use crate::{
    position::{DeviceId, Offset, SourceId, SourcePosition, StreamName},
    rollup::Partial,
    views::{ViewsError, translate::translate},
};

/// A row as one of the drivers gave it.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From Postgres.
    Postgres(PgRow),
}

/// Reads a column of the type that both databases call by the same Rust type.
macro_rules! column {
    ($row:expr, $name:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($name),
            Row::Postgres(row) => row.try_get($name),
        }
        .map_err(translate)
    };
}

impl Row {
    /// A text.
    pub fn text(&self, name: &str) -> Result<String, ViewsError> {
        column!(self, name)
    }

    /// A text that may be null.
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, ViewsError> {
        column!(self, name)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Result<i64, ViewsError> {
        column!(self, name)
    }

    /// A whole number that may be null.
    pub fn optional_int(&self, name: &str) -> Result<Option<i64>, ViewsError> {
        column!(self, name)
    }

    /// A count.
    pub fn count(&self, name: &str) -> Result<u64, ViewsError> {
        let value = self.int(name)?;
        u64::try_from(value).map_err(|_| corrupt(name, &value.to_string(), "a count is zero or more"))
    }

    /// A number of 32 bits.
    pub fn small(&self, name: &str) -> Result<u32, ViewsError> {
        let value = self.int(name)?;
        u32::try_from(value).map_err(|_| corrupt(name, &value.to_string(), "0 to 4294967295 is expected"))
    }

    /// A floating-point number.
    pub fn real(&self, name: &str) -> Result<f64, ViewsError> {
        column!(self, name)
    }

    /// A floating-point number that may be null.
    pub fn optional_real(&self, name: &str) -> Result<Option<f64>, ViewsError> {
        column!(self, name)
    }

    /// Bytes.
    pub fn bytes(&self, name: &str) -> Result<Bytes, ViewsError> {
        let value: Vec<u8> = column!(self, name)?;
        Ok(Bytes::from(value))
    }

    /// Bytes that may be null.
    pub fn optional_bytes(&self, name: &str) -> Result<Option<Bytes>, ViewsError> {
        let value: Option<Vec<u8>> = column!(self, name)?;
        Ok(value.map(Bytes::from))
    }

    /// An instant.
    pub fn time(&self, name: &str) -> Result<DateTime<Utc>, ViewsError> {
        self.optional_time(name)?.ok_or_else(|| corrupt(name, "null", "an instant is expected"))
    }

    /// An instant that may be null.
    pub fn optional_time(&self, name: &str) -> Result<Option<DateTime<Utc>>, ViewsError> {
        match self {
            Self::Sqlite(row) => {
                let text: Option<String> = row.try_get(name).map_err(translate)?;
                text.map(|text| instant::parse(&text).ok_or_else(|| corrupt(name, &text, "an instant is expected")))
                    .transpose()
            }
            Self::Postgres(row) => row.try_get(name).map_err(translate),
        }
    }

    /// An offset.
    pub fn offset(&self, name: &str) -> Result<Offset, ViewsError> {
        Offset::try_from_i64(self.int(name)?).map_err(|error| corrupt(name, &error.value, error.rule))
    }

    /// A stream.
    pub fn stream(&self) -> Result<StreamName, ViewsError> {
        self.id("stream", StreamName::parse)
    }

    /// A device.
    pub fn device(&self) -> Result<DeviceId, ViewsError> {
        self.id("device_id", DeviceId::parse)
    }

    /// A source.
    pub fn source(&self) -> Result<SourceId, ViewsError> {
        self.id("source", SourceId::parse)
    }

    /// The position in `source`, `source_partition` and `source_offset`.
    pub fn position(&self) -> Result<SourcePosition, ViewsError> {
        Ok(SourcePosition {
            source: self.source()?,
            partition: self.small("source_partition")?,
            offset: self.offset("source_offset")?,
        })
    }

    /// The partial in the five `value_` columns.
    pub fn partial(&self) -> Result<Partial, ViewsError> {
        Ok(Partial {
            count: self.count("value_count")?,
            sum: self.real("value_sum")?,
            min: self.real("value_min")?,
            max: self.real("value_max")?,
            sum_squares: self.real("value_sum_squares")?,
        })
    }

    /// A text that `parse` understands.
    pub fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ViewsError> {
        let text = self.text(name)?;
        parse(&text).ok_or_else(|| corrupt(name, &text, "this build does not know the word"))
    }

    fn id<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ViewsError> {
        let text = self.text(name)?;
        parse(&text).map_err(|error| ViewsError::Corrupt { reason: format!("column {name}: {error}") })
    }
}

/// The error of a column that holds what it cannot hold.
pub fn corrupt(column: &str, value: &str, rule: &str) -> ViewsError {
    let value: String = value.chars().take(80).collect();
    ViewsError::Corrupt { reason: format!("column {column} holds `{value}`: {rule}") }
}
