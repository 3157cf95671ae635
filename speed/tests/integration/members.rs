//! Several members on one topic: they share it, hand partitions over, and no message is lost or judged twice.

use std::time::Duration;

use kilowatch_shared::{checkpoint::SourcePartition, position::PartitionId};
use kilowatch_speed::SpeedConfig;

use crate::{
    bench::{Bench, Run, wait_until},
    stream::TOPIC,
};

/// Partitions that a member works on.
fn works_on(run: &Run) -> Vec<PartitionId> {
    run.layer.status().partitions.into_iter().map(|status| status.partition).collect()
}

#[tokio::test]
async fn a_member_that_joins_takes_its_share_over_at_a_cut_and_gives_it_back_when_it_leaves() {
    let bench = Bench::new(4).await;
    bench.produce(400).await;
    let first = bench.run();
    wait_until("one member has everything", async || works_on(&first).len() == 4).await;
    wait_until("400 messages are applied", async || bench.applied().await == 400).await;
    bench.produce(100).await;
    let second = bench.run();
    wait_until("two members share", async || works_on(&first).len() == 2 && works_on(&second).len() == 2).await;
    let moved = works_on(&second);
    bench.produce(300).await;
    wait_until("800 messages are applied", async || bench.applied().await == 800).await;
    for partition in &moved {
        let state = bench.views.partition(partition).await.unwrap().unwrap();
        assert!(state.owner.is_some(), "nobody owns {partition}");
    }
    second.stop().await;
    wait_until("the first member has everything again", async || works_on(&first).len() == 4).await;
    bench.produce(200).await;
    wait_until("1000 messages are applied", async || bench.applied().await == 1000).await;
    first.stop().await;
    assert_eq!(bench.closed().await, 1000, "the stop left messages that are applied but not in the lake");
    bench.assert_lake_holds(1000);
}

#[tokio::test]
async fn a_revoked_partition_is_released_while_the_lake_is_away() {
    let bench = Bench::new(2).await;
    // No segment is due by itself: the cut at the hand-over is the revoke's.
    let config = SpeedConfig { window_ms: 50, segment_ms: 3_600_000, refresh_ms: 100, ..SpeedConfig::default() };
    let first = bench.run_with(config.clone());
    bench.produce(100).await;
    wait_until("100 messages are applied", async || bench.applied().await == 100).await;
    assert_eq!(bench.closed().await, 0, "the lake has something to wait for");
    bench.away_lake.go_away(true);
    let second = bench.run_with(config);
    wait_until("a partition changed hands", async || works_on(&first).len() == 1).await;
    let kept = works_on(&first);
    let moved = bench.partitions.iter().find(|partition| !kept.contains(partition)).unwrap();
    let state = bench.views.partition(moved).await.unwrap().unwrap();
    assert_eq!(state.cuts.last().unwrap().offset, state.applied, "a partition was let go without a cut");
    bench.away_lake.go_away(false);
    bench.produce(100).await;
    wait_until("200 messages are applied", async || bench.applied().await == 200).await;
    first.stop().await;
    second.stop().await;
    bench.assert_lake_holds(200);
}

#[tokio::test]
async fn a_member_that_was_taken_for_dead_drops_its_partitions_and_nothing_is_doubled() {
    let bench = Bench::new(3).await;
    bench.produce(300).await;
    let zombie = bench.run();
    wait_until("300 messages are applied", async || bench.applied().await == 300).await;
    let other = bench.run();
    wait_until("two members share", async || !works_on(&other).is_empty() && works_on(&zombie).len() < 3).await;
    for _ in 0..3 {
        bench.log.expel_first_member(TOPIC);
        bench.produce(100).await;
        wait_until("three partitions have one member each", async || {
            works_on(&zombie).len() + works_on(&other).len() == 3
        })
        .await;
    }
    wait_until("600 messages are applied", async || bench.applied().await == 600).await;
    zombie.stop().await;
    other.stop().await;
    bench.assert_lake_holds(600);
}

#[tokio::test]
async fn a_group_that_does_not_answer_is_a_trouble_until_it_answers_even_if_nothing_is_left_for_the_member() {
    let bench = Bench::new(1).await;
    let first = bench.run();
    wait_until("one member has everything", async || works_on(&first).len() == 1).await;
    bench.log.silence_groups(TOPIC, Some("no coordinator"));
    let second = bench.run();
    for run in [&first, &second] {
        let problems = || run.layer.status().problems();
        wait_until("it is told", async || problems().iter().any(|problem| problem.contains("no coordinator"))).await;
        assert!(!run.layer.status().is_caught_up(), "a member knows what is its own although nobody told it");
    }
    bench.produce(100).await;
    wait_until("what was assigned before is read on", async || bench.applied().await == 100).await;
    bench.log.silence_groups(TOPIC, None);
    for run in [&first, &second] {
        wait_until("all is well again", async || run.layer.status().problems().is_empty()).await;
        wait_until("nothing is left to read", async || run.layer.status().is_caught_up()).await;
    }
    assert_eq!((works_on(&first).len(), works_on(&second).len()), (1, 0));
    assert_eq!(first.layer.status().applied_messages, 100);
    assert_eq!(second.layer.status().applied_messages, 0, "a member counts what another one applied");
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_from_its_first_message() {
    let mut bench = Bench::new(1).await;
    bench.produce(50).await;
    let run = bench.run();
    wait_until("50 messages are applied", async || bench.applied().await == 50).await;
    bench.log.add_partitions(TOPIC, 2).unwrap();
    let added = |partition| PartitionId { partition, ..bench.partitions[0].clone() };
    let added = [added(1), added(2)];
    bench.partitions.extend(added);
    bench.produce(200).await;
    wait_until("250 messages are applied", async || bench.applied().await == 250).await;
    run.stop().await;
    bench.assert_lake_holds(250);
}

#[tokio::test]
async fn an_idle_partition_has_no_lag_though_its_last_offsets_hold_no_message() {
    let bench = Bench::new(1).await;
    bench.produce(10).await;
    let run = bench.run();
    wait_until("10 messages are applied", async || bench.applied().await == 10).await;
    bench.log.skip(&SourcePartition::from(&bench.partitions[0]), 3).unwrap();
    wait_until("there is no lag", async || {
        let status = run.layer.status();
        let [status] = status.partitions.as_slice() else { return false };
        (status.lag_records, status.lag_seconds) == (Some(0), Some(0.0))
    })
    .await;
    run.stop().await;
    assert_eq!(bench.applied().await, 13, "the stop left offsets without a message behind");
}

#[tokio::test]
async fn views_that_are_away_show_as_messages_that_grow_older() {
    let bench = Bench::new(1).await;
    let run = bench.run();
    bench.produce(1).await;
    wait_until("a message is applied", async || bench.applied().await == 1).await;
    bench.faulty.go_away(true);
    bench.produce(1).await;
    let age = || run.layer.status().partitions.first().and_then(|status| status.lag_seconds);
    wait_until("its age is seen", async || age().is_some_and(|age| age > 0.1)).await;
    bench.faulty.go_away(false);
    wait_until("nothing is late any more", async || age() == Some(0.0)).await;
    tokio::time::timeout(Duration::from_secs(30), run.stop()).await.unwrap();
}
