//! What the scheduled ingest takes.

use std::collections::BTreeMap;

use chrono::FixedOffset;
use kilowatch_shared::position::{DeviceId, StreamName};
use serde::{Deserialize, Serialize};

use crate::ingest::{ColumnChoice, IngestError, IngestRequest, Input, InputFormat, OnConflict};

/// Files of one stream and how they are read, as a table `[[schedule.inputs]]`. Its keys are the arguments of `batch ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledInput {
    /// The stream that they are of.
    pub stream: StreamName,
    /// Files, folders, patterns, ZIP archives, `s3://bucket/key` and `s3://bucket/prefix/`; relative paths begin where the
    /// process was started.
    pub files: Vec<String>,
    /// What counts where a row has another value than the lake: `keep` the lake's, `replace` the file's. Default `keep`.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// The meter, where a file has no column for it. Default `meter-0001`.
    #[serde(default = "default_device")]
    pub device: String,
    /// How files are laid out: `auto`, `uci`, `csv` or `parquet`. Default `auto`.
    #[serde(default)]
    pub format: InputFormat,
    /// Offset of times that name none, as `+01:00`. Default +01:00 for UCI files, else UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset: Option<String>,
    /// Headers of columns that are not called as their measure or tag: `{ active_power = "Power" }`. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Header of the event time. Default the profile's time field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// Header of the device. Default the profile's key field, if the file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_column: Option<String>,
    /// What separates fields, one ASCII character. Default what the header has most of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
}

impl ScheduledInput {
    /// Files of a stream that speak for themselves.
    #[must_use]
    pub fn new(stream: StreamName, files: Vec<String>) -> Self {
        Self {
            stream,
            files,
            on_conflict: OnConflict::default(),
            device: default_device(),
            format: InputFormat::default(),
            utc_offset: None,
            columns: BTreeMap::new(),
            time_column: None,
            device_column: None,
            separator: None,
        }
    }

    /// What is asked of one of the files.
    ///
    /// # Errors
    /// What [`Self::problems`] tells of before.
    pub(crate) fn request(&self, input: &Input) -> Result<IngestRequest, IngestError> {
        let bad = |reason: String| IngestError::BadRequest { reason };
        let columns = self.columns.iter();
        Ok(IngestRequest {
            at: input.at.clone(),
            format: self.format,
            columns: columns
                .map(|(name, header)| ColumnChoice { name: name.clone(), header: header.clone() })
                .collect(),
            time_column: self.time_column.clone(),
            device_column: self.device_column.clone(),
            separator: self.separator_byte().map_err(bad)?,
            utc_offset: self.offset().map_err(bad)?,
            on_conflict: self.on_conflict,
            only_new: true,
            ..IngestRequest::new(input.name.clone(), self.meter().map_err(bad)?)
        })
    }

    /// What is wrong with it, one line a problem.
    pub(super) fn problems(&self) -> Vec<String> {
        let nameless = self.files.is_empty() || self.files.iter().any(|name| name.trim().is_empty());
        let files = if nameless {
            Err(format!("files = {:?}: name files, folders, patterns or s3:// addresses", self.files))
        } else if self.files.iter().any(|name| name == "-") {
            Err("files: `-` is standard input, which a schedule does not have; name a file or folder".to_owned())
        } else {
            Ok(())
        };
        [files, self.meter().map(drop), self.offset().map(drop), self.separator_byte().map(drop)]
            .into_iter()
            .filter_map(Result::err)
            .collect()
    }

    fn meter(&self) -> Result<DeviceId, String> {
        DeviceId::parse(&self.device).map_err(|error| format!("device = {:?}: {error}", self.device))
    }

    fn offset(&self) -> Result<Option<FixedOffset>, String> {
        let parsed = self.utc_offset.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| {
            format!(
                "utc_offset = {:?}: must be an offset as in \"+01:00\" or \"-05:30\"",
                self.utc_offset.as_deref().unwrap_or_default()
            )
        })
    }

    fn separator_byte(&self) -> Result<Option<u8>, String> {
        let byte = self.separator.filter(char::is_ascii).and_then(|separator| u8::try_from(separator).ok());
        match (self.separator, byte) {
            (Some(separator), None) => Err(format!("separator = {separator:?}: must be one ASCII character")),
            _ => Ok(byte),
        }
    }
}

fn default_device() -> String {
    IngestRequest::DEFAULT_DEVICE.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_cannot_be_is_named() {
        let stream = StreamName::parse("household").unwrap();
        let good = ScheduledInput::new(stream, vec!["inbox".to_owned(), "s3://bucket/prefix/".to_owned()]);
        assert_eq!(good.problems(), Vec::<String>::new());
        let bad = ScheduledInput {
            files: vec!["-".to_owned()],
            device: String::new(),
            utc_offset: Some("Paris".to_owned()),
            separator: Some('é'),
            ..good
        };
        let problems = bad.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, key) in problems.iter().zip(["files: `-`", "device = \"\"", "utc_offset = ", "separator = "]) {
            assert!(problem.starts_with(key), "{problem}");
        }
    }
}
