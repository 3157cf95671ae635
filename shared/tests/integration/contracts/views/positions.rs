//! An operator moves positions: all or nothing, only while nobody is at work, and on record.

use std::{collections::BTreeMap, slice};

use chrono::TimeDelta;
use kilowatch_shared::{
    anomaly::{EndedEpisode, EpisodeEnd, Severity},
    checkpoint::{Boundary, MessageHash},
    outbox::OutboxEntry,
    position::{Offset, PartitionId},
    reading::MessageCounts,
    views::{
        ApplyOutcome, Audit, Effects, MoveOutcome, PositionMove, PositionVerb, PublishOutcome, RecordedChange,
        RecordedMove,
    },
};

use super::subject::{
    HOUR, MEASURE, Member, Subject, anomaly, cut, cut_with_model, dead_letter, hour, household, partition,
    partition_of, span, value,
};

/// An operator so many seconds after the members were seen.
fn audit(subject: &Subject, seconds: i64) -> Audit {
    Audit {
        at: subject.now + TimeDelta::seconds(seconds),
        by: "ada@ops".to_owned(),
        reason: "the lake went back".to_owned(),
    }
}

/// Back, or on, without more.
fn movement(partition: &PartitionId, from: u64, to: u64) -> PositionMove {
    let (from, to) = (Offset::new(from), Offset::new(to));
    PositionMove {
        partition: partition.clone(),
        from,
        to,
        undone_from: to,
        cut: None,
        last_message: None,
        uncounted: MessageCounts::default(),
        resend: false,
        recorded: RecordedMove { from, to, gap: None },
    }
}

async fn rewind(subject: &Subject, moves: &[PositionMove]) -> MoveOutcome {
    subject.views.move_positions(PositionVerb::Rewind, moves, None, &audit(subject, 0)).await.unwrap()
}

fn told(offsets: &[u64]) -> Vec<OutboxEntry> {
    let entry = |offset: &u64| OutboxEntry {
        position: partition(0).at(Offset::new(*offset)),
        id: format!("anomaly {offset}"),
        topic: "anomalies".to_owned(),
        key: None,
        payload: Some("{}".into()),
        headers: Vec::new(),
    };
    offsets.iter().map(entry).collect()
}

async fn waiting(subject: &Subject) -> Vec<u64> {
    let entries = subject.views.outbox_entries(&partition(0), 100, u64::MAX).await.unwrap();
    entries.into_iter().map(|entry| entry.position.offset.get()).collect()
}

async fn sums(subject: &Subject) -> Vec<f64> {
    subject.usage(&household()).await.windows.iter().map(|window| window.partial.sum).collect()
}

/// A member of partition 0 with cuts at 0, 4 and 8, and four messages in each segment: two readings that each are an
/// anomaly, a repeated one, and a dead letter. What the first segment's anomaly opened ends in the second.
async fn two_segments(subject: &Subject) -> Member {
    let mut member = subject.claim(&partition(0), 0).await;
    for from in [0, 4] {
        let opened = anomaly(from, hour(0), "m", Severity::Minor);
        let end = EpisodeEnd { ended_at: hour(1), end_offset: Offset::new(from + 1), readings: 2, peak_score: 5.0 };
        let before = from.checked_sub(4).map(|before| anomaly(before, hour(0), "m", Severity::Minor).id);
        member
            .apply(
                from + 4,
                Effects {
                    anomalies: vec![opened, anomaly(from + 2, hour(1), "m", Severity::Minor)],
                    ended: before.map(|anomaly_id| EndedEpisode { anomaly_id, end }).into_iter().collect(),
                    rollups: vec![value("m", 0, 1.0), value("m", i64::try_from(from).unwrap(), 1.0)],
                    dead_letters: vec![dead_letter(from + 3, "no JSON")],
                    outbox: told(&[from, from + 2]),
                    counts: MessageCounts { readings: 2, duplicates: 1, dead_letters: 1 },
                    last_message: Some(MessageHash::of(None, Some(&[u8::try_from(from).unwrap()]))),
                    ..Effects::default()
                },
            )
            .await;
        member.cut().await;
    }
    member
}

