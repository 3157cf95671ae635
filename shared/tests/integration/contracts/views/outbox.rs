//! The outbox: entries come with their effects, leave in order, and are delivered by one holder at a time.

use chrono::TimeDelta;
use kilowatch_shared::{
    anomaly::Severity,
    checkpoint::OwnerToken,
    outbox::OutboxEntry,
    position::{Offset, StreamName},
    views::{ApplyOutcome, Effects, Lease, OutboxBacklog},
};

use super::subject::{Member, Subject, anomaly, hour, household, noon, partition};

const PLENTY: u64 = 1 << 30;

fn entry(at_offset: u64, id: &str, payload: &[u8]) -> OutboxEntry {
    OutboxEntry {
        position: partition(0).at(Offset::new(at_offset)),
        id: id.to_owned(),
        topic: "anomalies".to_owned(),
        key: Some("meter-0001".into()),
        payload: Some(payload.to_vec().into()),
        headers: vec![("kilowatch-reason".to_owned(), "no \"time\"\0 at all".to_owned())],
    }
}

fn telling(entries: &[(u64, &str)]) -> Effects {
    let outbox = entries.iter().map(|(offset, id)| entry(*offset, id, b"{}")).collect();
    Effects { outbox, ..Effects::default() }
}

async fn ids(subject: &Subject, most: u32) -> Vec<String> {
    let entries = subject.views.outbox_entries(&partition(0), most, PLENTY).await.unwrap();
    entries.into_iter().map(|entry| entry.id).collect()
}

pub async fn an_entry_comes_with_its_effects_or_not_at_all(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let effects = Effects {
        anomalies: vec![anomaly(3, hour(0), "meter-0001", Severity::Critical)],
        outbox: vec![entry(3, "a", b"\xff\x00 as it came")],
        ..Effects::default()
    };
    member.apply(4, effects).await;
    let entries = subject.views.outbox_entries(&partition(0), 10, PLENTY).await.unwrap();
    assert_eq!(entries, [entry(3, "a", b"\xff\x00 as it came")]);

    let fenced = Member { owner: OwnerToken::fresh(), ..member };
    assert_eq!(fenced.try_apply(6, &telling(&[(5, "b")])).await, ApplyOutcome::NotOwner);
    assert_eq!(ids(subject, 10).await, ["a"]);
}

pub async fn a_message_without_key_and_body_comes_back_so(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let bare = OutboxEntry { key: None, payload: None, headers: Vec::new(), ..entry(0, "tombstone", b"") };
    let empty = entry(1, "empty", b"");
    member.apply(2, Effects { outbox: vec![bare.clone(), empty.clone()], ..Effects::default() }).await;
    assert_eq!(subject.views.outbox_entries(&partition(0), 10, PLENTY).await.unwrap(), [bare, empty]);
}

pub async fn entries_leave_by_position_and_only_when_acknowledged(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(10, telling(&[(9, "late"), (2, "b"), (2, "a")])).await;
    member.apply(20, telling(&[(10, "next")])).await;
    let mut other = subject.claim(&partition(1), 0).await;
    other.apply(5, telling(&[(1, "elsewhere")])).await;

    assert_eq!(ids(subject, 3).await, ["a", "b", "late"]);
    let first = subject.views.outbox_entries(&partition(0), 2, PLENTY).await.unwrap();
    assert_eq!(subject.views.acknowledge_outbox(&partition(0), &first).await.unwrap(), 2);
    assert_eq!(subject.views.acknowledge_outbox(&partition(0), &first).await.unwrap(), 0);
    assert_eq!(ids(subject, 10).await, ["late", "next"]);
    let waiting =
        [(partition(0), 2), (partition(1), 1)].map(|(partition, entries)| OutboxBacklog { partition, entries });
    assert_eq!(subject.views.outbox_backlogs(&household()).await.unwrap(), waiting);
    let nobody = StreamName::parse("nobody").unwrap();
    assert_eq!(subject.views.outbox_backlogs(&nobody).await.unwrap(), []);
}

