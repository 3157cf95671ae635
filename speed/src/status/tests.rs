use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::position::{Offset, PartitionId, SourceId, StreamName};

use super::{PartitionStatus, StatusBoard};
use crate::{config::SpeedConfig, member::PhaseName};

const NOON: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn board(change: impl FnOnce(&mut PartitionStatus)) -> StatusBoard {
    let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
    let partition = PartitionId { stream, source: SourceId::parse("log:x:t").unwrap(), partition: 0 };
    board.update(&partition, |status| {
        status.phase = PhaseName::Running;
        (status.progress_at, status.turned_at) = (Some(NOON), Some(NOON));
        change(status);
    });
    board
}

fn problems(board: &StatusBoard, secs: i64) -> Vec<String> {
    let config = SpeedConfig { stall_ms: 60_000, window_ms: 10_000, ..SpeedConfig::default() };
    board.snapshot(&config, NOON + TimeDelta::seconds(secs)).problems()
}

#[test]
fn a_partition_that_applies_nothing_while_messages_wait_is_a_problem_after_its_time() {
    let behind = board(|status| {
        status.lag_records = Some(7);
        status.turned_at = Some(NOON + TimeDelta::seconds(70));
    });
    assert_eq!(problems(&behind, 70), Vec::<String>::new());
    let problem = problems(&behind, 71).remove(0);
    assert!(problem.contains("7 messages wait and none was applied for 71 s"), "{problem}");
}

#[test]
fn a_log_that_does_not_answer_is_a_problem_of_a_member_without_partitions_too() {
    let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
    board.log_trouble(&stream, Some("all brokers are down".to_owned()));
    assert_eq!(problems(&board, 0), ["grid: all brokers are down"]);
    board.log_trouble(&stream, None);
    assert_eq!(problems(&board, 0), Vec::<String>::new());
}

#[test]
fn a_member_without_partitions_has_caught_up_as_soon_as_its_group_answered() {
    let stream = StreamName::parse("grid").unwrap();
    let board = StatusBoard::of(std::iter::once(stream.clone()));
    let is_caught_up = || board.snapshot(&SpeedConfig::default(), NOON).is_caught_up();
    assert!(!is_caught_up(), "nobody knows yet what is this member's");
    board.group_answered(&stream, true);
    assert!(is_caught_up());
    let partition = PartitionId { stream, source: SourceId::parse("log:x:t").unwrap(), partition: 0 };
    board.update(&partition, |status| status.lag_records = Some(0));
    assert!(!is_caught_up(), "the partition is not claimed yet");
}

#[test]
fn what_is_applied_and_not_in_the_lake_is_left_for_the_next_owner() {
    let left = |applied, closed: Option<u64>| {
        let board = board(|status| {
            status.applied = Some(Offset::new(applied));
            status.closed = closed.map(Offset::new);
        });
        board.snapshot(&SpeedConfig::default(), NOON).unclosed()
    };
    assert_eq!(left(7, Some(7)), Vec::<String>::new());
    assert_eq!(left(7, Some(5)), ["grid/log:x:t/0 is applied to 7, and in the lake to 5"]);
    assert_eq!(left(7, None), Vec::<String>::new());
}

#[test]
fn an_idle_partition_stands_still_for_good_reason() {
    let idle = board(|status| {
        status.lag_records = Some(0);
        status.turned_at = Some(NOON + TimeDelta::seconds(9000));
    });
    assert_eq!(problems(&idle, 9000), Vec::<String>::new());
}

#[test]
fn a_step_that_hangs_is_a_problem_even_if_no_lag_is_known() {
    let problem = problems(&board(|_| {}), 71).remove(0);
    assert!(problem.contains("takes 71 s now"), "{problem}");
}