const OF_A_SEGMENT: MessageCounts = MessageCounts { readings: 2, duplicates: 1, dead_letters: 1 };

pub async fn a_move_back_leaves_what_a_member_at_the_cut_would_have_left(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.release(&partition(0), member.owner).await.unwrap();
    let hash = MessageHash::of(None, Some(&[0]));
    let back =
        PositionMove { last_message: Some(hash.clone()), uncounted: OF_A_SEGMENT, ..movement(&partition(0), 8, 4) };
    assert_eq!(rewind(subject, &[back]).await, MoveOutcome::Moved);

    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!((state.owner, state.applied, state.last_message), (None, Offset::new(4), Some(hash)));
    assert_eq!(state.cuts, [cut(0), cut(4)]);
    let kept = subject.views.anomalies_of(&partition(0)).await.unwrap();
    let expected = [anomaly(0, hour(0), "m", Severity::Minor), anomaly(2, hour(1), "m", Severity::Minor)];
    assert_eq!(kept, expected, "an anomaly stayed, is gone, or its episode ended in what was undone");
    assert_eq!(sums(subject).await, [2.0]);
    let letters = subject.views.recent_dead_letters(&household(), 10).await.unwrap();
    assert_eq!(letters, [dead_letter(3, "no JSON")]);
    assert_eq!(subject.views.counts(&household(), MEASURE, HOUR).await.unwrap().speed, OF_A_SEGMENT);

    // What is judged again is there as it was.
    let mut next = subject.claim(&partition(0), 0).await;
    assert_eq!(next.applied, 4);
    next.apply(8, Effects { anomalies: vec![anomaly(4, hour(0), "m", Severity::Minor)], ..Effects::default() }).await;
    assert_eq!(subject.views.anomalies_of(&partition(0)).await.unwrap().len(), 3);
}

pub async fn a_move_on_begins_a_segment_behind_the_gap_and_keeps_dead_letters_below(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.release(&partition(0), member.owner).await.unwrap();
    let gap = span(4, 12);
    let on = PositionMove {
        undone_from: gap.from,
        cut: Some(cut_with_model(12, b"m")),
        recorded: RecordedMove { from: Offset::new(8), to: gap.to, gap: Some(gap) },
        ..movement(&partition(0), 8, 12)
    };
    let by = audit(subject, 0);
    let outcome = subject.views.move_positions(PositionVerb::Skip, slice::from_ref(&on), None, &by).await.unwrap();
    assert_eq!(outcome, MoveOutcome::Moved);
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!((state.applied, state.last_message), (Offset::new(12), None));
    assert_eq!(state.cuts, [cut(0), cut(4), cut_with_model(12, b"m")]);
    assert_eq!(subject.views.anomalies_of(&partition(0)).await.unwrap().len(), 2);
    assert_eq!(sums(subject).await, [2.0]);
    assert_eq!(subject.views.recent_dead_letters(&household(), 10).await.unwrap().len(), 2);
    let changes = subject.views.position_changes(&household(), 10).await.unwrap();
    let expected = RecordedChange { partition: partition(0), verb: PositionVerb::Skip, moved: on.recorded, audit: by };
    assert_eq!(changes, [expected]);
}

