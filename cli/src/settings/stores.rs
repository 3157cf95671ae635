//! The three addresses that everybody sets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kilowatch_shared::log::kafka::KafkaSecurity;
use serde::{Deserialize, Serialize};

use super::{LogSecuritySettings, SqlSettings};

/// Where the lake is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSettings {
    /// A folder, `file:///...`, or `s3://bucket/prefix` (credentials, endpoint and region by the usual `AWS_...`
    /// variables). Default `<data_dir>/lake`. Variable `KILOWATCH_LAKE__URL`.
    pub url: Option<String>,
    /// What a query of `lake sql` may use.
    pub sql: SqlSettings,
}

/// Where the views are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewsSettings {
    /// An SQLite file, or `postgres://user:password@host/database`. Default `<data_dir>/views.sqlite`.
    /// Variable `KILOWATCH_VIEWS__URL`.
    pub url: Option<String>,
}

/// Where the log is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// An SQLite file, or `kafka://host:9092[,host:9092]`. Default `<data_dir>/log.sqlite`.
    /// Variable `KILOWATCH_LOG__URL`.
    pub url: Option<String>,
    /// Generation of Kafka's topics: raise it when a topic was deleted and made again. Default 1.
    /// Variable `KILOWATCH_LOG__GENERATION`.
    pub generation: u32,
    /// Begin of the names of the consumer groups: members of a stream share its partitions as `<group_id>.<stream>`. One
    /// group for one set of views. Default `kilowatch`. Variable `KILOWATCH_LOG__GROUP_ID`.
    pub group_id: String,
    /// TLS and SASL, as Kafka's brokers ask for them. Default neither.
    pub security: LogSecuritySettings,
    /// Further properties for librdkafka, such as `client.rack`; those that exactness rests on stay as they are, and what
    /// `security` can say is said there. Default none.
    pub properties: BTreeMap<String, String>,
    /// Days that the embedded log keeps messages which are in the lake. Default 7.
    /// Variable `KILOWATCH_LOG__RETENTION_DAYS`.
    pub retention_days: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            url: None,
            generation: 1,
            group_id: "kilowatch".to_owned(),
            security: LogSecuritySettings::default(),
            properties: BTreeMap::new(),
            retention_days: 7,
        }
    }
}

impl LakeSettings {
    /// The address, or the embedded default.
    pub fn url_or_default(&self, data_dir: &Path) -> String {
        address(self.url.as_deref(), data_dir.join("lake"))
    }
}

impl ViewsSettings {
    /// The address, or the embedded default.
    pub fn url_or_default(&self, data_dir: &Path) -> String {
        address(self.url.as_deref(), data_dir.join("views.sqlite"))
    }
}

impl LogSettings {
    /// What is wrong: key, value and fix.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.security.problems();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if self.group_id.is_empty() || self.group_id.len() > 150 || !self.group_id.bytes().all(legal) {
            let group_id = &self.group_id;
            problems.push(format!("log.group_id = {group_id:?}: use 1 to 150 letters, digits, `.`, `_` or `-`"));
        }
        if self.security.is_set() {
            let twice = self.properties.keys().filter_map(|key| Some((key, KafkaSecurity::setting_of(key)?)));
            problems.extend(twice.map(|(property, setting)| {
                format!("log.properties.\"{property}\": with log.security in use, set {setting} and leave this one out")
            }));
        }
        problems
    }

    /// The address, or the embedded default.
    pub fn url_or_default(&self, data_dir: &Path) -> String {
        address(self.url.as_deref(), data_dir.join("log.sqlite"))
    }
}

fn address(configured: Option<&str>, embedded: PathBuf) -> String {
    configured.map_or_else(|| embedded.to_string_lossy().into_owned(), str::to_owned)
}
