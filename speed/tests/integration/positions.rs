//! The day on which log, lake and views do not fit together, and what an operator does then.

use chrono::Utc;
use kilowatch_shared::{
    checkpoint::OffsetSpan,
    lake::memory::MemoryLake,
    position::Offset,
    views::{Audit, PositionVerb},
};
use kilowatch_speed::{
    SpeedConfig,
    member::StopReason,
    positions::{Plan, PositionError, carry_out, inspect, plan_adopt, plan_rewind, plan_skip},
};

use crate::{stream::readings, world::World};

const fn at(offset: u64) -> Offset {
    Offset::new(offset)
}

fn audit() -> Audit {
    Audit { at: Utc::now(), by: "a test".to_owned(), reason: "because".to_owned() }
}

async fn carried_out(world: &World, plan: &Plan) {
    carry_out(&world.doors(), world.positions(), plan, &audit()).await.unwrap();
}

/// A world in which eight messages were applied and cut, as often as there are `cuts`.
async fn world_with(cuts: i64, config: SpeedConfig) -> World {
    let mut world = World::new(config, true).await;
    apply_eights(&mut world, (0..cuts).map(|cut| cut * 8)).await;
    world
}

/// Eight messages are applied and cut, from each of these minutes on.
async fn apply_eights(world: &mut World, minutes: impl IntoIterator<Item = i64>) {
    for minute in minutes {
        world.produce(&readings(minute, 8)).await;
        world.apply_and_cut(0).await;
    }
}

/// A world that has published 24 messages, and a backup of its lake from when there were eight.
async fn published_world_and_an_old_lake(config: SpeedConfig) -> (World, MemoryLake) {
    let mut world = world_with(1, config).await;
    world.settle().await;
    let backup = world.lake_as_it_is();
    apply_eights(&mut world, [8, 16]).await;
    world.settle().await;
    publish(&mut world).await;
    (world, backup)
}

async fn publish(world: &mut World) {
    world.begin_job().await;
    world.publish(true).await.unwrap();
}

/// The member finds that it cannot go on, and lets the partition go.
async fn stop(world: &mut World) -> StopReason {
    let reason = world.until_stopped(0).await;
    world.step_aside(0).await;
    reason
}

async fn planned_skip(world: &World) -> Result<Plan, PositionError> {
    plan_skip(&world.doors(), &world.partition, None).await
}

async fn planned_rewind(world: &World, to: Option<u64>, resend: bool) -> Result<Plan, PositionError> {
    plan_rewind(&world.doors(), &world.partition, to.map(at), resend).await
}

async fn skip(world: &World) {
    carried_out(world, &planned_skip(world).await.unwrap()).await;
}

async fn end_well(world: &mut World) {
    world.settle().await;
    world.check_the_end().await;
}

#[tokio::test]
async fn retention_that_passed_the_lake_leaves_a_gap_on_record_and_nothing_else() {
    let mut world = world_with(1, SpeedConfig::default()).await;
    world.settle().await;
    apply_eights(&mut world, [8]).await;
    world.produce(&readings(16, 8)).await;
    world.crash(0);
    // The views have [0, 16), the lake [0, 8), the log [12, 24).
    world.expire_below(at(12));
    assert_eq!(world.until_stopped(0).await, StopReason::RetentionPassed { low: at(12), needed: at(8) });

    let plan = planned_skip(&world).await.unwrap();
    let refused = carry_out(&world.doors(), world.positions(), &plan, &audit()).await.unwrap_err();
    assert!(matches!(refused, PositionError::LiveOwner { .. }), "{refused}");
    assert_eq!(planned_skip(&world).await.unwrap(), plan, "a refused verb changed something");
    let elsewhere = plan_skip(&world.doors(), &world.partition, Some(at(16))).await.unwrap_err();
    assert!(matches!(elsewhere, PositionError::StillThere { target, .. } if target == at(12)), "{elsewhere}");

    world.step_aside(0).await;
    assert!(plan.consequences.iter().any(|line| line.contains("[8, 12) are lost")), "{:?}", plan.consequences);
    carried_out(&world, &plan).await;
    let lost = OffsetSpan { from: at(8), to: at(12) };
    world.lose(lost);
    world.check("after the skip").await;
    end_well(&mut world).await;

    let changes = world.positions().position_changes(&world.partition.stream, 10).await.unwrap();
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((change.verb, change.moved.from, change.moved.to), (PositionVerb::Skip, at(16), at(12)));
    assert_eq!((change.moved.gap, change.audit.reason.as_str()), (Some(lost), "because"));
    let again = planned_skip(&world).await.unwrap_err();
    assert!(matches!(again, PositionError::NothingToSkip { .. }), "{again}");
}

