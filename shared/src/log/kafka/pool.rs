//! Readers between reads. A partition is mostly read on from where the last read ended, and that needs no move.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{config::KafkaConfig, reader::Reader};
use crate::{log::LogError, position::Offset};

/// A partition is followed by one reader; a look at another place (a check, a rebuild of state) gets a second one.
const KEPT_PER_PARTITION: usize = 2;
/// A partition that was given to another member gives back its memory after this time.
const KEPT_FOR: Duration = Duration::from_secs(60);

type Key = (String, u32);

/// The readers that no read uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    reader: Reader,
    since: Instant,
}

/// A reader on loan; it goes back when the read ends or is cancelled.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    key: Key,
    reader: Option<Reader>,
}

impl Pool {
    /// A reader of the partition, one that stands at `from` if there is one.
    pub(super) fn lease(
        &self,
        config: &KafkaConfig,
        topic: &str,
        partition: u32,
        from: Offset,
    ) -> Result<Lease<'_>, LogError> {
        let key = (topic.to_owned(), partition);
        let reader = match self.take(&key, from) {
            Some(reader) => reader,
            None => Reader::start(config, topic, partition)?,
        };
        Ok(Lease { pool: self, key, reader: Some(reader) })
    }

    fn take(&self, key: &Key, from: Offset) -> Option<Reader> {
        let mut idle = self.idle();
        let now = Instant::now();
        idle.values_mut().for_each(|readers| readers.retain(|reader| now - reader.since < KEPT_FOR));
        idle.retain(|_, readers| !readers.is_empty());
        let readers = idle.get_mut(key)?;
        let standing = readers.iter().position(|idle| idle.reader.head() == Some(from));
        // With room for another one, a reader keeps its place for whoever reads on there.
        let place = match standing {
            None if readers.len() < KEPT_PER_PARTITION => return None,
            None => readers.iter().enumerate().min_by_key(|(_, idle)| idle.since).map(|(place, _)| place)?,
            Some(place) => place,
        };
        Some(readers.swap_remove(place).reader)
    }

    fn give_back(&self, key: Key, reader: Reader) {
        if !reader.is_alive() {
            return;
        }
        let mut idle = self.idle();
        let readers = idle.entry(key).or_default();
        readers.push(Idle { reader, since: Instant::now() });
        if readers.len() > KEPT_PER_PARTITION {
            let oldest = readers.iter().enumerate().min_by_key(|(_, idle)| idle.since).map(|(place, _)| place);
            oldest.map(|place| readers.swap_remove(place));
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// The reader on loan.
    pub(super) fn reader(&self) -> Option<&Reader> {
        self.reader.as_ref()
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.pool.give_back(std::mem::take(&mut self.key), reader);
        }
    }
}
