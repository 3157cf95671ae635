//! Rows come back as they went in.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::{LakeSnapshot, Segment},
    position::{DeviceId, SourceId},
    reading::LakeReading,
};

use super::subject::{Subject, at_minute, columns, partition, profile, row, segment, span};

const NOTHING: LakeSnapshot = LakeSnapshot { version: None, closed: BTreeMap::new() };

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub async fn rows_come_back_bit_for_bit(subject: &Subject) {
    let with = |offset: u64, change: &dyn Fn(&mut LakeReading)| {
        let mut row = row(&partition(0), offset);
        change(&mut row);
        row
    };
    let rows = vec![
        with(0, &|row| row.reading.measures = [None, None].into_iter().collect()),
        with(1, &|row| row.reading.measures = [Some(-0.0), Some(f64::MIN_POSITIVE / 2.0)].into_iter().collect()),
        with(2, &|row| row.reading.measures = [Some(0.1 + 0.2), Some(f64::MAX)].into_iter().collect()),
        with(3, &|row| row.reading.event_time = instant("0001-01-01T00:00:00Z")),
        with(4, &|row| row.reading.event_time = instant("9999-12-31T23:59:59.999999Z")),
        with(5, &|row| row.reading.event_time = instant("1969-12-31T23:59:59.999999Z")),
        with(6, &|row| row.reading.tags = [None].into_iter().collect()),
        with(7, &|row| row.reading.tags = [Some("".into())].into_iter().collect()),
        with(8, &|row| row.reading.injected = Some("spike ⚡".into())),
        with(9, &|row| row.reading.device = DeviceId::parse("Zähler \"7\"/..").unwrap()),
        with(10, &|row| row.is_duplicate = true),
        with(11, &|row| row.reading.event_time = at_minute(10)),
    ];
    let segment = Segment { rows: columns(&rows), ..segment(&partition(0), 0, 12) };
    subject.lake.append_readings(&profile(), &NOTHING, &[segment]).await.unwrap();
    let back = subject.rows(&partition(0), 0, 12).await;
    assert_eq!(back, rows);
    let bits = |rows: &[LakeReading]| -> Vec<Option<u64>> {
        rows.iter().flat_map(|row| row.reading.measures.iter().map(|value| value.map(f64::to_bits))).collect()
    };
    assert_eq!(bits(&back), bits(&rows));
}

pub async fn rows_come_back_in_offset_order_whatever_their_devices_and_times(subject: &Subject) {
    let mut rows: Vec<LakeReading> = (0..500).map(|offset| row(&partition(0), offset)).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        // Two years, back and forth, so that several buckets and files are written.
        row.reading.event_time = at_minute((index as u64 * 7_919) % 1_051_200);
    }
    let segment = Segment { rows: columns(&rows), ..segment(&partition(0), 0, 500) };
    subject.lake.append_readings(&profile(), &NOTHING, &[segment]).await.unwrap();
    subject.close(&partition(0), 500, 510).await;
    rows.extend((500..510).map(|offset| row(&partition(0), offset)));
    assert_eq!(subject.rows(&partition(0), 0, 510).await, rows);
}

pub async fn only_rows_of_the_span_come_back(subject: &Subject) {
    for from in [0, 10, 20] {
        subject.close(&partition(0), from, from + 10).await;
    }
    let offsets: Vec<u64> =
        subject.rows(&partition(0), 7, 22).await.iter().map(|row| row.position.offset.get()).collect();
    assert_eq!(offsets, (7..22).collect::<Vec<_>>());
    assert_eq!(subject.rows(&partition(0), 10, 10).await, []);
    assert_eq!(subject.rows(&partition(0), 30, 99).await, []);
}

pub async fn sources_and_partitions_do_not_mix(subject: &Subject) {
    let mut recreated = partition(0);
    recreated.source = SourceId::parse("kafka:meters#2").unwrap();
    let all = [partition(0), partition(1), recreated];
    let segments: Vec<_> = all.iter().map(|partition| segment(partition, 0, 5)).collect();
    subject.lake.append_readings(&profile(), &NOTHING, &segments).await.unwrap();
    for (partition, segment) in all.iter().zip(segments) {
        let back = subject.other.read_readings(&profile(), partition, span(0, 5)).await.unwrap();
        assert_eq!(back, segment.readings().collect::<Vec<_>>());
    }
}
