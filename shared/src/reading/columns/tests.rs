//! Readings go into columns and come out of them.

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::{
    position::{DeviceId, Offset},
    reading::{FoldedReading, Reading, Tags},
};

fn readings() -> impl Strategy<Value = Vec<FoldedReading>> {
    let measure = || prop::option::weighted(0.8, prop::num::f64::NORMAL | prop::num::f64::ZERO);
    let tag = || prop::option::weighted(0.8, prop::sample::select(vec!["", "north", "south"]));
    let one = (0..5_u32, -9_i64..9, measure(), measure(), tag(), tag(), any::<bool>());
    prop::collection::vec(one, 0..60).prop_map(|rows| {
        let row = |(offset, (device, minute, a, b, tag, injected, is_duplicate)): (usize, _)| {
            let minute: i64 = minute;
            let tag: Option<&str> = tag;
            let injected: Option<&str> = injected;
            let device: u32 = device;
            FoldedReading {
                reading: Reading {
                    device: DeviceId::parse(&format!("m-{device}")).unwrap(),
                    event_time: DateTime::from_timestamp(minute * 60, 0).unwrap(),
                    measures: [a, b].into_iter().collect(),
                    tags: [tag.map(Into::into)].into_iter().collect(),
                    injected: injected.map(Into::into),
                },
                offset: Offset::new(2 * offset as u64),
                ingested_at: DateTime::from_timestamp_micros(offset as i64).unwrap(),
                is_duplicate,
            }
        };
        rows.into_iter().enumerate().map(row).collect()
    })
}

proptest! {
    #[test]
    fn readings_come_out_of_their_columns_as_they_went_in(readings in readings(), cut in 0_usize..60) {
        let (first, second) = readings.split_at(cut.min(readings.len()));
        let mut columns = ReadingColumns::default();
        columns.append(first.iter().collect());
        columns.append(second.iter().collect());
        prop_assert_eq!(columns.len(), readings.len());
        prop_assert_eq!(columns.readings().collect::<Vec<_>>(), readings);
    }

    #[test]
    fn what_is_dropped_is_what_lies_below(readings in readings(), cut in 0_usize..60, below in 0_u64..130) {
        let (first, second) = readings.split_at(cut.min(readings.len()));
        let mut columns: ReadingColumns = first.iter().collect();
        columns.append(second.iter().collect());
        columns.drop_below(Offset::new(below));
        let kept: Vec<_> = readings.into_iter().filter(|reading| reading.offset.get() >= below).collect();
        prop_assert_eq!(columns.readings().collect::<Vec<_>>(), kept);
    }
}

#[test]
fn a_measure_that_comes_late_is_missing_before() {
    let reading = |offset, measures: &[Option<f64>]| FoldedReading {
        reading: Reading {
            device: DeviceId::parse("m").unwrap(),
            event_time: DateTime::UNIX_EPOCH,
            measures: measures.iter().copied().collect(),
            tags: Tags::new(),
            injected: None,
        },
        offset: Offset::new(offset),
        ingested_at: DateTime::UNIX_EPOCH,
        is_duplicate: false,
    };
    let columns: ReadingColumns = [reading(0, &[Some(1.0)]), reading(1, &[Some(2.0), Some(3.0)])].iter().collect();
    let run = &columns.runs()[0];
    assert_eq!((run.measure(1, 0), run.measure(1, 1)), (None, Some(3.0)));
}
