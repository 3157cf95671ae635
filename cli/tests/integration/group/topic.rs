//! A topic as it stands.

use std::time::Duration;

use kilowatch_shared::{
    log::{LogRecord, ReadLimit, SharedLog},
    position::SourcePosition,
};

/// Some megabytes.
const AT_ONCE: ReadLimit = ReadLimit { records: 20_000, bytes: 16 << 20, before: None };

/// All messages of a topic with their positions, partition by partition in order.
pub async fn read_topic(log: &SharedLog, topic: &str) -> Vec<(SourcePosition, LogRecord)> {
    let mut found = Vec::new();
    for partition in log.partitions(topic).await.unwrap() {
        let ends = log.watermarks(&partition).await.unwrap();
        let mut at = ends.low;
        while at < ends.high {
            let fetched = log.read(&partition, at, AT_ONCE, Duration::from_secs(1)).await.unwrap();
            let position = |record: &LogRecord| SourcePosition {
                source: partition.source.clone(),
                partition: partition.partition,
                offset: record.offset,
            };
            found.extend(fetched.records.into_iter().map(|record| (position(&record), record)));
            at = fetched.next;
        }
    }
    found
}
