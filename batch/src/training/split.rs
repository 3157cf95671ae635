//! Past and future: time-ordered rows are cut by date, never shuffled.

use chrono::{DateTime, Utc};

/// The instant from which on rows are held out, so that about `share` of the rows come before it: every row before it
/// is earlier than every row from it on, also where several devices have rows of one instant. `None` if one side would
/// be empty. `times` is ascending, `share` is over 0 and under 1.
#[must_use]
pub fn cut_at_share(times: &[DateTime<Utc>], share: f64) -> Option<DateTime<Utc>> {
    let at = (times.len() as f64 * share) as usize;
    let cut = *times.get(at)?;
    (*times.first()? < cut).then_some(cut)
}

/// Number of rows before `cut`; `times` is ascending.
#[must_use]
pub fn rows_before(times: &[DateTime<Utc>], cut: DateTime<Utc>) -> usize {
    times.partition_point(|time| *time < cut)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn times(gaps: &[i64]) -> Vec<DateTime<Utc>> {
        let mut at = DateTime::<Utc>::UNIX_EPOCH;
        gaps.iter()
            .map(|gap| {
                at += TimeDelta::minutes(*gap);
                at
            })
            .collect()
    }

    #[test]
    fn a_fifth_is_held_out() {
        let times = times(&[1; 10]);
        let cut = cut_at_share(&times, 0.8).unwrap();
        assert_eq!((cut, rows_before(&times, cut)), (times[8], 8));
    }

    #[test]
    fn rows_of_one_instant_are_not_split() {
        assert_eq!(cut_at_share(&times(&[0; 10]), 0.8), None);
        let paired = times(&[1, 0, 1, 0, 1, 0]);
        assert_eq!(rows_before(&paired, cut_at_share(&paired, 0.5).unwrap()), 2);
        assert_eq!(cut_at_share(&[], 0.8), None);
    }

    proptest! {
        #[test]
        fn every_held_out_row_is_later_than_every_training_row(
            gaps in prop::collection::vec(0_i64..3, 0..200), share in 0.01_f64..0.99,
        ) {
            let times = times(&gaps);
            if let Some(cut) = cut_at_share(&times, share) {
                let (past, future) = times.split_at(rows_before(&times, cut));
                prop_assert!(!past.is_empty() && !future.is_empty());
                prop_assert!(past.iter().all(|earlier| future.iter().all(|later| earlier < later)));
            }
        }
    }
}
