//! Which log an address means.

use std::{path::PathBuf, sync::Arc};

use crate::{
    clock::SharedClock,
    log::{
        LogError, SharedLog,
        kafka::{KafkaConfig, KafkaLog},
        sqlite::SqliteLog,
    },
};

/// A log's address, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogAddress {
    /// The embedded log in this file.
    Sqlite(PathBuf),
    /// A Kafka cluster.
    Kafka(Box<KafkaConfig>),
}

impl LogAddress {
    /// Parses `kafka://host:port[,host:port]`, `sqlite:PATH` or a plain path.
    ///
    /// # Errors
    /// [`LogError::Unusable`] for anything else; the address is not repeated in it, as it may hold a password.
    pub fn parse(url: &str) -> Result<Self, LogError> {
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
        match path.split_once("://") {
            Some(("kafka", _)) => KafkaConfig::parse(path).map(|config| Self::Kafka(Box::new(config))),
            Some((scheme, _)) => Err(LogError::Unusable {
                reason: format!("`{scheme}://` is no log; use kafka://host:port, sqlite:PATH or a path"),
            }),
            None if path.is_empty() => Err(LogError::Unusable {
                reason: "the log's address is empty; give a path or kafka://host:port".into(),
            }),
            None => Ok(Self::Sqlite(path.into())),
        }
    }

    /// Opens the log at this address.
    ///
    /// # Errors
    /// See [`SqliteLog::open`] and [`KafkaLog::new`].
    pub async fn open(self, clock: SharedClock) -> Result<SharedLog, LogError> {
        Ok(match self {
            Self::Sqlite(path) => Arc::new(SqliteLog::open(path, clock).await?),
            Self::Kafka(config) => Arc::new(KafkaLog::new(*config, clock)?),
        })
    }
}

/// Opens the log at an address; a cluster that needs TLS or SASL is opened by [`LogAddress::Kafka`] with properties.
///
/// # Errors
/// See [`LogAddress::parse`] and [`LogAddress::open`].
pub async fn open(url: &str, clock: SharedClock) -> Result<SharedLog, LogError> {
    LogAddress::parse(url)?.open(clock).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_embedded_log_and_a_url_says_what_it_is() {
        for path in ["data/log.sqlite", "sqlite:data/log.sqlite", "sqlite://data/log.sqlite"] {
            assert_eq!(LogAddress::parse(path).unwrap(), LogAddress::Sqlite("data/log.sqlite".into()));
        }
        let kafka = LogAddress::Kafka(Box::new(KafkaConfig::new("a:9092,b:9092")));
        assert_eq!(LogAddress::parse("kafka://a:9092,b:9092").unwrap(), kafka);
    }

    #[test]
    fn an_address_that_is_no_log_is_refused_without_repeating_it() {
        let error = LogAddress::parse("amqp://me:s3cret@broker").unwrap_err().to_string();
        assert!(error.contains("amqp") && !error.contains("s3cret"), "{error}");
        assert!(LogAddress::parse("").is_err());
        assert!(LogAddress::parse("sqlite:").is_err());
    }
}
