//! Effects and offset go together, once, and only by the owner.

use kilowatch_shared::{
    anomaly::{Anomaly, EndedEpisode, EpisodeEnd, Opinion, OpinionState, Severity},
    checkpoint::MessageHash,
    position::Offset,
    reading::MessageCounts,
    rollup::Partial,
    views::{AnomalyFilter, ApplyOutcome, Effects, LayerCounts, ViewsError},
};

use super::subject::{
    HOUR, MEASURE, Subject, anomaly, cut, cut_with_model, dead_letter, device, hour, household, partition, rollups,
    span, value,
};

/// Effects with something of every kind.
fn everything(at_offset: u64) -> Effects {
    Effects {
        anomalies: vec![anomaly(at_offset, hour(0), "meter-0001", Severity::Warning)],
        ended: Vec::new(),
        rollups: vec![value("meter-0001", 0, 1.5)],
        dead_letters: vec![dead_letter(at_offset + 1, "no timestamp")],
        devices: vec![(device("meter-0001"), hour(0))],
        counts: MessageCounts { readings: 2, duplicates: 1, dead_letters: 1 },
        last_message: Some(MessageHash::of(None, Some(&at_offset.to_be_bytes()))),
        cut: Some(cut(at_offset + 4)),
        ..Effects::default()
    }
}

pub async fn an_episode_ends_once_and_with_every_bit(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let mut opens = anomaly(3, hour(0), "meter-0001", Severity::Warning);
    opens.verdict.explanation.others = vec![Opinion {
        detector: "isolation_forest".to_owned(),
        state: OpinionState::Quiet,
        score: Some(0.1 + 0.2),
        threshold: Some(0.6),
    }];
    let stays = anomaly(4, hour(0), "meter-0002", Severity::Warning);
    member.apply(5, Effects { anomalies: vec![opens.clone(), stays.clone()], ..Effects::default() }).await;
    let end = EpisodeEnd { ended_at: hour(2), end_offset: Offset::new(7), readings: 3, peak_score: 0.1 + 0.7 };
    let ends = |end| vec![EndedEpisode { anomaly_id: opens.id.clone(), end }];
    // One that opened in a span may end in it, too.
    let brief = anomaly(6, hour(1), "meter-0003", Severity::Warning);
    let ended = [ends(end), vec![EndedEpisode { anomaly_id: brief.id.clone(), end }]].concat();
    member.apply(8, Effects { anomalies: vec![brief.clone()], ended, ..Effects::default() }).await;
    let later = EpisodeEnd { readings: 9, ..end };
    member.apply(9, Effects { ended: ends(later), ..Effects::default() }).await;
    let expected = [Anomaly { ended: Some(end), ..opens.clone() }, stays, Anomaly { ended: Some(end), ..brief }];
    assert_eq!(subject.views.anomalies_of(&partition(0)).await.unwrap(), expected);
    let page = subject.views.list_anomalies(&household(), &AnomalyFilter::default(), None, 100).await.unwrap();
    assert!(page.anomalies.contains(&expected[0]));
}

async fn counts(subject: &Subject) -> LayerCounts {
    subject.views.counts(&household(), MEASURE, HOUR).await.unwrap()
}

/// What readers see of the stream.
async fn everything_seen(subject: &Subject) -> (LayerCounts, Vec<f64>, usize, usize, Offset, usize) {
    let views = &subject.views;
    let windows = subject.usage(&household()).await.windows;
    let anomalies = views.list_anomalies(&household(), &AnomalyFilter::default(), None, 100).await.unwrap();
    let state = views.partition(&partition(0)).await.unwrap().unwrap();
    (
        counts(subject).await,
        windows.iter().map(|window| window.partial.sum).collect(),
        anomalies.anomalies.len(),
        views.recent_dead_letters(&household(), 100).await.unwrap().len(),
        state.applied,
        state.cuts.len(),
    )
}

pub async fn effects_and_offset_are_seen_together(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, everything(0)).await;
    let (counts, sums, anomalies, dead_letters, applied, cuts) = everything_seen(subject).await;
    assert_eq!(counts.speed, MessageCounts { readings: 2, duplicates: 1, dead_letters: 1 });
    assert_eq!((counts.anomalies, counts.devices), (1, 1));
    assert_eq!(sums, [1.5]);
    assert_eq!((anomalies, dead_letters, applied, cuts), (1, 1, Offset::new(4), 2));
}

