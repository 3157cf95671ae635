//! Dead letters get another try, and only one of them counts.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use kilowatch_batch::jobs::replay::{ReplayReport, replay};
use kilowatch_shared::{
    checkpoint::{Cut, OffsetSpan, OwnerToken, Pins},
    dead_letter::DeadLetter,
    position::{Offset, PartitionId, SourceId},
    views::{DeadLetterFilter, Effects},
};

use crate::{
    bench_room::{Room, instant, minute, uci},
    live::LivePartition,
};

const ROWS: &str = "SELECT COUNT(*) FROM readings";
const REPLAYED: &str = "SELECT COUNT(*) FROM readings WHERE source LIKE 'dead:%'";

fn partition(room: &Room) -> PartitionId {
    let source = SourceId::parse("log:5f0c:energy-stream").unwrap();
    PartitionId { stream: room.profile.name.clone(), source, partition: 7 }
}

/// A letter whose payload is a reading by the profile of today.
fn letter(room: &Room, offset: u64, time: &str, power: f64) -> DeadLetter {
    let payload = format!(r#"{{"device_id":"meter-0001","timestamp":"{time}","active_power":{power}}}"#);
    poison(room, offset, payload.as_bytes())
}

fn poison(room: &Room, offset: u64, raw: &[u8]) -> DeadLetter {
    DeadLetter {
        position: partition(room).at(Offset::new(offset)),
        key: None,
        raw: Bytes::copy_from_slice(raw),
        reason: "refused by the decoder of yesterday".to_owned(),
        seen_at: instant("2026-01-01T00:00:00Z"),
    }
}

/// Puts letters into the views, as speed does.
async fn in_views(room: &Room, letters: &[DeadLetter]) {
    let (partition, owner) = (partition(room), OwnerToken::fresh());
    let pins = Arc::new(Pins::of_this_build(&room.profile, BTreeMap::new()));
    let first = Cut { offset: Offset::ZERO, pins };
    room.deps.views.claim(&partition, owner, &first).await.unwrap();
    let effects = Effects { dead_letters: letters.to_vec(), ..Effects::default() };
    let span = OffsetSpan { from: Offset::ZERO, to: Offset::new(100) };
    room.deps.views.apply(&partition, owner, span, &effects).await.unwrap();
}

async fn run(room: &Room, letters: &[DeadLetter]) -> ReplayReport {
    replay(&room.deps, &room.profile, letters).await.unwrap()
}

#[tokio::test]
async fn a_letter_that_is_a_reading_now_is_in_the_lake_and_the_rollups_once_however_often_it_is_replayed() {
    let room = Room::new().await;
    let letters = [
        letter(&room, 1, "2007-01-01T00:00:00Z", 2.0),
        letter(&room, 2, "2007-01-01T00:01:00Z", 3.0),
        poison(&room, 3, b"{ not json"),
    ];
    in_views(&room, &letters).await;
    let first = run(&room, &letters).await;
    assert_eq!((first.letters, first.appended, first.still_dead), (3, 2, 1));
    assert!(first.still_dead_examples[0].reason.contains("JSON"), "{:?}", first.still_dead_examples);
    let again = run(&room, &letters).await;
    assert_eq!((again.appended, again.already_replayed, again.still_dead), (0, 2, 1));
    assert_eq!(room.number(ROWS).await, 2);
    assert_eq!(room.number(REPLAYED).await, 2);

    let open = DeadLetterFilter { only_open: true, ..DeadLetterFilter::default() };
    let left = room.deps.views.list_dead_letters(&room.profile.name, &open, None, 10).await.unwrap();
    assert_eq!(left.iter().map(|listed| listed.letter.clone()).collect::<Vec<_>>(), [letters[2].clone()]);

    room.rollup(false).await;
    let published = room.published().await;
    assert_eq!(published.values().map(|partial| (partial.count, partial.sum)).collect::<Vec<_>>(), [(2, 5.0)]);
    assert_eq!(room.verify().await.differing(), 0, "the roll-ups do not hold what was replayed");
}

#[tokio::test]
async fn a_letter_whose_reading_the_lake_has_is_left_out() {
    let room = Room::new().await;
    room.ingest_bytes("a.txt", &uci(&[&minute(0, 1.0), &minute(1, 1.0)])).await;
    let repeat = letter(&room, 1, "2006-12-31T23:00:00Z", 9.0);
    let twin = [letter(&room, 2, "2007-01-01T00:00:00Z", 2.0), letter(&room, 3, "2007-01-01T00:00:00Z", 2.0)];
    let letters = [vec![repeat], twin.to_vec()].concat();
    let report = run(&room, &letters).await;
    assert_eq!((report.appended, report.identical, report.conflicting), (1, 1, 1));
    assert_eq!(room.number(ROWS).await, 3);
    let again = run(&room, &letters).await;
    assert_eq!((again.appended, again.already_replayed), (0, 3));
}

#[tokio::test]
async fn a_live_reading_with_the_key_of_a_replayed_one_does_not_count_twice() {
    let room = Room::new().await;
    run(&room, &[letter(&room, 1, "2007-01-01T00:00:00Z", 2.0)]).await;
    let mut live = LivePartition::open(&room).await;
    live.read(instant("2007-01-01T00:00:00Z"), &[2.0]);
    live.read(instant("2007-01-01T00:01:00Z"), &[2.0]);
    live.close(&room).await;
    let report = room.rollup(false).await;
    assert_eq!(report.superseded_rows, 1);
    assert_eq!(room.number("SELECT COUNT(*) FROM readings WHERE NOT superseded").await, 2);
    assert_eq!(room.verify().await.differing(), 0);
}

#[tokio::test]
async fn two_replays_at_once_bring_a_letter_once() {
    let room = Room::new().await;
    let letters: Vec<DeadLetter> =
        (0..5).map(|minute| letter(&room, minute, &format!("2007-01-01T00:0{minute}:00Z"), 1.0)).collect();
    let (one, two) = tokio::join!(run(&room, &letters), run(&room, &letters));
    assert_eq!(one.appended + two.appended, 5);
    assert_eq!(one.already_replayed + two.already_replayed, 5);
    assert_eq!(room.number(ROWS).await, 5);
}
