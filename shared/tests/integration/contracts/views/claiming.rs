//! Who owns a partition, and what a claim tells.

use kilowatch_shared::{
    checkpoint::{MessageHash, OwnerToken},
    position::Offset,
    views::Effects,
};

use super::subject::{Subject, cut, cut_with_model, household, partition, partition_of};

pub async fn a_partition_that_nobody_claimed_is_unknown(subject: &Subject) {
    assert_eq!(subject.views.partition(&partition(0)).await.unwrap(), None);
    assert_eq!(subject.views.cuts(&partition(0)).await.unwrap(), []);
    assert_eq!(subject.views.known_partitions(&household()).await.unwrap(), []);
}

pub async fn a_new_partition_begins_at_its_first_cut(subject: &Subject) {
    let owner = OwnerToken::fresh();
    let state = subject.views.claim(&partition(0), owner, &cut(17)).await.unwrap();
    assert_eq!(state.owner, Some(owner));
    assert_eq!(state.applied, Offset::new(17));
    assert_eq!(state.last_message, None);
    assert_eq!(state.cuts, [cut(17)]);
    assert_eq!(subject.views.partition(&partition(0)).await.unwrap(), Some(state));
}

pub async fn a_known_partition_keeps_its_place_whoever_claims_it(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 5).await;
    let hash = MessageHash::of(None, Some(b"nine"));
    let effects =
        Effects { last_message: Some(hash.clone()), cut: Some(cut_with_model(10, b"m")), ..Effects::default() };
    member.apply(10, effects).await;
    let owner = OwnerToken::fresh();
    let state = subject.views.claim(&partition(0), owner, &cut_with_model(99, b"other")).await.unwrap();
    assert_eq!(state.owner, Some(owner));
    assert_eq!(state.applied, Offset::new(10));
    assert_eq!(state.last_message, Some(hash));
    assert_eq!(state.cuts, [cut(5), cut_with_model(10, b"m")]);
}

pub async fn an_empty_batch_keeps_the_last_message(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let hash = MessageHash::of(Some(b"k"), None);
    member.apply(3, Effects { last_message: Some(hash.clone()), ..Effects::default() }).await;
    member.cut().await;
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!(state.last_message, Some(hash));
}

pub async fn a_release_by_a_former_owner_changes_nothing(subject: &Subject) {
    let former = subject.claim(&partition(0), 0).await;
    let current = subject.claim(&partition(0), 0).await;
    subject.views.release(&partition(0), former.owner).await.unwrap();
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!(state.owner, Some(current.owner));
    subject.views.release(&partition(0), current.owner).await.unwrap();
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert_eq!(state.owner, None);
}

pub async fn known_partitions_are_those_of_the_stream(subject: &Subject) {
    let other = kilowatch_shared::position::StreamName::parse("grid").unwrap();
    for id in [partition(1), partition(0), partition_of(&other, 0)] {
        subject.claim(&id, 0).await;
    }
    assert_eq!(subject.views.known_partitions(&household()).await.unwrap(), [partition(0), partition(1)]);
}

pub async fn of_members_that_claim_at_once_one_owns(subject: &Subject) {
    let claims = (0..8).map(|_| {
        let views = subject.views.clone();
        tokio::spawn(async move {
            let owner = OwnerToken::fresh();
            views.claim(&partition(0), owner, &cut(0)).await.unwrap();
            owner
        })
    });
    let mut owners = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        owners.push(claim.await.unwrap());
    }
    let state = subject.views.partition(&partition(0)).await.unwrap().unwrap();
    assert!(owners.contains(&state.owner.unwrap()));
    assert_eq!(state.cuts, [cut(0)]);
}
