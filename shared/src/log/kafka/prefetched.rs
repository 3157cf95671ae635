//! How much is read ahead, in a gauge that all readers of a topic share.

use metrics::Gauge;

/// What one reader adds to the gauge.
pub(super) struct Prefetched {
    gauge: Gauge,
    bytes: usize,
}

impl Prefetched {
    /// Nothing yet, of this topic.
    pub(super) fn of(topic: &str) -> Self {
        Self { gauge: metrics::gauge!("kilowatch_log_prefetched_bytes", "topic" => topic.to_owned()), bytes: 0 }
    }

    /// So much waits in the buffer now.
    #[expect(clippy::cast_precision_loss, reason = "a buffer of more than 2^53 bytes fits into no memory")]
    pub(super) fn is(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.gauge.increment(bytes as f64 - self.bytes as f64);
            self.bytes = bytes;
        }
    }
}