pub async fn a_fenced_owner_changes_nothing(subject: &Subject) {
    let mut former = subject.claim(&partition(0), 0).await;
    former.apply(4, everything(0)).await;
    let before = everything_seen(subject).await;
    subject.claim(&partition(0), 0).await;
    assert_eq!(former.try_apply(8, &everything(4)).await, ApplyOutcome::NotOwner);
    // Not even its own last batch is «already applied» to it: it has to learn that it was fenced.
    former.applied = 0;
    assert_eq!(former.try_apply(4, &everything(0)).await, ApplyOutcome::NotOwner);
    assert_eq!(everything_seen(subject).await, before);
}

pub async fn nobody_applies_to_an_unknown_or_released_partition(subject: &Subject) {
    let member = subject.claim(&partition(0), 0).await;
    subject.views.release(&partition(0), member.owner).await.unwrap();
    assert_eq!(member.try_apply(4, &everything(0)).await, ApplyOutcome::NotOwner);
    let outcome = subject.views.apply(&partition(9), member.owner, span(0, 4), &everything(0)).await.unwrap();
    assert_eq!(outcome, ApplyOutcome::NotOwner);
}

pub async fn a_repeated_batch_is_already_applied_and_counts_once(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, everything(0)).await;
    let before = everything_seen(subject).await;
    member.applied = 0;
    assert_eq!(member.try_apply(4, &everything(0)).await, ApplyOutcome::AlreadyApplied);
    assert_eq!(everything_seen(subject).await, before);
}

pub async fn a_batch_out_of_step_is_told_where_the_partition_is(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, everything(0)).await;
    let before = everything_seen(subject).await;
    for from in [0, 3, 5, 9] {
        member.applied = from;
        let effects = Effects { cut: Some(cut(from + 9)), ..everything(from) };
        let outcome = member.try_apply(from + 9, &effects).await;
        assert_eq!(outcome, ApplyOutcome::OutOfStep { applied: Offset::new(4) }, "from {from}");
    }
    assert_eq!(everything_seen(subject).await, before);
}

pub async fn an_empty_span_records_a_cut_alone(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, rollups(vec![value("meter-0001", 0, 1.0)])).await;
    member.apply(4, Effects { cut: Some(cut_with_model(4, b"promoted")), ..Effects::default() }).await;
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!(state.applied, Offset::new(4));
    assert_eq!(state.cuts, [cut(0), cut_with_model(4, b"promoted")]);
    assert_eq!(subject.views.cuts(&partition(0)).await.unwrap(), state.cuts);
}

pub async fn an_empty_span_asks_for_owner_and_offset(subject: &Subject) {
    let mut former = subject.claim(&partition(0), 0).await;
    former.apply(4, rollups(vec![])).await;
    let current = subject.claim(&partition(0), 0).await;
    let effects = Effects { cut: Some(cut(4)), ..Effects::default() };
    assert_eq!(former.try_apply(4, &effects).await, ApplyOutcome::NotOwner);
    let behind = subject.views.apply(&partition(0), current.owner, span(2, 2), &Effects::default()).await.unwrap();
    assert_eq!(behind, ApplyOutcome::OutOfStep { applied: Offset::new(4) });
    assert_eq!(subject.views.cuts(&partition(0)).await.unwrap(), [cut(0)]);
}

pub async fn a_recorded_cut_keeps_its_first_pins(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(0, Effects { cut: Some(cut_with_model(0, b"late")), ..Effects::default() }).await;
    member.apply(2, Effects { cut: Some(cut_with_model(2, b"one")), ..Effects::default() }).await;
    member.apply(2, Effects { cut: Some(cut_with_model(2, b"two")), ..Effects::default() }).await;
    assert_eq!(subject.views.cuts(&partition(0)).await.unwrap(), [cut(0), cut_with_model(2, b"one")]);
}

pub async fn cuts_of_equal_pins_share_them(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    for to in 1..=3 {
        member.apply(to, Effects { cut: Some(cut(to)), ..Effects::default() }).await;
    }
    let cuts = subject.views.cuts(&partition(0)).await.unwrap();
    assert_eq!(cuts, [cut(0), cut(1), cut(2), cut(3)]);
    assert!(cuts.iter().all(|cut| std::sync::Arc::ptr_eq(&cut.pins, &cuts[0].pins)));
}

