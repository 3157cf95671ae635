//! A real Kafka that asks who is there: SASL inside TLS, and TLS with a client's certificate.
//!
//! `dev/services run` makes the certificates and names the listeners.

use std::{path::PathBuf, sync::Arc};

use kilowatch_shared::{
    clock::SystemClock,
    log::{
        Log, LogError, NewRecord,
        kafka::{ClientCertificate, KafkaConfig, KafkaLog, KafkaSecurity, Sasl, SaslMechanism, Tls},
    },
    position::Offset,
    secret::Secret,
};
use uuid::Uuid;

use super::{
    members::gather,
    subject::{LONG, plenty, texts},
};

const WRONG: &str = "not-the-p4ssword";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by dev/services"))
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(variable("TEST_KAFKA_CERTIFICATES")).join(name)
}

fn tls() -> Tls {
    Tls { ca_file: Some(certificate("ca.pem")), client: None }
}

fn sasl(mechanism: SaslMechanism, password: &str) -> KafkaConfig {
    let (username, password) = (variable("TEST_KAFKA_USER"), Secret::new(password));
    let sasl = Sasl { mechanism, username, password };
    let security = KafkaSecurity { tls: Some(tls()), sasl: Some(sasl) };
    KafkaConfig { security, ..KafkaConfig::new(variable("TEST_KAFKA_SASL_BROKERS")) }
}

fn certified(key_password: &str) -> KafkaConfig {
    let client = ClientCertificate {
        certificate_file: certificate("client.pem"),
        key_file: certificate("client.key"),
        key_password: Some(Secret::new(key_password)),
    };
    let security = KafkaSecurity { tls: Some(Tls { client: Some(client), ..tls() }), sasl: None };
    KafkaConfig { security, ..KafkaConfig::new(variable("TEST_KAFKA_TLS_BROKERS")) }
}

/// Makes a topic, appends, reads, and joins a group: each of these has a client of its own.
async fn everything_works(config: KafkaConfig) {
    let log = KafkaLog::new(config, Arc::new(SystemClock)).unwrap();
    let topic = format!("secured.{}", Uuid::new_v4().simple());
    log.create_topic(&topic, 1).await.unwrap();
    let record = NewRecord { payload: Some("secret reading".into()), ..NewRecord::default() };
    let written = log.append(&topic, &[record]).await.unwrap();
    let partition = log.partitions(&topic).await.unwrap().remove(0);
    let fetched = log.read(&partition, Offset::ZERO, plenty(), LONG).await.unwrap();
    assert_eq!((texts(&fetched.records), written[0].offset), (vec!["secret reading".to_owned()], Offset::ZERO));
    let mut member = log.join(&topic, &topic).await.unwrap();
    assert_eq!(gather(&mut member, 1).await, [partition].into());
    member.leave().await;
}

/// The error of the first contact, which has to name all of `words` and no password.
async fn refused(config: KafkaConfig, words: &[&str]) -> LogError {
    let error = match KafkaLog::new(config, Arc::new(SystemClock)) {
        Ok(log) => log.partitions("secured").await.unwrap_err(),
        Err(error) => error,
    };
    let said = error.to_string();
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains(WRONG) && !said.contains(&variable("TEST_KAFKA_PASSWORD")), "{said}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_proven_by_scram_lets_us_in() {
    everything_works(sasl(SaslMechanism::ScramSha512, &variable("TEST_KAFKA_PASSWORD"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_sent_inside_tls_lets_us_in() {
    everything_works(sasl(SaslMechanism::Plain, &variable("TEST_KAFKA_PASSWORD"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_whose_key_has_a_password_lets_us_in() {
    everything_works(certified(&variable("TEST_KAFKA_PASSWORD"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_with_the_settings_to_look_at() {
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha512] {
        let error = refused(sasl(mechanism, WRONG), &["log.security.username", "log.security.password"]).await;
        assert!(matches!(error, LogError::Unusable { .. }), "it would be tried for ever: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mechanism_that_the_brokers_do_not_have_is_named() {
    let config = sasl(SaslMechanism::ScramSha256, &variable("TEST_KAFKA_PASSWORD"));
    let error = refused(config, &["SCRAM-SHA-256", "log.security.sasl_mechanism"]).await;
    assert!(matches!(error, LogError::Unusable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_of_an_unknown_authority_are_not_trusted() {
    let mut config = sasl(SaslMechanism::ScramSha512, &variable("TEST_KAFKA_PASSWORD"));
    for ca_file in [Some(certificate("other-ca.pem")), None] {
        config.security.tls = Some(Tls { ca_file, client: None });
        let error = refused(config.clone(), &["certificate", "log.security.ca_file"]).await;
        assert!(matches!(error, LogError::Unusable { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_not_in_the_certificate_is_not_trusted() {
    let config = sasl(SaslMechanism::ScramSha512, &variable("TEST_KAFKA_PASSWORD"));
    // The certificate is for the address.
    let brokers = config.brokers.replace("127.0.0.1", "localhost");
    let error = refused(KafkaConfig { brokers, ..config }, &["certificate", "log.url"]).await;
    assert!(matches!(error, LogError::Unusable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_missing_is_asked_for() {
    let security = KafkaSecurity { tls: Some(tls()), sasl: None };
    let config = KafkaConfig { security, ..KafkaConfig::new(variable("TEST_KAFKA_TLS_BROKERS")) };
    refused(config, &["certificate", "log.security.client_certificate_file"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_named_by_their_setting() {
    let mut config = sasl(SaslMechanism::ScramSha512, &variable("TEST_KAFKA_PASSWORD"));
    config.security.tls = Some(Tls { ca_file: Some(certificate("nowhere.pem")), client: None });
    refused(config, &["log.security.ca_file", "nowhere.pem"]).await;
    refused(certified(WRONG), &["log.security.client_key_file", "log.security.client_key_password"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_speaks_another_protocol_is_told_from_one_that_is_away() {
    let open = KafkaConfig::new(variable("TEST_KAFKA_SASL_BROKERS"));
    refused(open, &["log.security.protocol"]).await;
    let secured = KafkaConfig {
        brokers: variable("TEST_KAFKA_BROKERS"),
        ..sasl(SaslMechanism::ScramSha512, &variable("TEST_KAFKA_PASSWORD"))
    };
    refused(secured, &["PLAINTEXT", "log.security.protocol"]).await;
}