#[tokio::test]
async fn a_skip_that_ended_between_views_and_lake_is_finished_by_the_next_one() {
    let mut world = world_with(2, SpeedConfig::default()).await;
    world.crash(0);
    world.expire_below(at(4));
    stop(&mut world).await;
    let plan = planned_skip(&world).await.unwrap();
    world.fail_lake(crate::doubles::Fault::Lost);
    for _ in 0..10 {
        // More than the verb tries by itself.
        world.fail_lake(crate::doubles::Fault::Lost);
    }
    carry_out(&world.doors(), world.positions(), &plan, &audit()).await.unwrap_err();
    world.forgive_lake();
    assert!(matches!(stop(&mut world).await, StopReason::RetentionPassed { .. }));
    skip(&world).await;
    world.lose(OffsetSpan { from: at(0), to: at(4) });
    end_well(&mut world).await;
}

#[tokio::test]
async fn a_lake_that_went_back_below_what_batch_published_is_filled_from_the_log_again() {
    let (mut world, backup) = published_world_and_an_old_lake(SpeedConfig::default()).await;
    world.housekeep().await;
    world.restore_lake(backup);
    assert_eq!(stop(&mut world).await, StopReason::LakeBelowBoundary { closed: at(8), boundary: at(24) });
    let refused = planned_skip(&world).await.unwrap_err();
    assert!(matches!(refused, PositionError::OtherReason { .. }), "{refused}");

    let plan = planned_rewind(&world, None, false).await.unwrap();
    assert_eq!((plan.moves[0].from, plan.moves[0].to), (at(24), at(8)));
    carried_out(&world, &plan).await;
    publish(&mut world).await;
    world.check("after the rewind").await;
    end_well(&mut world).await;
}

#[tokio::test]
async fn a_lake_that_went_back_further_than_the_log_loses_what_neither_has() {
    let (mut world, backup) = published_world_and_an_old_lake(SpeedConfig::default()).await;
    world.restore_lake(backup);
    world.expire_below(at(20));
    stop(&mut world).await;
    let rewind = planned_rewind(&world, None, false).await.unwrap_err();
    assert!(matches!(rewind, PositionError::NotInTheLog { .. }), "{rewind}");
    skip(&world).await;
    world.lose(OffsetSpan { from: at(8), to: at(20) });
    publish(&mut world).await;
    world.check("after the skip").await;
    end_well(&mut world).await;
}

#[tokio::test]
async fn a_state_that_has_seen_what_is_lost_is_passed_over() {
    let (mut world, backup) =
        published_world_and_an_old_lake(SpeedConfig { state_every_cuts: 1, ..SpeedConfig::default() }).await;
    let of_the_former_life = world.states().await;
    assert_eq!(of_the_former_life.first().unwrap().offset, at(24));
    world.save_no_states();
    world.restore_lake(backup);
    world.put_states(of_the_former_life).await;
    world.expire_below(at(20));
    stop(&mut world).await;
    skip(&world).await;
    world.lose(OffsetSpan { from: at(8), to: at(20) });
    publish(&mut world).await;
    world.settle().await;
    world.crash(0);
    world.produce(&readings(24, 16)).await;
    world.apply_and_cut(0).await;
    end_well(&mut world).await;
}

#[tokio::test]
async fn views_from_an_old_backup_take_from_the_lake_what_the_log_has_no_more() {
    let mut world = world_with(1, SpeedConfig::default()).await;
    world.back_up().await;
    world.promote(1);
    apply_eights(&mut world, [8, 16]).await;
    world.settle().await;
    world.restore_backup().await;
    world.promote(0);
    world.expire_below(at(20));
    assert_eq!(stop(&mut world).await, StopReason::RetentionPassed { low: at(20), needed: at(8) });
    let plan = planned_skip(&world).await.unwrap();
    assert_eq!(plan.gaps, [], "the lake has all of it");
    carried_out(&world, &plan).await;
    // The life that the views forgot told the outside.
    world.ignore_the_outbox();
    world.check("after the skip").await;
    world.produce(&readings(24, 8)).await;
    end_well(&mut world).await;
}

