//! What differs between two versions of the lake.

use arrow::{
    array::AsArray,
    datatypes::{Float64Type, Int64Type},
    record_batch::RecordBatch,
};
use chrono::TimeDelta;
use kilowatch_batch::{
    BatchError,
    diff::{ChangedRows, Versions, changed_hours, changed_rows, hours_schema, rows_schema},
};
use kilowatch_shared::lake::{
    LakeError, LakeTable,
    delta::{LakeFile, Rewrite},
    session::Engine,
};

use crate::bench_room::{Room, instant, minute, uci};
use crate::live::LivePartition;

/// Rows and hours that differ, all of them.
struct Diff {
    rows: ChangedRows,
    row_batches: Vec<RecordBatch>,
    hours: u64,
    hour_batches: Vec<RecordBatch>,
}

async fn diff(room: &Room, from: i64, to: i64) -> Diff {
    let open = |version| room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, Some(version));
    let versions = Versions::new(open(from).await.unwrap(), open(to).await.unwrap());
    let (mut row_batches, mut hour_batches) = (Vec::new(), Vec::new());
    let (rows, buckets) = changed_rows::<BatchError>(&room.deps.lake, &versions, async |batch| {
        assert_eq!(batch.schema(), rows_schema(&versions));
        row_batches.push(batch);
        Ok(())
    })
    .await
    .unwrap();
    let hours = changed_hours::<BatchError>(&room.deps.lake, &versions, &buckets, async |batch| {
        assert_eq!(batch.schema(), hours_schema());
        hour_batches.push(batch);
        Ok(())
    })
    .await
    .unwrap();
    Diff { rows, row_batches, hours, hour_batches }
}

fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let of = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column_by_name(column).unwrap();
        column.as_string::<i32>().iter().map(|text| text.unwrap().to_owned()).collect()
    };
    batches.iter().flat_map(of).collect()
}

fn numbers(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    let of = |batch: &RecordBatch| batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(of).collect()
}

#[tokio::test]
async fn rows_of_a_further_file_are_added_and_change_their_hours() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 2.0)])).await;
    room.ingest_bytes("b.txt", &uci(&[&minute(2, 3.0), &minute(61, 4.0)])).await;
    let forth = diff(&room, 0, 1).await;
    assert_eq!(forth.rows, ChangedRows { added: 2, removed: 0, changed: 0 });
    assert_eq!(texts(&forth.row_batches, "change"), ["added", "added"]);
    // Two hours of seven measures.
    assert_eq!(forth.hours, 14);
    let mut counts = numbers(&forth.hour_batches, "count_before");
    counts.sort_unstable();
    assert_eq!(counts, [[0; 7], [2; 7]].concat());
    let back = diff(&room, 1, 0).await;
    assert_eq!((back.rows, back.hours), (ChangedRows { added: 0, removed: 2, changed: 0 }, 14));
    assert!(diff(&room, 1, 1).await.rows.is_none());
}

