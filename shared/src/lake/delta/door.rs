//! The door itself: a store, a clock, and the logs of the tables that were asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::log::TableLog;
use crate::{
    clock::SharedClock,
    lake::{LakeTable, store::LakeStore},
    position::StreamName,
};

/// The lake on an object store. Clones share what they know of the tables.
#[derive(Debug, Clone)]
pub struct DeltaLake {
    store: LakeStore,
    clock: SharedClock,
    tables: Arc<Mutex<TableLogs>>,
}

type TableLogs = HashMap<(StreamName, LakeTable), Arc<TableLog>>;

impl DeltaLake {
    /// The lake in a store; nothing is read before it is asked for. The clock stamps files and commits.
    #[must_use]
    pub fn new(store: LakeStore, clock: SharedClock) -> Self {
        Self { store, clock, tables: Arc::default() }
    }

    /// The store below, for whoever reads data files.
    #[must_use]
    pub fn store(&self) -> &LakeStore {
        &self.store
    }

    pub(super) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    pub(super) fn table(&self, stream: &StreamName, table: LakeTable) -> Arc<TableLog> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .entry((stream.clone(), table))
            .or_insert_with(|| Arc::new(TableLog::new(self.store.objects().clone(), stream, table)))
            .clone()
    }
}
