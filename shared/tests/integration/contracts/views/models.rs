//! Models are kept as they were added, one serves at a time; forecasts stay as they were issued.

use kilowatch_shared::{
    forecast::{ForecastPoint, ForecastVintage},
    model::{ModelId, ModelKind, ModelManifest, RegressionMetrics},
    position::Offset,
    views::{Effects, ModelSwap, ViewsError},
};

use super::subject::{HOUR, MEASURE, Subject, cut, cut_with_model, device, hour, household, partition};

fn manifest(name: &str, kind: ModelKind, day: i64) -> ModelManifest {
    let metrics = RegressionMetrics { rmse: 0.25, mae: 0.125, r2: 0.875, rows: 4096 };
    ModelManifest {
        id: ModelId::of(name.as_bytes()),
        stream: household(),
        kind,
        created_at: hour(24 * day),
        lake_version: 12,
        train_from: hour(0),
        train_until: hour(1000),
        train_rows: 60_000,
        features: vec!["voltage".to_owned(), "hour".to_owned()],
        target: Some(MEASURE.to_owned()),
        params: [("trees".to_owned(), serde_json::json!(20)), ("seed".to_owned(), serde_json::json!(7))].into(),
        metrics: Some(metrics),
        baselines: [("seasonal naive".to_owned(), metrics)].into(),
    }
}

pub async fn a_model_comes_back_as_it_was_added(subject: &Subject) {
    let first = manifest("one", ModelKind::Forecast, 1);
    let second = manifest("two", ModelKind::Estimate, 2);
    subject.views.add_model(&first).await.unwrap();
    subject.views.add_model(&second).await.unwrap();
    subject.views.add_model(&ModelManifest { train_rows: 1, ..first.clone() }).await.unwrap();
    assert_eq!(subject.views.models(&household(), 10).await.unwrap(), [second.clone(), first]);
    assert_eq!(subject.views.models(&household(), 1).await.unwrap(), [second]);
}

pub async fn nothing_serves_before_a_promotion(subject: &Subject) {
    subject.views.add_model(&manifest("one", ModelKind::Forecast, 1)).await.unwrap();
    assert_eq!(subject.views.serving_model(&household(), ModelKind::Forecast).await.unwrap(), None);
    assert_eq!(subject.views.served_model(&household(), ModelKind::Forecast).await.unwrap(), None);
}

pub async fn a_promotion_ends_the_period_before_and_a_rollback_is_one_more(subject: &Subject) {
    let views = &subject.views;
    let [one, two] = ["one", "two"].map(|name| manifest(name, ModelKind::Forecast, 1));
    let estimate = manifest("three", ModelKind::Estimate, 1);
    for model in [&one, &two, &estimate] {
        views.add_model(model).await.unwrap();
    }
    let promote = async |model: &ModelManifest, number: i64| {
        views.promote_model(&household(), model.kind, &model.id, hour(number)).await.unwrap()
    };
    assert!(promote(&one, 1).await);
    assert!(!promote(&one, 2).await, "the serving one again changes nothing");
    let served = views.served_model(&household(), ModelKind::Forecast).await.unwrap().unwrap();
    assert_eq!((served.manifest, served.since), (one.clone(), hour(1)));
    assert!(promote(&estimate, 3).await);
    assert!(promote(&two, 4).await);
    assert_eq!(views.serving_model(&household(), ModelKind::Forecast).await.unwrap(), Some(two));
    assert!(promote(&one, 5).await, "a rollback");
    let served = views.served_model(&household(), ModelKind::Forecast).await.unwrap().unwrap();
    assert_eq!((served.manifest, served.since), (one, hour(5)));
    assert_eq!(views.serving_model(&household(), ModelKind::Estimate).await.unwrap(), Some(estimate));
}

pub async fn a_period_does_not_end_before_it_began(subject: &Subject) {
    let [one, two] = ["one", "two"].map(|name| manifest(name, ModelKind::Forecast, 1));
    for (model, at) in [(&one, hour(5)), (&two, hour(4))] {
        subject.views.add_model(model).await.unwrap();
        assert!(subject.views.promote_model(&household(), ModelKind::Forecast, &model.id, at).await.unwrap());
    }
    let served = subject.views.served_model(&household(), ModelKind::Forecast).await.unwrap().unwrap();
    assert_eq!((served.manifest, served.since), (two, hour(5)));
}

pub async fn an_unknown_model_is_not_promoted(subject: &Subject) {
    let known = manifest("one", ModelKind::Forecast, 1);
    subject.views.add_model(&known).await.unwrap();
    for (kind, id) in [(ModelKind::Estimate, known.id), (ModelKind::Forecast, ModelId::of(b"nobody"))] {
        let outcome = subject.views.promote_model(&household(), kind, &id, hour(0)).await;
        assert!(matches!(outcome, Err(ViewsError::Refused { .. })), "{outcome:?}");
    }
}

