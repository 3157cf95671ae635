//! Whether a detector would cry wolf: how often it alarms on the newest readings where it learned from those before them.
//!
//! The model that serves learns from all of them, the newest included, since it is to know them; what it makes of readings that
//! it learned from says little. So the check learns a second one from the older part alone.

use super::candidate::Findings;
use crate::training::sample_ascending;

/// Share of the readings, the older ones, that the model learns from that is checked.
pub(super) const PAST_SHARE: f64 = 0.8;

/// Readings that tell how often it raises an alarm: a rate of 1 % is then known to 0.1 percentage points.
pub(super) const PROBE_ROWS: usize = 10_000;

/// A detector that raises so many times its share of alarms in readings that it has not seen does not know the season
/// (a forest fitted on 17 hours of January flagged 46 % of the year). Less is ordinary: the newest fifth of a fortnight
/// ends with its weekend, of which a forest flags more than of working days.
const MAX_ALARM_FACTOR: f64 = 10.0;

/// Share of alarms beyond which nobody listens, whatever the quantile allows.
const MAX_ALARM_RATE: f64 = 0.2;

/// Shares of readings that a detector alarms on.
#[derive(Debug, Clone, Copy)]
pub(super) struct AlarmRates {
    /// Of those that it learned from.
    pub(super) learned: f64,
    /// Of the newest ones, after it learned from those before them; none if that cannot be had.
    pub(super) held_out: Option<f64>,
}

impl AlarmRates {
    /// Both, by name.
    pub(super) fn findings(self) -> Findings {
        [("alarm_rate".to_owned(), self.learned.into()), ("alarm_rate_held_out".to_owned(), self.held_out.into())]
            .into()
    }

    /// Why a model that should alarm on `share` of the readings must not serve.
    pub(super) fn objection(self, share: f64) -> Option<String> {
        let most = (MAX_ALARM_FACTOR * share).min(MAX_ALARM_RATE);
        let Some(held_out) = self.held_out else {
            return Some(
                "the readings are too few or too close together to hold the newest out and check it on them".to_owned(),
            );
        };
        let (rate, of_what) = if held_out >= self.learned {
            (held_out, "the newest fifth of the readings")
        } else {
            (self.learned, "the readings")
        };
        (rate > most)
            .then(|| format!("it would flag {:.1} % of {of_what}, more than {:.1} %", 100.0 * rate, 100.0 * most))
    }
}

/// The share of these rows that a model alarms on, by their indices: of a sample of them where they are many.
pub(super) fn alarm_rate(rows: &[usize], seed: u64, alarms: impl Fn(usize) -> bool) -> f64 {
    // Drawn anew, so that most of them are not those that a threshold was taken from.
    let probe = sample_ascending(rows.len(), PROBE_ROWS, !seed);
    let alarms = probe.iter().filter(|at| alarms(rows[**at])).count();
    alarms as f64 / probe.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_cries_wolf_of_late_or_ever_is_objected_to() {
        let objection = |learned, held_out, share| AlarmRates { learned, held_out: Some(held_out) }.objection(share);
        assert_eq!(objection(0.01, 0.09, 0.01), None);
        assert!(objection(0.01, 0.11, 0.01).unwrap().contains("11.0 % of the newest fifth"));
        assert_eq!(objection(0.05, 0.19, 0.05), None);
        assert!(objection(0.05, 0.21, 0.05).unwrap().contains("more than 20.0 %"));
        assert!(objection(0.46, 0.0, 0.01).unwrap().contains("46.0 % of the readings"));
    }

    #[test]
    fn a_model_that_cannot_be_checked_is_objected_to() {
        let unchecked = AlarmRates { learned: 0.0, held_out: None };
        assert!(unchecked.objection(0.01).unwrap().contains("hold the newest out"));
    }

    #[test]
    fn a_rate_is_that_of_the_rows_that_were_asked_for() {
        let rows: Vec<usize> = (100..200).collect();
        assert_eq!(alarm_rate(&rows, 1, |at| at >= 150), 0.5);
        assert_eq!(alarm_rate(&[], 1, |_| true), 0.0);
    }
}
