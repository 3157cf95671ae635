//! What a query of `lake sql` may use.

use std::time::Duration;

use kilowatch_shared::lake::session::QueryLimits;
use serde::{Deserialize, Serialize};

/// Limits of a query.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlSettings {
    /// Seconds from the plan to the last row, 1 to 86400. Default 60. Variable `KILOWATCH_LAKE__SQL__MAX_SECS`.
    pub max_secs: u64,
    /// Memory of all operators together in MB, at least 16; what exceeds it spills to the temporary folder or fails.
    /// Default 256. Variable `KILOWATCH_LAKE__SQL__MAX_MEMORY_MB`.
    pub max_memory_mb: usize,
    /// Rows of the answer, at least 1. Default 100000. Variable `KILOWATCH_LAKE__SQL__MAX_ROWS`.
    pub max_rows: u64,
}

impl Default for SqlSettings {
    fn default() -> Self {
        Self { max_secs: 60, max_memory_mb: 256, max_rows: 100_000 }
    }
}

impl SqlSettings {
    /// What is wrong: key, value and fix.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=86_400).contains(&self.max_secs) {
            problems.push(format!("lake.sql.max_secs = {}: must be 1 to 86400", self.max_secs));
        }
        if !(16..=1 << 20).contains(&self.max_memory_mb) {
            problems.push(format!("lake.sql.max_memory_mb = {}: must be 16 to 1048576", self.max_memory_mb));
        }
        if self.max_rows == 0 {
            problems.push("lake.sql.max_rows = 0: must be at least 1".to_owned());
        }
        problems
    }

    /// The limits of a session.
    pub const fn limits(&self) -> QueryLimits {
        QueryLimits {
            time: Duration::from_secs(self.max_secs),
            memory_bytes: self.max_memory_mb << 20,
            rows: self.max_rows,
        }
    }
}
