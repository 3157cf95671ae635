//! Features of a reading, and what has to be remembered of a device for them.

use serde::{Deserialize, Serialize};

use super::{Feature, MAX_FEATURES, parse};
use crate::{detect::rolling_moments::RollingMoments, model::LocalCalendar, reading::Reading, stream::StreamProfile};

/// Features of a reading in the order of their list; NaN is one that is missing, and so are those beyond the list.
pub type FeatureValues = [f64; MAX_FEATURES];

/// A list of features under one profile, ready to compute.
#[derive(Debug, Clone)]
pub struct FeatureSet {
    features: Vec<Named>,
    /// The measures that any feature looks at.
    measures: Vec<usize>,
    /// Measures whose last values are kept, and how many of them.
    histories: Vec<(usize, usize)>,
    /// Measures whose rolling mean is kept, and over how many values.
    means: Vec<(usize, usize)>,
    /// Measures whose runs of equal values are counted.
    runs: Vec<usize>,
    calendar: LocalCalendar,
}

#[derive(Debug, Clone)]
struct Named {
    text: String,
    /// Name of the measure, where it looks at one, and the feature's unit.
    measure: Option<(String, String)>,
    computed: Computed,
}

/// A feature with the place of what it needs.
#[derive(Debug, Clone)]
enum Computed {
    Value(usize),
    Lag { history: usize, values: usize },
    Difference { measure: usize, history: usize },
    Unchanged { measure: usize, run: usize },
    Mean(usize),
    Calendar(usize),
    TagIs { tag: usize, value: String },
}

/// What is remembered of a device; empty where no feature looks back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FeatureState {
    histories: Vec<LastValues>,
    means: Vec<RollingMoments>,
    runs: Vec<Option<Run>>,
}

/// A value and how often it came in a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Run {
    value: f64,
    count: u32,
}

/// The last values of a measure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct LastValues {
    /// A ring once it is full; `next` is then the oldest value.
    values: Vec<f64>,
    next: u32,
}

