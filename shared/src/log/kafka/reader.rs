//! One reader of one partition: a buffer from which reads take, and the thread that fills it.

use std::{
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use super::{
    buffer::{Fault, Shared, State},
    config::KafkaConfig,
    poller::Poller,
    prefetched::Prefetched,
};
use crate::{
    log::{Fetched, LogError, ReadLimit},
    position::Offset,
};

/// A handle on the thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// Starts the thread of a reader that stands nowhere yet.
    /// Once idle, it ends after `kept_for`.
    pub(super) fn start(
        config: &KafkaConfig,
        topic: &str,
        partition: u32,
        kept_for: Duration,
    ) -> Result<Self, LogError> {
        let shared = Arc::<Shared>::default();
        let poller = Poller {
            config: config.clone(),
            topic: topic.to_owned(),
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            shared: shared.clone(),
            kept_for,
            arena: BytesMut::new(),
            prefetched: Prefetched::of(topic),
        };
        std::thread::Builder::new()
            .name(format!("kafka-{partition}"))
            .spawn(move || poller.run())
            .map_err(|error| LogError::Unavailable { reason: format!("no thread for a Kafka reader: {error}") })?;
        Ok(Self { shared })
    }

    /// Where a read goes on without moving the reader.
    pub(super) fn head(&self) -> Option<Offset> {
        self.shared.lock().head
    }

    /// Whether the thread is still there.
    pub(super) fn is_alive(&self) -> bool {
        !self.shared.lock().ended
    }

    /// Nobody reads from now on; `false` if the thread has ended.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.shared.lock();
        state.idle_since = Some(Moment::now());
        let rests = !state.ended;
        drop(state);
        // It may be waiting for room, which nobody makes any more.
        self.shared.wanted.notify_one();
        rests
    }

    /// Somebody reads from now on; `false` if the thread has ended.
    pub(super) fn wake(&self) -> bool {
        let mut state = self.shared.lock();
        state.idle_since = None;
        !state.ended
    }

    /// Whether the brokers said that nothing is behind what was read.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.shared.lock();
        state.at_end && state.records.is_empty()
    }

    /// Goes on at `offset` without a move, as nothing will come of what is before it.
    pub(super) fn pass_to(&self, offset: Offset) {
        self.shared.lock().head = Some(offset);
    }

    /// Drops what is buffered and reads on from `offset`.
    pub(super) fn move_to(&self, offset: Offset) {
        let mut state = self.shared.lock();
        if state.ended {
            // The thread never came to work, and the next read tells why.
            return;
        }
        let idle_since = state.idle_since;
        *state = State { head: Some(offset), go_to: Some(offset), idle_since, ..State::default() };
        drop(state);
        self.shared.wanted.notify_one();
    }

    /// Takes what is there at the head, waiting for the first message until `deadline`, or until `patience` if the
    /// brokers have not said yet that there is none.
    pub(super) async fn read(&self, limit: ReadLimit, deadline: Instant, patience: Instant) -> Result<Fetched, Fault> {
        loop {
            let filled = self.shared.filled.notified();
            tokio::pin!(filled);
            // Registered before looking, so that a message between the look and the wait is not slept through.
            filled.as_mut().enable();
            let until = {
                let mut state = self.shared.lock();
                if let Some(fetched) = state.take(limit)? {
                    drop(state);
                    self.shared.wanted.notify_one();
                    return Ok(fetched);
                }
                let until = if state.at_end { deadline } else { deadline.max(patience) };
                if until <= Instant::now() {
                    return state.nothing();
                }
                until
            };
            let _ = timeout_at(until, filled).await;
        }
    }
}

#[cfg(test)]
impl Reader {
    /// What it holds in memory, for as long as it does.
    pub(super) fn memory(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.shared)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wanted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    const KEPT_FOR: Duration = Duration::from_secs(60);
    const LIMIT: ReadLimit = ReadLimit { records: 10, bytes: 1 << 20, before: None };

    #[tokio::test]
    async fn a_reader_that_cannot_start_says_why_and_is_not_kept() {
        let mut config = KafkaConfig::new("127.0.0.1:1");
        config.properties.insert("fetch.wait.max.ms".to_owned(), "soon".to_owned());
        let reader = Reader::start(&config, "energy", 0, KEPT_FOR).unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        reader.move_to(Offset::ZERO);
        let fault = reader.read(LIMIT, patience, patience).await.unwrap_err();
        assert!(matches!(fault, Fault::Log(LogError::Unusable { .. })), "{fault:?}");
        tokio::time::timeout(Duration::from_secs(20), async {
            while reader.is_alive() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the reader passes for a living one");
    }

    #[tokio::test]
    async fn a_dropped_reader_ends_its_thread() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("energy", 1, 1).unwrap();
        let reader = Reader::start(&KafkaConfig::new(cluster.bootstrap_servers()), "energy", 0, KEPT_FOR).unwrap();
        reader.move_to(Offset::ZERO);
        // Until the broker has said that there is nothing, so that the thread is in its loop.
        let patience = Instant::now() + Duration::from_secs(20);
        let fetched = reader.read(LIMIT, Instant::now(), patience).await.unwrap();
        assert_eq!((fetched.records, fetched.next), (Vec::new(), Offset::ZERO));
        let shared = Arc::downgrade(&reader.shared);
        drop(reader);
        tokio::time::timeout(Duration::from_secs(20), async {
            while shared.upgrade().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the thread outlives its reader");
    }
}
