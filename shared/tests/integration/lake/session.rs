//! SQL sees exactly the files of a version.

use std::time::Duration;

use arrow::{
    array::AsArray,
    datatypes::{Float64Type, Int64Type},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable, SegmentLake,
        delta::DeltaLake,
        session::{LakeSession, SessionLimits, SessionTable, lake_session},
        store::LakeStore,
    },
    reading::LakeReading,
    stream::profile::Measure,
};

use super::{NOTHING, close, door};
use crate::contracts::lake::subject::{at_minute, partition, profile, segment_with};

async fn session(lake: &DeltaLake, version: Option<i64>) -> LakeSession {
    let files = lake.open_table(&profile().name, LakeTable::Readings, version).await.unwrap();
    let tables = [SessionTable { name: "readings", files: &files }];
    lake_session(lake.store(), &tables, &SessionLimits::default()).unwrap()
}

fn number(batches: &[RecordBatch]) -> i64 {
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_sees_the_version_that_it_was_given() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 5).await;
    close(&lake, 9).await;
    for (version, rows) in [(Some(0), 5), (Some(1), 9), (None, 9)] {
        let session = session(&lake, version).await;
        assert_eq!(number(&session.collect("SELECT count(*) FROM readings").await.unwrap()), rows);
        let offsets = session.collect("SELECT sum(source_offset) FROM readings").await.unwrap();
        assert_eq!(number(&offsets), (0..rows).sum::<i64>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_skip_files_and_no_rows() {
    let lake = door(&LakeStore::in_memory());
    let a_day_each = |row: &mut LakeReading| row.reading.event_time = at_minute(row.position.offset.get() * 1_440);
    let rows = segment_with(&partition(0), 0, 400, a_day_each);
    lake.append_readings(&profile(), &NOTHING, &[rows]).await.unwrap();
    let session = session(&lake, None).await;
    let count = async |condition: &str| {
        let sql = format!("SELECT count(*) FROM readings WHERE {condition}");
        number(&session.collect(&sql).await.unwrap())
    };
    assert_eq!(count("bucket = DATE '2007-02-01'").await, 28);
    assert_eq!(count("bucket > DATE '2008-01-01'").await, 4);
    assert_eq!(count("event_time >= TIMESTAMP '2007-12-31T00:00:00Z'").await, 36);
    assert_eq!(count("device_id = 'meter-1' AND event_time < TIMESTAMP '2007-01-11T00:00:00Z'").await, 3);
    assert_eq!(count("device_id = 'nobody'").await, 0);
    let plan =
        session.collect("EXPLAIN SELECT sum(power) FROM readings WHERE bucket = DATE '2007-02-01'").await.unwrap();
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    assert_eq!(plan.matches(".parquet").count(), 1, "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_an_older_file_lacks_reads_as_null() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 5).await;
    let mut wider = profile();
    wider.measures.push(Measure { name: "frequency".into(), unit: "Hz".into(), label: "Frequency".into() });
    let closed = segment_with(&partition(0), 5, 7, |row| row.reading.measures.push(Some(50.0)));
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    lake.append_readings(&wider, &base, &[closed]).await.unwrap();
    let batches = session(&lake, None)
        .await
        .collect("SELECT count(*), count(frequency), sum(frequency) FROM readings")
        .await
        .unwrap();
    assert_eq!(number(&batches), 7);
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(batches[0].column(2).as_primitive::<Float64Type>().value(0), 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_memory_join_with_the_lake() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 9).await;
    let session = session(&lake, None).await;
    let known = session.collect("SELECT device_id, event_time FROM readings WHERE source_offset < 4").await.unwrap();
    session.register_batches("incoming", known[0].schema(), known).unwrap();
    let sql = "SELECT count(*) FROM readings r LEFT ANTI JOIN incoming i \
               ON r.device_id = i.device_id AND r.event_time = i.event_time";
    assert_eq!(number(&session.collect(sql).await.unwrap()), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_files_is_empty() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 5).await;
    let files = lake.open_table(&profile().name, LakeTable::Readings, None).await.unwrap().only(|_| false);
    let tables = [SessionTable { name: "readings", files: &files }];
    let session = lake_session(lake.store(), &tables, &SessionLimits::default()).unwrap();
    assert_eq!(number(&session.collect("SELECT count(power) FROM readings").await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_at_its_limits() {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 300).await;
    let files = lake.open_table(&profile().name, LakeTable::Readings, None).await.unwrap();
    let tables = [SessionTable { name: "r", files: &files }];
    let limits = SessionLimits { time: Duration::from_millis(1), ..SessionLimits::default() };
    let long = "SELECT count(*) FROM r a, r b, r c WHERE a.power + b.power + c.power < 0";
    let error = lake_session(lake.store(), &tables, &limits).unwrap().collect(long).await.unwrap_err();
    assert!(matches!(&error, LakeError::Query { reason } if reason.contains("longer")), "{error}");
    let limits = SessionLimits { memory_bytes: 1_000, ..SessionLimits::default() };
    let large = "SELECT power, count(*) FROM r GROUP BY power ORDER BY power";
    let error = lake_session(lake.store(), &tables, &limits).unwrap().collect(large).await.unwrap_err();
    assert!(matches!(error, LakeError::OutOfMemory { .. }), "{error}");
}
