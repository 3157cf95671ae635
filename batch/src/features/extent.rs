//! What there is to learn from: how many readings in which hour, and where the newest of them stands.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    detect::MAX_CLOCK_LEAD,
    lake::{
        LakeError,
        delta::{DeltaLake, TableFiles},
        schema::instant_type,
        session::SessionLimits,
    },
};

use super::read::{column, each_batch};

/// Readings by hour, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    hours: Vec<Hour>,
}

#[derive(Debug, Clone, Copy)]
struct Hour {
    start: DateTime<Utc>,
    readings: u64,
    newest: DateTime<Utc>,
    /// The newest one whose clock the log vouches for.
    vouched: Option<DateTime<Utc>>,
}

impl Extent {
    /// Of the readings of these files before `until`.
    pub(super) async fn of(lake: &DeltaLake, files: &TableFiles, until: DateTime<Utc>) -> Result<Self, LakeError> {
        let lead_micros = MAX_CLOCK_LEAD.num_microseconds().unwrap_or(i64::MAX);
        let query = include_str!("extent.sql")
            .replace("{lead_micros}", &lead_micros.to_string())
            .replace("{until_micros}", &until.timestamp_micros().to_string());
        let mut extent = Self::default();
        each_batch(lake, files, &query, &SessionLimits::default(), |batch| extent.add(batch)).await?;
        Ok(extent)
    }

    /// The time of the newest reading. One device whose clock is years ahead must not move a window past all that there
    /// is to learn from; where all clocks are ahead, the newest is simply the newest.
    pub(super) fn newest(&self) -> Option<DateTime<Utc>> {
        let vouched = self.hours.iter().filter_map(|hour| hour.vouched).max();
        vouched.or_else(|| self.hours.iter().map(|hour| hour.newest).max())
    }

    /// Without the hours that end before `from`.
    pub(super) fn since(mut self, from: DateTime<Utc>) -> Self {
        self.hours.retain(|hour| hour.newest >= from);
        self
    }

    /// How many readings there are.
    pub(super) fn readings(&self) -> u64 {
        self.hours.iter().map(|hour| hour.readings).sum()
    }

    /// The full hour from which on about `1 - share` of the readings lie; `None` if none lies before it.
    pub(super) fn cut_at_share(&self, share: f64) -> Option<DateTime<Utc>> {
        let wanted = self.readings() as f64 * share;
        let mut before = 0;
        let cut = self.hours.iter().find(|hour| {
            before += hour.readings;
            before as f64 > wanted
        })?;
        (self.hours.first()?.start < cut.start).then_some(cut.start)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let instants = |name: &str| column(batch, name, &instant_type());
        let (starts, newest, vouched) = (instants("Hour")?, instants("Newest")?, instants("Vouched")?);
        let counts = column(batch, "Count", &DataType::Int64)?;
        let [starts, newest, vouched] =
            [&starts, &newest, &vouched].map(|c| c.as_primitive::<TimestampMicrosecondType>());
        let counts = counts.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let known = [starts, newest].map(|column| DateTime::from_timestamp_micros(column.value(row)));
            let [Some(start), Some(newest)] = known else { continue };
            let vouched = vouched.is_valid(row).then(|| vouched.value(row)).and_then(DateTime::from_timestamp_micros);
            self.hours.push(Hour { start, readings: counts.value(row).unsigned_abs(), newest, vouched });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// So many readings in each hour; those whose clock nobody vouches for are negative.
    fn extent(readings: &[i64]) -> Extent {
        let hour = |(at, readings): (usize, &i64)| {
            let start = DateTime::UNIX_EPOCH + TimeDelta::hours(at as i64);
            let newest = start + TimeDelta::minutes(59);
            let vouched = (*readings > 0).then_some(newest);
            (*readings != 0).then_some(Hour { start, readings: readings.unsigned_abs(), newest, vouched })
        };
        Extent { hours: readings.iter().enumerate().filter_map(hour).collect() }
    }

    fn hour(at: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(at)
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_move_the_end_unless_all_are() {
        let end = |at| Some(hour(at) + TimeDelta::minutes(59));
        assert_eq!(extent(&[60, 60, 0, 0, -1]).newest(), end(1));
        assert_eq!(extent(&[-60, -60]).newest(), end(1));
        assert_eq!(extent(&[]).newest(), None);
    }

    #[test]
    fn a_fifth_of_the_readings_is_held_out_from_a_full_hour_on() {
        assert_eq!(extent(&[10; 10]).cut_at_share(0.8), Some(hour(8)));
        assert_eq!(extent(&[10, 0, 10, 0, 80]).cut_at_share(0.8), Some(hour(4)));
        assert_eq!(extent(&[90, 10]).cut_at_share(0.8), None, "nothing would be left to learn from");
        assert_eq!(extent(&[]).cut_at_share(0.8), None);
        let week = extent(&[10; 10]).since(hour(5));
        assert_eq!((week.readings(), week.cut_at_share(0.8)), (50, Some(hour(9))));
    }
}