pub async fn a_partition_that_somebody_works_on_is_not_moved(subject: &Subject) {
    let mut member = two_segments(subject).await;
    let back = [movement(&partition(0), 8, 4)];
    let move_at = async |seconds| {
        let by = audit(subject, seconds);
        subject.views.move_positions(PositionVerb::Rewind, &back, None, &by).await.unwrap()
    };
    let refused = MoveOutcome::LiveOwner { partition: partition(0), seen_at: subject.now };
    assert_eq!(move_at(59).await, refused);
    // An operator whose clock is behind does not take a member for one that is long gone.
    assert_eq!(move_at(-3600).await, refused);
    assert_eq!(subject.views.position_changes(&household(), 10).await.unwrap(), []);
    assert_eq!(subject.views.owner_seen_at(&partition(0)).await.unwrap(), Some(subject.now));
    member.apply(9, Effects::default()).await;
    assert_eq!(move_at(0).await, refused, "an owner at work is told of as a position that moved");

    let gone = [movement(&partition(0), 9, 4)];
    let by = audit(subject, 60);
    let outcome = subject.views.move_positions(PositionVerb::Rewind, &gone, None, &by).await.unwrap();
    assert_eq!(outcome, MoveOutcome::Moved);
    assert_eq!(subject.views.owner_seen_at(&partition(0)).await.unwrap(), None);
    assert_eq!(member.try_apply(10, &Effects::default()).await, ApplyOutcome::NotOwner, "a zombie is not fenced off");
}

pub async fn moves_are_done_all_or_none(subject: &Subject) {
    let first = two_segments(subject).await;
    subject.views.release(&partition(0), first.owner).await.unwrap();
    let mut second = subject.claim(&partition(1), 0).await;
    second.apply(3, Effects::default()).await;
    subject.views.release(&partition(1), second.owner).await.unwrap();
    for elsewhere in [movement(&partition(1), 2, 0), movement(&partition(9), 2, 0)] {
        let named = elsewhere.partition.clone();
        let outcome = rewind(subject, &[movement(&partition(0), 8, 4), elsewhere]).await;
        assert_eq!(outcome, MoveOutcome::Elsewhere { partition: named });
        let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
        assert_eq!((state.applied, state.cuts.len()), (Offset::new(8), 3), "half of the moves is done");
        assert_eq!(waiting(subject).await, [0, 2, 4, 6]);
        assert_eq!(subject.views.position_changes(&household(), 10).await.unwrap(), []);
    }
    let both = [movement(&partition(0), 8, 4), movement(&partition(1), 3, 0)];
    assert_eq!(rewind(subject, &both).await, MoveOutcome::Moved);
    assert_eq!(subject.views.position_changes(&household(), 10).await.unwrap().len(), 2);
}

pub async fn what_was_published_is_forgotten_with_the_boundary_and_published_anew(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.release(&partition(0), member.owner).await.unwrap();
    let rows = [value("m", 0, 3.0), value("m", 4, 1.0)];
    assert_eq!(subject.publish_all(&household(), 7, &[(&partition(0), 8)], &rows).await, PublishOutcome::Published);
    let grid = kilowatch_shared::position::StreamName::parse("grid").unwrap();
    subject.claim(&partition_of(&grid, 0), 0).await;
    let others = subject.publish_all(&grid, 2, &[(&partition_of(&grid, 0), 0)], &[value("g", 0, 9.0)]).await;
    assert_eq!(others, PublishOutcome::Published);

    let (back, stream, by) = ([movement(&partition(0), 8, 4)], household(), audit(subject, 0));
    subject.views.move_positions(PositionVerb::Rewind, &back, Some(&stream), &by).await.unwrap();
    let info = subject.views.boundary_info(&stream).await.unwrap();
    assert_eq!((info.boundary, info.published_at), (Boundary::default(), None));
    assert_eq!(sums(subject).await, [2.0], "what speed has below the cut answers alone");
    assert_eq!(subject.views.boundary(&grid).await.unwrap().lake_version, Some(2), "another stream's");
    assert_eq!(subject.usage(&grid).await.windows.len(), 1);

    let again = subject.publish_all(&stream, 3, &[(&partition(0), 4)], &[value("m", 0, 2.0)]).await;
    assert_eq!(again, PublishOutcome::Published);
    assert_eq!(sums(subject).await, [2.0]);
}

pub async fn after_a_move_back_the_outside_hears_what_it_was_not_told(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.acknowledge_outbox(&partition(0), &told(&[0, 2, 4])).await.unwrap();
    subject.views.release(&partition(0), member.owner).await.unwrap();
    assert_eq!(rewind(subject, &[movement(&partition(0), 8, 0)]).await, MoveOutcome::Moved);
    assert_eq!(waiting(subject).await, [0_u64; 0]);
    let mut next = subject.claim(&partition(0), 0).await;
    next.apply(8, Effects { outbox: told(&[0, 2, 4, 6]), ..Effects::default() }).await;
    assert_eq!(waiting(subject).await, [6]);
}

