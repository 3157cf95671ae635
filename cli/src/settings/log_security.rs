//! TLS and SASL towards Kafka.

use std::path::PathBuf;

use kilowatch_shared::{
    log::kafka::{ClientCertificate, KafkaSecurity, Sasl, SaslMechanism, Tls},
    secret::Secret,
};
use serde::{Deserialize, Serialize};

/// How Kafka's brokers and kilowatch make sure of each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSecuritySettings {
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`, as the brokers' listener. Default `plaintext`.
    /// Variable `KILOWATCH_LOG__SECURITY__PROTOCOL`.
    pub protocol: Protocol,
    /// PEM file of the authorities that the brokers' certificates come from. Default those of the system.
    /// Variable `KILOWATCH_LOG__SECURITY__CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our own certificate, for brokers that ask for one. Default none.
    /// Variable `KILOWATCH_LOG__SECURITY__CLIENT_CERTIFICATE_FILE`.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its private key. Default none. Variable `KILOWATCH_LOG__SECURITY__CLIENT_KEY_FILE`.
    pub client_key_file: Option<PathBuf>,
    /// Password of that file. Default none. Variable `KILOWATCH_LOG__SECURITY__CLIENT_KEY_PASSWORD`.
    pub client_key_password: Option<Secret>,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`, as the brokers have it. Default none.
    /// Variable `KILOWATCH_LOG__SECURITY__SASL_MECHANISM`.
    pub sasl_mechanism: Option<Mechanism>,
    /// The user. Default none. Variable `KILOWATCH_LOG__SECURITY__USERNAME`.
    pub username: Option<String>,
    /// The user's password. Default none. Variable `KILOWATCH_LOG__SECURITY__PASSWORD`.
    pub password: Option<Secret>,
}

/// What a listener speaks, in Kafka's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither TLS nor SASL.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL over an open connection.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

/// How a password is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// Sent as it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl From<Mechanism> for SaslMechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::ScramSha256 => Self::ScramSha256,
            Mechanism::ScramSha512 => Self::ScramSha512,
        }
    }
}

impl Protocol {
    const fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    const fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl LogSecuritySettings {
    /// Whether anything but the open connection is asked for.
    pub fn is_set(&self) -> bool {
        self.protocol != Protocol::Plaintext
    }

    /// What is wrong: key, value and fix. No value of a secret is in it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let tls = [
            ("ca_file", self.ca_file.is_some()),
            ("client_certificate_file", self.client_certificate_file.is_some()),
            ("client_key_file", self.client_key_file.is_some()),
            ("client_key_password", self.client_key_password.is_some()),
        ];
        let sasl = [
            ("sasl_mechanism", self.sasl_mechanism.is_some()),
            ("username", self.username.as_ref().is_some_and(|name| !name.is_empty())),
            ("password", self.password.as_ref().is_some_and(|password| !password.expose().is_empty())),
        ];
        if !self.protocol.has_tls() {
            problems.extend(tls.iter().filter(|(_, set)| *set).map(|(key, _)| unused(key, "ssl or sasl_ssl")));
        }
        if self.protocol.has_sasl() {
            problems.extend(sasl.iter().filter(|(_, set)| !set).map(|(key, _)| missing(key, "the protocol has SASL")));
        } else {
            problems.extend(sasl.iter().filter(|(_, set)| *set).map(|(key, _)| unused(key, "sasl_ssl")));
        }
        match (&self.client_certificate_file, &self.client_key_file) {
            (Some(_), None) => problems.push(missing("client_key_file", "a certificate needs its key")),
            (None, Some(_)) => problems.push(missing("client_certificate_file", "a key is shown by its certificate")),
            (None, None) if self.client_key_password.is_some() => {
                problems.push(missing("client_key_file", "a password opens a key"));
            }
            _ => {}
        }
        problems
    }

    /// The same, as the log's door takes it.
    pub fn kafka(&self) -> KafkaSecurity {
        let client = self.client_certificate_file.clone().zip(self.client_key_file.clone()).map(
            |(certificate_file, key_file)| ClientCertificate {
                certificate_file,
                key_file,
                key_password: self.client_key_password.clone(),
            },
        );
        let who = self.sasl_mechanism.zip(self.username.clone()).zip(self.password.clone());
        let sasl =
            who.map(|((mechanism, username), password)| Sasl { mechanism: mechanism.into(), username, password });
        KafkaSecurity {
            tls: self.protocol.has_tls().then(|| Tls { ca_file: self.ca_file.clone(), client }),
            sasl: sasl.filter(|_| self.protocol.has_sasl()),
        }
    }
}

fn missing(key: &str, why: &str) -> String {
    let variable = key.to_ascii_uppercase();
    format!("log.security.{key} is not set, and {why}; set it there or in KILOWATCH_LOG__SECURITY__{variable}")
}

fn unused(key: &str, protocol: &str) -> String {
    format!("log.security.{key} has no effect with this log.security.protocol; use {protocol}, or leave it out")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::settings::{ConfigFile, Flags, Settings, SettingsError, resolve, shown_values};

    fn from_variables(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        resolve(None, &environment(pairs), &Flags::default())
    }

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (format!("KILOWATCH_LOG__SECURITY__{key}"), (*value).to_owned())).collect()
    }

    #[test]
    fn a_password_is_taken_as_it_is_written() {
        for password in ["1e5", "0042", "\"quoted\"", "[x", "true", "{a=1}", " spaces "] {
            let settings = from_variables(&[
                ("PROTOCOL", "sasl_ssl"),
                ("SASL_MECHANISM", "SCRAM-SHA-512"),
                ("USERNAME", "42"),
                ("PASSWORD", password),
            ])
            .unwrap();
            let sasl = settings.log.security.kafka().sasl.unwrap();
            assert_eq!((sasl.username.as_str(), sasl.password.expose()), ("42", password));
        }
    }

    #[test]
    fn a_password_is_neither_in_an_error_nor_in_debug_nor_shown() {
        let text = "[log.security]\npassword = 735519\n";
        let file = ConfigFile { path: "kilowatch.toml", text };
        let error = resolve(Some(file), &BTreeMap::new(), &Flags::default()).unwrap_err().to_string();
        assert!(error.contains("log.security.password") && !error.contains("735519"), "{error}");
        let secret = [
            ("PROTOCOL", "sasl_ssl"),
            ("SASL_MECHANISM", "PLAIN"),
            ("USERNAME", "me"),
            ("PASSWORD", "735519"),
            ("CLIENT_KEY_PASSWORD", "735519"),
            ("CLIENT_KEY_FILE", "client.key"),
        ];
        let error = from_variables(&secret).unwrap_err().to_string();
        assert!(error.contains("client_certificate_file") && !error.contains("735519"), "{error}");
        let settings = from_variables(&secret[..4]).unwrap();
        assert!(!format!("{settings:?}").contains("735519"));
        let shown = shown_values(None, &environment(&secret), &Flags::default()).unwrap();
        assert!(shown.iter().all(|value| !value.value.contains("735519")), "{shown:?}");
        let key = shown.iter().find(|value| value.key == "log.security.client_key_file").unwrap();
        assert_eq!(key.value, "client.key");
    }

    #[test]
    fn everything_that_is_missing_or_without_effect_is_said_at_once() {
        let problems = |pairs: &[(&str, &str)]| from_variables(pairs).unwrap_err().to_string();
        let words = problems(&[("PROTOCOL", "sasl_ssl"), ("CLIENT_CERTIFICATE_FILE", "client.pem")]);
        for key in ["sasl_mechanism", "username", "password", "client_key_file"] {
            assert!(words.contains(&format!("log.security.{key} is not set")), "{words}");
        }
        let words = problems(&[("USERNAME", "me"), ("CA_FILE", "ca.pem")]);
        assert!(words.contains("log.security.username has no effect"), "{words}");
        assert!(words.contains("log.security.ca_file has no effect"), "{words}");
        let words = problems(&[("PROTOCOL", "tls")]);
        assert!(words.contains("log.security.protocol") && words.contains("sasl_ssl"), "{words}");
        let words = problems(&[("PASSWORT", "735519")]);
        assert!(words.contains("did you mean `password`") && !words.contains("735519"), "{words}");
    }

    #[test]
    fn one_thing_is_not_said_in_two_places() {
        let text = "[log.security]\nprotocol = \"ssl\"\n[log.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n";
        let file = ConfigFile { path: "kilowatch.toml", text };
        let error = resolve(Some(file), &BTreeMap::new(), &Flags::default()).unwrap_err().to_string();
        assert!(error.contains("ssl.ca.location") && error.contains("log.security.ca_file"), "{error}");
    }
}
