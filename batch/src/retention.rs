//! How long what is past stays.

use serde::{Deserialize, Serialize};

/// Days that the lake remembers its own past. What it holds now is not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days that older versions of a table stay readable, 1 to 36500; data files that only older ones name are deleted by
    /// a vacuum. Default 7: a week to notice a mistake. Variable `KILOWATCH_RETENTION__VERSIONS_DAYS`.
    pub versions_days: u32,
    /// Days that commits stay in the log of a table, 1 to 36500: views that come back from a backup of that age learn from
    /// it how their readings were judged. Default 30. Variable `KILOWATCH_RETENTION__LOG_DAYS`.
    pub log_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { versions_days: 7, log_days: 30 }
    }
}

impl RetentionConfig {
    /// What is wrong with the configuration, one line a problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        [("versions_days", self.versions_days), ("log_days", self.log_days)]
            .into_iter()
            .filter(|(_, days)| !(1..=36_500).contains(days))
            .map(|(key, days)| format!("{key} = {days}: must be 1 to 36500"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_of_no_day_is_named_with_its_key() {
        assert_eq!(RetentionConfig::default().problems(), Vec::<String>::new());
        let config = RetentionConfig { versions_days: 0, log_days: 40_000 };
        assert_eq!(
            config.problems(),
            ["versions_days = 0: must be 1 to 36500", "log_days = 40000: must be 1 to 36500"]
        );
    }
}
