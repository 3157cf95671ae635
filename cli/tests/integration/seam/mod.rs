//! I2 through everything that is real: the fold, a lake of Delta tables, the roll-up job, the views in SQLite or Postgres,
//! and the API that people ask. Micro-batches, closes, ingests and publications come in any order, and after every step
//! each zoom level shows what was applied and published until then: no reading missing, none twice.

mod live;
mod truth;
mod world;

use proptest::{prelude::*, test_runner::Config};

use self::world::{Store, World};

/// One step of somebody.
#[derive(Debug, Clone)]
enum Step {
    /// Messages arrive in a partition's log and are applied as one micro-batch, which may record a cut.
    Apply { partition: usize, readings: Vec<live::Arrival>, cut: bool },
    /// A partition's segments up to its last recorded cut go to the lake.
    Close { partition: usize },
    /// Another member takes a partition over, and the one before tries to write once more.
    Move { partition: usize },
    /// A history file is ingested.
    Ingest { rows: Vec<live::Arrival> },
    /// A roll-up publishes what the lake holds.
    Rollup { full: bool },
    /// Speed's rows that batch has seen are deleted.
    Housekeep,
}

fn any_step() -> impl Strategy<Value = Step> {
    let partition = 0..live::PARTITIONS;
    prop_oneof![
        6 => (partition.clone(), prop::collection::vec(live::any_arrival(), 0..6), prop::bool::weighted(0.4))
            .prop_map(|(partition, readings, cut)| Step::Apply { partition, readings, cut }),
        3 => partition.clone().prop_map(|partition| Step::Close { partition }),
        1 => partition.prop_map(|partition| Step::Move { partition }),
        1 => prop::collection::vec(live::any_arrival(), 1..5).prop_map(|rows| Step::Ingest { rows }),
        3 => prop::bool::weighted(0.2).prop_map(|full| Step::Rollup { full }),
        1 => Just(Step::Housekeep),
    ]
}

/// Plays the steps; whatever happens in them, the truth is served after each one.
fn play(store: Store, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(store).await;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Apply { partition, readings, cut } => world.apply(*partition, readings, *cut).await,
                Step::Close { partition } => world.close(*partition).await,
                Step::Move { partition } => world.hand_over(*partition).await,
                Step::Ingest { rows } => world.ingest(rows).await,
                Step::Rollup { full } => world.roll_up(*full).await,
                Step::Housekeep => world.housekeep().await,
            }
            world.check(&format!("after step {at}, {step:?}")).await;
        }
        world.settle().await;
        world.check("at the end").await;
        world.check_that_batch_has_seen_all().await;
    });
}

/// `PROPTEST_CASES` asks for more; the default is a few seconds.
fn cases(default: u32) -> Config {
    let asked = Config::default();
    Config { cases: if asked.cases == 256 { default } else { asked.cases }, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn on_sqlite_every_zoom_level_is_right_at_every_instant(steps in prop::collection::vec(any_step(), 10..40)) {
        play(Store::Sqlite, &steps);
    }
}

#[cfg(feature = "service-tests")]
proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn on_postgres_every_zoom_level_is_right_at_every_instant(steps in prop::collection::vec(any_step(), 10..40)) {
        play(Store::Postgres, &steps);
    }
}
