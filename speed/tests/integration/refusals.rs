//! A lake that takes no segments: what it refuses waits, and detection needs log and views alone.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::SourcePartition,
    log::NewRecord,
    position::{Offset, PartitionId},
};
use kilowatch_speed::{SpeedConfig, SpeedStatus};

use crate::{
    bench::{Bench, Run, wait_until},
    doubles::Refuses,
    stream::{TOPIC, profile, readings},
};

const REFUSAL: &str = "the lake refused: the bucket is read-only";

/// Short windows and segments, little memory for rows that wait, and a stop that gives the lake up soon.
fn config() -> SpeedConfig {
    SpeedConfig {
        window_ms: 50,
        segment_ms: 100,
        refresh_ms: 100,
        unclosed_bytes: 4_000,
        stop_deadline_ms: 2_000,
        ..SpeedConfig::default()
    }
}

/// Partitions of which the status says that the lake refuses their segments.
fn refused(status: &SpeedStatus) -> usize {
    status.problems().iter().filter(|problem| problem.contains(REFUSAL)).count()
}

/// Produces until so many more cuts wait for the lake, each batch of it applied; says how much it was.
async fn goes_on(bench: &Bench, run: &Run, cuts: usize) -> u64 {
    let waiting = || run.layer.status().partitions.iter().map(|partition| partition.unclosed_cuts).sum::<usize>();
    let (target, mut produced) = (waiting() + cuts, 0);
    wait_until("more cuts wait for the lake", async || {
        let before = bench.applied().await;
        bench.produce(40).await;
        produced += 40;
        wait_until("what came is applied", async || bench.applied().await == before + 40).await;
        waiting() >= target
    })
    .await;
    produced
}

#[tokio::test]
async fn detection_goes_on_while_the_lake_refuses_and_each_segment_is_closed_once_when_it_takes_them() {
    let bench = Bench::new(2).await;
    bench.away_lake.refuse(Refuses::Everything);
    let run = bench.run_with(config());
    let mut produced = goes_on(&bench, &run, 6).await;
    wait_until("both partitions say what the lake says", async || refused(&run.layer.status()) == 2).await;
    let since = |status: SpeedStatus| status.partitions.into_iter().map(|one| one.close_trouble.unwrap().since).min();
    let first = since(run.layer.status());
    produced += goes_on(&bench, &run, 4).await;
    let status = run.layer.status();
    assert_eq!(refused(&status), 2);
    assert!(status.partitions.iter().all(|partition| partition.stopped.is_none()), "{status:?}");
    assert_eq!(since(status), first, "the trouble is one, however often the lake was tried");
    assert_eq!(bench.closed().await, 0);

    bench.away_lake.refuse(Refuses::Nothing);
    wait_until("the lake has caught up", async || bench.closed().await == produced).await;
    wait_until("the status is clean", async || run.layer.status().problems().is_empty()).await;
    run.stop().await;
    bench.assert_lake_holds(usize::try_from(produced).unwrap());
}

#[tokio::test]
async fn a_stop_leaves_what_the_lake_refuses_to_the_next_owner_which_judges_on_before_it_closes() {
    let bench = Bench::new(2).await;
    bench.away_lake.refuse(Refuses::Everything);
    let run = bench.run_with(config());
    let mut produced = goes_on(&bench, &run, 4).await;
    let layer = Arc::clone(&run.layer);
    run.stop().await;
    let status = layer.status();
    assert_eq!(status.unclosed().len(), 2, "{status:?}");
    assert_eq!(status.close_errors(), [(REFUSAL, true)].into());
    assert_eq!(bench.owners().await, 0, "a partition was not released");

    let run = bench.run_with(config());
    produced += goes_on(&bench, &run, 4).await;
    wait_until("both partitions say what the lake says", async || refused(&run.layer.status()) == 2).await;
    bench.away_lake.refuse(Refuses::Nothing);
    wait_until("the lake has caught up", async || bench.closed().await == produced).await;
    run.stop().await;
    bench.assert_lake_holds(usize::try_from(produced).unwrap());
}

#[tokio::test]
async fn segments_that_the_lake_can_never_take_hold_up_no_others() {
    let mut bench = Bench::new(1).await;
    bench.away_lake.refuse(Refuses::Everything);
    let run = bench.run_with(config());
    let old = goes_on(&bench, &run, 2).await;
    run.stop().await;

    // The profile gets a measure and the topic a partition; of the first one's columns the table has another idea.
    bench.away_lake.refuse(Refuses::Measures(profile().measures.len()));
    bench.log.add_partitions(TOPIC, 1).unwrap();
    let added = PartitionId { partition: 1, ..bench.partitions[0].clone() };
    bench.partitions.push(added.clone());
    let mut wider = profile();
    let mut voltage = wider.measures[0].clone();
    voltage.name = "voltage".to_owned();
    wider.measures.push(voltage);
    let run = bench.run_of(wider, config());
    wait_until("the first partition says what the lake says", async || refused(&run.layer.status()) == 1).await;
    let records: Vec<NewRecord> = readings(0, 60).iter().map(|message| message.to_record()).collect();
    bench.log.put(&SourcePartition::from(&added), &records).unwrap();
    wait_until("the lake holds the other partition", async || bench.closed().await == 60).await;
    assert_eq!(refused(&run.layer.status()), 1);

    bench.away_lake.refuse(Refuses::Nothing);
    wait_until("the lake holds both", async || bench.closed().await == 60 + old).await;
    run.stop().await;
    bench.assert_lake_holds(usize::try_from(60 + old).unwrap());
}

#[tokio::test]
async fn a_partition_without_a_state_behind_expired_readings_stops_and_folds_nothing_from_the_hole() {
    let bench = Bench::new(1).await;
    // No segment of the test saves a state.
    let without_states = || SpeedConfig { state_every_cuts: 1000, ..config() };
    let run = bench.run_with(without_states());
    bench.produce(40).await;
    wait_until("the lake holds all of it", async || bench.closed().await == 40).await;
    run.stop().await;
    bench.log.expire(&SourcePartition::from(&bench.partitions[0]), Offset::new(20)).unwrap();
    bench.away_lake.expire_below(Offset::new(10));
    bench.produce(5).await;

    let run = bench.run_with(without_states());
    wait_until("the partition stops", async || {
        run.layer.status().partitions.iter().any(|partition| partition.stopped.is_some())
    })
    .await;
    let said = run.layer.status().problems().join("; ");
    assert!(said.contains("below 10 are gone from the lake by their age"), "{said}");
    assert_eq!(bench.applied().await, 40, "nothing was judged");
    run.stop().await;

    bench.away_lake.expire_below(Offset::ZERO);
    let run = bench.run_with(without_states());
    wait_until("a whole lake lets it go on", async || bench.applied().await == 45).await;
    run.stop().await;
}
