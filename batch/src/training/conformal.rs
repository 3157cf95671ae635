//! Intervals sized by held-out residuals.

use kilowatch_shared::model::HorizonInterval;

/// A residual, observed minus predicted, and how many hours ahead it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Hours from the issue to the target.
    pub horizon_hours: u32,
    /// Observed minus predicted.
    pub error: f64,
}

/// Ends of the runs of horizons that share an interval: the next hours know more than tomorrow does, and a run keeps
/// enough residuals for its quantiles.
const GROUP_ENDS: [u32; 5] = [3, 6, 12, 24, 48];

/// Fewest residuals of a run; with fewer, it takes those of all horizons. At level 0.8 the tails then hold 5 each.
const MIN_RESIDUALS: usize = 50;

/// Intervals that cover at least `level` of new outcomes, for each run of horizons up to `horizon_hours`, provided that
/// errors go on as they were; half of the misses on each side. Empty without residuals.
///
/// The ends are the residuals of rank `ceil((n + 1) * q)`, which makes up for the finite number of them. They are
/// signed: power has a longer tail above than below. Source: Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in
/// a Random World"; Romano, Patterson and Candes (2019), "Conformalized Quantile Regression", NeurIPS, for two tails.
#[must_use]
pub fn conformal_intervals(residuals: &[Residual], horizon_hours: u32, level: f64) -> Vec<HorizonInterval> {
    let mut all: Vec<f64> = residuals.iter().map(|residual| residual.error).collect();
    if all.is_empty() {
        return Vec::new();
    }
    all.sort_unstable_by(f64::total_cmp);
    let ends = GROUP_ENDS.into_iter().filter(|end| *end < horizon_hours).chain([horizon_hours]);
    let mut intervals = Vec::new();
    let mut after = 0;
    for up_to_hours in ends {
        let run = (after + 1)..=up_to_hours;
        let mut own: Vec<f64> =
            residuals.iter().filter(|r| run.contains(&r.horizon_hours)).map(|residual| residual.error).collect();
        own.sort_unstable_by(f64::total_cmp);
        let sorted = if own.len() < MIN_RESIDUALS { &all } else { &own };
        let tail = (1.0 - level) / 2.0;
        // The lower end mirrors the upper one: the same rank, counted from the other side.
        let rank = (((sorted.len() + 1) as f64 * (1.0 - tail)).ceil() as usize).clamp(1, sorted.len());
        intervals.push(HorizonInterval { up_to_hours, low: sorted[sorted.len() - rank], high: sorted[rank - 1] });
        after = up_to_hours;
    }
    intervals
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn residuals(horizon_hours: u32, errors: impl Iterator<Item = f64>) -> Vec<Residual> {
        errors.map(|error| Residual { horizon_hours, error }).collect()
    }

    #[test]
    fn the_ends_are_the_ranks_computed_by_hand() {
        // 99 residuals 1..=99, tails of 10 %: rank ceil(100 * 0.9) = 90, from below and from above.
        let intervals = conformal_intervals(&residuals(1, (1..=99).map(f64::from)), 3, 0.8);
        assert_eq!(intervals, [HorizonInterval { up_to_hours: 3, low: 10.0, high: 90.0 }]);
    }

    #[test]
    fn runs_of_horizons_are_sized_by_their_own_residuals() {
        let mut both = residuals(2, (0..100).map(|at| f64::from(at) / 100.0));
        both.extend(residuals(30, (0..100).map(f64::from)));
        let intervals = conformal_intervals(&both, 48, 0.8);
        assert_eq!(intervals.iter().map(|group| group.up_to_hours).collect::<Vec<_>>(), [3, 6, 12, 24, 48]);
        assert!(intervals[0].high < 1.0 && intervals[4].high > 80.0);
        // No residual of these hours: they take those of all.
        let pooled: Vec<Residual> = both.iter().map(|residual| Residual { horizon_hours: 1, ..*residual }).collect();
        let pooled = conformal_intervals(&pooled, 1, 0.8)[0];
        assert_eq!((intervals[1].low, intervals[1].high), (pooled.low, pooled.high));
    }

    #[test]
    fn too_few_residuals_for_the_level_give_the_widest_interval() {
        let intervals = conformal_intervals(&residuals(1, [3.0, -1.0].into_iter()), 1, 0.8);
        assert_eq!(intervals, [HorizonInterval { up_to_hours: 1, low: -1.0, high: 3.0 }]);
        assert!(conformal_intervals(&[], 48, 0.8).is_empty());
    }

    proptest! {
        #[test]
        fn at_least_the_level_of_the_residuals_lie_inside(
            errors in prop::collection::vec(-100.0_f64..100.0, 60..300), level in 0.5_f64..0.95,
        ) {
            let interval = conformal_intervals(&residuals(1, errors.iter().copied()), 1, level)[0];
            let inside = errors.iter().filter(|error| (interval.low..=interval.high).contains(error)).count();
            prop_assert!(inside as f64 >= level * errors.len() as f64);
        }
    }
}
