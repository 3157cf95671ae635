//! The commits know the cuts and their pins, for views that were restored from an older backup.

use std::{collections::BTreeMap, sync::Arc};

use kilowatch_shared::{
    checkpoint::{Cut, Pins},
    lake::{LakeSnapshot, Segment},
    model::ModelId,
    position::Offset,
};

use super::subject::{Subject, cut, dead_letter, partition, profile, segment, span};

const NOTHING: LakeSnapshot = LakeSnapshot { version: None, closed: BTreeMap::new() };

fn cut_with_model(offset: u64, model: &[u8]) -> Cut {
    let models = BTreeMap::from([("isolation_forest".to_owned(), ModelId::of(model))]);
    Cut { offset: Offset::new(offset), pins: Arc::new(Pins::of_this_build(&profile(), models)) }
}

pub async fn cuts_come_back_with_their_pins(subject: &Subject) {
    let first = [cut(0), cut_with_model(4, b"a"), cut_with_model(9, b"b")];
    let second = [cut_with_model(9, b"b"), cut(20)];
    let closed = Segment { cuts: first.to_vec(), ..segment(&partition(0), 0, 9) };
    subject.lake.append_readings(&profile(), &NOTHING, &[closed]).await.unwrap();
    let base = subject.snapshot().await;
    let closed = Segment { cuts: second.to_vec(), ..segment(&partition(0), 9, 20) };
    subject.lake.append_readings(&profile(), &base, &[closed]).await.unwrap();
    let back = subject.other.committed_cuts(&partition(0), span(0, 21)).await.unwrap();
    let [a, b, c] = first;
    assert_eq!(back, [a, b, c, cut(20)]);
}

pub async fn only_cuts_of_the_span_come_back(subject: &Subject) {
    for from in (0..200).step_by(5) {
        subject.close(&partition(0), from, from + 5).await;
    }
    let back = subject.other.committed_cuts(&partition(0), span(15, 30)).await.unwrap();
    assert_eq!(back, [cut(15), cut(20), cut(25)]);
}

pub async fn cuts_of_other_partitions_stay_away(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    subject.close(&partition(1), 2, 7).await;
    let back = subject.other.committed_cuts(&partition(0), span(0, 99)).await.unwrap();
    assert_eq!(back, [cut(0), cut(5)]);
    assert_eq!(subject.other.committed_cuts(&partition(2), span(0, 99)).await.unwrap(), []);
}

pub async fn cuts_of_dead_letters_that_are_ahead_of_the_readings_come_back(subject: &Subject) {
    subject.close(&partition(0), 0, 5).await;
    let ahead = Segment {
        partition: partition(0),
        span: span(0, 12),
        rows: vec![dead_letter(&partition(0), 7)],
        cuts: vec![cut(0), cut(5), cut_with_model(9, b"a")],
    };
    subject.lake.append_dead_letters(&profile(), &NOTHING, &[ahead]).await.unwrap();
    let back = subject.other.committed_cuts(&partition(0), span(5, 12)).await.unwrap();
    assert_eq!(back, [cut(5), cut_with_model(9, b"a")]);
}
