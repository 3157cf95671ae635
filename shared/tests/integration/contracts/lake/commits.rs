//! When L moves, and when it does not.

use std::collections::BTreeMap;

use kilowatch_shared::{
    lake::{CommitOutcome, LakeError, LakeSnapshot, LakeTable, Segment},
    position::{Offset, StreamName},
    reading::ReadingColumns,
};

use super::subject::{Subject, cut, dead_letter, partition, profile, segment, span};

const NOTHING: LakeSnapshot = LakeSnapshot { version: None, closed: BTreeMap::new() };

pub async fn an_empty_lake_has_neither_version_nor_l(subject: &Subject) {
    assert_eq!(subject.snapshot().await, NOTHING);
    assert_eq!(subject.rows(&partition(0), 0, 100).await, []);
    assert_eq!(subject.lake.committed_cuts(&partition(0), span(0, 100)).await.unwrap(), []);
}

pub async fn a_closed_segment_moves_l_and_the_version(subject: &Subject) {
    let first = subject.close(&partition(0), 0, 5).await;
    let CommitOutcome::Committed(first) = first else { panic!("{first:?}") };
    assert_eq!(subject.close(&partition(0), 5, 9).await, CommitOutcome::Committed(first + 1));
    let seen = subject.other.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    assert_eq!(seen.version, Some(first + 1));
    assert_eq!(seen.closed_to(&partition(0)), Some(Offset::new(9)));
    assert_eq!(seen.closed_to(&partition(1)), None);
}

pub async fn a_partition_closed_by_another_member_is_a_conflict_and_changes_nothing(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let base = subject.snapshot().await;
    let theirs = subject.other.append_readings(&profile(), &base, &[segment(&partition(0), 5, 7)]).await.unwrap();
    assert!(matches!(theirs, CommitOutcome::Committed(_)));
    let after = subject.snapshot().await;
    let ours = subject.lake.append_readings(&profile(), &base, &[segment(&partition(0), 5, 9)]).await.unwrap();
    assert_eq!(ours, CommitOutcome::Conflict);
    assert_eq!(subject.snapshot().await, after);
    let rows: Vec<_> = segment(&partition(0), 0, 7).readings().collect();
    assert_eq!(subject.rows(&partition(0), 0, 100).await, rows);
}

pub async fn one_stale_partition_keeps_back_the_whole_commit(subject: &Subject) {
    let base = subject.snapshot().await;
    subject.close(&partition(0), 0, 5).await;
    let both = [segment(&partition(1), 0, 5), segment(&partition(0), 0, 5)];
    assert_eq!(subject.other.append_readings(&profile(), &base, &both).await.unwrap(), CommitOutcome::Conflict);
    assert_eq!(subject.snapshot().await.closed_to(&partition(1)), None);
    assert_eq!(subject.rows(&partition(1), 0, 5).await, []);
}

pub async fn partitions_that_are_not_touched_do_not_conflict(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let base = subject.snapshot().await;
    for from in [5, 6, 7] {
        subject.close(&partition(0), from, from + 1).await;
    }
    let ours = subject.other.append_readings(&profile(), &base, &[segment(&partition(1), 0, 4)]).await.unwrap();
    assert!(matches!(ours, CommitOutcome::Committed(_)), "{ours:?}");
    let after = subject.snapshot().await;
    assert_eq!(after.closed_to(&partition(0)), Some(Offset::new(8)));
    assert_eq!(after.closed_to(&partition(1)), Some(Offset::new(4)));
}

pub async fn a_table_made_meanwhile_is_no_conflict_by_itself(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let ours = subject.other.append_readings(&profile(), &NOTHING, &[segment(&partition(1), 0, 5)]).await.unwrap();
    assert!(matches!(ours, CommitOutcome::Committed(_)), "{ours:?}");
    let again = subject.other.append_readings(&profile(), &NOTHING, &[segment(&partition(0), 0, 5)]).await.unwrap();
    assert_eq!(again, CommitOutcome::Conflict);
}

pub async fn a_span_that_does_not_begin_at_l_is_refused(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let base = subject.snapshot().await;
    for from in [4, 6] {
        let error =
            subject.lake.append_readings(&profile(), &base, &[segment(&partition(0), from, 9)]).await.unwrap_err();
        assert!(matches!(&error, LakeError::NotAdvancing { closed, .. } if closed.get() == 5), "{error}");
    }
    assert_eq!(subject.snapshot().await, base);
}

pub async fn a_span_that_does_not_advance_is_refused(subject: &Subject) {
    let base = subject.snapshot().await;
    let error = subject.lake.append_readings(&profile(), &base, &[segment(&partition(0), 3, 3)]).await.unwrap_err();
    assert!(matches!(error, LakeError::NotAdvancing { .. }), "{error}");
    assert_eq!(subject.snapshot().await, NOTHING);
}

