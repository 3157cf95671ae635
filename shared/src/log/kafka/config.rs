//! How to reach the brokers, and what librdkafka is told whatever else it is told.

use std::{collections::BTreeMap, fmt};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use super::{group_health::REPORTED_EVERY_MS, security::KafkaSecurity};
use crate::log::LogError;

/// How to reach a Kafka cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port[,host:port]`.
    pub brokers: String,
    /// Raised by whoever deletes a topic and makes it again, since its offsets then mean other messages. Default 1.
    pub generation: u32,
    /// Topics whose generation is a higher one than that, as operators adopted them.
    pub adopted: BTreeMap<String, u32>,
    /// Begin of the names of our consumer groups: the readers of a stream are members of `<group>.<stream>`. Whoever
    /// has views of their own needs a group of their own, or the two would share the partitions. Default `kilowatch`.
    pub group: String,
    /// Copies of the topics that we make; `None` leaves it to the cluster (from Kafka 2.4 on).
    pub replication: Option<u16>,
    /// What the brokers ask for: TLS, SASL, both or neither. Default neither.
    pub security: KafkaSecurity,
    /// Further properties for librdkafka. What exactness rests on cannot be changed by them, nor what `security` sets.
    pub properties: BTreeMap<String, String>,
}

/// Told to every client. A consumer does not make a topic by asking for it.
const EVERY_CLIENT: [(&str, &str); 1] = [("allow.auto.create.topics", "false")];

/// Defaults of the readers that a user may change. librdkafka's own let a drain idle between fetches.
const READER_DEFAULTS: [(&str, &str); 5] = [
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.wait.max.ms", "10"),
    // A tenth of a second at 200,000 messages a second; each takes some 400 bytes beside its own.
    ("queued.min.messages", "20000"),
    // Each partition that is read may fill its queue.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.error.backoff.ms", "100"),
];

/// What reading exactly rests on.
const READER_RULES: [(&str, &str); 5] = [
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
];

/// Defaults of a group's member that a user may change.
const MEMBER_DEFAULTS: [(&str, &str); 4] = [
    // How long a member that was killed keeps its partitions from the others. A member that is paused for longer loses
    // them and is fenced off, so it costs a hand-over and no reading.
    ("session.timeout.ms", "10000"),
    // A rebalance is heard of at the next heartbeat.
    ("heartbeat.interval.ms", "1000"),
    // So long may a new partition wait for its first reader.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // It fetches nothing.
    ("queued.min.messages", "1"),
];

/// What handing partitions over rests on, and knowing whether it works.
const MEMBER_RULES: [(&str, &str); 4] = [
    ("statistics.interval.ms", REPORTED_EVERY_MS),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
];

/// Defaults of the producer that a user may change.
const PRODUCER_DEFAULTS: [(&str, &str); 2] = [
    // Calls that come together share a request; a lone one is not kept waiting.
    ("linger.ms", "1"),
    // An append that no broker took in this time is reported, so that its caller can decide.
    ("message.timeout.ms", "30000"),
];

/// What appending exactly rests on.
const PRODUCER_RULES: [(&str, &str); 3] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // The partitions that Java clients choose, and the embedded log.
    ("partitioner", "murmur2_random"),
];

