//! When the micro-batches of a partition end.

use std::time::Duration;

use kilowatch_shared::position::PartitionId;
use tokio::time::Instant;

/// Neighbouring partitions end their micro-batches at so many moments, so that their transactions do not queue for the same
/// cores.
const STAGGERED_BY: u32 = 8;

/// Between two of these moments at most: what partitions hand over to the lake at about the same time shares a commit.
const LONGEST_STEP: Duration = Duration::from_millis(10);

/// A fixed beat: however long a micro-batch takes to apply, the next one ends a whole number of windows after it. What
/// comes while one is applied thus waits no longer than what comes after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    beat: Instant,
    window: Duration,
}

impl Pace {
    pub(super) fn new(partition: &PartitionId, window: Duration, now: Instant) -> Self {
        let place = partition.partition % STAGGERED_BY;
        Self { beat: now + (window / STAGGERED_BY).min(LONGEST_STEP) * place, window }
    }

    /// The end of a micro-batch whose first message came at `now`.
    pub(super) fn end(&self, now: Instant) -> Instant {
        let Some(since) = now.checked_duration_since(self.beat) else { return self.beat };
        let into = Duration::from_nanos_u128(since.as_nanos() % self.window.as_nanos().max(1));
        now + self.window.saturating_sub(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(80);

    fn pace(partition: u32, now: Instant) -> Pace {
        let id: PartitionId =
            PartitionId { stream: "grid".parse().unwrap(), source: "kafka:readings#1".parse().unwrap(), partition };
        Pace::new(&id, WINDOW, now)
    }

    #[test]
    fn ends_are_whole_windows_apart_however_long_an_apply_took() {
        let start = Instant::now();
        let pace = pace(0, start);
        for (first_message_ms, end_ms) in [(0, 80), (79, 80), (80, 160), (95, 160), (1_000, 1_040)] {
            assert_eq!(
                pace.end(start + Duration::from_millis(first_message_ms)),
                start + Duration::from_millis(end_ms),
                "first message after {first_message_ms} ms"
            );
        }
    }

    #[test]
    fn neighbouring_partitions_end_at_different_moments() {
        let start = Instant::now();
        let ends: std::collections::BTreeSet<_> =
            (0..8).map(|partition| pace(partition, start).end(start + WINDOW)).collect();
        assert_eq!(ends.len(), 8);
        assert!(ends.iter().all(|end| *end > start + WINDOW && *end <= start + 2 * WINDOW));
    }
}
