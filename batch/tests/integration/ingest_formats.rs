//! Other files than the UCI one, by named columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::Float64Type;
use kilowatch_batch::ingest::{ColumnChoice, IngestRequest};
use kilowatch_shared::{lake::LakeTable, position::DeviceId};
use parquet::arrow::ArrowWriter;

use crate::bench_room::{Room, instant, request};

fn named(room: &Room, name: &str, bytes: &[u8], columns: &str, time: &str) -> IngestRequest {
    let mut request = request(&room.write(name, bytes));
    request.columns = ColumnChoice::parse_list(columns).unwrap();
    request.time_column = Some(time.to_owned());
    request
}

#[tokio::test]
async fn a_csv_file_is_read_by_its_named_columns_with_a_device_of_its_own_on_each_row() {
    let room = Room::new().await;
    let csv = "when,meter,\"Power, kW\",Volt,note\n\
               2007-01-01T00:00:00Z,m-1,1.5,240,ok\n\
               2007-01-01 02:00:00+01:00,m-2,\"2.5\",,\"a \"\"quoted\"\" note, with a comma\"\n\
               2007-01-01 02:00,m-1,3.5,241,\n";
    let mut request = request(&room.write("a.csv", csv.as_bytes()));
    request.columns = vec![
        ColumnChoice { name: "active_power".to_owned(), header: "Power, kW".to_owned() },
        ColumnChoice { name: "voltage".to_owned(), header: "Volt".to_owned() },
    ];
    request.time_column = Some("when".to_owned());
    request.device_column = Some("meter".to_owned());
    let report = room.ingest(&request).await.unwrap();
    assert_eq!((report.rows, report.bad_lines), (3, 0));
    assert_eq!(report.time_range, Some((instant("2007-01-01T00:00:00Z"), instant("2007-01-01T02:00:00Z"))));
    let batches = room
        .query(
            LakeTable::Readings,
            "SELECT device_id, active_power, voltage, current FROM readings ORDER BY source_offset",
        )
        .await;
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let devices: Vec<&str> = batch.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(devices, ["m-1", "m-2", "m-1"]);
    let power: Vec<Option<f64>> = batch.column(1).as_primitive::<Float64Type>().iter().collect();
    let voltage: Vec<Option<f64>> = batch.column(2).as_primitive::<Float64Type>().iter().collect();
    assert_eq!((power, voltage), (vec![Some(1.5), Some(2.5), Some(3.5)], vec![Some(240.0), None, Some(241.0)]));
    assert_eq!(batch.column(3).null_count(), 3, "a measure that the file lacks is missing, not zero");
}

#[tokio::test]
async fn a_csv_file_with_the_profiles_own_names_needs_no_flag() {
    let room = Room::new().await;
    let csv = "timestamp;device_id;active_power;reactive_power;voltage;current;sub_metering_1;sub_metering_2;sub_metering_3\n\
               2007-01-01T00:00:00Z;m-7;1;2;3;4;5;6;7\n\
               2007-01-01T00:01:00Z;;1;2;3;4;5;6;7\n\
               2007-01-01T00:02:00Z;\"m-8\";x;2;3;4;5;6;7\n\
               2007-01-01T00:03:00Z;m-9;1\n";
    let report = room.ingest_bytes("a.csv", csv.as_bytes()).await;
    assert_eq!((report.rows, report.bad_lines), (1, 3));
    let keys: Vec<_> = room.dead_letters().await.into_iter().map(|letter| letter.key).collect();
    assert_eq!(keys, [None, Some("m-8".into()), None], "a bad line is kept under its device, if it says it");
    assert!(report.bad_line_examples[0].reason.contains("device id"), "{:?}", report.bad_line_examples);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE device_id = 'm-7'").await, 1);
}

#[tokio::test]
async fn a_quote_that_does_not_end_spoils_its_own_line_only() {
    let room = Room::new().await;
    let csv = "when,P\n2007-01-01T00:00:00Z,1\n2007-01-01T00:01:00Z,\"2\n2007-01-01T00:02:00Z,3\n";
    let report = room.ingest(&named(&room, "a.csv", csv.as_bytes(), "active_power=P", "when")).await.unwrap();
    assert_eq!((report.rows, report.bad_lines, report.bad_line_examples[0].line), (2, 1, 3));
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn a_parquet_file_is_read_by_its_named_columns_and_a_bad_row_is_kept_as_text() {
    let room = Room::new().await;
    let first = instant("2007-01-01T00:00:00Z").timestamp_millis();
    let bytes = parquet(vec![
        ("other", Arc::new(StringArray::from(vec!["x", "y", "z", "w"])) as ArrayRef),
        ("P", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN), Some(2.5)]))),
        ("V", Arc::new(Int32Array::from(vec![240, 241, 242, 243]))),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(first),
                Some(first + 60_000),
                Some(first + 120_000),
                None,
            ])),
        ),
    ]);
    let mut request = named(&room, "a.parquet", &bytes, "active_power=P,voltage=V", "t");
    request.device = DeviceId::parse("m-9").unwrap();
    let report = room.ingest(&request).await.unwrap();
    assert_eq!((report.read_rows, report.rows, report.bad_lines), (4, 2, 2));
    let told: Vec<(u64, &str)> = report.bad_line_examples.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
    assert_eq!(told, [(3, "P: not a finite number from -1e18 to 1e18"), (4, "t: missing")]);
    let letter = &room.dead_letters().await[0];
    let raw: serde_json::Value = serde_json::from_slice(&letter.raw).unwrap();
    assert_eq!((raw["V"].as_str(), raw["P"].as_str()), (Some("242"), Some("NaN")));
    assert_eq!(letter.key.as_deref(), Some(b"m-9".as_slice()));
    assert_eq!(room.number("SELECT CAST(SUM(voltage) AS BIGINT) FROM readings WHERE device_id = 'm-9'").await, 481);
    assert_eq!(room.number("SELECT SUM(source_offset) FROM readings").await, 1 + 2);
    assert_eq!(room.ingest(&request).await.unwrap().rows, 0);
}

#[tokio::test]
async fn a_parquet_column_of_another_type_is_refused_by_its_name() {
    let room = Room::new().await;
    let bytes = parquet(vec![
        ("P", Arc::new(StringArray::from(vec!["much"])) as ArrayRef),
        ("t", Arc::new(StringArray::from(vec!["2007-01-01T00:00:00Z"]))),
    ]);
    let error = room.ingest(&named(&room, "a.parquet", &bytes, "active_power=P", "t")).await.unwrap_err().to_string();
    assert!(error.contains("column `P` has type Utf8"), "{error}");
}