#[tokio::test]
async fn a_row_that_stopped_to_count_is_changed_and_says_how() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(5, 2.0)])).await;
    let mut live = LivePartition::open(&room).await;
    // The file's minute, in UTC, and the next one.
    live.read(instant("2006-12-31T23:05:00Z"), &[9.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.read(instant("2006-12-31T23:06:00Z"), &[1.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    live.close(&room).await;
    let before = room.version().await;
    room.rollup(false).await;
    let after = room.version().await;
    let marked = diff(&room, before, after).await;
    assert_eq!(marked.rows, ChangedRows { added: 0, removed: 0, changed: 1 });
    assert_eq!(texts(&marked.row_batches, "differs"), ["superseded: false to true; "]);
    assert_eq!(numbers(&marked.row_batches, "source_offset"), [0]);
    assert_eq!(numbers(&marked.hour_batches, "count_before"), [3; 7]);
    assert_eq!(numbers(&marked.hour_batches, "count_after"), [2; 7]);
}

#[tokio::test]
async fn rows_that_only_moved_between_files_are_no_difference() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    let start = instant("2007-01-01T00:00:00Z");
    for at in 0..6 {
        live.read(start + TimeDelta::minutes(at), &[1.0, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
        live.close(&room).await;
    }
    // The same rows in one file instead of six.
    let version = put_in_the_place_of_all(&room, "SELECT * FROM readings ORDER BY source_offset").await;
    let moved = diff(&room, version, version + 1).await;
    assert_eq!((moved.rows, moved.hours), (ChangedRows::default(), 0));
    let grown = diff(&room, 2, version + 1).await;
    assert_eq!(grown.rows, ChangedRows { added: 3, removed: 0, changed: 0 });
}

#[tokio::test]
async fn hours_whose_values_cancel_out_do_not_differ_by_the_order_of_their_rows() {
    let room = Room::new().await;
    let mut live = LivePartition::open(&room).await;
    for at in 0..60 {
        let size = 1e5 / (f64::from(at / 2) + 1.7);
        let power = if at % 2 == 0 { size } else { -size };
        let start = instant("2007-01-01T00:00:00Z") + TimeDelta::minutes(i64::from(at));
        live.read(start, &[power, 0.1, 240.0, 4.0, 0.0, 0.0, 0.0]);
    }
    live.close(&room).await;
    let sum = async || {
        let sql = "SELECT SUM(active_power) FROM readings GROUP BY device_id";
        let batches = room.query(LakeTable::Readings, sql).await;
        batches.iter().find(|batch| batch.num_rows() > 0).unwrap().column(0).as_primitive::<Float64Type>().value(0)
    };
    let before = sum().await;
    let shuffled = "SELECT * FROM readings ORDER BY source_offset % 7, source_offset";
    put_in_the_place_of_all(&room, shuffled).await;
    assert!((sum().await - before).abs() > 1e-9 * before.abs(), "rounding differs by more than the sum's last digits");
    let moved = diff(&room, 0, 1).await;
    assert_eq!((moved.rows, moved.hours), (ChangedRows::default(), 0));
}

/// One file with the rows of a query in the place of all files.
async fn put_in_the_place_of_all(room: &Room, query: &str) -> i64 {
    let table = room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.unwrap();
    let rows = room.query(LakeTable::Readings, query).await;
    let rows: Vec<RecordBatch> = rows.iter().map(|batch| without_bucket(room, batch)).collect();
    let schema = kilowatch_shared::lake::schema::readings_schema(&room.profile);
    let bucket = table.files.iter().find_map(|file: &std::sync::Arc<LakeFile>| file.bucket).unwrap();
    let merged = kilowatch_shared::lake::files::encode_file(&schema, bucket, &rows).unwrap();
    let written = room.deps.lake.put_file(&room.profile, LakeTable::Readings, merged).await.unwrap();
    let lake = &room.deps.lake;
    lake.replace_files(&room.profile, LakeTable::Readings, &table.files, &[written], Rewrite::Merged).await.unwrap();
    table.version
}

/// The columns of the data files, in their types.
fn without_bucket(room: &Room, batch: &RecordBatch) -> RecordBatch {
    let schema = kilowatch_shared::lake::schema::readings_schema(&room.profile);
    let column = |field: &arrow::datatypes::FieldRef| {
        arrow::compute::cast(batch.column_by_name(field.name()).unwrap(), field.data_type()).unwrap()
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect()).unwrap()
}

#[tokio::test]
async fn a_comparison_that_has_too_little_memory_says_so() {
    let room = Room::new().await;
    for (name, at) in [("a.txt", 0), ("b.txt", 1)] {
        room.ingest_bytes(name, &uci(&[&minute(at, 1.0)])).await;
    }
    let open = |version| room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, Some(version));
    let (from, to) = (open(0).await.unwrap(), open(1).await.unwrap());
    let versions = Versions::new(from, to).on(Engine::start().unwrap(), 1);
    let error = changed_rows::<BatchError>(&room.deps.lake, &versions, async |_| Ok(())).await.unwrap_err();
    assert!(matches!(error, BatchError::Lake(LakeError::OutOfMemory { .. })), "{error}");
}
