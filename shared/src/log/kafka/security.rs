//! How the brokers and we make sure of each other: TLS for the connection, SASL for who we are.

use std::path::{Path, PathBuf};

use crate::{log::LogError, secret::Secret};

/// What the brokers ask for. Without both, the connection is open and nobody says who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// The connection is encrypted, and the brokers show a certificate.
    pub tls: Option<Tls>,
    /// We say who we are, with a password.
    pub sasl: Option<Sasl>,
}

/// What makes a TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the authorities that the brokers' certificates must come from; `None` takes those of the system.
    pub ca_file: Option<PathBuf>,
    /// What we show, where the brokers ask for a certificate.
    pub client: Option<ClientCertificate>,
}

/// A certificate that says who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file of the certificate, with those between it and an authority that the brokers know.
    pub certificate_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
    /// Password of that file, if it has one.
    pub key_password: Option<Secret>,
}

/// A user's name and password, and how they are proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How a password is proven. GSSAPI (Kerberos) would need a system library that is not linked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself is sent: only inside TLS it is hidden from others.
    Plain,
    /// Proof of the password, with SHA-256.
    ScramSha256,
    /// Proof of the password, with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// Its name in SASL's registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// librdkafka's properties and the settings that they come from, so that an error names what a user can change.
const SETTINGS: [(&str, &str); 9] = [
    ("security.protocol", "log.security.protocol"),
    ("ssl.ca.location", "log.security.ca_file"),
    ("ssl.certificate.location", "log.security.client_certificate_file"),
    ("ssl.key.location", "log.security.client_key_file"),
    ("ssl.key.password", "log.security.client_key_password"),
    ("sasl.mechanisms", "log.security.sasl_mechanism"),
    ("sasl.mechanism", "log.security.sasl_mechanism"),
    ("sasl.username", "log.security.username"),
    ("sasl.password", "log.security.password"),
];

impl KafkaSecurity {
    /// The properties for librdkafka; none for an open connection, which then is up to the user's own properties.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => return Vec::new(),
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        let mut properties = vec![("security.protocol", protocol.to_owned())];
        let path = |path: &Path| path.to_string_lossy().into_owned();
        if let Some(tls) = &self.tls {
            // `probe` looks for the system's authorities where the distributions keep them: OpenSSL, being linked in,
            // would look where it was built.
            properties.push(("ssl.ca.location", tls.ca_file.as_deref().map_or_else(|| "probe".to_owned(), path)));
            if let Some(client) = &tls.client {
                properties.push(("ssl.certificate.location", path(&client.certificate_file)));
                properties.push(("ssl.key.location", path(&client.key_file)));
                let password = client.key_password.iter().map(|password| password.expose().to_owned());
                properties.extend(password.map(|password| ("ssl.key.password", password)));
            }
        }
        if let Some(sasl) = &self.sasl {
            properties.push(("sasl.mechanisms", sasl.mechanism.name().to_owned()));
            properties.push(("sasl.username", sasl.username.clone()));
            properties.push(("sasl.password", sasl.password.expose().to_owned()));
        }
        properties
    }

    /// Whether the files can be read: OpenSSL does not say which one cannot.
    pub(super) fn check_files(&self) -> Result<(), LogError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let client = tls.client.iter().flat_map(|client| {
            [
                ("log.security.client_certificate_file", &client.certificate_file),
                ("log.security.client_key_file", &client.key_file),
            ]
        });
        for (setting, path) in tls.ca_file.iter().map(|path| ("log.security.ca_file", path)).chain(client) {
            std::fs::File::open(path).map_err(|error| LogError::Unusable {
                reason: format!("{setting} = {}: {error}; name a readable PEM file", path.display()),
            })?;
        }
        Ok(())
    }

    /// The setting that a property of librdkafka comes from, if one does.
    #[must_use]
    pub fn setting_of(property: &str) -> Option<&'static str> {
        SETTINGS.iter().find(|(known, _)| *known == property).map(|(_, setting)| *setting)
    }
}

/// librdkafka's words, with the settings in place of its properties.
pub(super) fn in_our_words(words: &str) -> String {
    // A setting's name holds no property's, so no replacement is replaced again.
    SETTINGS.iter().fold(words.to_owned(), |words, (property, setting)| words.replace(property, setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sasl() -> Sasl {
        Sasl { mechanism: SaslMechanism::ScramSha512, username: "meter".to_owned(), password: Secret::new("hunter2") }
    }

    #[test]
    fn the_protocol_follows_from_what_is_there() {
        let protocol = |security: KafkaSecurity| security.properties().first().map(|(_, protocol)| protocol.clone());
        assert_eq!(protocol(KafkaSecurity::default()), None);
        assert_eq!(protocol(KafkaSecurity { tls: Some(Tls::default()), sasl: None }).as_deref(), Some("ssl"));
        assert_eq!(protocol(KafkaSecurity { tls: None, sasl: Some(sasl()) }).as_deref(), Some("sasl_plaintext"));
        let both = KafkaSecurity { tls: Some(Tls::default()), sasl: Some(sasl()) };
        assert_eq!(protocol(both).as_deref(), Some("sasl_ssl"));
    }

    #[test]
    fn debug_shows_no_password() {
        let client = ClientCertificate {
            certificate_file: "client.pem".into(),
            key_file: "client.key".into(),
            key_password: Some(Secret::new("hunter2")),
        };
        let security = KafkaSecurity { tls: Some(Tls { ca_file: None, client: Some(client) }), sasl: Some(sasl()) };
        let shown = format!("{security:?}");
        assert!(shown.contains("meter") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_error_of_librdkafka_names_settings() {
        let words = in_our_words("ssl.ca.location failed: No such file; see ssl.key.location and sasl.mechanisms");
        let ours = "log.security.ca_file failed: No such file; \
                    see log.security.client_key_file and log.security.sasl_mechanism";
        assert_eq!(words, ours);
    }
}
