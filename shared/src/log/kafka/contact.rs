//! What keeps a client from its brokers. A call that fails only says that it waited in vain; the reason was told before,
//! to nobody in particular.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{error::translated, security::in_our_words, telemetry::Telemetry};
use crate::log::LogError;

/// What librdkafka files a connection under that failed.
const FAILED_CONNECTION: &str = "FAIL";

/// What OpenSSL says of a certificate that it does not trust.
const NOT_TRUSTED: &str = "certificate verify failed";

/// Remembers the last obstacle until a call goes through.
#[derive(Debug, Clone, Default)]
pub(super) struct Contact {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a broker ever answered.
    made: bool,
    obstacle: Option<Obstacle>,
}

#[derive(Debug, Clone)]
struct Obstacle {
    code: RDKafkaErrorCode,
    reason: String,
}

impl Contact {
    /// The outcome of a call that concerns `topic`, with the obstacle where there is one.
    pub(super) fn outcome<T>(&self, outcome: Result<T, KafkaError>, topic: &str) -> Result<T, LogError> {
        let mut state = self.state();
        let error = match outcome {
            Ok(value) => {
                *state = State { made: true, obstacle: None };
                return Ok(value);
            }
            Err(error) => translated(&error, topic),
        };
        match (error, &state.obstacle) {
            (LogError::Unavailable { .. }, Some(obstacle)) => Err(obstacle.as_error(state.made)),
            (error, _) => Err(error),
        }
    }

    /// A connection that was closed or never came about is told in the log alone. What a broker says of us counts more.
    fn could_not_connect(&self, message: &str) {
        let mut state = self.state();
        if state.obstacle.as_ref().is_none_or(|obstacle| !obstacle.is_refusal()) {
            // Without the name of the thread that says it.
            let reason = message.split_once("]: ").map_or(message, |(_, reason)| reason).to_owned();
            state.obstacle = Some(Obstacle::new(RDKafkaErrorCode::BrokerTransportFailure, reason));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Obstacle {
    fn new(code: RDKafkaErrorCode, reason: String) -> Self {
        // A certificate that fails at the first step of the handshake is filed as a lost connection.
        let code = if reason.contains(NOT_TRUSTED) { RDKafkaErrorCode::SSL } else { code };
        Self { code, reason }
    }

    /// Brokers that answered before are taken to be busy with themselves (a restart, a new certificate), and waited for.
    fn as_error(&self, answered_before: bool) -> LogError {
        let reason = format!("Kafka: {}{}", in_our_words(&self.reason), self.fix());
        if self.is_refusal() && !answered_before {
            LogError::Unusable { reason }
        } else {
            LogError::Unavailable { reason }
        }
    }

    const fn is_refusal(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)
    }

    /// What to do, where librdkafka does not say it itself.
    fn fix(&self) -> &'static str {
        match self.code {
            RDKafkaErrorCode::Authentication => {
                "; check log.security.username, log.security.password and log.security.sasl_mechanism"
            }
            RDKafkaErrorCode::SSL => {
                "; check log.security.ca_file (the authority of the brokers' certificates), that log.url names the \
                 brokers as their certificates do, and log.security.client_certificate_file where they ask for one"
            }
            // Hints alone: a connection that a listener of another kind closed looks like any other.
            _ if self.reason.contains("alert") => {
                "; check log.security.client_certificate_file: the listener seems to ask for a certificate"
            }
            _ if self.reason.contains("listener") || self.reason.contains("in state APIVERSION_QUERY") => {
                "; check that log.security.protocol is what the listener speaks"
            }
            _ => "",
        }
    }
}

impl ClientContext for Contact {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == FAILED_CONNECTION {
            self.could_not_connect(message);
        }
        Telemetry.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down is said after the reason why they are.
        if let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown) {
            self.state().obstacle = Some(Obstacle::new(code, reason.to_owned()));
        }
        Telemetry.error(error, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMED_OUT: KafkaError = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);

    fn told(contact: &Contact, code: RDKafkaErrorCode, reason: &str) {
        contact.error(KafkaError::Global(code), reason);
    }

    #[test]
    fn a_call_that_waited_in_vain_says_what_kept_it() {
        let contact = Contact::default();
        let waited = contact.outcome::<()>(Err(TIMED_OUT), "energy").unwrap_err();
        assert!(matches!(waited, LogError::Unavailable { .. }), "{waited}");
        told(&contact, RDKafkaErrorCode::Authentication, "SASL authentication error: Invalid username or password");
        told(&contact, RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let refused = contact.outcome::<()>(Err(TIMED_OUT), "energy").unwrap_err();
        let words = refused.to_string();
        assert!(matches!(refused, LogError::Unusable { .. }), "{words}");
        assert!(words.contains("Invalid username") && words.contains("log.security.password"), "{words}");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_a_refusal_however_it_is_filed() {
        let contact = Contact::default();
        contact.log(RDKafkaLogLevel::Error, FAILED_CONNECTION, "[thrd:a]: a: SSL routines::certificate verify failed");
        told(&contact, RDKafkaErrorCode::BrokerTransportFailure, "a: SSL routines::certificate verify failed");
        let refused = contact.outcome::<()>(Err(TIMED_OUT), "energy").unwrap_err();
        assert!(matches!(refused, LogError::Unusable { .. }), "{refused}");
        assert!(refused.to_string().contains("log.security.ca_file"), "{refused}");
    }

    #[test]
    fn brokers_that_answered_before_are_waited_for() {
        let contact = Contact::default();
        contact.outcome(Ok(()), "energy").unwrap();
        told(&contact, RDKafkaErrorCode::SSL, "SSL handshake failed: see ssl.ca.location");
        let waiting = contact.outcome::<()>(Err(TIMED_OUT), "energy").unwrap_err();
        assert!(matches!(waiting, LogError::Unavailable { .. }), "{waiting}");
        assert!(waiting.to_string().contains("see log.security.ca_file"), "{waiting}");
        contact.outcome(Ok(()), "energy").unwrap();
        let later = contact.outcome::<()>(Err(TIMED_OUT), "energy").unwrap_err();
        assert!(!later.to_string().contains("handshake"), "an old obstacle is told again: {later}");
    }

    #[test]
    fn an_unknown_topic_is_not_mistaken_for_an_obstacle() {
        let contact = Contact::default();
        told(&contact, RDKafkaErrorCode::SSL, "SSL handshake failed");
        let unknown = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
        let error = contact.outcome::<()>(Err(unknown), "energy").unwrap_err();
        assert!(matches!(error, LogError::UnknownTopic { .. }), "{error}");
    }
}
