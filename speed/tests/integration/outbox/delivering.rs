//! The running layer tells of every anomaly and dead letter, at least once and in order, and waits for no sink.

use std::{collections::BTreeSet, sync::Arc};

use kilowatch_shared::{
    log::{Log, NewRecord},
    outbox::OutboxEntry,
};
use kilowatch_speed::{
    Outbox, SpeedConfig,
    outbox::{MemorySink, message::REASON_HEADER},
};

use crate::{
    bench::{Bench, wait_until},
    stream::{Message, TOPIC, profile},
};

fn config() -> SpeedConfig {
    SpeedConfig { window_ms: 50, segment_ms: 100, refresh_ms: 100, ..SpeedConfig::default() }
}

fn outbox(bench: &Bench, sink: &Arc<MemorySink>) -> Outbox {
    Outbox { views: bench.views.clone(), sink: sink.clone() }
}

/// Readings that alarm now and then, and poison.
async fn produce(bench: &Bench, minutes: std::ops::Range<i64>) {
    let records: Vec<NewRecord> = minutes
        .map(|minute| match minute % 10 {
            4 => Message::Poison(b"{ not json").to_record(),
            7 => Message::Tombstone.to_record(),
            9 => Message::Reading { device: 0, minute, power: Some(9000) }.to_record(),
            rest => Message::Reading { device: 0, minute, power: Some(10 + i32::try_from(rest).unwrap()) }.to_record(),
        })
        .collect();
    bench.log.append(TOPIC, &records).await.unwrap();
}

/// Ids of what there is to be told, from the views' own tables.
async fn to_be_told(bench: &Bench) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for partition in &bench.partitions {
        ids.extend(bench.views.anomalies_of(partition).await.unwrap().into_iter().map(|anomaly| anomaly.id));
    }
    let letters = bench.views.recent_dead_letters(&profile().name, 10_000).await.unwrap();
    ids.extend(letters.into_iter().map(|letter| format!("dead:{}", letter.position)));
    ids
}

fn ids(entries: &[OutboxEntry]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

async fn waiting(bench: &Bench) -> u64 {
    let backlogs = bench.views.outbox_backlogs(&profile().name).await.unwrap();
    backlogs.iter().map(|backlog| backlog.entries).sum()
}

#[tokio::test]
async fn every_anomaly_and_dead_letter_is_told_once_and_in_order_where_nothing_fails() {
    let bench = Bench::new(1).await;
    let sink = Arc::new(MemorySink::default());
    produce(&bench, 0..300).await;
    let run = bench.run_delivering(config(), outbox(&bench, &sink));
    wait_until("300 messages are applied", async || bench.applied().await == 300).await;
    wait_until("nothing waits in the outbox", async || waiting(&bench).await == 0).await;
    run.stop().await;

    let told = sink.entries();
    let expected = to_be_told(&bench).await;
    assert!(expected.len() > 60, "the stream holds too little to tell of: {}", expected.len());
    assert_eq!(ids(&told), expected);
    assert_eq!(told.len(), expected.len(), "something was told twice");
    assert!(told.is_sorted_by_key(|entry| entry.position.offset), "told out of order");
    let (dead, alarms): (Vec<&OutboxEntry>, Vec<&OutboxEntry>) =
        told.iter().partition(|entry| entry.topic == "meter-readings.dead-letters");
    assert!(alarms.iter().all(|entry| entry.topic == "anomalies" && entry.key.as_deref() == Some(b"meter-a")));
    assert!(dead.iter().all(|entry| entry.headers.iter().any(|(name, _)| name == REASON_HEADER)));
    assert!(dead.iter().any(|entry| entry.payload.as_deref() == Some(b"{ not json")));
    assert!(dead.iter().any(|entry| entry.payload.is_none()), "a tombstone did not stay one");
}

#[tokio::test]
async fn a_sink_that_is_away_stops_nothing_and_gets_everything_later() {
    let bench = Bench::new(2).await;
    let sink = Arc::new(MemorySink::default());
    sink.fail("the brokers are away");
    let config = SpeedConfig { outbox_entries_alarm: 10, ..config() };
    let run = bench.run_delivering(config, outbox(&bench, &sink));
    produce(&bench, 0..300).await;
    wait_until("300 messages are applied", async || bench.applied().await == 300).await;
    wait_until("readiness says that the outbox is full, and why", async || {
        let problems = run.layer.status().problems();
        problems.iter().any(|problem| problem.contains("the outbox of") && problem.contains("the brokers are away"))
    })
    .await;
    assert_eq!(sink.entries(), []);
    sink.recover();
    wait_until("nothing waits in the outbox", async || waiting(&bench).await == 0).await;
    wait_until("readiness is clean", async || run.layer.status().problems().is_empty()).await;
    run.stop().await;
    assert_eq!(ids(&sink.entries()), to_be_told(&bench).await);
}

#[tokio::test]
async fn a_lost_answer_repeats_the_same_ids_and_loses_nothing() {
    let bench = Bench::new(1).await;
    let sink = Arc::new(MemorySink::default());
    sink.lose_answers(2);
    produce(&bench, 0..100).await;
    let run = bench.run_delivering(config(), outbox(&bench, &sink));
    wait_until("100 messages are applied", async || bench.applied().await == 100).await;
    wait_until("nothing waits in the outbox", async || waiting(&bench).await == 0).await;
    run.stop().await;
    let told = sink.entries();
    let expected = to_be_told(&bench).await;
    assert_eq!(ids(&told), expected);
    assert!(told.len() > expected.len(), "no answer was lost, so the test shows nothing");
}

#[tokio::test]
async fn what_a_member_without_a_sink_leaves_another_one_delivers() {
    let bench = Bench::new(1).await;
    produce(&bench, 0..100).await;
    let run = bench.run_with(config());
    wait_until("100 messages are applied", async || bench.applied().await == 100).await;
    run.stop().await;
    let left = waiting(&bench).await;
    assert_eq!(left, to_be_told(&bench).await.len() as u64);

    let sink = Arc::new(MemorySink::default());
    let run = bench.run_delivering(config(), outbox(&bench, &sink));
    wait_until("nothing waits in the outbox", async || waiting(&bench).await == 0).await;
    run.stop().await;
    assert_eq!(sink.entries().len() as u64, left);
}
