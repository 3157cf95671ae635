//! Lines of a Delta log: the actions of the protocol's reader version 1 and writer version 2.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::ColumnChanges;
use crate::lake::{
    LakeError,
    schema::{BUCKET_COLUMN, ROLE_KEY, UNIT_KEY, bucket_field, instant_type},
};

/// Key of commitInfo under which our own facts stand.
pub(super) const OUR_KEY: &str = "kilowatch";

/// One line; kinds that concern no reader of this protocol version are left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_info: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<Remove>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
}

/// Every Delta reader of the last years knows this one.
pub(super) const PROTOCOL: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Format,
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Txn {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Add {
    pub path: String,
    #[serde(default)]
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    pub modification_time: i64,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Remove {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    pub data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "map_or_null")]
    pub partition_values: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

impl LogLine {
    pub(super) fn of_txn(app_id: String, version: i64, last_updated: i64) -> Self {
        Self { txn: Some(Txn { app_id, version, last_updated: Some(last_updated) }), ..Self::default() }
    }
}

/// The lines of a commit.
pub(super) fn parse_lines(bytes: &[u8]) -> Result<Vec<LogLine>, LakeError> {
    serde_json::Deserializer::from_slice(bytes)
        .into_iter::<LogLine>()
        .collect::<Result<_, _>>()
        .map_err(|error| LakeError::Corrupt { reason: format!("a line of the Delta log: {error}") })
}

/// The bytes of a commit.
pub(super) fn write_lines(lines: &[LogLine]) -> Result<Vec<u8>, LakeError> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)
            .map_err(|error| LakeError::Corrupt { reason: format!("a line for the Delta log: {error}") })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[derive(Debug, Serialize, Deserialize)]
