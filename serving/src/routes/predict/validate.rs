//! Fields become inputs, or a message per field.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, Utc};
use kilowatch_shared::model::InputRange;

use crate::http::{parse_time, shorten};

/// What is wrong, or to be taken with care, by field.
pub(crate) type FieldProblems = BTreeMap<String, String>;

/// What a model can answer.
#[derive(Debug, PartialEq)]
pub(super) struct ValidInputs {
    pub values: BTreeMap<String, f64>,
    pub at: DateTime<Utc>,
    /// Inputs that the model did not see the like of.
    pub warnings: FieldProblems,
}

/// Reads the fields; without a `time` the inputs stand for `now`.
pub(super) fn validate(
    fields: &BTreeMap<String, String>,
    ranges: &[InputRange],
    offset: FixedOffset,
    now: DateTime<Utc>,
) -> Result<ValidInputs, FieldProblems> {
    let mut valid = ValidInputs { values: BTreeMap::new(), at: now, warnings: FieldProblems::new() };
    let mut problems = FieldProblems::new();
    for range in ranges {
        match read(fields.get(&range.name), range) {
            Ok(value) => {
                if value < range.min || value > range.max {
                    let warning = format!("the model saw only {} to {}", range.min, range.max);
                    valid.warnings.insert(range.name.clone(), warning);
                }
                valid.values.insert(range.name.clone(), value);
            }
            Err(problem) => {
                problems.insert(range.name.clone(), problem);
            }
        }
    }
    if let Some(text) = fields.get("time") {
        match parse_time(text, offset) {
            Ok(at) => valid.at = at,
            Err(rule) => {
                problems.insert("time".to_owned(), rule);
            }
        }
    }
    for name in fields.keys().filter(|name| *name != "time" && ranges.iter().all(|range| range.name != **name)) {
        problems.insert(shorten(name), "is not an input of this model".to_owned());
    }
    if problems.is_empty() { Ok(valid) } else { Err(problems) }
}

fn read(text: Option<&String>, range: &InputRange) -> Result<f64, String> {
    let text = text.ok_or("is needed")?;
    let value: f64 = text
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| format!("must be a number, not {:?}", shorten(text)))?;
    let (low, high) = plausible(range);
    if (low..=high).contains(&value) { Ok(value) } else { Err(format!("must be {low} to {high}")) }
}

/// How far a value may lie from what the model saw: its own width or size further, and never under zero if nothing was.
/// A forest answers beyond its data with its nearest leaf; close by that is an estimate, far away it is nonsense. Whole
/// numbers, because they are shown.
fn plausible(range: &InputRange) -> (f64, f64) {
    let margin = (range.max - range.min).max(range.max.abs()).max(1.0);
    let low = (range.min - margin).floor();
    (if range.min >= 0.0 { low.max(0.0) } else { low }, (range.max + margin).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[(&str, &str)]) -> Result<ValidInputs, FieldProblems> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let ranges = [
            InputRange { name: "voltage".to_owned(), min: 223.0, max: 254.0 },
            InputRange { name: "current".to_owned(), min: 0.5, max: 48.0 },
        ];
        validate(&fields, &ranges, FixedOffset::east_opt(3600).unwrap(), "2007-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_bad_field_is_named_and_good_ones_are_not() {
        let problems =
            check(&[("voltage", "two hundred"), ("current", "5"), ("time", "soon"), ("amps", "1")]).unwrap_err();
        assert_eq!(problems.keys().collect::<Vec<_>>(), ["amps", "time", "voltage"]);
    }

    #[test]
    fn a_missing_field_is_not_taken_as_zero() {
        assert_eq!(check(&[("voltage", "240")]).unwrap_err()["current"], "is needed");
    }

    #[test]
    fn nonsense_is_refused_and_the_unusual_only_marked() {
        for nonsense in ["-1", "1e300", "inf", "NaN"] {
            assert!(check(&[("voltage", "240"), ("current", nonsense)]).is_err(), "{nonsense}");
        }
        let unusual = check(&[("voltage", "260"), ("current", "1")]).unwrap();
        assert_eq!(unusual.warnings["voltage"], "the model saw only 223 to 254");
        assert!(!unusual.warnings.contains_key("current"));
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        let valid = check(&[("voltage", "240"), ("current", "1"), ("time", "2007-01-01T18:00")]).unwrap();
        assert_eq!(valid.at.to_rfc3339(), "2007-01-01T17:00:00+00:00");
    }
}
