//! Where things stand in the lake: paths below its root, built from parsed ids and never pasted together.

use chrono::NaiveDate;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::LakeTable;
use crate::{
    model::ModelId,
    position::{Offset, PartitionId, StreamName},
};

/// Longest escaped id that stands for itself; longer ones would not fit a file name of 255 bytes with room to spare.
const LONGEST_SEGMENT_BYTES: usize = 160;

/// The folder of a stream's detector states.
const STATES: &str = "state";

/// The folder of the models of all streams.
const MODELS: &str = "models";

impl LakeTable {
    /// Name of the table's folder inside its stream's.
    #[must_use]
    pub const fn folder_name(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// The folder of a stream, with its tables and states.
#[must_use]
pub fn stream_folder(stream: &StreamName) -> Path {
    Path::from_iter([stream.as_str()])
}

/// Whether a lake writes at such a path below its root: in a stream's tables or states, or among its models.
#[must_use]
pub fn is_of_a_lake(path: &Path) -> bool {
    let mut parts = path.parts();
    let first = parts.next();
    let second = parts.next();
    first.is_some_and(|first| first.as_ref() == MODELS)
        || second.is_some_and(|second| {
            let tables = [LakeTable::Readings, LakeTable::DeadLetters].map(LakeTable::folder_name);
            second.as_ref() == STATES || tables.contains(&second.as_ref())
        })
}

/// The folder of a table, `<stream>/readings`.
#[must_use]
pub fn table_folder(stream: &StreamName, table: LakeTable) -> Path {
    Path::from_iter([stream.as_str(), table.folder_name()])
}

/// The file of a commit, `<table>/_delta_log/<version>.json`.
#[must_use]
pub fn commit_file(table: &Path, version: i64) -> Path {
    log_file(table, &format!("{version:020}.json"))
}

/// A file of a table's log.
#[must_use]
pub fn log_file(table: &Path, name: &str) -> Path {
    log_folder(table).join(name)
}

/// The folder of a table's log.
#[must_use]
pub fn log_folder(table: &Path) -> Path {
    table.clone().join("_delta_log")
}

/// A fresh data file, relative to its table: `bucket=2007-01-01/part-<uuid>.parquet`.
#[must_use]
pub fn fresh_data_file(bucket: NaiveDate) -> Path {
    Path::from_iter([format!("bucket={bucket}"), format!("part-{}.parquet", Uuid::new_v4())])
}

/// A data file, from its path relative to the table.
#[must_use]
pub fn data_file(table: &Path, relative: &Path) -> Path {
    table.parts().chain(relative.parts()).collect()
}

/// The folder of a partition's states, `<stream>/state/<source>/<partition>`.
#[must_use]
pub fn state_folder(partition: &PartitionId) -> Path {
    Path::from_iter([
        partition.stream.as_str(),
        STATES,
        &safe_segment(partition.source.as_str()),
        &partition.partition.to_string(),
    ])
}

/// The state at a cut; names sort as offsets do.
#[must_use]
pub fn state_file(partition: &PartitionId, offset: Offset) -> Path {
    state_folder(partition).join(format!("{:020}", offset.get()))
}

/// The offset that a state file's name says, if it is one.
#[must_use]
pub fn offset_of_state_file(path: &Path) -> Option<Offset> {
    path.filename().filter(|name| name.len() == 20).and_then(|name| name.parse().ok()).map(Offset::new)
}

/// The folder of all models.
#[must_use]
pub fn models_folder() -> Path {
    Path::from_iter([MODELS])
}

/// A model's bytes.
#[must_use]
pub fn model_file(id: &ModelId) -> Path {
    Path::from_iter([MODELS, &safe_segment(id.as_str()), "model.bin"])
}

/// A model's manifest.
#[must_use]
pub fn manifest_file(id: &ModelId) -> Path {
    Path::from_iter([MODELS, &safe_segment(id.as_str()), "manifest.json"])
}

/// The model that a manifest's path says, if it is one.
#[must_use]
pub fn id_of_manifest_file(path: &Path) -> Option<ModelId> {
    let id = ModelId::from_stored(path.parts().nth(1)?.as_ref().to_owned());
    (manifest_file(&id) == *path).then_some(id)
}

/// Letters, digits, `-` and an inner `.` stand for themselves, any other byte becomes `_` and two hex digits: no two
/// ids share a segment, and no id leaves its folder on any store. An overlong id ends in its hash.
fn safe_segment(id: &str) -> String {
    let mut segment = String::with_capacity(id.len());
    for (index, byte) in id.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && index > 0) {
            segment.push(char::from(byte));
        } else {
            segment.push('_');
            segment.push_str(&hex::encode([byte]));
        }
    }
    if segment.len() > LONGEST_SEGMENT_BYTES {
        segment.truncate(LONGEST_SEGMENT_BYTES - 65);
        segment.push('_');
        segment.push_str(&hex::encode(Sha256::digest(id.as_bytes())));
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::SourceId;

    fn partition(source: &str) -> PartitionId {
        PartitionId {
            stream: StreamName::parse("household").unwrap(),
            source: SourceId::parse(source).unwrap(),
            partition: 3,
        }
    }

    #[test]
    fn a_state_path_leads_back_to_its_offset() {
        let file = state_file(&partition("kafka:energy-stream#1"), Offset::new(88_412));
        assert_eq!(file.as_ref(), "household/state/kafka_3aenergy-stream_231/3/00000000000000088412");
        assert_eq!(offset_of_state_file(&file), Some(Offset::new(88_412)));
    }

    #[test]
    fn different_sources_never_share_a_folder() {
        let long = |end: &str| format!("kafka:{}{end}", "x".repeat(300));
        let sources =
            ["kafka:a#1", "kafka:a_231", "kafka:a/1", "kafka:..", "kafka:a.1", &long("1"), &long("2")].map(partition);
        let folders: std::collections::BTreeSet<_> = sources.iter().map(state_folder).collect();
        assert_eq!(folders.len(), sources.len());
        assert!(folders.iter().all(|folder| folder.parts().count() == 4
            && folder.parts().all(|part| part.as_ref().len() <= LONGEST_SEGMENT_BYTES)));
    }
}
