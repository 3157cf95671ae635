//! The handle on a cluster.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    admin::{ANSWER_WITHIN, Admin},
    buffer::Fault,
    config::KafkaConfig,
    group::GroupMember,
    pool::Pool,
    producer::Appender,
    reader::Reader,
};
use crate::{
    checkpoint::SourcePartition,
    clock::SharedClock,
    log::{Fetched, Log, LogError, Membership, NewRecord, ReadLimit, Watermarks, topic::check_name},
    position::{Offset, SourceId, SourcePosition},
};

/// A Kafka cluster as a log. Its sources are `kafka:<topic>#<generation>`.
pub struct KafkaLog {
    config: KafkaConfig,
    clock: SharedClock,
    admin: Admin,
    appender: Appender,
    readers: Pool,
}

impl KafkaLog {
    /// A log on the brokers of `config`, which need not be reachable yet; messages are stamped with `clock`.
    ///
    /// # Errors
    /// [`LogError::Unusable`] if librdkafka refuses a property, or a file of certificates cannot be read.
    pub fn new(config: KafkaConfig, clock: SharedClock) -> Result<Self, LogError> {
        config.security.check_files()?;
        let (admin, appender) = (Admin::new(&config)?, Appender::new(&config)?);
        Ok(Self { config, clock, admin, appender, readers: Pool::default() })
    }

    fn source_of(&self, topic: &str) -> Result<SourceId, LogError> {
        SourceId::parse(&format!("kafka:{topic}#{}", self.config.generation_of(topic)))
            .map_err(|invalid| LogError::Unusable { reason: invalid.to_string() })
    }

    /// The topic of a partition of this cluster and generation.
    async fn topic_of<'a>(&self, partition: &'a SourcePartition) -> Result<&'a str, LogError> {
        let unknown = || LogError::UnknownPartition { partition: partition.clone() };
        let source = partition.source.as_str().strip_prefix("kafka:").ok_or_else(unknown)?;
        let (topic, generation) = source.rsplit_once('#').ok_or_else(unknown)?;
        if generation != self.config.generation_of(topic).to_string() {
            return Err(unknown());
        }
        if self.admin.has_partition(topic, partition.partition).await? { Ok(topic) } else { Err(unknown()) }
    }

    /// Moves a reader to the place, and gives the high watermark from before the move.
    async fn bring(&self, reader: &Reader, place: &Place<'_>) -> Result<Offset, LogError> {
        let high = self.in_range(place).await?.high;
        reader.move_to(place.from);
        Ok(high)
    }

    async fn take(
        &self,
        reader: &Reader,
        place: &Place<'_>,
        limit: ReadLimit,
        deadline: Instant,
        high: Option<Offset>,
    ) -> Result<Fetched, LogError> {
        // A moved reader with something before it fetches first: a caller that waits for less than a fetch takes would
        // never get it.
        let ahead = high.is_some_and(|high| place.from < high);
        let patience = if ahead { Instant::now() + ANSWER_WITHIN } else { deadline };
        match reader.read(limit, deadline, patience).await {
            Ok(fetched) => Ok(fetched),
            Err(Fault::Log(error)) => Err(error),
            Err(Fault::Unknown) => Err(LogError::UnknownPartition { partition: place.partition.clone() }),
            Err(Fault::OutOfRange) => {
                self.in_range(place).await?;
                let reason = format!("Kafka, topic `{}`: the broker lacked an offset that it has now", place.topic);
                Err(LogError::Unavailable { reason })
            }
        }
    }

    /// The reader is at the end and brought nothing. Marks and aborted messages of transactions are never delivered, so
    /// the end may still be ahead; what was below the high watermark before the reader came here, and did not come, is
    /// passed over.
    async fn pass_gap(
        &self,
        reader: &Reader,
        place: &Place<'_>,
        limit: ReadLimit,
        high: Option<Offset>,
    ) -> Result<Fetched, LogError> {
        let nothing = Fetched { records: Vec::new(), next: place.from };
        let high = match high {
            Some(high) => high,
            None if self.in_range(place).await?.high == place.from => return Ok(nothing),
            None => {
                let high = self.bring(reader, place).await?;
                let fetched = self.take(reader, place, limit, Instant::now(), Some(high)).await?;
                if fetched.next != place.from || !reader.is_at_end() {
                    return Ok(fetched);
                }
                high
            }
        };
        let next = limit.before.map_or(high, |before| before.min(high)).max(place.from);
        reader.pass_to(next);
        Ok(Fetched { next, ..nothing })
    }

    async fn in_range(&self, place: &Place<'_>) -> Result<Watermarks, LogError> {
        let watermarks = self.admin.watermarks(place.topic, place.partition.partition).await?;
        if place.from < watermarks.low || place.from > watermarks.high {
            return Err(LogError::OutOfRange { partition: place.partition.clone(), asked: place.from, watermarks });
        }
        Ok(watermarks)
    }
}

