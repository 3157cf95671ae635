//! What a backup of the views must not bring back with it.

use kilowatch_speed::{SpeedConfig, member::CloseOutcome};

use crate::{stream::readings, world::World};

#[tokio::test]
async fn a_state_of_pins_that_are_no_longer_recorded_is_passed_over() {
    let config = SpeedConfig { state_every_cuts: 3, ..SpeedConfig::default() };
    let mut world = World::new(config, true).await;
    world.produce(&readings(0, 8)).await;
    world.apply_and_cut(0).await;
    world.back_up().await;

    // A life that the views will not remember: other pins from 16 on, and the state at 24 reaches the lake, but no row.
    world.promote(1);
    world.produce(&readings(8, 8)).await;
    world.apply_and_cut(0).await;
    world.produce(&readings(16, 8)).await;
    world.apply_and_cut(0).await;
    world.produce(&readings(24, 2)).await;
    world.apply_and_cut(0).await;
    assert!(world.close_until_a_state_is_saved(0).await, "the scenario saves a state");
    world.restore_backup().await;

    // The life that counts: one segment over the same messages, closed without a state of its own. It keeps its pins,
    // and few messages come behind the state, so that what a restart remembers of those before them shows.
    world.promote(0);
    world.apply_and_cut(0).await;
    world.settle().await;
    world.crash(0);
    world.produce(&readings(26, 16)).await;
    world.settle().await;
    world.check_the_end().await;
}

#[tokio::test]
async fn views_older_than_the_lake_apply_what_it_holds_with_the_pins_of_its_commits() {
    let mut world = World::new(SpeedConfig::default(), true).await;
    world.produce(&readings(0, 8)).await;
    world.apply_and_cut(0).await;
    world.back_up().await;

    // By these pins no message of the test is a reading, and the lake holds the second half of them as dead letters.
    world.promote(3);
    for from in [8, 16, 24] {
        world.produce(&readings(from, 8)).await;
        world.apply_and_cut(0).await;
    }
    world.settle().await;
    world.promote(0);
    world.restore_backup().await;

    world.produce(&readings(32, 8)).await;
    world.settle().await;
    world.check_the_end().await;
}

#[tokio::test]
async fn a_close_whose_cuts_the_views_have_forgotten_brings_nothing() {
    let mut world = World::new(SpeedConfig::default(), true).await;
    world.produce(&readings(0, 8)).await;
    world.apply_and_cut(0).await;
    world.back_up().await;

    world.produce(&readings(8, 8)).await;
    world.apply_and_cut(0).await;
    let part = world.begin_close(0);
    world.restore_backup().await;
    let outcome = world.close_alone(part).await;
    assert!(matches!(outcome, CloseOutcome::Dropped { .. }), "{outcome:?}");

    world.settle().await;
    world.check_the_end().await;
}
