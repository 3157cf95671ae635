//! Neighbours that hang, rather than fail: nobody answers, and nobody says so. What waits in memory meanwhile stays within
//! its bound, which is looked at where it is counted.

use std::sync::Arc;

use kilowatch_speed::SpeedConfig;

use crate::{
    bench::{Bench, Run, wait_until},
    watched_log::WatchedLog,
};

/// How often the rest of the layer went round since: with it, whatever else would have been done was done.
const ROUNDS: u64 = 5;

#[tokio::test]
async fn views_that_hang_keep_reading_within_one_batch() {
    let bench = Bench::new(1).await;
    let log = Arc::new(WatchedLog::new(bench.log.clone()));
    let config = SpeedConfig { window_ms: 50, batch_rows: 100, refresh_ms: 100, ..SpeedConfig::default() };
    bench.produce(1_000).await;
    let run = bench.run_over(log.clone(), config);
    wait_until("1000 messages are applied", async || bench.applied().await == 1_000).await;
    bench.faulty.hang(true);
    bench.produce(10_000).await;
    wait_until("a transaction hangs", async || bench.faulty.hanging() > 0).await;
    let rounds = log.rounds();
    wait_until("the layer goes round", async || log.rounds() >= rounds + ROUNDS).await;
    assert_eq!((bench.faulty.hanging(), bench.applied().await), (1, 1_000), "something was applied meanwhile");
    let read = log.furthest();
    assert!((1_001..=1_100).contains(&read), "{read} messages were read, 1000 are applied, a batch has 100");
    bench.faulty.hang(false);
    wait_until("everything is applied", async || bench.applied().await == 11_000).await;
    run.stop().await;
    bench.assert_lake_holds(11_000);
}

#[tokio::test]
async fn a_lake_that_hangs_keeps_no_more_rows_in_memory_than_the_cap_allows_and_gets_all_of_them_afterwards() {
    const CAP: usize = 20_000;
    let bench = Bench::new(2).await;
    let config =
        SpeedConfig { window_ms: 50, segment_ms: 100, unclosed_bytes: CAP, refresh_ms: 100, ..SpeedConfig::default() };
    let run = bench.run_with(config);
    bench.produce(100).await;
    wait_until("the lake holds 100 messages", async || bench.closed().await == 100).await;
    bench.away_lake.hang(true);
    let (mut produced, mut most) = (100, 0);
    // Many times what the cap holds.
    for _ in 0..10 {
        bench.produce(1_000).await;
        produced += 1_000;
        wait_until("detection goes on", async || {
            most = most.max(most_unclosed_bytes(&run));
            bench.applied().await == produced
        })
        .await;
    }
    assert!(bench.away_lake.hanging() > 0, "the lake was not asked");
    assert!(most > CAP / 2, "{most} bytes at most: the cap was never reached");
    assert!(most <= 2 * CAP, "{most} bytes are kept, as much as the cap allows twice over: kept, and on their way");
    bench.away_lake.hang(false);
    wait_until("the lake has caught up", async || bench.closed().await == produced).await;
    wait_until("memory is given back", async || most_unclosed_bytes(&run) == 0).await;
    run.stop().await;
    bench.assert_lake_holds(usize::try_from(produced).unwrap());
}

#[tokio::test]
async fn what_memory_dropped_while_the_lake_was_away_is_read_from_the_log_once_more_however_long_that_was() {
    let bench = Bench::new(1).await;
    let log = Arc::new(WatchedLog::new(bench.log.clone()));
    let config = SpeedConfig {
        window_ms: 50,
        segment_ms: 100,
        unclosed_bytes: 1_024,
        refresh_ms: 100,
        // No state is saved by the way, as it is not while the lake is away.
        state_every_cuts: 1_000,
        ..SpeedConfig::default()
    };
    let run = bench.run_over(log.clone(), config);
    bench.produce(100).await;
    wait_until("the lake holds 100 messages", async || bench.closed().await == 100).await;
    bench.away_lake.hang(true);
    let mut produced = 100;
    wait_until("many cuts wait", async || {
        bench.produce(100).await;
        produced += 100;
        wait_until("detection goes on", async || bench.applied().await == produced).await;
        run.layer.status().partitions[0].unclosed_cuts > 20
    })
    .await;
    bench.away_lake.hang(false);
    wait_until("the lake has caught up", async || bench.closed().await == produced).await;
    run.stop().await;
    let read = log.delivered();
    assert!(read <= 3 * produced, "{produced} messages were read {read} times");
    bench.assert_lake_holds(usize::try_from(produced).unwrap());
}

/// Of the partition that keeps most.
fn most_unclosed_bytes(run: &Run) -> usize {
    run.layer.status().partitions.iter().map(|partition| partition.unclosed_bytes).max().unwrap_or_default()
}