/// Where a read begins.
struct Place<'a> {
    partition: &'a SourcePartition,
    topic: &'a str,
    from: Offset,
}

#[async_trait]
impl Log for KafkaLog {
    async fn create_topic(&self, topic: &str, partitions: u32) -> Result<(), LogError> {
        check_name(topic)?;
        self.admin.create_topic(topic, partitions).await
    }

    async fn source(&self, topic: &str) -> Result<SourceId, LogError> {
        self.admin.partition_count(topic).await?;
        self.source_of(topic)
    }

    async fn partitions(&self, topic: &str) -> Result<Vec<SourcePartition>, LogError> {
        let count = self.admin.partition_count(topic).await?;
        let source = self.source_of(topic)?;
        Ok((0..count).map(|partition| SourcePartition { source: source.clone(), partition }).collect())
    }

    async fn watermarks(&self, partition: &SourcePartition) -> Result<Watermarks, LogError> {
        let topic = self.topic_of(partition).await?;
        self.admin.watermarks(topic, partition.partition).await
    }

    async fn read(
        &self,
        partition: &SourcePartition,
        from: Offset,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        let deadline = Instant::now() + wait;
        let nothing = Fetched { records: Vec::new(), next: from };
        let topic = self.topic_of(partition).await?;
        if limit.before.is_some_and(|before| before <= from) {
            self.in_range(&Place { partition, topic, from }).await?;
            return Ok(nothing);
        }
        let lease = self.readers.lease(&self.config, topic, partition.partition, from)?;
        let Some(reader) = lease.reader() else { return Ok(nothing) };
        let place = Place { partition, topic, from };
        let mut high = None;
        if reader.head() != Some(from) {
            high = Some(self.bring(reader, &place).await?);
        }
        let fetched = self.take(reader, &place, limit, deadline, high).await?;
        if fetched.next != from || !reader.is_at_end() {
            return Ok(fetched);
        }
        self.pass_gap(reader, &place, limit, high).await
    }

    async fn append(&self, topic: &str, records: &[NewRecord]) -> Result<Vec<SourcePosition>, LogError> {
        self.admin.has_partition(topic, 0).await?;
        let source = self.source_of(topic)?;
        let delivered = self.appender.append(topic, records, self.clock.now().timestamp_millis()).await?;
        let position = |to: super::producer::Delivered| SourcePosition {
            source: source.clone(),
            partition: to.partition,
            offset: to.offset,
        };
        Ok(delivered.into_iter().map(position).collect())
    }

    async fn join(&self, group: &str, topic: &str) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(GroupMember::join(&self.config, group, topic, self.source_of(topic)?)?))
    }

    /// Kafka's own retention cleans up; it drops nothing.
    async fn trim(&self, _: &SourcePartition, _: Offset, _: DateTime<Utc>) -> Result<u64, LogError> {
        Ok(0)
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("config", &self.config).finish_non_exhaustive()
    }
}