pub async fn a_first_segment_may_begin_anywhere(subject: &Subject) {
    subject.close(&partition(0), 88_000, 88_003).await;
    assert_eq!(subject.snapshot().await.closed_to(&partition(0)), Some(Offset::new(88_003)));
    assert_eq!(subject.rows(&partition(0), 0, u64::MAX).await.len(), 3);
}

pub async fn l_never_falls(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let old = subject.snapshot().await;
    subject.close(&partition(0), 5, 20).await;
    let stale = subject.other.append_readings(&profile(), &old, &[segment(&partition(0), 5, 10)]).await.unwrap();
    assert_eq!(stale, CommitOutcome::Conflict);
    let never_seen = subject.other.append_readings(&profile(), &NOTHING, &[segment(&partition(0), 0, 3)]).await;
    assert_eq!(never_seen.unwrap(), CommitOutcome::Conflict);
    assert_eq!(subject.snapshot().await.closed_to(&partition(0)), Some(Offset::new(20)));
}

pub async fn segments_of_one_partition_may_follow_each_other_in_one_commit(subject: &Subject) {
    let base = subject.snapshot().await;
    let two = [segment(&partition(0), 0, 4), segment(&partition(0), 4, 6)];
    let outcome = subject.lake.append_readings(&profile(), &base, &two).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(_)));
    assert_eq!(subject.snapshot().await.closed_to(&partition(0)), Some(Offset::new(6)));
    assert_eq!(subject.rows(&partition(0), 0, 6).await.len(), 6);
    let base = subject.snapshot().await;
    let gap = [segment(&partition(0), 6, 7), segment(&partition(0), 8, 9)];
    assert!(subject.lake.append_readings(&profile(), &base, &gap).await.is_err());
    let twice = [segment(&partition(0), 6, 7), segment(&partition(0), 6, 7)];
    assert!(subject.lake.append_readings(&profile(), &base, &twice).await.is_err());
    assert_eq!(subject.snapshot().await, base);
}

pub async fn a_segment_without_rows_moves_l(subject: &Subject) {
    let empty = Segment { rows: ReadingColumns::default(), ..segment(&partition(0), 0, 5) };
    subject.lake.append_readings(&profile(), &NOTHING, &[empty]).await.unwrap();
    assert_eq!(subject.snapshot().await.closed_to(&partition(0)), Some(Offset::new(5)));
    assert_eq!(subject.rows(&partition(0), 0, 5).await, []);
    subject.close(&partition(0), 5, 6).await;
    assert_eq!(subject.rows(&partition(0), 0, 6).await.len(), 1);
}

pub async fn a_segment_of_another_stream_is_refused(subject: &Subject) {
    let mut strange = segment(&partition(0), 0, 5);
    strange.partition.stream = StreamName::parse("another").unwrap();
    let error = subject.lake.append_readings(&profile(), &NOTHING, &[strange]).await.unwrap_err();
    assert!(matches!(error, LakeError::WrongStream { .. }), "{error}");
}

pub async fn dead_letters_have_an_l_of_their_own(subject: &Subject) {
    let letters = |from, to| Segment {
        partition: partition(0),
        span: span(from, to),
        rows: (from..to).map(|offset| dead_letter(&partition(0), offset)).collect(),
        cuts: vec![cut(from)],
    };
    let outcome = subject.lake.append_dead_letters(&profile(), &NOTHING, &[letters(0, 9)]).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(_)));
    let base = subject.other.snapshot(&profile().name, LakeTable::DeadLetters).await.unwrap();
    assert_eq!(base.closed_to(&partition(0)), Some(Offset::new(9)));
    assert_eq!(subject.snapshot().await, NOTHING);
    let again = subject.other.append_dead_letters(&profile(), &NOTHING, &[letters(0, 9)]).await.unwrap();
    assert_eq!(again, CommitOutcome::Conflict);
    let next = subject.other.append_dead_letters(&profile(), &base, &[letters(9, 10)]).await.unwrap();
    assert!(matches!(next, CommitOutcome::Committed(_)));
}

pub async fn streams_do_not_mix(subject: &Subject) {
    let mut other = profile();
    // One name begins like the other, as their transaction ids then do.
    other.name = StreamName::parse("meters-2").unwrap();
    let mut theirs = partition(0);
    theirs.stream = other.name.clone();
    subject.lake.append_readings(&other, &NOTHING, &[segment(&theirs, 0, 7)]).await.unwrap();
    assert_eq!(subject.snapshot().await, NOTHING);
    subject.close(&partition(0), 0, 3).await;
    assert_eq!(subject.snapshot().await.closed_to(&partition(0)), Some(Offset::new(3)));
    let seen = subject.other.snapshot(&other.name, LakeTable::Readings).await.unwrap();
    assert_eq!(seen.closed_to(&theirs), Some(Offset::new(7)));
}
