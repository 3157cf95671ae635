//! The schedule takes what is new of folders, archives and patterns.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use kilowatch_batch::{
    BatchDeps, ScheduleConfig,
    ingest::{OnConflict, SeenFiles},
    jobs::scheduled_ingest::{InputDoor, ScheduledIngestReport, scheduled_ingest},
    schedule::{JobSettings, ScheduledInput, run_schedule},
};
use kilowatch_shared::{
    job::{JobRun, JobStatus},
    position::StreamName,
};
use tokio_util::sync::CancellationToken;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    bench_room::{Room, minute, uci},
    schedule::HastyClock,
};

/// A room with an empty inbox, and the door through which it is seen.
async fn room_with_inbox() -> (Room, InputDoor) {
    let room = Room::new().await;
    std::fs::create_dir(room.path("inbox")).unwrap();
    let door = InputDoor { data_dir: room.path("own"), ..InputDoor::default() };
    (room, door)
}

fn inbox(room: &Room) -> ScheduledInput {
    ScheduledInput::new(room.profile.name.clone(), vec![room.path("inbox").display().to_string()])
}

/// A file of the inbox that came an hour ago.
fn put(room: &Room, name: &str, bytes: &[u8]) -> PathBuf {
    let path = room.write(&format!("inbox/{name}"), bytes);
    set_at_rest(&path);
    path
}

fn set_at_rest(path: &PathBuf) {
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).unwrap().set_modified(an_hour_ago).unwrap();
}

/// The first run of the job that a predicate takes.
async fn run_with(room: &Room, is_it: impl Fn(&JobRun) -> bool) -> JobRun {
    loop {
        let runs = room.deps.views.recent_job_runs(&room.profile.name, 10_000).await.unwrap();
        let mut of_job = runs.into_iter().filter(|run| run.job == "scheduled_ingest");
        if let Some(run) = of_job.find(&is_it) {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_comes_into_a_folder_is_ingested_and_published_though_one_file_of_it_is_bad() {
    let (room, door) = room_with_inbox().await;
    put(&room, "a.txt", &uci(&[&minute(0, 1.0), &minute(1, 2.0)]));
    let bad = put(&room, "bad.csv", b"");
    let elsewhere = ScheduledInput::new(StreamName::parse("grid").unwrap(), vec!["/nowhere".to_owned()]);
    let config = ScheduleConfig {
        ingest: "*/20 * * * *".to_owned(),
        inputs: vec![elsewhere, inbox(&room)],
        train: String::new(),
        forecast: String::new(),
        ..ScheduleConfig::default()
    };
    let deps = BatchDeps { clock: Arc::new(HastyClock::default()), ..room.deps.clone() };
    let (profiles, settings) = ([room.profile.clone()], JobSettings { door, ..JobSettings::default() });
    let stop = CancellationToken::new();
    let watch = async {
        let first = run_with(&room, |_| true).await;
        assert_eq!((first.status, first.rows), (JobStatus::Failed, 2), "{first:?}");
        assert!(first.message.starts_with("1 new file ingested with 2 rows; 1 failed, "), "{first:?}");
        assert!(first.message.ends_with("bad.csv: the file is empty"), "{first:?}");
        std::fs::remove_file(&bad).unwrap();
        let complete = room.write("c.txt", &uci(&[&minute(60, 3.0)]));
        std::fs::rename(complete, room.path("inbox/c.txt")).unwrap();
        let second = run_with(&room, |run| run.status == JobStatus::Succeeded).await;
        assert_eq!((second.rows, second.message.as_str()), (1, "1 new file ingested with 1 row, 1 known"));
        let third = run_with(&room, |run| run.message == "0 new files ingested, 2 known").await;
        assert_eq!(third.status, JobStatus::Skipped);
        while room.published().await.keys().filter(|key| key.window_secs == 3600).count()
            < 2 * room.profile.measures.len()
        {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(run_schedule(&deps, &profiles, &config, settings, stop.clone()), watch);
    assert_eq!(ran, Ok(()));
}

async fn take(room: &Room, door: &InputDoor, seen: &mut SeenFiles) -> ScheduledIngestReport {
    scheduled_ingest(&room.deps, &room.profile, &[&inbox(room)], door, seen).await.unwrap()
}

#[tokio::test]
async fn a_file_that_did_not_change_is_not_read_again_and_one_that_did_is() {
    let (room, door) = room_with_inbox().await;
    let mut seen = SeenFiles::default();
    assert_eq!(take(&room, &door, &mut seen).await, ScheduledIngestReport::default(), "an inbox may be empty");
    let a = put(&room, "a.txt", &uci(&[&minute(0, 1.0)]));
    put(&room, "b.txt", &uci(&[&minute(1, 1.0)]));
    let mut zip = ZipWriter::new(File::create(room.path("inbox/c.zip")).unwrap());
    for (name, at) in [("one.txt", 2), ("two.txt", 3)] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&uci(&[&minute(at, 1.0)])).unwrap();
    }
    zip.finish().unwrap();
    set_at_rest(&room.path("inbox/c.zip"));
    // Written a moment ago: a second write might leave no trace.
    room.write("inbox/fresh.txt", &uci(&[&minute(4, 1.0)]));
    let counts = |report: &ScheduledIngestReport| (report.files, report.known, report.unread, report.failed);
    assert_eq!(counts(&take(&room, &door, &mut seen).await), (5, 0, 0, 0));
    assert_eq!(counts(&take(&room, &door, &mut seen).await), (0, 4, 3, 0));
    // Of the same size, and it says that it is as old.
    put(&room, "a.txt", &uci(&[&minute(5, 1.0)]));
    set_at_rest(&a);
    assert_eq!(counts(&take(&room, &door, &mut seen).await), (1, 3, 2, 0));
    assert_eq!(counts(&take(&room, &door, &mut seen).await), (0, 4, 3, 0));
}

#[tokio::test]
async fn a_lake_that_does_not_have_what_is_remembered_gets_it() {
    let (room, door) = room_with_inbox().await;
    put(&room, "a.txt", &uci(&[&minute(0, 1.0)]));
    let mut seen = SeenFiles::default();
    assert_eq!(take(&room, &door, &mut seen).await.rows, 1);
    assert_eq!(take(&room, &door, &mut seen).await.unread, 1);
    let other = Room::new().await;
    let restored = BatchDeps { lake: other.deps.lake.clone(), ..room.deps.clone() };
    let report = scheduled_ingest(&restored, &room.profile, &[&inbox(&room)], &door, &mut seen).await.unwrap();
    assert_eq!((report.rows, report.unread), (1, 0));
}

#[tokio::test]
async fn of_two_files_that_replace_each_other_the_later_one_counts_also_for_a_process_that_remembers_nothing() {
    let (room, door) = room_with_inbox().await;
    put(&room, "1.txt", &uci(&[&minute(0, 1.0)]));
    put(&room, "2.txt", &uci(&[&minute(0, 2.0)]));
    let replacing = ScheduledInput { on_conflict: OnConflict::Replace, ..inbox(&room) };
    for files in [2, 0] {
        let mut seen = SeenFiles::default();
        let report = scheduled_ingest(&room.deps, &room.profile, &[&replacing], &door, &mut seen).await.unwrap();
        assert_eq!((report.files, report.known, report.failed), (files, 2 - files, 0), "{report:?}");
        let counts = "SELECT count(*) FROM readings WHERE NOT superseded AND active_power = 2.0";
        assert_eq!(room.number(counts).await, 1);
    }
}