pub async fn an_entry_that_is_there_stays_as_it_is(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(4, Effects { outbox: vec![entry(3, "a", b"first")], ..Effects::default() }).await;
    let again = vec![entry(3, "a", b"second"), entry(5, "b", b"other")];
    member.apply(8, Effects { outbox: again, ..Effects::default() }).await;
    let entries = subject.views.outbox_entries(&partition(0), 10, PLENTY).await.unwrap();
    assert_eq!(entries, [entry(3, "a", b"first"), entry(5, "b", b"other")]);
}

pub async fn a_page_of_entries_keeps_to_its_bytes_but_always_brings_one(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let outbox = (0..4).map(|offset| entry(offset, &offset.to_string(), &[b'x'; 1000])).collect();
    member.apply(4, Effects { outbox, ..Effects::default() }).await;
    for (bytes, expected) in [(1, 1), (1999, 1), (2000, 2), (PLENTY, 4)] {
        let entries = subject.views.outbox_entries(&partition(0), 10, bytes).await.unwrap();
        assert_eq!(entries.len(), expected, "of {bytes} bytes");
    }
}

pub async fn one_holder_delivers_until_its_lease_ends_or_is_given_back(subject: &Subject) {
    subject.claim(&partition(0), 0).await;
    let lease = |holder, minute| {
        let now = noon() + TimeDelta::minutes(minute);
        Lease { holder, now, until: now + TimeDelta::minutes(10) }
    };
    let take = async |lease| subject.views.lease_outbox(&partition(0), &lease).await.unwrap();
    let (one, two) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(lease(one, 0)).await);
    assert!(!take(lease(two, 1)).await, "two hold a lease at once");
    assert!(take(lease(one, 5)).await, "a holder cannot renew");
    assert!(!take(lease(two, 14)).await, "a renewed lease ended early");
    assert!(take(lease(two, 15)).await, "a lease does not end");
    subject.views.release_outbox(&partition(0), one).await.unwrap();
    assert!(!take(lease(one, 16)).await, "somebody else's release counted");
    subject.views.release_outbox(&partition(0), two).await.unwrap();
    assert!(take(lease(one, 16)).await, "a lease that was given back lasts");
}

pub async fn a_lease_of_a_clock_that_ran_ahead_does_not_keep_the_others_waiting_for_it(subject: &Subject) {
    subject.claim(&partition(0), 0).await;
    let lease = |holder, seconds| {
        let now = noon() + TimeDelta::seconds(seconds);
        Lease { holder, now, until: now + TimeDelta::minutes(1) }
    };
    let take = async |lease| subject.views.lease_outbox(&partition(0), &lease).await.unwrap();
    let (ahead, right) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(lease(ahead, 60)).await);
    assert!(!take(lease(right, 0)).await, "clocks that differ by a little took the lease from each other");
    assert!(take(lease(ahead, 86_400)).await);
    assert!(take(lease(right, 0)).await, "tomorrow's lease holds today");
}

pub async fn of_holders_that_lease_at_once_one_delivers(subject: &Subject) {
    subject.claim(&partition(0), 0).await;
    let tries = (0..8).map(|_| {
        let views = subject.views.clone();
        let lease = Lease { holder: OwnerToken::fresh(), now: noon(), until: noon() + TimeDelta::minutes(1) };
        tokio::spawn(async move { views.lease_outbox(&partition(0), &lease).await.unwrap() })
    });
    let mut holders = 0;
    for attempt in tries.collect::<Vec<_>>() {
        holders += usize::from(attempt.await.unwrap());
    }
    assert_eq!(holders, 1);
}

pub async fn below_the_floor_nothing_is_told_again(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    subject.views.hold_outbox_below(&partition(0), Offset::new(5)).await.unwrap();
    member.apply(8, telling(&[(4, "told"), (5, "new")])).await;
    assert_eq!(ids(subject, 10).await, ["new"]);
    subject.views.hold_outbox_below(&partition(0), Offset::ZERO).await.unwrap();
    member.apply(9, telling(&[(4, "asked for")])).await;
    assert_eq!(ids(subject, 10).await, ["asked for", "new"]);
}
