//! The running layer: produce, run, stop, run again; neighbours that go away and come back.

use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::{Log, NewRecord},
    position::Offset,
};
use kilowatch_speed::{SpeedConfig, SpeedError, member::StopReason};

use crate::{
    bench::{Bench, wait_until},
    stream::{Message, TOPIC, profile},
};

#[tokio::test]
async fn a_stop_leaves_nothing_open_and_a_second_run_goes_on_behind_it() {
    let bench = Bench::new(3).await;
    bench.produce(500).await;
    let run = bench.run();
    wait_until("500 messages are applied", async || bench.applied().await == 500).await;
    bench.produce(300).await;
    run.stop().await;
    let applied = bench.applied().await;
    assert!(applied >= 500, "A fell to {applied}");
    assert_eq!(bench.closed().await, applied, "the stop left messages that are applied but not in the lake");
    assert_eq!(bench.owners().await, 0, "a partition was not released");

    bench.produce(200).await;
    let run = bench.run();
    wait_until("all 1000 messages are applied", async || bench.applied().await == 1000).await;
    run.stop().await;
    bench.assert_lake_holds(1000);
}

#[tokio::test]
async fn segments_go_to_the_lake_without_a_stop() {
    let bench = Bench::new(1).await;
    let run = bench.run();
    bench.produce(120).await;
    wait_until("the lake holds 120 messages", async || bench.closed().await == 120).await;
    assert_eq!(run.layer.status().problems(), Vec::<String>::new());
    run.stop().await;
}

#[tokio::test]
async fn a_backlog_of_poison_stops_nothing() {
    let bench = Bench::new(1).await;
    let poison: Vec<NewRecord> = (0..2000).map(|_| Message::Poison(b"\xff\xfe not a reading").to_record()).collect();
    bench.log.append(TOPIC, &poison).await.unwrap();
    bench.produce(10).await;
    let run = bench.run();
    wait_until("everything is in the lake", async || bench.closed().await == 2010).await;
    run.stop().await;
    assert_eq!(bench.lake.dead_letters(&profile().name).len(), 2000);
    bench.assert_lake_holds(2010);
}

#[tokio::test]
async fn views_that_go_away_are_waited_for_and_nothing_is_lost_or_doubled() {
    let bench = Bench::new(2).await;
    bench.produce(100).await;
    let run = bench.run();
    wait_until("100 messages are applied", async || bench.applied().await == 100).await;
    bench.faulty.go_away(true);
    bench.produce(100).await;
    wait_until("the status says what is waited for", async || {
        run.layer.status().problems().iter().any(|problem| problem.contains("the views are not available"))
    })
    .await;
    bench.faulty.go_away(false);
    wait_until("200 messages are applied", async || bench.applied().await == 200).await;
    wait_until("the status is clean", async || run.layer.status().problems().is_empty()).await;
    run.stop().await;
    bench.assert_lake_holds(200);
}

#[tokio::test]
async fn detection_goes_on_while_the_lake_is_away_and_dropped_rows_come_back_from_the_log() {
    let bench = Bench::new(1).await;
    bench.produce(50).await;
    let config = SpeedConfig {
        window_ms: 50,
        segment_ms: 100,
        unclosed_bytes: 20_000,
        unclosed_cuts_alarm: 2,
        ..SpeedConfig::default()
    };
    let run = bench.run_with(config);
    wait_until("the lake holds 50 messages", async || bench.closed().await == 50).await;
    bench.away_lake.go_away(true);
    let mut produced = 50;
    wait_until("several cuts wait for the lake", async || {
        bench.produce(40).await;
        produced += 40;
        let applied = async || bench.applied().await == produced;
        wait_until("the views have what came while the lake was away", applied).await;
        run.layer.status().problems().iter().any(|problem| problem.contains("cuts that the lake does not hold yet"))
    })
    .await;
    bench.away_lake.go_away(false);
    wait_until("the lake has caught up", async || bench.closed().await == produced).await;
    run.stop().await;
    bench.assert_lake_holds(usize::try_from(produced).unwrap());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_lake_that_is_away() {
    let bench = Bench::new(1).await;
    let config = SpeedConfig { window_ms: 50, segment_ms: 100, stop_deadline_ms: 2_000, ..SpeedConfig::default() };
    let run = bench.run_with(config);
    bench.produce(30).await;
    wait_until("30 messages are applied", async || bench.applied().await == 30).await;
    bench.away_lake.go_away(true);
    bench.produce(30).await;
    wait_until("60 messages are applied", async || bench.applied().await == 60).await;
    run.stop().await;
    assert_eq!(bench.owners().await, 0, "a partition was not released");

    bench.away_lake.go_away(false);
    let run = bench.run();
    wait_until("the lake holds what the stop left", async || bench.closed().await == 60).await;
    run.stop().await;
    bench.assert_lake_holds(60);
}

#[tokio::test]
async fn a_log_that_goes_away_is_waited_for() {
    let bench = Bench::new(1).await;
    bench.produce(20).await;
    let run = bench.run();
    wait_until("20 messages are applied", async || bench.applied().await == 20).await;
    bench.log.fail("the disk is away");
    wait_until("the status says what is waited for", async || {
        run.layer.status().problems().iter().any(|problem| problem.contains("the disk is away"))
    })
    .await;
    bench.log.recover();
    bench.produce(20).await;
    wait_until("40 messages are applied", async || bench.applied().await == 40).await;
    run.stop().await;
    bench.assert_lake_holds(40);
}

#[tokio::test]
async fn a_topic_that_was_made_again_stops_its_partition_with_the_reason() {
    let bench = Bench::new(1).await;
    bench.produce(20).await;
    let run = bench.run();
    wait_until("20 messages are applied", async || bench.applied().await == 20).await;
    run.stop().await;
    bench.log.recreate(TOPIC).unwrap();
    let run = bench.run();
    let too_short = StopReason::LogTooShort { high: Offset::ZERO, applied: Offset::new(20) };
    wait_until("the partition stops", async || {
        run.layer.status().partitions.iter().any(|partition| partition.stopped == Some(too_short.clone()))
    })
    .await;
    run.stop().await;

    let partition = SourcePartition::from(&bench.partitions[0]);
    let others: Vec<NewRecord> =
        (0..30).map(|minute| Message::Reading { device: 0, minute, power: Some(77) }.to_record()).collect();
    bench.log.put(&partition, &others).unwrap();
    let run = bench.run();
    let other = StopReason::OtherMessage { offset: Offset::new(19) };
    wait_until("the partition stops", async || {
        run.layer.status().partitions.iter().any(|partition| partition.stopped == Some(other.clone()))
    })
    .await;
    assert!(run.layer.status().problems().iter().any(|problem| problem.contains("is stopped")));
    run.stop().await;
    assert_eq!(bench.applied().await, 20, "a stopped partition applied something");
}

#[tokio::test]
async fn settings_out_of_their_limits_are_refused_all_at_once() {
    let bench = Bench::new(1).await;
    let run = bench.run_with(SpeedConfig { window_ms: 1, refresh_ms: 1, ..SpeedConfig::default() });
    let error = run.task.await.unwrap().unwrap_err();
    assert!(matches!(&error, SpeedError::Config { problems } if problems.len() == 2), "{error}");
}