pub async fn of_promotions_at_once_one_model_serves(subject: &Subject) {
    let mut promotions = Vec::new();
    for number in 0..6 {
        let model = manifest(&format!("model {number}"), ModelKind::Forecast, 1);
        subject.views.add_model(&model).await.unwrap();
        let views = subject.views.clone();
        promotions.push(tokio::spawn(async move {
            match views.promote_model(&household(), ModelKind::Forecast, &model.id, hour(1)).await {
                Ok(changed) => changed,
                Err(ViewsError::Unavailable { .. }) => false,
                Err(error) => panic!("{error}"),
            }
        }));
    }
    let mut changed = 0;
    for promotion in promotions {
        changed += u32::from(promotion.await.unwrap());
    }
    assert!(changed > 0);
    assert!(subject.views.serving_model(&household(), ModelKind::Forecast).await.unwrap().is_some());
}

pub async fn a_swap_is_found_at_the_first_cut_of_its_pins_in_each_partition(subject: &Subject) {
    let (one, two) = (ModelId::of(b"one"), ModelId::of(b"two"));
    let two_promoted = ModelManifest { id: two.clone(), ..manifest("two", ModelKind::IsolationForest, 1) };
    subject.views.add_model(&two_promoted).await.unwrap();
    subject.views.promote_model(&household(), ModelKind::IsolationForest, &two, hour(7)).await.unwrap();
    assert_eq!(subject.views.model_swaps(&household(), 10).await.unwrap(), []);
    for number in [0, 1] {
        let mut member = subject.claim(&partition(number), 0).await;
        // Partition 1 never gets a model.
        let models: &[(u64, Option<&[u8]>)] = match number {
            0 => &[(2, None), (4, Some(b"one")), (6, Some(b"one")), (8, Some(b"two")), (9, Some(b"two")), (11, None)],
            _ => &[(3, None)],
        };
        for (at, model) in models {
            let cut = model.map_or_else(|| cut(*at), |model| cut_with_model(*at, model));
            member.apply(*at, Effects { cut: Some(cut), ..Effects::default() }).await;
        }
    }
    let swap = |at: u64, model: Option<&ModelId>, replaced: Option<&ModelId>, promoted_at| ModelSwap {
        from: partition(0).at(Offset::new(at)),
        detector: "isolation_forest".to_owned(),
        model: model.cloned(),
        replaced: replaced.cloned(),
        promoted_at,
    };
    let all = [
        swap(11, None, Some(&two), None),
        swap(8, Some(&two), Some(&one), Some(hour(7))),
        swap(4, Some(&one), None, None),
    ];
    assert_eq!(subject.views.model_swaps(&household(), 10).await.unwrap(), all);
    assert_eq!(subject.views.model_swaps(&household(), 2).await.unwrap(), all[..2]);
}

fn vintage(name: &str, issued: i64, shift: f64) -> ForecastVintage {
    let points = (1..=48)
        .map(|horizon_hours| ForecastPoint {
            target_time: hour(issued + i64::from(horizon_hours)),
            horizon_hours,
            value: f64::from(horizon_hours) / 3.0 + shift,
            low: 0.1 + 0.2,
            high: f64::from(horizon_hours),
        })
        .collect();
    ForecastVintage {
        stream: household(),
        device: device(name),
        measure: MEASURE.to_owned(),
        issued_at: hour(issued),
        model_id: ModelId::of(b"forest"),
        lake_version: 7,
        interval_level: 0.8,
        points,
    }
}

pub async fn a_vintage_is_never_overwritten(subject: &Subject) {
    let views = &subject.views;
    views.add_forecast(&vintage("a", 0, 0.0)).await.unwrap();
    views.add_forecast(&vintage("a", 0, 1.0)).await.unwrap();
    assert_eq!(views.latest_forecast(&household(), None).await.unwrap(), Some(vintage("a", 0, 0.0)));
    assert_eq!(views.counts(&household(), MEASURE, HOUR).await.unwrap().forecasts, 1);
}

pub async fn the_newest_vintage_is_that_of_the_last_issue(subject: &Subject) {
    let views = &subject.views;
    assert_eq!(views.latest_forecast(&household(), None).await.unwrap(), None);
    // The one of hour 9 is added before an older one, as a backfill would.
    for (name, issued) in [("a", 5), ("b", 9), ("a", 2)] {
        views.add_forecast(&vintage(name, issued, 0.0)).await.unwrap();
    }
    assert_eq!(views.latest_forecast(&household(), None).await.unwrap(), Some(vintage("b", 9, 0.0)));
    assert_eq!(views.latest_forecast(&household(), Some(&device("a"))).await.unwrap(), Some(vintage("a", 5, 0.0)));
    assert_eq!(views.latest_forecast(&household(), Some(&device("c"))).await.unwrap(), None);
}

pub async fn two_models_of_one_instant_are_two_vintages(subject: &Subject) {
    let other = ForecastVintage { model_id: ModelId::of(b"boosted"), ..vintage("a", 0, 1.0) };
    subject.views.add_forecast(&vintage("a", 0, 0.0)).await.unwrap();
    subject.views.add_forecast(&other).await.unwrap();
    assert_eq!(subject.views.latest_forecast(&household(), None).await.unwrap(), Some(other));
    assert_eq!(subject.views.counts(&household(), MEASURE, HOUR).await.unwrap().forecasts, 2);
}
