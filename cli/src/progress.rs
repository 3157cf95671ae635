//! A bar on a terminal; silence otherwise, where the structured log speaks.

use indicatif::{ProgressBar, ProgressStyle};
use kilowatch_batch::ingest::Progress;

/// Bytes of a file or rows of a table, drawn; it hides itself where standard error is no terminal.
#[derive(Debug)]
pub struct FileBar(ProgressBar);

impl FileBar {
    /// A bar that is drawn once the job says how much there is to do.
    pub fn new() -> Self {
        Self::drawn("{bar:40.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    /// The same for a job that counts rows.
    pub fn of_rows() -> Self {
        Self::drawn("{bar:40.cyan/dim} {human_pos}/{human_len} rows {per_sec} {eta}")
    }

    fn drawn(template: &str) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Progress for FileBar {
    fn begin(&self, total: u64) {
        self.0.set_length(total);
    }

    fn advance(&self, done: u64) {
        self.0.inc(done);
    }
}

impl Drop for FileBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
