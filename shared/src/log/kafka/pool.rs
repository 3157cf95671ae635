//! Readers between reads. A partition is mostly read on from where the last read ended, and that needs no move.
//!
//! Nobody comes by to clear up after a partition that went to another member, so a reader that is idle for too long ends
//! by itself; the pool only drops what is left of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{config::KafkaConfig, reader::Reader};
use crate::{log::LogError, position::Offset};

/// A partition is followed by one reader; a look at another place (a check, a rebuild of state) gets a second one.
const KEPT_PER_PARTITION: usize = 2;
/// A partition that was given to another member gives back its memory after this time.
const KEPT_FOR: Duration = Duration::from_secs(60);

type Key = (String, u32);

/// The readers that no read uses at the moment.
#[derive(Debug)]
pub(super) struct Pool {
    kept_for: Duration,
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

impl Default for Pool {
    fn default() -> Self {
        Self::keeping_for(KEPT_FOR)
    }
}

impl Pool {
    fn keeping_for(kept_for: Duration) -> Self {
        Self { kept_for, idle: Mutex::default() }
    }

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
            None => Reader::start(config, topic, partition, self.kept_for)?,
        };
        Ok(Lease { pool: self, key, reader: Some(reader) })
    }

    fn take(&self, key: &Key, from: Offset) -> Option<Reader> {
        let mut idle = self.idle();
        idle.values_mut().for_each(|readers| readers.retain(|idle| idle.reader.is_alive()));
        idle.retain(|_, readers| !readers.is_empty());
        let readers = idle.get_mut(key)?;
        let standing = readers.iter().position(|idle| idle.reader.head() == Some(from));
        // With room for another one, a reader keeps its place for whoever reads on there.
        let place = match standing {
            None if readers.len() < KEPT_PER_PARTITION => return None,
            None => readers.iter().enumerate().min_by_key(|(_, idle)| idle.since).map(|(place, _)| place)?,
            Some(place) => place,
        };
        let reader = readers.swap_remove(place).reader;
        // One that ended meanwhile is of no use.
        reader.wake().then_some(reader)
    }

    fn give_back(&self, key: Key, reader: Reader) {
        if !reader.rest() {
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_nobody_comes_back_to_ends_by_itself_and_the_next_lease_gets_another() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("energy", 1, 1).unwrap();
        let config = KafkaConfig::new(cluster.bootstrap_servers());
        let pool = Pool::keeping_for(Duration::from_millis(50));
        let lease = pool.lease(&config, "energy", 0, Offset::ZERO).unwrap();
        let memory = lease.reader().unwrap().memory();
        lease.reader().unwrap().move_to(Offset::ZERO);
        // Longer than it may be idle: a reader at work is not.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(lease.reader().unwrap().is_alive(), "a reader ended while it was on loan");
        drop(lease);
        tokio::time::timeout(Duration::from_secs(20), async {
            while memory.upgrade().is_some_and(|shared| !shared.lock().ended) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("an idle reader keeps its memory");
        let lease = pool.lease(&config, "energy", 0, Offset::ZERO).unwrap();
        assert!(lease.reader().unwrap().is_alive(), "a lease gave a reader that has ended");
        drop(lease);
        assert_eq!(
            pool.idle().values().map(Vec::len).sum::<usize>(),
            1,
            "what is left of the ended one is still there"
        );
    }
}