impl FeatureSet {
    /// The features of these texts.
    ///
    /// # Errors
    /// The text that is no feature under the profile.
    pub fn try_new<'a>(texts: impl IntoIterator<Item = &'a str>, profile: &StreamProfile) -> Result<Self, String> {
        let mut set = Self {
            features: Vec::new(),
            measures: Vec::new(),
            histories: Vec::new(),
            means: Vec::new(),
            runs: Vec::new(),
            calendar: profile.calendar(),
        };
        for text in texts {
            let feature = parse(text, profile).map_err(|_| text.to_owned())?;
            set.push(text, feature, profile);
        }
        Ok(set)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The measures that any of them looks at, by index.
    #[must_use]
    pub fn measures(&self) -> &[usize] {
        &self.measures
    }

    /// How many values it remembers of a device.
    #[must_use]
    pub fn remembered_values(&self) -> u64 {
        let windows = self.histories.iter().chain(&self.means).map(|(_, capacity)| *capacity as u64);
        windows.sum::<u64>() + self.runs.len() as u64
    }

    /// The texts of the features.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|feature| feature.text.as_str())
    }

    /// A feature as people call it, with its unit: empty where it has none.
    #[must_use]
    pub fn text_and_unit(&self, at: usize) -> (&str, &str) {
        let feature = &self.features[at];
        (&feature.text, feature.measure.as_ref().map_or("", |(_, unit)| unit))
    }

    /// The measure that a feature looks at, if any.
    #[must_use]
    pub fn measure(&self, at: usize) -> Option<&str> {
        self.features[at].measure.as_ref().map(|(name, _)| name.as_str())
    }

    /// The feature to blame: the one of the greatest weight, the first of equals. Only what looks at a measure can be: an hour is
    /// never wrong by itself.
    pub(in crate::detect) fn weightiest(&self, weight: impl Fn(usize) -> f64) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for at in (0..self.len()).filter(|at| self.measure(*at).is_some()) {
            let weight = weight(at);
            if weight > best.1 {
                best = (at, weight);
            }
        }
        best.0
    }

    /// Computes the features of a reading and remembers it. `None` if the reading has none of the measures: nothing of
    /// it can be judged, whatever came before.
    pub fn take(&self, state: &mut FeatureState, reading: &Reading) -> Option<FeatureValues> {
        let measured = |index: usize| reading.measures.get(index).copied().flatten();
        if self.measures.iter().all(|index| measured(*index).is_none()) {
            return None;
        }
        let mut values = [f64::NAN; MAX_FEATURES];
        for (place, feature) in values.iter_mut().zip(&self.features) {
            *place = self.value(&feature.computed, state, reading).unwrap_or(f64::NAN);
        }
        self.remember(state, measured);
        Some(values)
    }

    fn value(&self, feature: &Computed, state: &FeatureState, reading: &Reading) -> Option<f64> {
        let measured = |index: usize| reading.measures.get(index).copied().flatten();
        let last = |history: usize, back| state.histories.get(history).and_then(|last| last.back(back));
        match feature {
            Computed::Value(measure) => measured(*measure),
            Computed::Lag { history, values } => last(*history, *values),
            Computed::Difference { measure, history } => Some(measured(*measure)? - last(*history, 1)?),
            Computed::Mean(mean) => state.means.get(*mean).and_then(RollingMoments::mean),
            Computed::Unchanged { measure, run } => {
                let value = measured(*measure)?;
                let run = state.runs.get(*run).copied().flatten()?;
                Some(f64::from(run.of(value)))
            }
            Computed::Calendar(at) => Some(self.calendar.features(reading.event_time)[*at]),
            Computed::TagIs { tag, value } => {
                let tag = reading.tags.get(*tag)?.as_deref()?;
                Some(f64::from(u8::from(tag == value)))
            }
        }
    }

    fn remember(&self, state: &mut FeatureState, measured: impl Fn(usize) -> Option<f64>) {
        state.histories.resize_with(self.histories.len(), LastValues::default);
        state.means.resize_with(self.means.len(), RollingMoments::default);
        state.runs.resize(self.runs.len(), None);
        for (measure, run) in self.runs.iter().zip(&mut state.runs) {
            if let Some(value) = measured(*measure) {
                let before = run.map_or(0, |run| run.of(value));
                *run = Some(Run { value, count: before.saturating_add(1) });
            }
        }
        for ((measure, capacity), last) in self.histories.iter().zip(&mut state.histories) {
            if let Some(value) = measured(*measure) {
                last.push(value, *capacity);
            }
        }
        for ((measure, capacity), mean) in self.means.iter().zip(&mut state.means) {
            if let Some(value) = measured(*measure) {
                mean.push(value, *capacity);
            }
        }
    }

    fn push(&mut self, text: &str, feature: Feature, profile: &StreamProfile) {
        let measure = feature.measure();
        if let Some(index) = measure.filter(|index| !self.measures.contains(index)) {
            self.measures.push(index);
        }
        let computed = match feature {
            Feature::Value(measure) => Computed::Value(measure),
            Feature::Lag { measure, values } => {
                Computed::Lag { history: self.history(measure, values as usize), values: values as usize }
            }
            Feature::Difference(measure) => Computed::Difference { measure, history: self.history(measure, 1) },
            Feature::RollingMean { measure, values } => {
                self.means.push((measure, values as usize));
                Computed::Mean(self.means.len() - 1)
            }
            Feature::Unchanged(measure) => {
                self.runs.push(measure);
                Computed::Unchanged { measure, run: self.runs.len() - 1 }
            }
            Feature::Hour => Computed::Calendar(0),
            Feature::DayOfWeek => Computed::Calendar(1),
            Feature::Month => Computed::Calendar(2),
            Feature::TagIs { tag, value } => Computed::TagIs { tag, value },
        };
        let counts_readings = matches!(computed, Computed::Unchanged { .. });
        let measure = measure.map(|index| &profile.measures[index]).map(|measure| {
            let unit = if counts_readings { "readings" } else { &measure.unit };
            (measure.name.clone(), unit.to_owned())
        });
        self.features.push(Named { text: text.to_owned(), measure, computed });
    }

    /// The place of a measure's history, which keeps at least so many values.
    fn history(&mut self, measure: usize, values: usize) -> usize {
        match self.histories.iter().position(|(known, _)| *known == measure) {
            Some(at) => {
                self.histories[at].1 = self.histories[at].1.max(values);
                at
            }
            None => {
                self.histories.push((measure, values));
                self.histories.len() - 1
            }
        }
    }
}

impl Run {
    /// How often the value came in a row, up to now.
    fn of(self, value: f64) -> u32 {
        if self.value == value { self.count } else { 0 }
    }
}

impl LastValues {
    /// The value so many back; 1 is the last.
    fn back(&self, values: usize) -> Option<f64> {
        let len = self.values.len();
        let newest = self.next as usize + len;
        (values <= len).then(|| self.values[(newest - values) % len])
    }

    fn push(&mut self, value: f64, capacity: usize) {
        if self.values.len() < capacity {
            self.values.push(value);
        } else {
            let at = self.next as usize;
            self.values[at] = value;
            self.next = if at + 1 == capacity { 0 } else { self.next + 1 };
        }
    }
}