#[tokio::test]
async fn a_rewind_detects_again_and_tells_the_outside_only_what_it_was_not_told() {
    let mut world = world_with(2, SpeedConfig::default()).await;
    world.settle().await;
    let told = world.views.outbox_entries(&world.partition, 1000, u64::MAX).await.unwrap();
    world.views.acknowledge_outbox(&world.partition, &told).await.unwrap();
    apply_eights(&mut world, [16]).await;
    world.settle().await;
    let waiting = world.views.outbox_entries(&world.partition, 1000, u64::MAX).await.unwrap();
    assert!(!told.is_empty() && !waiting.is_empty(), "the scenario has alarms on both sides");
    world.ignore_the_outbox();

    world.revoke(0).await;
    let anywhere = planned_rewind(&world, Some(11), false).await.unwrap_err();
    assert!(
        matches!(anywhere, PositionError::NotACut { below, above, .. } if (below, above) == (at(8), at(16))),
        "{anywhere}"
    );
    let plan = planned_rewind(&world, Some(8), false).await.unwrap();
    assert_eq!(plan.moves[0].uncounted.total(), 16);
    carried_out(&world, &plan).await;
    world.check("after the rewind").await;
    world.settle().await;
    let after = world.views.outbox_entries(&world.partition, 1000, u64::MAX).await.unwrap();
    assert_eq!(after, waiting, "what was told is told again, or what was not is forgotten");

    world.revoke(0).await;
    let plan = planned_rewind(&world, Some(8), true).await.unwrap();
    carried_out(&world, &plan).await;
    world.settle().await;
    let mut again = told.clone();
    again.retain(|entry| entry.position.offset >= at(8));
    again.extend(waiting);
    assert_eq!(world.views.outbox_entries(&world.partition, 1000, u64::MAX).await.unwrap(), again);
    world.check_the_end().await;
}

#[tokio::test]
async fn a_rewind_below_where_the_log_begins_judges_the_rows_of_the_lake() {
    let mut world = world_with(3, SpeedConfig::default()).await;
    world.settle().await;
    world.expire_below(at(20));
    world.revoke(0).await;
    let plan = planned_rewind(&world, Some(8), false).await.unwrap();
    carried_out(&world, &plan).await;
    world.ignore_the_outbox();
    world.check("after the rewind").await;
    end_well(&mut world).await;
}

#[tokio::test]
async fn a_topic_that_was_made_again_is_told_and_a_log_file_cannot_be_adopted() {
    let mut world = world_with(1, SpeedConfig::default()).await;
    world.settle().await;
    world.crash(0);
    world.make_the_topic_again().await;
    assert!(matches!(world.until_stopped(0).await, StopReason::LogTooShort { .. }));
    let found = inspect(&world.doors(), world.positions(), &world.partition, Utc::now()).await.unwrap();
    assert!(matches!(found.stop, Some(StopReason::LogTooShort { .. })), "{found:?}");
    for refused in [
        plan_adopt(&world.doors(), &world.partition).await,
        planned_rewind(&world, None, false).await,
        planned_skip(&world).await,
    ] {
        refused.unwrap_err();
    }
}

#[tokio::test]
async fn marks_behind_the_last_message_are_no_lag() {
    let mut world = world_with(1, SpeedConfig::default()).await;
    world.settle().await;
    world.leave_marks(3);
    let look =
        async |world: &World| inspect(&world.doors(), world.positions(), &world.partition, Utc::now()).await.unwrap();
    let found = look(&world).await;
    assert_eq!((found.high, found.lag_records), (at(11), 0), "{found:?}");
    assert!(found.live && found.stop.is_none() && found.lag_seconds == 0.0, "{found:?}");
    world.produce(&readings(8, 2)).await;
    let found = look(&world).await;
    assert_eq!((found.high, found.lag_records), (at(13), 2), "{found:?}");
    assert!(found.lag_seconds > 0.0, "{found:?}");
}
