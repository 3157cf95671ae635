//! Interleavings that chance seldom finds: one member or job overtakes another.

use kilowatch_shared::views::PublishOutcome;
use kilowatch_speed::SpeedConfig;

use crate::{stream::readings, world::World};

#[tokio::test]
async fn a_publication_that_another_one_overtook_does_not_bring_back_what_housekeeping_deleted() {
    let mut world = World::new(SpeedConfig::default(), false).await;
    world.produce(&readings(0, 8)).await;
    world.apply_and_cut(0).await;
    world.settle().await;
    world.begin_job().await;
    world.produce(&readings(8, 8)).await;
    world.apply_and_cut(0).await;
    world.settle().await;
    world.begin_job().await;
    assert_eq!(world.publish(true).await, Some(PublishOutcome::Published));
    world.check("after the publication").await;
    world.housekeep().await;
    assert_ne!(world.publish(false).await, Some(PublishOutcome::Published));
    world.check("after the overtaken publication").await;
}

#[tokio::test]
async fn a_member_that_lost_the_partition_after_its_claim_does_not_stop_it() {
    let mut world = World::new(SpeedConfig::default(), false).await;
    world.produce(&readings(0, 8)).await;
    // Claims and no more: it knows A = 0.
    world.gather(0, usize::MAX).await;
    world.assign(1);
    world.settle().await;
    world.expire().await;
    // Its check finds that the log begins above A, which a stop would be decided on.
    world.gather(0, usize::MAX).await;
    world.produce(&readings(8, 8)).await;
    world.settle().await;
    world.check("after the partition went on").await;
}
