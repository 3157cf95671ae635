//! What differs between two versions of a table: rows, and the hourly aggregates that they change.
//!
//! Data files that both versions have hold the same rows, so only the others are read, bucket by bucket: a row never
//! leaves its bucket, and a bucket bounds what is compared at once. A row is the one at its source position; compaction
//! moves rows between files and changes none of them. `rows` finds rows, `hours` what their hours add up to.

mod hours;
mod rows;
mod shape;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::NaiveDate;
use kilowatch_shared::lake::{
    LakeError,
    delta::TableFiles,
    session::{Engine, LakeSession, SessionLimits, SessionTable, lake_session},
    store::LakeStore,
};
use object_store::path::Path;

pub use hours::{changed_hours, hours_schema};
pub use rows::{ChangedRows, changed_rows, rows_schema};

/// Buckets by their date; rows without one are in a bucket of their own.
pub type Buckets = BTreeSet<Option<NaiveDate>>;

/// Two versions of a table.
#[derive(Debug)]
pub struct Versions {
    earlier: TableFiles,
    later: TableFiles,
    limits: SessionLimits,
    engine: Option<Arc<Engine>>,
}

impl Versions {
    /// Both with the columns of the one that has more: a file that lacks one reads as null there.
    #[must_use]
    pub fn new(earlier: TableFiles, later: TableFiles) -> Self {
        let columns = |table: &TableFiles| table.schema.fields().len();
        let widest = if columns(&earlier) > columns(&later) { &earlier } else { &later };
        let schema = widest.schema.clone();
        Self {
            earlier: TableFiles { schema: schema.clone(), ..earlier },
            later: TableFiles { schema, ..later },
            limits: SessionLimits::default(),
            engine: None,
        }
    }

    /// Compares them on threads of their own and within this memory, for somebody who waits and may stop waiting.
    #[must_use]
    pub fn on(mut self, engine: Arc<Engine>, memory_bytes: usize) -> Self {
        self.limits.memory_bytes = memory_bytes;
        self.engine = Some(engine);
        self
    }

    /// Buckets in which the versions do not have the same files.
    fn differing_buckets(&self) -> Buckets {
        let (earlier, later) = (paths(&self.earlier), paths(&self.later));
        let missing = |table: &TableFiles, other: &HashSet<&Path>| -> Buckets {
            table.files.iter().filter(|file| !other.contains(&file.path)).map(|file| file.bucket).collect()
        };
        let mut buckets = missing(&self.earlier, &later);
        buckets.extend(missing(&self.later, &earlier));
        buckets
    }

    /// The files of a bucket that only one of the versions has.
    fn differing_files(&self, bucket: Option<NaiveDate>) -> (TableFiles, TableFiles) {
        let (earlier, later) = (paths(&self.earlier), paths(&self.later));
        let only = |table: &TableFiles, other: &HashSet<&Path>| {
            table.only(|file| file.bucket == bucket && !other.contains(&file.path))
        };
        (only(&self.earlier, &later), only(&self.later, &earlier))
    }

    /// All files of a bucket.
    fn files_of(&self, bucket: Option<NaiveDate>) -> (TableFiles, TableFiles) {
        let of_bucket = |table: &TableFiles| table.only(|file| file.bucket == bucket);
        (of_bucket(&self.earlier), of_bucket(&self.later))
    }

    fn session(
        &self,
        store: &LakeStore,
        (earlier, later): &(TableFiles, TableFiles),
    ) -> Result<LakeSession, LakeError> {
        let tables = [SessionTable { name: "earlier", files: earlier }, SessionTable { name: "later", files: later }];
        Ok(lake_session(store, &tables, &self.limits)?.on(self.engine.clone()))
    }
}

fn paths(table: &TableFiles) -> HashSet<&Path> {
    table.files.iter().map(|file| &file.path).collect()
}
