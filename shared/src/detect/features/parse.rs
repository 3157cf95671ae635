//! The language of features: a name, or a function of names and numbers.

use crate::{detect::MAX_WINDOW_READINGS, stream::StreamProfile};

/// Farthest value back that a lag may name: a day of minutes.
const MAX_LAG: u32 = 1440;

/// One feature under a profile; measures and tags by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feature {
    /// The measure itself.
    Value(usize),
    /// An earlier value.
    Lag {
        /// Of this measure.
        measure: usize,
        /// So many values back, at least 1.
        values: u32,
    },
    /// The reading minus the value before it.
    Difference(usize),
    /// The mean of earlier values.
    RollingMean {
        /// Of this measure.
        measure: usize,
        /// Of so many, at least 1.
        values: u32,
    },
    /// How many values right before the reading were the same as its own.
    Unchanged(usize),
    /// The local hour.
    Hour,
    /// The local day of the week.
    DayOfWeek,
    /// The local month.
    Month,
    /// Whether a tag has a value.
    TagIs {
        /// The tag.
        tag: usize,
        /// The value.
        value: String,
    },
}

impl Feature {
    /// The measure that it looks at, if any.
    #[must_use]
    pub const fn measure(&self) -> Option<usize> {
        match self {
            Self::Value(measure)
            | Self::Lag { measure, .. }
            | Self::Difference(measure)
            | Self::RollingMean { measure, .. }
            | Self::Unchanged(measure) => Some(*measure),
            Self::Hour | Self::DayOfWeek | Self::Month | Self::TagIs { .. } => None,
        }
    }
}

/// Reads a feature.
///
/// # Errors
/// What is wrong, with the text and the fix.
pub fn parse(text: &str, profile: &StreamProfile) -> Result<Feature, String> {
    let measure = |name: &str| {
        profile.measure_index(name).ok_or_else(|| format!("`{text}`: `{name}` is not one of the stream's measures"))
    };
    let count = |written: &str, most: u32| {
        let number = written.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| format!("`{text}`: `{written}` must be a whole number from 1 to {most}"))
    };
    let Some((function, rest)) = text.split_once('(') else {
        // A measure of such a name is meant before the calendar.
        return measure(text.trim()).map(Feature::Value).or_else(|unknown| match text.trim() {
            "hour" => Ok(Feature::Hour),
            "day_of_week" => Ok(Feature::DayOfWeek),
            "month" => Ok(Feature::Month),
            _ => Err(unknown),
        });
    };
    let arguments = rest.trim_end().strip_suffix(')').ok_or_else(|| format!("`{text}`: the closing `)` is missing"))?;
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    match (function.trim(), arguments.as_slice()) {
        ("lag", [name, values]) => Ok(Feature::Lag { measure: measure(name)?, values: count(values, MAX_LAG)? }),
        ("difference", [name]) => Ok(Feature::Difference(measure(name)?)),
        ("rolling_mean", [name, values]) => {
            Ok(Feature::RollingMean { measure: measure(name)?, values: count(values, MAX_WINDOW_READINGS)? })
        }
        ("unchanged", [name]) => Ok(Feature::Unchanged(measure(name)?)),
        ("is", [name, value]) => {
            let tag = profile.tags.iter().position(|tag| tag == name);
            let tag = tag.ok_or_else(|| format!("`{text}`: `{name}` is not one of the stream's tags"))?;
            Ok(Feature::TagIs { tag, value: (*value).to_owned() })
        }
        _ => Err(format!(
            "`{text}`: no such feature; write a measure, lag(measure, n), difference(measure), rolling_mean(measure, n), \
             unchanged(measure), is(tag, value), hour, day_of_week or month"
        )),
    }
}
