//! How much a table holds, as its log tells it.

use chrono::{DateTime, Utc};

use super::TableFiles;

impl TableFiles {
    /// How many rows there are; `None` if the writer of a file did not say.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.stats.rows).sum()
    }

    /// The size of all data files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// The instants that the readings lie between, ends included; `None` if no file tells of any.
    #[must_use]
    pub fn event_times(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let spans = self.files.iter().filter_map(|file| file.stats.event_time);
        spans.reduce(|(least, greatest), (from, to)| (least.min(from), greatest.max(to)))
    }
}