pub async fn what_no_member_may_ask_for_is_refused_whole(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, everything(0)).await;
    let before = everything_seen(subject).await;
    let back = subject.views.apply(&partition(0), member.owner, span(4, 2), &Effects::default()).await;
    assert!(matches!(back, Err(ViewsError::Refused { .. })), "{back:?}");
    let elsewhere = Effects { cut: Some(cut(5)), ..rollups(vec![value("meter-0001", 0, 1.0)]) };
    let elsewhere = subject.views.apply(&partition(0), member.owner, span(4, 6), &elsewhere).await;
    assert!(matches!(elsewhere, Err(ViewsError::Refused { .. })), "{elsewhere:?}");
    assert_eq!(everything_seen(subject).await, before);
}

pub async fn what_is_there_already_is_a_replay_and_stays(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let first = everything(0);
    member.apply(4, first.clone()).await;
    let mut again = everything(0);
    again.cut = None;
    again.anomalies[0].verdict.score = 99.0;
    again.dead_letters[0].reason = "another reason".to_owned();
    member.apply(8, again).await;
    assert_eq!(subject.views.anomalies_of(&partition(0)).await.unwrap(), first.anomalies);
    assert_eq!(subject.views.recent_dead_letters(&household(), 10).await.unwrap(), first.dead_letters);
}

pub async fn counts_add_up_over_partitions(subject: &Subject) {
    for number in 0..3 {
        let mut member = subject.claim(&partition(number), 0).await;
        let counts = MessageCounts { readings: 10, duplicates: 2, dead_letters: u64::from(number) };
        member.apply(20, Effects { counts, ..Effects::default() }).await;
        member.apply(30, Effects { counts, ..Effects::default() }).await;
    }
    let expected = MessageCounts { readings: 60, duplicates: 12, dead_letters: 6 };
    assert_eq!(counts(subject).await.speed, expected);
    let nothing = kilowatch_shared::position::StreamName::parse("grid").unwrap();
    assert_eq!(subject.views.counts(&nothing, MEASURE, HOUR).await.unwrap(), LayerCounts::default());
}

pub async fn thousands_of_effects_go_in_at_once(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let count = 5003_u32;
    let name = |number: u32| format!("meter-{number:04}");
    let effects = |round: f64| Effects {
        anomalies: (0..count)
            .map(|number| anomaly(u64::from(number), hour(i64::from(number)), &name(number), Severity::Minor))
            .collect(),
        rollups: (0..count).map(|number| value(&name(number), 0, f64::from(number) + round)).collect(),
        dead_letters: (0..count).map(|number| dead_letter(u64::from(number), "no")).collect(),
        devices: (0..count).map(|number| (device(&name(number)), hour(0))).collect(),
        ..Effects::default()
    };
    member.apply(10_000, effects(0.0)).await;
    member.apply(20_000, effects(1.0)).await;
    let counts = counts(subject).await;
    assert_eq!((counts.anomalies, counts.devices), (u64::from(count), u64::from(count)));
    let windows = subject.usage(&household()).await.windows;
    let mut expected = Partial::EMPTY;
    for number in 0..count {
        expected.merge(&Partial::of(f64::from(number)));
        expected.merge(&Partial::of(f64::from(number) + 1.0));
    }
    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0].partial, expected);
}

pub async fn a_key_that_comes_twice_in_a_batch_counts_both(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(2, rollups(vec![value("meter-0001", 0, 1.0), value("meter-0001", 0, 2.0)])).await;
    let windows = subject.usage(&household()).await.windows;
    assert_eq!((windows[0].partial.count, windows[0].partial.sum), (2, 3.0));
}

pub async fn a_device_keeps_its_newest_event_time(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let seen = |number: i64| Effects { devices: vec![(device("m"), hour(number))], ..Effects::default() };
    for number in [5, 9, 7] {
        member.apply(member.applied + 1, seen(number)).await;
    }
    assert_eq!(subject.views.list_devices(&household(), None, 10).await.unwrap(), [(device("m"), hour(9))]);
}
