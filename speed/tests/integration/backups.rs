//! What a backup of the views must not bring back with it.

use kilowatch_speed::{SpeedConfig, member::CutWish};

use crate::{stream::Message, world::World};

fn readings(from: i64, count: i64) -> Vec<Message> {
    (from..from + count)
        .map(|minute| {
            let power = if minute % 4 == 3 { 90 } else { 10 + i32::try_from(minute % 3).unwrap() };
            Message::Reading { device: 0, minute, power: Some(power) }
        })
        .collect()
}

/// Brings member 0 to where it runs, applies everything that is there, and cuts.
async fn apply_and_cut(world: &mut World) {
    for _ in 0..5 {
        world.gather(0, usize::MAX).await;
    }
    world.apply(0, CutWish::Cut).await;
}

#[tokio::test]
async fn a_state_of_pins_that_are_no_longer_recorded_is_passed_over() {
    let config = SpeedConfig { state_every_cuts: 3, ..SpeedConfig::default() };
    let mut world = World::new(config, true).await;
    world.produce(&readings(0, 8)).await;
    apply_and_cut(&mut world).await;
    world.back_up().await;

    // A life that the views will not remember: other pins from 16 on, and the state at 24 reaches the lake, but no row.
    world.promote(1);
    world.produce(&readings(8, 8)).await;
    apply_and_cut(&mut world).await;
    world.produce(&readings(16, 8)).await;
    apply_and_cut(&mut world).await;
    world.produce(&readings(24, 8)).await;
    apply_and_cut(&mut world).await;
    assert!(world.close_until_a_state_is_saved(0).await, "the scenario saves a state");
    world.restore_backup().await;

    // The life that counts: one segment over the same messages, closed without a state of its own.
    apply_and_cut(&mut world).await;
    world.settle().await;
    world.crash(0);
    world.produce(&readings(32, 16)).await;
    world.settle().await;
    world.check_the_end().await;
}