struct StructType {
    #[serde(rename = "type")]
    kind: String,
    fields: Vec<StructField>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StructField {
    name: String,
    #[serde(rename = "type")]
    data_type: Value,
    nullable: bool,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl StructField {
    fn unit(&self) -> &str {
        self.metadata.get(UNIT_KEY).and_then(Value::as_str).unwrap_or_default()
    }

    fn data_type_name(&self) -> &str {
        self.data_type.as_str().unwrap_or("nested")
    }

    /// Why the column cannot become this one: its rows would mean something else.
    fn differs_from(&self, wanted: &Self) -> Option<String> {
        if self.data_type != wanted.data_type {
            return Some(format!(
                "column `{}` is {} in the lake and {} in the profile; give it another name",
                wanted.name,
                self.data_type_name(),
                wanted.data_type_name()
            ));
        }
        let (unit, wanted_unit) = (self.unit(), wanted.unit());
        let differs = !unit.is_empty() && !wanted_unit.is_empty() && unit != wanted_unit;
        differs.then(|| {
            format!(
                "column `{}` is in {unit} in the lake and in {wanted_unit} in the profile; give the measure in \
                 {wanted_unit} another name",
                wanted.name
            )
        })
    }

    /// What the wanted column has and this one not, for people: a unit, or a place in a profile.
    fn gains_of(&self, wanted: &Self) -> Option<String> {
        if !self.metadata.contains_key(ROLE_KEY) && wanted.metadata.contains_key(ROLE_KEY) {
            return Some(format!("column `{}`, which is there, for the profile", wanted.name));
        }
        let gains = self.unit().is_empty() && !wanted.unit().is_empty();
        gains.then(|| format!("unit {} of column `{}`", wanted.unit(), wanted.name))
    }

    /// Takes what it gains of the wanted column; whether that changed it.
    fn gain(&mut self, wanted: &Self) -> bool {
        let gains = self.gains_of(wanted).is_some();
        if gains {
            for (key, value) in &wanted.metadata {
                self.metadata.entry(key).or_insert_with(|| value.clone());
            }
        }
        gains
    }
}

impl Metadata {
    /// The metadata of a new table with these file columns.
    pub(super) fn of_new_table(columns: &Schema, created_time: i64) -> Result<Self, LakeError> {
        let mut fields = columns.fields().iter().map(|field| delta_field(field)).collect::<Result<Vec<_>, _>>()?;
        fields.push(delta_field(&bucket_field())?);
        Ok(Self {
            id: Uuid::new_v4().to_string(),
            name: None,
            description: None,
            format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
            schema_string: schema_text(fields)?,
            partition_columns: vec![BUCKET_COLUMN.to_owned()],
            configuration: BTreeMap::new(),
            created_time: Some(created_time),
        })
    }

    /// The metadata with the columns and units that are missing in it, or `None` if none are.
    pub(super) fn widened(&self, columns: &Schema) -> Result<Option<Self>, LakeError> {
        let mut fields = self.fields()?;
        let mut gains = false;
        for field in columns.fields() {
            let wanted = delta_field(field)?;
            match fields.iter_mut().find(|found| found.name == wanted.name) {
                Some(found) => match found.differs_from(&wanted) {
                    Some(reason) => return Err(LakeError::Refused { reason }),
                    None => gains |= found.gain(&wanted),
                },
                // The rows that are there have no value in it.
                None => {
                    fields.push(StructField { nullable: true, ..wanted });
                    gains = true;
                }
            }
        }
        if !gains {
            return Ok(None);
        }
        Ok(Some(Self { schema_string: schema_text(fields)?, ..self.clone() }))
    }

    /// What these columns would change, told for people.
    pub(super) fn changes_by(&self, columns: &Schema) -> Result<ColumnChanges, LakeError> {
        let known = self.fields()?;
        let mut changes = ColumnChanges::default();
        let mut new = Vec::new();
        for field in columns.fields() {
            let wanted = delta_field(field)?;
            match known.iter().find(|found| found.name == wanted.name) {
                Some(found) => match found.differs_from(&wanted) {
                    Some(reason) => changes.refused.push(reason),
                    None => changes.gained.extend(found.gains_of(&wanted)),
                },
                None => {
                    changes.gained.push(format!("column `{}` ({})", wanted.name, wanted.data_type_name()));
                    new.push(wanted);
                }
            }
        }
        let is_gone = |found: &&StructField| {
            !self.partition_columns.contains(&found.name) && columns.column_with_name(&found.name).is_none()
        };
        for gone in known.iter().filter(is_gone) {
            if ![ROLE_KEY, UNIT_KEY].iter().any(|ours| gone.metadata.contains_key(*ours)) {
                changes.foreign.push(format!("column `{}` ({})", gone.name, gone.data_type_name()));
                continue;
            }
            let renamed = new.iter().find(|new| new.data_type == gone.data_type);
            let rename = renamed.map_or_else(String::new, |new| {
                format!(
                    "; if `{}` is another name for it, keep `{}` and add aliases = {{ {} = \"{}\" }}",
                    new.name, gone.name, new.name, gone.name
                )
            });
            changes.lost.push(format!(
                "column `{}` is in the lake and no longer in the profile: its values would be out of reach; keep it, \
                 readings need not have it{rename}",
                gone.name
            ));
        }
        Ok(changes)
    }

    /// The columns of the data files. A column of a type that kilowatch never writes is left out.
    pub(super) fn file_schema(&self) -> Result<SchemaRef, LakeError> {
        let fields = self.fields()?;
        let stored = fields.iter().filter(|field| !self.partition_columns.contains(&field.name));
        let columns: Vec<Field> = stored
            .filter_map(|field| Some(Field::new(&field.name, arrow_type(field.data_type.as_str()?)?, field.nullable)))
            .collect();
        Ok(SchemaRef::new(Schema::new(columns)))
    }

    /// The columns that [`Self::file_schema`] leaves out.
    pub(super) fn unknown_columns(&self) -> Result<Vec<String>, LakeError> {
        let fields = self.fields()?.into_iter();
        let stored = fields.filter(|field| !self.partition_columns.contains(&field.name));
        Ok(stored.filter(|field| field.data_type.as_str().and_then(arrow_type).is_none()).map(|f| f.name).collect())
    }

    fn fields(&self) -> Result<Vec<StructField>, LakeError> {
        let schema: StructType = serde_json::from_str(&self.schema_string)
            .map_err(|error| LakeError::Corrupt { reason: format!("schema of a table: {error}") })?;
        Ok(schema.fields)
    }
}

/// The bucket that a file's partition values name.
pub(super) fn bucket_of_values(values: &BTreeMap<String, Option<String>>) -> Option<NaiveDate> {
    values.get(BUCKET_COLUMN)?.as_deref()?.parse().ok()
}

fn schema_text(fields: Vec<StructField>) -> Result<String, LakeError> {
    serde_json::to_string(&StructType { kind: "struct".to_owned(), fields })
        .map_err(|error| LakeError::Corrupt { reason: format!("schema of a table: {error}") })
}

fn delta_field(field: &Field) -> Result<StructField, LakeError> {
    let name = TYPES
        .iter()
        .find(|(_, data_type)| data_type() == *field.data_type())
        .map(|(name, _)| *name)
        .ok_or_else(|| LakeError::Corrupt {
            reason: format!("column `{}` of type {} has no place in a Delta table", field.name(), field.data_type()),
        })?;
    Ok(StructField {
        name: field.name().clone(),
        data_type: name.into(),
        nullable: field.is_nullable(),
        metadata: field.metadata().iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect(),
    })
}

fn arrow_type(name: &str) -> Option<DataType> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, data_type)| data_type())
}

/// Name of a type in a Delta schema, and the same type in Arrow.
type NamedType = (&'static str, fn() -> DataType);

const TYPES: [NamedType; 9] = [
    ("string", || DataType::Utf8),
    ("double", || DataType::Float64),
    ("float", || DataType::Float32),
    ("long", || DataType::Int64),
    ("integer", || DataType::Int32),
    ("boolean", || DataType::Boolean),
    ("binary", || DataType::Binary),
    ("date", || DataType::Date32),
    ("timestamp", instant_type),
];

fn map_or_null<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Option<String>>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}
