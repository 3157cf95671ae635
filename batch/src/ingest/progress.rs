//! How far a job is, for whoever draws it.

/// Hears of progress; called from worker threads, so it has to be quick.
pub trait Progress: Send + Sync {
    /// The job has so many bytes of work.
    fn begin(&self, total_bytes: u64);
    /// So many more bytes of it are done.
    fn advance(&self, bytes: u64);
}

/// Draws nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _total_bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}
