//! What an ingest may use.

use serde::{Deserialize, Serialize};

/// Limits of `batch ingest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Most that one call keeps in `<data_dir>/spool`, in MiB, 1 to 1048576: unpacked members of ZIP archives, objects of a
    /// bucket, standard input. Default 16384: the largest file that one node ingests in minutes. Variable
    /// `KILOWATCH_INGEST__SPOOL_MIB`.
    pub spool_mib: u64,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self { spool_mib: 16_384 }
    }
}

impl IngestConfig {
    /// What is wrong with the configuration, one line a problem.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mib = self.spool_mib;
        let wrong = !(1..=1_048_576).contains(&mib);
        wrong.then(|| format!("spool_mib = {mib}: must be 1 to 1048576")).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_that_holds_nothing_is_named_with_its_key() {
        assert_eq!(IngestConfig::default().problems(), Vec::<String>::new());
        assert_eq!(IngestConfig { spool_mib: 0 }.problems(), ["spool_mib = 0: must be 1 to 1048576"]);
    }
}
