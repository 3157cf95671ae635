//! One backoff for everything outside: an error says whether to retry, this says how.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};

/// Whether the same call may go through later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryHint {
    /// It will fail again.
    Never,
    /// The other side was busy or away.
    WithBackoff,
}

/// How often and how long to wait between tries.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    retries: usize,
}

impl Backoff {
    /// Five retries within about three seconds: what a restarting neighbour needs, and less than a micro-batch.
    #[must_use]
    pub const fn standard() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(1), retries: 5 }
    }

    /// Runs `call` until it succeeds, its error says [`RetryHint::Never`], or the retries are used up.
    ///
    /// # Errors
    /// The last error of `call`.
    pub async fn run<T, E, F, Fut>(&self, call: F, hint: impl Fn(&E) -> RetryHint) -> Result<T, E>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let delays = ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.retries)
            .with_jitter();
        call.retry(delays).when(|error| hint(error) == RetryHint::WithBackoff).await
    }
}
