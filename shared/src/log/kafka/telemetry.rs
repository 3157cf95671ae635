//! What librdkafka says on its own.

use rdkafka::{ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError};

/// Passes librdkafka's words on to `tracing`. A failure that matters comes back from a call and is logged by whoever
/// handles it, so the library's own lines are for those who look closer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telemetry;

impl ClientContext for Telemetry {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::warn!(kafka.facility = facility, "librdkafka: {message}");
            }
            _ => tracing::debug!(kafka.facility = facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "librdkafka: {reason}");
    }
}

impl ConsumerContext for Telemetry {}
