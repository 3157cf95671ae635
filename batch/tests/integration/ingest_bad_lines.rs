//! A line that cannot be read is reported by its number and kept; the rest goes in.

use kilowatch_batch::BatchError;
use kilowatch_batch::ingest::{ColumnChoice, IngestError, IngestRequest};
use kilowatch_shared::position::Offset;

use crate::bench_room::{Room, UCI_HEADER, instant, minute, request};

#[tokio::test]
async fn each_kind_of_bad_line_is_reported_with_its_number_and_reason_and_kept_whole() {
    let bad: [(&[u8], &str); 12] = [
        (b"1/1/2007;00:01:00;2.5", "truncated: 3 fields where the header has 9"),
        (b"1/1/2007;00:01:00;1;2;3;4;5;6;7;8", "too long: 10 fields where the header has 9"),
        (b"1/1/2007;00:01:00;abc;2;3;4;5;6;7", "Global_active_power: `abc` is not a number"),
        (b"1/1/2007;00:01:00;1;2;1,5;4;5;6;7", "Voltage: `1,5` is not a number"),
        (b"1/1/2007;00:01:00;NaN;2;3;4;5;6;7", "Global_active_power: `NaN` is not a finite number from -1e18 to 1e18"),
        (
            b"1/1/2007;00:01:00;1;-inf;3;4;5;6;7",
            "Global_reactive_power: `-inf` is not a finite number from -1e18 to 1e18",
        ),
        (b"31/2/2007;00:01:00;1;2;3;4;5;6;7", "`31/2/2007` is not a date"),
        (b"2007-01-01;00:01:00;1;2;3;4;5;6;7", "`2007-01-01` is not a date"),
        (b"1/1/2007;25:00:00;1;2;3;4;5;6;7", "`25:00:00` is not a time of day"),
        (b"1/1/1969;00:01:00;1;2;3;4;5;6;7", "the year is out of 1970 to 2200"),
        (b"1/1/2201;12:00:00;1;2;3;4;5;6;7", "the year is out of 1970 to 2200"),
        (b"1/1/2007;00:01:00;1;\xff\xfe;3;4;5;6;7", "not valid UTF-8"),
    ];
    let mut bytes = format!("{UCI_HEADER}\r\n{}\r\n", minute(0, 1.0)).into_bytes();
    for (line, _) in &bad {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("{}\r\n", minute(1, 2.0)).as_bytes());

    let room = Room::new().await;
    let report = room.ingest_bytes("h.txt", &bytes).await;
    assert_eq!((report.read_rows, report.rows, report.bad_lines), (14, 2, 12));
    let told: Vec<(u64, &str)> =
        report.bad_line_examples.iter().map(|line| (line.line, line.reason.as_str())).collect();
    let expected: Vec<(u64, &str)> = (3..).zip(bad.iter().map(|(_, reason)| *reason)).collect();
    assert_eq!(told, expected);
    for (line, reason) in told {
        assert!(report.details().contains(&format!("line {line}: {reason}")), "{}", report.details());
    }

    let letters = room.dead_letters().await;
    assert_eq!(letters.len(), bad.len());
    for (letter, (number, (line, reason))) in letters.iter().zip((3_u64..).zip(bad)) {
        assert_eq!(letter.raw.as_ref(), line);
        assert_eq!(letter.reason, reason);
        assert_eq!(letter.key.as_deref(), Some(IngestRequest::DEFAULT_DEVICE.as_bytes()), "the file's device");
        assert_eq!(letter.position.to_string(), format!("file:{}/0@{number}", report.sha256));
        assert_eq!(letter.seen_at, instant("2026-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn a_second_run_adds_no_dead_letter() {
    let room = Room::new().await;
    let bytes = format!("{UCI_HEADER}\n{}\nbroken\n", minute(0, 1.0));
    room.ingest_bytes("a.txt", bytes.as_bytes()).await;
    room.ingest_bytes("b.txt", bytes.as_bytes()).await;
    let letters = room.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].position.offset, Offset::new(3));
}

#[tokio::test]
async fn a_file_without_a_readable_line_is_refused_and_may_come_again_under_other_options() {
    let room = Room::new().await;
    let csv = b"when;P;Q\n2007-01-01T00:00:00Z;1,5;1.5\n2007-01-01T00:01:00Z;2,5;2.5\n";
    let mut asked = request(&room.write("a.csv", csv));
    asked.columns = ColumnChoice::parse_list("active_power=P").unwrap();
    asked.time_column = Some("when".to_owned());
    let error = room.ingest(&asked).await.unwrap_err();
    assert!(
        matches!(error, BatchError::Ingest(IngestError::NothingReadable { line: 2, bad_lines: 2, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("line 2: P: `1,5` is not a number"), "{error}");
    assert!(room.stored_data_files().await.is_empty());

    asked.columns = ColumnChoice::parse_list("active_power=Q").unwrap();
    assert_eq!(room.ingest(&asked).await.unwrap().rows, 2);
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_one_bad_line_and_kept_whole() {
    let room = Room::new().await;
    let long = vec![b'7'; 10 << 20];
    let start = format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).into_bytes();
    let end = format!("\n{}\n", minute(1, 2.0)).into_bytes();
    let report = room.ingest_bytes("a.txt", &[start, long.clone(), end].concat()).await;
    assert_eq!((report.rows, report.bad_lines, report.bad_line_examples[0].line), (2, 1, 3));
    assert_eq!(report.bad_line_examples[0].reason, "truncated: 1 fields where the header has 9");
    let letters = room.dead_letters().await;
    assert!(letters.len() == 1 && letters[0].raw == long);
}

#[tokio::test]
async fn an_empty_line_is_no_row_and_keeps_the_numbers_of_the_others() {
    let room = Room::new().await;
    let bytes = format!("{UCI_HEADER}\n\n{}\n\nbroken\n\n", minute(0, 1.0));
    let report = room.ingest_bytes("a.txt", bytes.as_bytes()).await;
    assert_eq!((report.read_rows, report.rows, report.bad_line_examples[0].line), (2, 1, 5));
    assert_eq!(room.number("SELECT source_offset FROM readings").await, 3);
}

#[tokio::test]
async fn a_file_that_is_mostly_garbage_is_refused_and_leaves_nothing() {
    let room = Room::new().await;
    let mut bytes = format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).into_bytes();
    let garbage = [b"x".repeat(200_000), b"\n".to_vec()].concat();
    for _ in 0..400 {
        bytes.extend_from_slice(&garbage);
    }
    let error = room.ingest(&request(&room.write("a.txt", &bytes))).await.unwrap_err();
    assert!(matches!(error, BatchError::Ingest(IngestError::TooManyBadLines { line: 3, .. })), "{error}");
    assert!(!error.to_string().is_empty());
    assert!(
        room.deps.lake.open_table(&room.profile.name, kilowatch_shared::lake::LakeTable::Readings, None).await.is_err()
    );
}
