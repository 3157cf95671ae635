//! What librdkafka says, as meanings of the log.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::security::{KafkaSecurity, in_our_words};
use crate::log::LogError;

/// What a code means to a reader or writer of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The offset is not in the partition.
    OutOfRange,
    /// There is no such topic or partition.
    Unknown,
    /// The cluster does not let us.
    Refused,
    /// Later it may work.
    Passing,
}

/// The meaning of an error code.
pub(super) const fn meaning(code: RDKafkaErrorCode) -> Meaning {
    use RDKafkaErrorCode as Code;
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Meaning::OutOfRange,
        Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => Meaning::Unknown,
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::MessageSizeTooLarge
        | Code::InvalidTopic
        | Code::PolicyViolation
        | Code::InvalidReplicationFactor => Meaning::Refused,
        _ => Meaning::Passing,
    }
}

/// Translates an error of a call that concerns `topic`.
pub(super) fn translated(error: &KafkaError, topic: &str) -> LogError {
    match error {
        // The value of a property may be a secret, and so may the driver's description of what is wrong with it.
        KafkaError::ClientConfig(_, _, key, _) => {
            let setting = KafkaSecurity::setting_of(key).unwrap_or(key);
            LogError::Unusable { reason: format!("librdkafka refuses the property `{setting}` or its value") }
        }
        KafkaError::ClientCreation(_) | KafkaError::AdminOpCreation(_) | KafkaError::Nul(_) => {
            let mut reason = in_our_words(&error.to_string());
            if reason.contains("log.security.client_key_file") {
                // OpenSSL says of a wrong password that it found no key.
                reason.push_str("; check that it is the certificate's key, and log.security.client_key_password");
            }
            LogError::Unusable { reason }
        }
        _ => match error.rdkafka_error_code() {
            Some(code) => of_code(code, topic),
            None => LogError::Unavailable { reason: error.to_string() },
        },
    }
}

/// Translates an error code of a call that concerns `topic`.
pub(super) fn of_code(code: RDKafkaErrorCode, topic: &str) -> LogError {
    match meaning(code) {
        Meaning::Unknown => LogError::UnknownTopic { topic: topic.to_owned() },
        Meaning::Refused => LogError::Unusable { reason: format!("Kafka, topic `{topic}`: {code}") },
        Meaning::OutOfRange | Meaning::Passing => {
            LogError::Unavailable { reason: format!("Kafka, topic `{topic}`: {code}") }
        }
    }
}
