//! Files in the UCI format become typed rows.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use kilowatch_batch::ingest::FileOutcome;
use kilowatch_shared::lake::LakeTable;

use crate::bench_room::{Room, gzip, instant, request, uci};

const LINES: [&str; 4] = [
    "1/1/2007;00:00:00;2.580;0.136;241.970;10.600;0.000;0.000;0.000",
    "14/1/2007;18:36:00;?;?;?;?;?;?;",
    "31/1/2007;23:59:00;2.552;0.100;241.750;10.400;0.000;1.000;17.000",
    "1/2/2007;00:59:00;0.5;0;240;2;0;0;",
];

#[tokio::test]
async fn every_value_of_a_uci_file_stands_in_its_column_and_a_missing_one_is_null() {
    let room = Room::new().await;
    let report = room.ingest_bytes("h.txt", &uci(&LINES)).await;
    assert_eq!((report.outcome, report.read_rows, report.rows), (FileOutcome::Ingested, 4, 4));
    // The second row lacks everything, the last one its last sub-meter.
    assert_eq!((report.missing_rows, report.bad_lines), (2, 0));
    // January and the first hour of February at +01:00 are all in two UTC months: December and January.
    assert_eq!((report.files, report.lake_version), (2, Some(0)));
    assert_eq!(report.time_range, Some((instant("2006-12-31T23:00:00Z"), instant("2007-01-31T23:59:00Z"))));

    let batches = room
        .query(
            LakeTable::Readings,
            "SELECT device_id, event_time, active_power, sub_metering_3, source, source_offset, is_duplicate, superseded,
                 injected FROM readings ORDER BY event_time",
        )
        .await;
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(batch.num_rows(), 4);
    let times: Vec<i64> = batch.column(1).as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let expected = ["2006-12-31T23:00:00Z", "2007-01-14T17:36:00Z", "2007-01-31T22:59:00Z", "2007-01-31T23:59:00Z"];
    assert_eq!(times, expected.map(|text| instant(text).timestamp_micros()));
    let power: Vec<Option<f64>> = batch.column(2).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(power, [Some(2.58), None, Some(2.552), Some(0.5)]);
    let heater: Vec<Option<f64>> = batch.column(3).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(heater, [Some(0.0), None, Some(17.0), None]);
    let offsets: Vec<i64> = batch.column(5).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(offsets, [2, 3, 4, 5], "a row's offset is the number of its line");
    for row in 0..4 {
        assert_eq!(batch.column(0).as_string::<i32>().value(row), "meter-0001");
        assert_eq!(batch.column(4).as_string::<i32>().value(row), format!("file:{}", report.sha256));
        assert!(!batch.column(6).as_boolean().value(row) && !batch.column(7).as_boolean().value(row));
        assert!(batch.column(8).is_null(row));
    }
}

#[tokio::test]
async fn a_byte_order_mark_commas_another_order_and_further_columns_change_no_value() {
    let plain = Room::new().await;
    plain.ingest_bytes("a.txt", &uci(&["1/1/2007;00:00:00;1.5;0.1;240.25;6.2;0;?;17"])).await;
    let odd = Room::new().await;
    let text = "\u{feff}Note,Sub_metering_3,Sub_metering_2,Sub_metering_1,Global_intensity,Voltage,\
                Global_reactive_power,Global_active_power,Time,Date\r\n\
                \"a, b\",17,?,0,6.2,240.25,0.1,1.5,00:00:00,1/1/2007\r\n";
    // Packed by its name alone.
    let report = odd.ingest_bytes("a.txt.gz", text.as_bytes()).await;
    assert_eq!((report.rows, report.bad_lines), (1, 0), "{report:?}");
    plain.rollup(false).await;
    odd.rollup(false).await;
    assert_eq!(plain.published().await, odd.published().await);
    assert_eq!(plain.published().await.len(), 6, "a missing value has no window");
}

#[tokio::test]
async fn line_ends_compression_and_a_missing_last_line_end_change_no_row() {
    let plain = uci(&LINES);
    let text = String::from_utf8(plain.clone()).unwrap();
    let windows = text.replace('\n', "\r\n").into_bytes();
    let unended = text.trim_end().as_bytes().to_vec();
    let two_members = [gzip(&plain[..200]), gzip(&plain[200..])].concat();
    let mut sums = Vec::new();
    for (name, bytes) in [
        ("lf", plain.clone()),
        ("crlf", windows.clone()),
        ("unended", unended),
        ("gz", gzip(&windows)),
        ("gz2", two_members),
    ] {
        let room = Room::new().await;
        let report = room.ingest_bytes(name, &bytes).await;
        assert_eq!((report.rows, report.missing_rows, report.bad_lines), (4, 2, 0), "{name}");
        sums.push(room.number("SELECT CAST(SUM(active_power * 1000) AS BIGINT) FROM readings").await);
    }
    assert_eq!(sums, [5632; 5]);
}

