//! A file that cannot be ingested says why, and leaves nothing behind.

use kilowatch_batch::{
    BatchError,
    ingest::{IngestError, InputFormat},
};
use kilowatch_shared::{job::JobStatus, lake::LakeTable};

use crate::bench_room::{Room, UCI_HEADER, gzip, minute, request};

async fn refusal(room: &Room, name: &str) -> IngestError {
    match room.ingest(&request(&room.path(name))).await.unwrap_err() {
        BatchError::Ingest(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_unusable_file_is_refused_by_its_own_reason_and_nothing_is_ingested() {
    let room = Room::new().await;
    room.write("empty", b"");
    room.write("empty.gz", &gzip(b""));
    room.write("header", format!("{UCI_HEADER}\r\n").as_bytes());
    room.write("blank", format!("{UCI_HEADER}\n\n\n").as_bytes());
    room.write("wrong", b"Date;Time;Global_active_power;Volts\n1/1/2007;00:00:00;1;2\n");
    let whole = gzip(format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).repeat(50).as_bytes());
    room.write("cut.gz", &whole[..whole.len() - 9]);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    room.write("flipped.gz", &flipped);
    room.write("cut.parquet", b"PAR1 and no more");
    room.write("more.gz", &[whole.as_slice(), b"and no gzip"].concat());
    room.write("history.zip", b"PK\x03\x04\x14\0\0\0");
    room.write("history.xz", b"\xfd7zXZ\0\0\x04");
    room.write("history.zst", b"\x28\xb5\x2f\xfd\x24\0");
    room.write("history.bz2", b"BZh91AY&SY");
    room.write("utf16", b"\xff\xfeD\0a\0t\0e\0");
    let twice = UCI_HEADER.replace("Global_intensity", "Voltage");
    room.write("twice", format!("{twice}\n{}\n", minute(0, 1.0)).as_bytes());
    std::fs::create_dir(room.path("folder")).unwrap();

    assert!(matches!(refusal(&room, "nowhere").await, IngestError::NotFound { .. }));
    assert!(matches!(refusal(&room, "folder").await, IngestError::Directory { .. }));
    assert!(matches!(refusal(&room, "empty").await, IngestError::Empty { .. }));
    assert!(matches!(refusal(&room, "empty.gz").await, IngestError::Empty { .. }));
    assert!(matches!(refusal(&room, "header").await, IngestError::HeaderOnly { .. }));
    assert!(matches!(refusal(&room, "blank").await, IngestError::HeaderOnly { .. }));
    assert!(matches!(refusal(&room, "cut.gz").await, IngestError::Damaged { .. }));
    assert!(matches!(refusal(&room, "flipped.gz").await, IngestError::Damaged { .. }));
    assert!(matches!(refusal(&room, "cut.parquet").await, IngestError::Damaged { .. }));
    assert!(matches!(refusal(&room, "more.gz").await, IngestError::Damaged { .. }));
    for name in ["history.zip", "history.xz", "history.zst", "history.bz2", "utf16"] {
        let error = refusal(&room, name).await;
        assert!(matches!(error, IngestError::Unsupported { .. }), "{error}");
    }
    let double = refusal(&room, "twice").await.to_string();
    assert!(double.contains("two columns are called `Voltage`"), "{double}");
    let IngestError::MissingColumns { missing, found, .. } = refusal(&room, "wrong").await else { panic!() };
    assert_eq!(missing[..2], ["Global_reactive_power".to_owned(), "Voltage".to_owned()]);
    assert_eq!(found, ["Date", "Time", "Global_active_power", "Volts"]);

    assert!(room.deps.lake.open_table(&room.profile.name, LakeTable::Readings, None).await.is_err());
    let runs = room.deps.views.recent_job_runs(&room.profile.name, 20).await.unwrap();
    assert_eq!(runs.len(), 17);
    assert!(runs.iter().all(|run| run.status == JobStatus::Failed && run.job == "ingest" && !run.message.is_empty()));
}

#[tokio::test]
async fn a_format_that_the_file_is_not_is_refused() {
    let room = Room::new().await;
    let mut asked = request(&room.write("a.txt", format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).as_bytes()));
    asked.format = InputFormat::Parquet;
    assert!(room.ingest(&asked).await.unwrap_err().to_string().contains("not a Parquet file"));
    asked.format = InputFormat::Csv;
    assert!(room.ingest(&asked).await.unwrap_err().to_string().contains("no column `timestamp`"));
}

#[tokio::test]
async fn a_stream_without_the_uci_measures_says_so() {
    let mut room = Room::new().await;
    room.profile.measures[2].name = "pressure".to_owned();
    let path = room.write("a.txt", format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).as_bytes());
    let error = room.ingest(&request(&path)).await.unwrap_err().to_string();
    assert!(error.contains("has no measure `voltage`"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_this_user_may_not_read_is_refused_by_that_reason() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new().await;
    let path = room.write("a.txt", format!("{UCI_HEADER}\n{}\n", minute(0, 1.0)).as_bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        println!("skipped: root may read everything");
        return;
    }
    assert!(matches!(refusal(&room, "a.txt").await, IngestError::PermissionDenied { .. }));
}

#[tokio::test]
async fn statistics_that_would_overwrite_the_history_or_have_no_place_are_refused_before_the_work() {
    let room = Room::new().await;
    let history = format!("{UCI_HEADER}\n{}\n", minute(0, 1.0));
    let mut asked = request(&room.write("a.txt", history.as_bytes()));
    for (target, reason) in [
        (room.path("a.txt"), "that is the file to ingest"),
        (room.path("."), "a folder"),
        (room.path("nowhere/stats.json"), "there is no folder"),
    ] {
        asked.stats = Some(target);
        let error = room.ingest(&asked).await.unwrap_err().to_string();
        assert!(error.starts_with("--stats ") && error.contains(reason), "{error}");
    }
    assert_eq!(std::fs::read_to_string(room.path("a.txt")).unwrap(), history);
    assert!(room.stored_data_files().await.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_refused_because_it_cannot_be_read_twice() {
    let room = Room::new().await;
    let error = room.ingest(&request(std::path::Path::new("/dev/null"))).await.unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}
