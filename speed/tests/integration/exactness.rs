//! I1 to I4 under any interleaving: the test chooses messages, micro-batches, cuts, publications, moves, crashes and
//! lost answers; the invariants are checked after every step.

use kilowatch_speed::{SpeedConfig, member::CutWish};
use proptest::{prelude::*, test_runner::Config};

use crate::{
    doubles::Fault,
    stream::{Message, any_message},
    world::World,
};

#[derive(Debug, Clone)]
enum Happening {
    Produce(Vec<Message>),
    Gap(u64),
    Expire,
    Gather {
        member: usize,
        take: usize,
    },
    Apply {
        member: usize,
        cut: bool,
    },
    CloseStep {
        member: usize,
    },
    /// The assigned member brings everything through as if nothing could fail.
    Settle,
    Assign {
        member: usize,
    },
    Crash {
        member: usize,
    },
    Revoke {
        member: usize,
    },
    Abandon {
        member: usize,
    },
    Promote(usize),
    BeginJob,
    Publish {
        newest: bool,
    },
    Housekeep,
    FailViews(Fault),
    FailLake(Fault),
    BackUp,
    RestoreBackup,
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Lost), Just(Fault::AnswerLost)]
}

/// `views_come_back` weighs backups; retention is left out then, for views that are older than the log's beginning
/// have to wait for an operator.
fn any_happening(views_come_back: bool) -> impl Strategy<Value = Happening> {
    let (seldom, settle) = if views_come_back {
        (prop_oneof![Just(Happening::BackUp), Just(Happening::RestoreBackup)].boxed(), 6)
    } else {
        (Just(Happening::Expire).boxed(), 1)
    };
    let member = 0..2_usize;
    prop_oneof![
        8 => prop::collection::vec(any_message(), 1..6).prop_map(Happening::Produce),
        1 => (1..3_u64).prop_map(Happening::Gap),
        24 => (member.clone(), 1..8_usize).prop_map(|(member, take)| Happening::Gather { member, take }),
        24 => (member.clone(), prop::bool::weighted(0.4)).prop_map(|(member, cut)| Happening::Apply { member, cut }),
        30 => member.clone().prop_map(|member| Happening::CloseStep { member }),
        3 => member.clone().prop_map(|member| Happening::Assign { member }),
        3 => member.clone().prop_map(|member| Happening::Crash { member }),
        2 => member.clone().prop_map(|member| Happening::Revoke { member }),
        1 => member.prop_map(|member| Happening::Abandon { member }),
        3 => (0..4_usize).prop_map(Happening::Promote),
        6 => Just(Happening::BeginJob),
        6 => any::<bool>().prop_map(|newest| Happening::Publish { newest }),
        4 => Just(Happening::Housekeep),
        3 => any_fault().prop_map(Happening::FailViews),
        3 => any_fault().prop_map(Happening::FailLake),
        4 => seldom,
        settle => Just(Happening::Settle),
    ]
}

/// Segments that memory drops, states at every second cut: the seldom paths become common ones.
fn any_config() -> impl Strategy<Value = SpeedConfig> {
    (prop_oneof![Just(usize::MAX), Just(1500)], 1..4_u32, prop_oneof![Just(1_000_000_usize), Just(6)]).prop_map(
        |(unclosed_bytes, state_every_cuts, segment_rows)| SpeedConfig {
            unclosed_bytes,
            state_every_cuts,
            segment_rows,
            ..SpeedConfig::default()
        },
    )
}

async fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Produce(messages) => world.produce(messages).await,
        Happening::Gap(count) => world.leave_gap(*count).await,
        Happening::Expire => world.expire().await,
        Happening::Gather { member, take } => world.gather(*member, *take).await,
        Happening::Apply { member, cut } => {
            world.apply(*member, if *cut { CutWish::Cut } else { CutWish::None }).await;
        }
        Happening::CloseStep { member } => world.close_step(*member).await,
        Happening::Settle if world.messages() > 0 => world.settle().await,
        Happening::Settle => {}
        Happening::Assign { member } => world.assign(*member),
        Happening::Crash { member } => world.crash(*member),
        Happening::Revoke { member } => world.revoke(*member).await,
        Happening::Abandon { member } => world.abandon(*member),
        Happening::Promote(variant) => world.promote(*variant),
        Happening::BeginJob => world.begin_job().await,
        Happening::Publish { newest } => drop(world.publish(*newest).await),
        Happening::Housekeep => world.housekeep().await,
        Happening::FailViews(fault) => world.fail_views(*fault),
        Happening::FailLake(fault) => world.fail_lake(*fault),
        Happening::BackUp => world.back_up().await,
        Happening::RestoreBackup => world.restore_backup().await,
    }
}

fn play(config: SpeedConfig, backups: bool, happenings: &[Happening]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(config, backups).await;
        for (at, happening) in happenings.iter().enumerate() {
            happen(&mut world, happening).await;
            world.check(&format!("after happening {at}, {happening:?}")).await;
        }
        if world.messages() > 0 {
            world.settle().await;
            world.check_the_end().await;
        }
    });
}

/// `PROPTEST_CASES` asks for more; the default is a few seconds.
fn cases(default: u32) -> Config {
    let asked = Config::default();
    Config { cases: if asked.cases == 256 { default } else { asked.cases }, failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn no_interleaving_loses_doubles_or_misjudges_a_message(
        config in any_config(),
        happenings in prop::collection::vec(any_happening(false), 20..160),
    ) {
        play(config, false, &happenings);
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn views_that_come_back_from_a_backup_catch_up_with_the_lake(
        config in any_config(),
        happenings in prop::collection::vec(any_happening(true), 20..120),
    ) {
        play(config, true, &happenings);
    }
}
