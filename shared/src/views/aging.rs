//! What has an age limit, and from when on a stream still has it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ViewsError;
use crate::position::StreamName;

/// What may have an age limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aged {
    /// Readings of the lake, by event time. Windows before their floor stay in the views as they were published.
    Readings,
    /// Dead letters of lake and views, by when they were seen.
    DeadLetters,
    /// Windows that batch published, by their start.
    Windows,
    /// Anomalies, by event time.
    Anomalies,
    /// Forecasts, by when they were issued.
    Forecasts,
}

impl Aged {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Readings, Self::DeadLetters, Self::Windows, Self::Anomalies, Self::Forecasts];

    /// Its name in the configuration and in the views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::DeadLetters => "dead_letters",
            Self::Windows => "windows",
            Self::Anomalies => "anomalies",
            Self::Forecasts => "forecasts",
        }
    }

    /// What goes by this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aged| aged.as_str() == name)
    }
}

/// From when on a stream still has what has an age limit. A floor never falls, also if the limit is raised or taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgeFloors(BTreeMap<Aged, DateTime<Utc>>);

impl AgeFloors {
    /// The floor, if anything ever went.
    #[must_use]
    pub fn of(&self, aged: Aged) -> Option<DateTime<Utc>> {
        self.0.get(&aged).copied()
    }

    /// The start of the first window that roll-ups compute: the readings of older ones are gone, or they went themselves.
    #[must_use]
    pub fn of_computed_windows(&self) -> Option<DateTime<Utc>> {
        self.of(Aged::Readings).max(self.of(Aged::Windows))
    }
}

impl FromIterator<(Aged, DateTime<Utc>)> for AgeFloors {
    fn from_iter<T: IntoIterator<Item = (Aged, DateTime<Utc>)>>(floors: T) -> Self {
        Self(floors.into_iter().collect())
    }
}

/// Rows of the views that an age limit takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgedRows {
    /// How many.
    pub rows: u64,
    /// The oldest one's time.
    pub oldest: Option<DateTime<Utc>>,
}

/// What age limits need of the views.
#[async_trait]
pub trait AgingViews: std::fmt::Debug + Send + Sync {
    /// The floors of a stream.
    async fn age_floors(&self, stream: &StreamName) -> Result<AgeFloors, ViewsError>;

    /// Raises a floor; one that is higher stays. From the next transaction on, no publication writes or deletes a window
    /// below the floors of readings and windows, and no reader adds speed's part of one: what is published of it is all
    /// that is ever served of it. A publication is before it or after it.
    async fn raise_age_floor(&self, stream: &StreamName, aged: Aged, floor: DateTime<Utc>) -> Result<(), ViewsError>;

    /// The rows that [`Self::drop_before`] would drop; the views hold no readings.
    async fn rows_before(&self, stream: &StreamName, aged: Aged, before: DateTime<Utc>)
    -> Result<AgedRows, ViewsError>;

    /// Deletes rows of before an instant, about `most` of them, in one transaction; 0 if none is left. An anomaly or a dead
    /// letter stays as long as the outbox still has to tell of it.
    async fn drop_before(
        &self,
        stream: &StreamName,
        aged: Aged,
        before: DateTime<Utc>,
        most: u32,
    ) -> Result<u64, ViewsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_computed_from_the_later_one_of_two_floors_on() {
        let day = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (early, late) = (day("2007-01-01T00:00:00Z"), day("2008-01-01T00:00:00Z"));
        let floors = |pairs: &[(Aged, DateTime<Utc>)]| pairs.iter().copied().collect::<AgeFloors>();
        assert_eq!(AgeFloors::default().of_computed_windows(), None);
        assert_eq!(floors(&[(Aged::Anomalies, late)]).of_computed_windows(), None);
        assert_eq!(floors(&[(Aged::Readings, early)]).of_computed_windows(), Some(early));
        assert_eq!(floors(&[(Aged::Readings, late), (Aged::Windows, early)]).of_computed_windows(), Some(late));
    }
}