#[test]
fn deliveries_that_fail_are_a_problem_after_their_time_and_a_full_outbox_at_once() {
    let (board, stream) = (StatusBoard::default(), StreamName::parse("grid").unwrap());
    board.outbox(&stream, 3, Some("not authorised".to_owned()), NOON);
    board.outbox(&stream, 3, Some("not authorised".to_owned()), NOON + TimeDelta::seconds(59));
    assert_eq!(problems(&board, 59), Vec::<String>::new());
    assert!(problems(&board, 60)[0].contains("3 entries that are not delivered yet: not authorised"));
    board.outbox(&stream, 10_001, None, NOON + TimeDelta::seconds(61));
    assert!(problems(&board, 61)[0].contains("10001 entries"));
    board.outbox(&stream, 0, None, NOON + TimeDelta::seconds(62));
    assert_eq!(problems(&board, 9000), Vec::<String>::new());
}

fn of_lake(error: &str) -> (String, bool) {
    (error.to_owned(), true)
}

#[test]
fn what_the_views_say_during_a_close_is_not_told_as_the_lakes() {
    let board = board(|status| {
        status.unclosed_cuts = 31;
        status.turned_at = Some(NOON + TimeDelta::seconds(70));
    });
    let partition = board.snapshot(&SpeedConfig::default(), NOON).partitions.remove(0).partition;
    board.close_failed(&partition, ("the views are not available: no route".to_owned(), false), false, NOON);
    assert!(problems(&board, 70)[0].ends_with("; closes fail for 70 s: the views are not available: no route"));
    let status = board.snapshot(&SpeedConfig::default(), NOON);
    assert_eq!(status.close_errors(), [("the views are not available: no route", false)].into());
}

#[test]
fn a_partition_is_refused_for_good_only_after_some_time_and_not_by_what_is_away() {
    let board = board(|status| status.trouble = Some("the lake refused: no permission".to_owned()));
    let refused = |seconds: i64| {
        let status = board.snapshot(&SpeedConfig::default(), NOON + TimeDelta::seconds(seconds));
        status.refused_for(Duration::from_secs(20)).map(|(_, trouble)| trouble.to_owned())
    };
    assert_eq!(refused(9000), None);
    let partition = board.snapshot(&SpeedConfig::default(), NOON).partitions.remove(0).partition;
    board.update(&partition, |status| status.refused_since = Some(NOON));
    assert_eq!(refused(19), None);
    assert_eq!(refused(20).as_deref(), Some("the lake refused: no permission"));
}

#[test]
fn a_lake_that_refuses_is_a_problem_at_once_and_one_that_is_away_with_its_cuts() {
    let board = board(|status| {
        status.unclosed_cuts = 1;
        status.turned_at = Some(NOON + TimeDelta::seconds(70));
    });
    let partition = board.snapshot(&SpeedConfig::default(), NOON).partitions.remove(0).partition;
    board.close_failed(&partition, of_lake("the lake is not available: no route"), false, NOON);
    assert_eq!(problems(&board, 70), Vec::<String>::new());
    board.close_failed(&partition, of_lake("the lake refused: disk full"), true, NOON + TimeDelta::seconds(60));
    assert_eq!(
        problems(&board, 70),
        [
            "grid/log:x:t/0 has 1 cut that the lake does not hold yet; it has taken none for 70 s: the lake refused: disk full"
        ]
    );
    board.close_went_through(&partition);
    assert_eq!(problems(&board, 70), Vec::<String>::new());
    board.update(&partition, |status| status.unclosed_cuts = 31);
    board.close_failed(&partition, of_lake("the lake is not available: no route"), false, NOON);
    assert!(problems(&board, 70)[0].ends_with("it has taken none for 70 s: the lake is not available: no route"));
}

#[test]
fn what_a_close_says_of_a_partition_that_went_to_another_member_is_not_noted() {
    let board = board(|_| {});
    let partition = board.snapshot(&SpeedConfig::default(), NOON).partitions.remove(0).partition;
    board.forget(&partition);
    board.close_failed(&partition, of_lake("the lake refused: disk full"), true, NOON);
    assert_eq!(board.snapshot(&SpeedConfig::default(), NOON).partitions, []);
}