impl KafkaConfig {
    /// A cluster without TLS and SASL, in generation 1.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            generation: 1,
            adopted: BTreeMap::new(),
            group: "kilowatch".to_owned(),
            replication: None,
            security: KafkaSecurity::default(),
            properties: BTreeMap::new(),
        }
    }

    /// Parses `kafka://host:port[,host:port]`.
    ///
    /// # Errors
    /// [`LogError::Unusable`] for anything else; what may be a password is not repeated in it.
    pub fn parse(url: &str) -> Result<Self, LogError> {
        let unusable = |what: &str| LogError::Unusable { reason: format!("the log's URL {what}") };
        let brokers = url
            .strip_prefix("kafka://")
            .ok_or_else(|| unusable("is not of the form kafka://host:port[,host:port]"))?
            .trim_end_matches('/');
        if brokers.contains('@') {
            return Err(unusable("holds credentials; give them as log.security.username and log.security.password"));
        }
        if brokers.contains(['/', '?', '#']) {
            return Err(unusable("may name brokers only; topics belong to streams, and options to the properties"));
        }
        let well_formed = |broker: &str| {
            let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "9092"));
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        if !brokers.split(',').all(well_formed) {
            return Err(unusable("names a broker that is not host:port"));
        }
        Ok(Self::new(brokers))
    }

    /// The generation of a topic.
    pub(super) fn generation_of(&self, topic: &str) -> u32 {
        self.adopted.get(topic).map_or(self.generation, |adopted| self.generation.max(*adopted))
    }

    pub(super) fn reader(&self) -> ClientConfig {
        let mut client = self.client(&READER_DEFAULTS, &READER_RULES);
        // Only names the client in the brokers' logs and permissions: it joins nothing and commits nothing.
        client.set("group.id", &self.group);
        client
    }

    /// A member of the group of this name.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut client = self.client(&MEMBER_DEFAULTS, &MEMBER_RULES);
        client.set("group.id", format!("{}.{group}", self.group));
        client
    }

    pub(super) fn producer(&self) -> ClientConfig {
        self.client(&PRODUCER_DEFAULTS, &PRODUCER_RULES)
    }

    pub(super) fn admin(&self) -> ClientConfig {
        let mut client = self.client(&[], &[]);
        // Why a connection was closed is told at this level; the `contact` listens.
        client.set_log_level(RDKafkaLogLevel::Info);
        client
    }

    fn client(&self, defaults: &[(&str, &str)], rules: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("client.id", "kilowatch");
        for (key, value) in defaults {
            client.set(*key, *value);
        }
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        for (key, value) in self.security.properties() {
            client.set(key, value);
        }
        for (key, value) in EVERY_CLIENT.iter().chain(rules) {
            client.set(*key, *value);
        }
        client.set("bootstrap.servers", &self.brokers);
        client
    }
}

/// Shows which properties are set, and none of their values: any of them may be a secret.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("generation", &self.generation)
            .field("adopted", &self.adopted)
            .field("group", &self.group)
            .field("replication", &self.replication)
            .field("security", &self.security)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::kafka::Tls;

    #[test]
    fn a_url_names_brokers_and_nothing_else() {
        assert_eq!(KafkaConfig::parse("kafka://a:9092,b:9093").unwrap().brokers, "a:9092,b:9093");
        assert_eq!(KafkaConfig::parse("kafka://[::1]:9092/").unwrap().brokers, "[::1]:9092");
        for bad in ["kafka://", "kafka://a:b", "kafka://a:9092/topic", "kafka://:9092", "http://a", "kafka://a:1,"] {
            assert!(KafkaConfig::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_shown_neither_by_an_error_nor_by_debug() {
        let error = KafkaConfig::parse("kafka://me:s3cret@a:9092").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        let mut config = KafkaConfig::new("a:9092");
        config.properties.insert("sasl.password".to_owned(), "s3cret".to_owned());
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_property_changes_defaults_but_not_what_exactness_rests_on() {
        let mut config = KafkaConfig::new("a:9092");
        for (key, value) in [("fetch.wait.max.ms", "500"), ("isolation.level", "read_uncommitted"), ("acks", "0")] {
            config.properties.insert(key.to_owned(), value.to_owned());
        }
        assert_eq!(config.reader().get("fetch.wait.max.ms"), Some("500"));
        assert_eq!(config.reader().get("isolation.level"), Some("read_committed"));
        assert_eq!(config.producer().get("acks"), Some("all"));
    }

    #[test]
    fn every_client_is_told_what_the_brokers_ask_for() {
        let security = KafkaSecurity { tls: Some(Tls { ca_file: Some("ca.pem".into()), client: None }), sasl: None };
        let mut config = KafkaConfig { security, ..KafkaConfig::new("a:9093") };
        config.properties.insert("ssl.ca.location".to_owned(), "mine.pem".to_owned());
        for client in [config.reader(), config.member("grid"), config.producer(), config.admin()] {
            assert_eq!(client.get("security.protocol"), Some("ssl"));
            assert_eq!(client.get("ssl.ca.location"), Some("ca.pem"));
        }
    }

    #[test]
    fn the_members_of_two_streams_are_in_two_groups_and_neither_is_in_that_of_the_readers() {
        let mut config = KafkaConfig { group: "plant-7".to_owned(), ..KafkaConfig::new("a:9092") };
        config.properties.insert("group.id".to_owned(), "mine".to_owned());
        assert_eq!(config.member("grid").get("group.id"), Some("plant-7.grid"));
        assert_eq!(config.member("campus").get("group.id"), Some("plant-7.campus"));
        assert_eq!(config.reader().get("group.id"), Some("plant-7"));
        assert_eq!(config.member("grid").get("partition.assignment.strategy"), Some("cooperative-sticky"));
    }
}
