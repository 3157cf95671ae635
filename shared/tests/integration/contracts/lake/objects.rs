//! States and models beside the tables.

use bytes::Bytes;
use kilowatch_shared::{
    checkpoint::PinsId,
    lake::{LakeError, SavedState},
    model::{ModelId, ModelKind, ModelManifest},
    position::{Offset, SourceId},
};

use super::subject::{Subject, at_minute, partition, profile};

fn state(offset: u64, body: &'static str) -> SavedState {
    SavedState {
        offset: Offset::new(offset),
        cuts: vec![(Offset::ZERO, PinsId::from_stored("p".to_owned()))],
        state: Bytes::from_static(body.as_bytes()),
    }
}

pub async fn states_come_back_newest_first(subject: &Subject) {
    for offset in [9, 100, 1, 20] {
        subject.lake.save_state(&partition(0), &state(offset, "s")).await.unwrap();
    }
    let offsets = async |at_most, limit| -> Vec<u64> {
        let states = subject.other.load_states(&partition(0), Offset::new(at_most), limit).await.unwrap();
        states.iter().map(|state| state.offset.get()).collect()
    };
    assert_eq!(offsets(u64::MAX, 10).await, [100, 20, 9, 1]);
    assert_eq!(offsets(20, 10).await, [20, 9, 1]);
    assert_eq!(offsets(99, 2).await, [20, 9]);
    assert!(offsets(0, 2).await.is_empty());
}

pub async fn a_state_at_the_same_cut_replaces_the_old_one(subject: &Subject) {
    subject.lake.save_state(&partition(0), &state(5, "old")).await.unwrap();
    subject.other.save_state(&partition(0), &state(5, "new")).await.unwrap();
    assert_eq!(subject.lake.load_states(&partition(0), Offset::new(5), 9).await.unwrap(), [state(5, "new")]);
}

pub async fn states_of_other_partitions_stay_away(subject: &Subject) {
    let mut recreated = partition(0);
    recreated.source = SourceId::parse("kafka:meters#11").unwrap();
    subject.lake.save_state(&partition(1), &state(5, "x")).await.unwrap();
    subject.lake.save_state(&recreated, &state(5, "x")).await.unwrap();
    assert_eq!(subject.lake.load_states(&partition(0), Offset::new(9), 9).await.unwrap(), []);
}

fn manifest(bytes: &[u8]) -> ModelManifest {
    ModelManifest {
        id: ModelId::of(bytes),
        stream: profile().name,
        kind: ModelKind::Estimate,
        created_at: at_minute(0),
        lake_version: 3,
        train_from: at_minute(0),
        train_until: at_minute(1),
        train_rows: 1,
        features: vec!["voltage".to_owned()],
        target: Some("power".to_owned()),
        params: std::iter::once(("seed".to_owned(), 7.into())).collect(),
        metrics: None,
        baselines: std::collections::BTreeMap::new(),
    }
}

pub async fn a_model_comes_back_by_its_id(subject: &Subject) {
    let bytes = Bytes::from_static(b"trees");
    let manifest = manifest(&bytes);
    let error = subject.other.load_model(&manifest.id).await.unwrap_err();
    assert!(matches!(&error, LakeError::NoSuchModel { id } if *id == manifest.id), "{error}");
    subject.lake.save_model(&manifest, bytes.clone()).await.unwrap();
    assert_eq!(subject.other.load_model(&manifest.id).await.unwrap(), bytes);
}

pub async fn bytes_that_are_not_the_model_are_refused(subject: &Subject) {
    let manifest = manifest(b"trees");
    let error = subject.lake.save_model(&manifest, Bytes::from_static(b"weeds")).await.unwrap_err();
    assert!(matches!(error, LakeError::Corrupt { .. }), "{error}");
    assert!(matches!(subject.lake.load_model(&manifest.id).await, Err(LakeError::NoSuchModel { .. })));
}

pub async fn a_model_saved_twice_stays_as_it_was(subject: &Subject) {
    let bytes = Bytes::from_static(b"trees");
    subject.lake.save_model(&manifest(&bytes), bytes.clone()).await.unwrap();
    subject.other.save_model(&manifest(&bytes), bytes.clone()).await.unwrap();
    assert_eq!(subject.lake.load_model(&ModelId::of(&bytes)).await.unwrap(), bytes);
}