#[tokio::test]
async fn the_device_and_the_zone_are_the_callers_choice() {
    let room = Room::new().await;
    let mut request = request(&room.write("h.txt", &uci(&LINES[..1])));
    request.device = kilowatch_shared::position::DeviceId::parse("attic").unwrap();
    request.utc_offset = chrono::FixedOffset::west_opt(5 * 3600 + 1800);
    let report = room.ingest(&request).await.unwrap();
    assert_eq!(report.time_range.unwrap().0, instant("2007-01-01T05:30:00Z"));
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE device_id = 'attic'").await, 1);
}

#[tokio::test]
async fn a_file_of_many_blocks_keeps_its_line_numbers() {
    // 150,000 lines of 60 bytes are five blocks.
    let room = Room::new().await;
    let lines: Vec<String> = (0..150_000_u32)
        .map(|row| {
            let (day, minute) = (row / 1440, row % 1440);
            let date = chrono::NaiveDate::from_ymd_opt(2007, 1, 1).unwrap() + chrono::Days::new(u64::from(day));
            if row == 149_990 {
                return "broken".to_owned();
            }
            format!(
                "{};{:02}:{:02}:00;2.580;0.136;241.970;10.600;0.000;0.000;0.000",
                date.format("%-d/%-m/%Y"),
                minute / 60,
                minute % 60
            )
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let report = room.ingest_bytes("h.txt", &uci(&lines)).await;
    assert_eq!((report.rows, report.bad_lines, report.bad_line_examples[0].line), (149_999, 1, 149_992));
    let distinct = "SELECT COUNT(DISTINCT source_offset) FROM readings WHERE source_offset BETWEEN 2 AND 150001";
    assert_eq!(room.number(distinct).await, 149_999);
    // Minute 2 of day 100 is row 100 * 1440 + 2, and the header is line 1.
    let at = "SELECT source_offset FROM readings WHERE event_time = TIMESTAMP '2007-04-10T23:02:00Z'";
    assert_eq!(room.number(at).await, 100 * 1440 + 2 + 2);
}

#[tokio::test]
async fn the_statistics_file_holds_the_hours_of_the_file_and_null_where_nothing_was_measured() {
    let room = Room::new().await;
    let lines = [
        "1/1/2007;00:00:00;2.000;0.1;240;10;0;0;0",
        "1/1/2007;00:01:00;4.000;?;242;10;0;0;0",
        "1/1/2007;00:01:00;9.000;?;242;10;0;0;0",
        "1/1/2007;01:00:00;?;?;?;?;?;?;",
    ];
    let mut request = request(&room.write("h.txt", &uci(&lines)));
    request.stats = Some(room.path("stats.json"));
    room.ingest(&request).await.unwrap();
    let read =
        || -> serde_json::Value { serde_json::from_slice(&std::fs::read(room.path("stats.json")).unwrap()).unwrap() };
    let stats = read();
    let hours = stats["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 2);
    assert_eq!(hours[0]["hour"], "2006-12-31T23:00:00Z");
    assert_eq!(hours[0]["device_id"], "meter-0001");
    let power = serde_json::json!({"count": 2, "mean": 3.0, "min": 2.0, "max": 4.0});
    assert_eq!(hours[0]["measures"]["active_power"], power, "the repeated minute counts once");
    assert_eq!(hours[0]["measures"]["reactive_power"]["count"], 1);
    let nothing = serde_json::json!({"count": 0, "mean": null, "min": null, "max": null});
    assert_eq!(hours[1]["measures"]["voltage"], nothing);
    // A file that the lake knows still gives its statistics, and the lake stays as it is.
    std::fs::remove_file(room.path("stats.json")).unwrap();
    let version = room.version().await;
    let again = room.ingest(&request).await.unwrap();
    assert_eq!((again.outcome, room.version().await), (FileOutcome::AlreadyIngested, version));
    assert_eq!(read(), stats);
}
