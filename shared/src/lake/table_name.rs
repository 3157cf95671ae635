//! What people and queries call a table: `household.readings`, `power_plant.dead_letters`.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::LakeTable;
use crate::position::StreamName;

/// A table of the lake. As SQL takes no `-` in a bare name, a stream's `-` is a `_` here; no stream has a `_` of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The stream.
    pub stream: StreamName,
    /// Which of its tables.
    pub table: LakeTable,
}

/// A text that names no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no table: write <stream>.readings or <stream>.dead_letters, as in household.readings")]
pub struct InvalidTableName(String);

impl TableName {
    /// The stream as SQL spells it: the schema that the table is in.
    #[must_use]
    pub fn schema(&self) -> String {
        self.stream.as_str().replace('-', "_")
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    /// Takes a bare stream for its readings, and the folder's way of writing, `power-plant/readings`.
    fn from_str(text: &str) -> Result<Self, InvalidTableName> {
        let invalid = || InvalidTableName(text.to_owned());
        let (stream, table) = text.split_once(['.', '/']).unwrap_or((text, LakeTable::Readings.folder_name()));
        let stream = StreamName::parse(&stream.replace('_', "-")).map_err(|_| invalid())?;
        let table = LakeTable::ALL.into_iter().find(|known| known.folder_name() == table).ok_or_else(invalid)?;
        Ok(Self { stream, table })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema(), self.table.folder_name())
    }
}

impl Serialize for TableName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_sql_takes_without_quotes() {
        for spelled in ["power-plant/readings", "power_plant.readings", "power-plant"] {
            assert_eq!(spelled.parse::<TableName>().unwrap().to_string(), "power_plant.readings");
        }
        assert_eq!("grid.dead_letters".parse::<TableName>().unwrap().table, LakeTable::DeadLetters);
        for wrong in ["", "grid.rows", "Grid.readings", "a.b.readings"] {
            assert!(wrong.parse::<TableName>().is_err(), "{wrong}");
        }
    }
}
