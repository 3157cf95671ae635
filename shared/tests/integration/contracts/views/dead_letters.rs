//! Dead letters are found by what an operator knows of them, page by page.

use kilowatch_shared::{
    dead_letter::DeadLetter,
    position::Offset,
    views::{DeadLetterFilter, Effects, ListedDeadLetter},
};

use super::subject::{Subject, dead_letter, hour, household, partition};

/// Seven letters over two partitions; the even ones are `not JSON`, and all were seen at hour `offset / 2`.
async fn letters(subject: &Subject) -> Vec<DeadLetter> {
    let mut all = Vec::new();
    for number in 0..2 {
        let mut member = subject.claim(&partition(number), 0).await;
        let letters: Vec<DeadLetter> = (0..7)
            .filter(|offset| offset % 2 == u64::from(number))
            .map(|offset| DeadLetter {
                position: partition(number).at(Offset::new(offset)),
                seen_at: hour(i64::try_from(offset / 2).unwrap()),
                ..dead_letter(
                    offset,
                    ["the payload is not JSON: 100% wrong", "field `power`: a_number"][number as usize],
                )
            })
            .collect();
        member.apply(9, Effects { dead_letters: letters.clone(), ..Effects::default() }).await;
        all.extend(letters);
    }
    all
}

async fn found(subject: &Subject, filter: DeadLetterFilter) -> Vec<u64> {
    let page = subject.views.list_dead_letters(&household(), &filter, None, 100).await.unwrap();
    page.iter().map(|listed| listed.letter.position.offset.get()).collect()
}

pub async fn pages_hold_every_dead_letter_once_newest_first(subject: &Subject) {
    let all = letters(subject).await;
    let mut pages: Vec<ListedDeadLetter> = Vec::new();
    loop {
        let after = pages.last().map(|listed| listed.letter.position.clone());
        let filter = DeadLetterFilter::default();
        let page = subject.views.list_dead_letters(&household(), &filter, after.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        pages.extend(page);
    }
    assert!(pages.is_sorted_by_key(|listed| std::cmp::Reverse(listed.letter.seen_at)));
    assert!(pages.iter().all(|listed| listed.replayed_at.is_none()));
    let mut seen: Vec<DeadLetter> = pages.into_iter().map(|listed| listed.letter).collect();
    seen.sort_by(|a, b| a.position.cmp(&b.position));
    assert_eq!(seen, all);
}

pub async fn a_dead_letter_is_found_by_partition_time_and_reason(subject: &Subject) {
    letters(subject).await;
    let all = DeadLetterFilter::default;
    assert_eq!(found(subject, DeadLetterFilter { partition: Some(1), ..all() }).await, [5, 3, 1]);
    let between = DeadLetterFilter { from: Some(hour(1)), until: Some(hour(2)), partition: Some(0), ..all() };
    assert_eq!(found(subject, between).await, [2]);
    let reason = |text: &str| DeadLetterFilter { reason: Some(text.to_owned()), ..all() };
    assert_eq!(found(subject, reason("NOT json")).await, [6, 4, 2, 0]);
    assert_eq!(found(subject, reason("100%")).await, [6, 4, 2, 0]);
    assert_eq!(found(subject, reason("a_number")).await, [5, 3, 1]);
    for nothing in ["1%0", "a?number", "anumber", "' OR 1=1 --", "!"] {
        assert_eq!(found(subject, reason(nothing)).await, [0_u64; 0], "{nothing}");
    }
}

pub async fn a_dead_letter_is_found_at_its_position_whole(subject: &Subject) {
    let all = letters(subject).await;
    let at = async |number: u32, offset: u64| {
        subject.views.dead_letter(&household(), &partition(number).at(Offset::new(offset))).await.unwrap()
    };
    let listed = at(0, 4).await.unwrap();
    assert!(all.contains(&listed.letter) && listed.letter.position.offset == Offset::new(4));
    assert_eq!(at(1, 4).await, None);
}

pub async fn a_replay_is_noted_once(subject: &Subject) {
    let all = letters(subject).await;
    let mark = async |letters: &[DeadLetter], at| {
        let positions: Vec<_> = letters.iter().map(|letter| letter.position.clone()).collect();
        subject.views.mark_replayed(&household(), &positions, at).await.unwrap();
    };
    mark(&all[..1], hour(8)).await;
    mark(&all[..2], hour(9)).await;
    let noted = async |letter: &DeadLetter| {
        subject.views.dead_letter(&household(), &letter.position).await.unwrap().unwrap().replayed_at
    };
    assert_eq!(noted(&all[0]).await, Some(hour(8)));
    assert_eq!(noted(&all[1]).await, Some(hour(9)));
    let open = found(subject, DeadLetterFilter { only_open: true, ..DeadLetterFilter::default() }).await;
    assert_eq!(open.len(), all.len() - 2);
}
