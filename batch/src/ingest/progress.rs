//! How far a job is, for whoever draws it.

/// Hears of progress; called from worker threads, so it has to be quick.
pub trait Progress: Send + Sync {
    /// The job has so much work: bytes, or the rows that it deletes.
    fn begin(&self, total: u64);
    /// So much more of it is done.
    fn advance(&self, done: u64);
}

/// Draws nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _total: u64) {}
    fn advance(&self, _done: u64) {}
}