pub async fn what_waits_below_a_move_says_that_nothing_above_was_told(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.acknowledge_outbox(&partition(0), &told(&[0])).await.unwrap();
    subject.views.release(&partition(0), member.owner).await.unwrap();
    assert_eq!(rewind(subject, &[movement(&partition(0), 8, 4)]).await, MoveOutcome::Moved);
    assert_eq!(waiting(subject).await, [2], "what is not judged again waits on");
    let mut next = subject.claim(&partition(0), 0).await;
    next.apply(8, Effects { outbox: told(&[5]), ..Effects::default() }).await;
    assert_eq!(waiting(subject).await, [2, 5]);
}

pub async fn after_a_move_back_the_outside_hears_all_again_if_that_was_asked_for(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.acknowledge_outbox(&partition(0), &told(&[0, 2, 4, 6])).await.unwrap();
    subject.views.release(&partition(0), member.owner).await.unwrap();
    let back = PositionMove { resend: true, ..movement(&partition(0), 8, 4) };
    assert_eq!(rewind(subject, &[back]).await, MoveOutcome::Moved);
    let mut next = subject.claim(&partition(0), 0).await;
    next.apply(8, Effects { outbox: told(&[2, 4, 6]), ..Effects::default() }).await;
    assert_eq!(waiting(subject).await, [4, 6], "what is below the position was told, and is not judged again");
}

pub async fn an_adopted_topic_keeps_its_highest_generation(subject: &Subject) {
    assert_eq!(subject.views.topic_generations().await.unwrap(), BTreeMap::new());
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(5, Effects::default()).await;
    let replaced = [partition(0), partition(9)];
    let adopt = async |generation, seconds| {
        let by = audit(subject, seconds);
        subject.views.adopt_topic("energy-stream", generation, &replaced, &by).await.unwrap()
    };
    let refused = MoveOutcome::LiveOwner { partition: partition(0), seen_at: subject.now };
    assert_eq!(adopt(2, 30).await, refused);
    assert_eq!(subject.views.topic_generations().await.unwrap(), BTreeMap::new());
    member.apply(6, Effects::default()).await;

    assert_eq!(adopt(3, 60).await, MoveOutcome::Moved);
    assert_eq!(member.try_apply(7, &Effects::default()).await, ApplyOutcome::NotOwner);
    assert_eq!(adopt(2, 60).await, MoveOutcome::Moved);
    let generations = BTreeMap::from([("energy-stream".to_owned(), 3)]);
    assert_eq!(subject.views.topic_generations().await.unwrap(), generations);
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!(state.applied, Offset::new(6), "the old topic's effects stay");
    let changes = subject.views.position_changes(&household(), 1).await.unwrap();
    let stays = RecordedMove { from: Offset::new(6), to: Offset::new(6), gap: None };
    assert_eq!((changes[0].verb, changes[0].moved), (PositionVerb::Adopt, stays));
}

pub async fn changes_are_listed_newest_first(subject: &Subject) {
    let member = two_segments(subject).await;
    subject.views.release(&partition(0), member.owner).await.unwrap();
    for (from, to) in [(8, 4), (4, 0)] {
        rewind(subject, &[movement(&partition(0), from, to)]).await;
    }
    let changes = subject.views.position_changes(&household(), 10).await.unwrap();
    let to: Vec<u64> = changes.iter().map(|change| change.moved.to.get()).collect();
    assert_eq!(to, [0, 4]);
    assert_eq!(subject.views.position_changes(&household(), 1).await.unwrap(), changes[..1]);
    let nobody = kilowatch_shared::position::StreamName::parse("nobody").unwrap();
    assert_eq!(subject.views.position_changes(&nobody, 10).await.unwrap(), []);
}
