use crate::support::{TestApp, World};

const INPUTS: &str = "voltage=241.5&current=5.2&sub_metering_1=0&sub_metering_2=1&sub_metering_3=17";

async fn with_an_estimate() -> TestApp {
    let world = World::empty().await;
    world.with_an_estimate().await;
    TestApp::over(world).await
}

#[tokio::test]
async fn an_estimate_names_its_unit_and_its_model() {
    let app = with_an_estimate().await;
    let answer = app.get(&format!("/api/predict?{INPUTS}&time=2007-03-10T18:00:00Z")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn a_body_gets_the_same_answer_as_a_query() {
    let app = with_an_estimate().await;
    let body = r#"{"voltage":239.0,"current":"5.2","sub_metering_1":0,"sub_metering_2":1,"sub_metering_3":17}"#;
    let posted = app.post("/api/predict", "application/json", body).await.json();
    assert_eq!(posted["data"]["value"], 1.0, "{posted}");
    let asked = app.get(&format!("/api/predict?{}", INPUTS.replace("241.5", "239.0"))).await.json();
    assert_eq!(posted, asked);
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = with_an_estimate().await;
    let refused = app.get("/api/predict?voltage=high&current=-3&sub_metering_1=0&sub_metering_2=1").await;
    assert_eq!(refused.status, 422);
    insta::assert_json_snapshot!(refused.json());
}

#[tokio::test]
async fn an_input_unlike_the_training_is_answered_with_a_warning() {
    let app = with_an_estimate().await;
    let answer = app.get(&format!("/api/predict?{}", INPUTS.replace("241.5", "260"))).await.json();
    assert_eq!(answer["data"]["warnings"]["voltage"], "the model saw only 223.2 to 254.1", "{answer}");
}

#[tokio::test]
async fn without_a_model_it_says_how_to_get_one() {
    let app = TestApp::start().await;
    let refused = app.get(&format!("/api/predict?{INPUTS}")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "no_model"));
    assert!(refused.json()["error"]["hint"].as_str().unwrap().contains("kilowatch batch train"));
}

#[tokio::test]
async fn a_promoted_model_answers_at_once() {
    let app = with_an_estimate().await;
    let before = app.get(&format!("/api/predict?{INPUTS}")).await.json()["data"]["model_id"].clone();
    app.world.with_model(kilowatch_shared::model::ModelKind::Estimate, b"not a model").await;
    assert_eq!(app.get(&format!("/api/predict?{INPUTS}")).await.status, 500);
    let back = app.world.with_an_estimate().await;
    assert_eq!(before, back.as_str());
}
