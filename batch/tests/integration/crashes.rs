//! A job that dies between any two steps, or that others overtake there, leaves the truth whole: dropping a future where
//! it waits is a crash as the lake and the views see it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use kilowatch_batch::{
    ingest::{ColumnChoice, FileOutcome, IngestRequest, OnConflict},
    jobs::rollup::{RollupRequest, rollup},
};
use kilowatch_shared::lake::store::LakeStore;
use object_store::{
    memory::InMemory,
    throttle::{ThrottleConfig, ThrottledStore},
};

use crate::{
    bench_room::{Room, assert_same_windows, instant, minute, request, uci},
    live::LivePartition,
};

/// Polls a future at most so often; what it gave, if it ended.
pub async fn poll_times<F: Future>(future: &mut std::pin::Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Out of polls at the next wake, so that the work which this poll began is under way.
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A room whose lake lets a job wait at each of its calls, so that it can be stopped between any two of them.
pub async fn slow_room() -> Room {
    let call = Duration::from_micros(1);
    let slow = ThrottleConfig {
        wait_get_per_call: call,
        wait_put_per_call: call,
        wait_list_per_call: call,
        ..ThrottleConfig::default()
    };
    Room::over(LakeStore::over("memory://", Arc::new(ThrottledStore::new(InMemory::new(), slow)))).await
}

fn history() -> Vec<u8> {
    let mut lines: Vec<String> = (0..90).map(|at| minute(at, 1.0 + f64::from(at % 7))).collect();
    lines.push("broken".to_owned());
    uci(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn an_ingest_that_dies_anywhere_is_done_by_the_next_one_and_nothing_comes_twice() {
    for polls in 0.. {
        let room = slow_room().await;
        let asked = request(&room.write("a.txt", &history()));
        let ended = {
            let mut dying = pin!(room.ingest(&asked));
            poll_times(&mut dying, polls).await
        };
        let again = room.ingest(&asked).await.unwrap();
        if ended.is_some() {
            assert_eq!(again.outcome, FileOutcome::AlreadyIngested, "after {polls} polls");
        }
        assert_eq!(room.number("SELECT COUNT(*) FROM readings").await, 90, "after {polls} polls");
        assert_eq!(room.number("SELECT COUNT(DISTINCT source_offset) FROM readings").await, 90);
        assert_eq!(room.dead_letters().await.len(), 1, "after {polls} polls");
        if ended.is_some() {
            assert!(polls > 5, "the ingest was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn an_ingest_that_broke_off_after_its_bad_lines_is_taken_up_only_by_one_that_reads_them_alike() {
    let csv = b"timestamp,P,Q\n2007-01-01T00:00:00Z,1,bad\n2007-01-01T00:01:00Z,bad,2\n2007-01-01T00:02:00Z,3,3\n";
    for on_conflict in [OnConflict::Keep, OnConflict::Replace] {
        let room = broken_off(csv, "P").await;
        let asked = |column| IngestRequest { on_conflict, ..power_of(&room, csv, column) };
        let error = room.ingest(&asked("Q")).await.unwrap_err().to_string();
        assert!(error.contains("a.csv: an ingest of this very file broke off") && error.contains("line 3"), "{error}");
        assert_eq!(room.ingest(&asked("P")).await.unwrap().rows, 2);
        assert_eq!((room.number("SELECT COUNT(*) FROM readings").await, room.dead_letters().await.len()), (2, 1));
    }
}

/// A room in which an ingest died once the file's bad lines were dead letters, and before its rows were there.
async fn broken_off(csv: &[u8], column: &str) -> Room {
    for polls in 0..10_000 {
        let room = slow_room().await;
        let asked = power_of(&room, csv, column);
        {
            let mut dying = pin!(room.ingest(&asked));
            assert!(poll_times(&mut dying, polls).await.is_none(), "it was never stopped between the two");
        }
        if room.dead_letters().await.len() == 1 {
            return room;
        }
    }
    panic!("it never came to its dead letters");
}

fn power_of(room: &Room, csv: &[u8], column: &str) -> IngestRequest {
    let columns = ColumnChoice::parse_list(&format!("active_power={column}")).unwrap();
    IngestRequest { columns, ..request(&room.write("a.csv", csv)) }
}

const INCREMENTAL: RollupRequest = RollupRequest { full: false, as_of: None };

/// A room in which a roll-up has live rows to mark, and everything to publish.
async fn room_to_roll_up() -> (Room, LivePartition) {
    let room = slow_room().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 1.0), &minute(70, 5.0)])).await;
    room.rollup(false).await;
    let mut live = LivePartition::open(&room).await;
    live_minute(&mut live, 1, 9.0);
    live_minute(&mut live, 2, 3.0);
    live.close(&room).await;
    (room, live)
}

fn live_minute(live: &mut LivePartition, minute: i64, power: f64) {
    let at = instant("2006-12-31T23:00:00Z") + chrono::TimeDelta::minutes(minute);
    live.read(at, &[power, 0.1, 240.0, 8.0, 0.0, 0.0, 0.0]);
}

/// What is published is the whole lake's truth, in which a file's row replaces a live one.
async fn assert_settled(room: &Room, superseded: i64, after: usize) {
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE superseded").await, superseded, "after {after} polls");
    let incremental = room.published().await;
    room.rollup(true).await;
    assert_same_windows(&incremental, &room.published().await);
    let report = room.verify().await;
    assert_eq!(report.differing(), 0, "after {after} polls: {:?}", report.examples);
}

#[tokio::test]
async fn a_roll_up_that_dies_anywhere_leaves_the_old_state_or_the_new_one() {
    for polls in 0.. {
        let (room, _live) = room_to_roll_up().await;
        let before = room.published().await;
        let ended = {
            let mut dying = pin!(rollup(&room.deps, &room.profile, &INCREMENTAL));
            poll_times(&mut dying, polls).await
        };
        let left = room.published().await;
        room.rollup(false).await;
        let after = room.published().await;
        if left.len() != before.len() || left.iter().zip(&before).any(|(a, b)| a != b) {
            assert_same_windows(&left, &after);
        }
        assert_settled(&room, 1, polls).await;
        if ended.is_some() {
            assert!(polls > 5, "the roll-up was never stopped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn a_segment_that_closes_anywhere_in_a_roll_up_is_counted_once_and_no_superseded_row_with_it() {
    for polls in 0.. {
        let (room, mut live) = room_to_roll_up().await;
        // Its first row repeats one of the file, and comes while the roll-up is under way.
        live_minute(&mut live, 70, 50.0);
        live_minute(&mut live, 71, 6.0);
        let ended = {
            let mut running = pin!(rollup(&room.deps, &room.profile, &INCREMENTAL));
            let ended = poll_times(&mut running, polls).await;
            let (outcome, ()) = tokio::join!(
                async {
                    match ended {
                        Some(outcome) => (outcome, true),
                        None => (running.await, false),
                    }
                },
                live.close(&room)
            );
            outcome.0.unwrap();
            outcome.1
        };
        room.rollup(false).await;
        assert_settled(&room, 2, polls).await;
        if ended {
            assert!(polls > 5, "the segment never closed in the middle");
            return;
        }
    }
}
