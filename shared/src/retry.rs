//! One backoff for everything outside: an error says whether to retry, this says how.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};

/// Whether the same call may go through later. Of several calls, the greatest hint is the one of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Never gives up: from a tenth of a second to ten seconds, for loops that wait for a neighbour however long it is
    /// away.
    #[must_use]
    pub const fn patient() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(10), retries: usize::MAX }
    }

    /// The waits between the tries, for a loop that has more to do than to call again.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        self.builder().build()
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
        call.retry(self.builder()).when(|error| hint(error) == RetryHint::WithBackoff).await
    }

    const fn builder(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.retries)
            .with_jitter()
    }
}
