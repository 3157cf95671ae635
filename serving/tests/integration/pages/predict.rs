use super::html::assert_well_formed;
use crate::support::{TestApp, World};

const FORM: &str = "application/x-www-form-urlencoded";

async fn with_an_estimate() -> TestApp {
    let world = World::empty().await;
    world.with_an_estimate().await;
    TestApp::over(world).await
}

#[tokio::test]
async fn the_form_asks_what_the_model_takes() {
    let app = with_an_estimate().await;
    let page = app.get("/predict").await;
    assert_well_formed(page.text());
    for content in
        [r#"name="voltage""#, r#"name="sub_metering_3""#, "usually 223 to 254", r#"value="2007-03-10T13:30""#]
    {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
}

#[tokio::test]
async fn a_good_form_is_answered_with_value_unit_and_model() {
    let app = with_an_estimate().await;
    let form = "stream=household&voltage=241.5&current=5&sub_metering_1=0&sub_metering_2=0&sub_metering_3=17\
                &time=2007-03-10T18%3A00";
    let page = app.post("/predict", FORM, form).await;
    assert_eq!(page.status, 200);
    assert_well_formed(page.text());
    for content in ["<span class=\"figure\">2.00</span>", "<span class=\"unit\">kW</span>", "Sat 10 Mar 2007, 18:00"] {
        assert!(page.text().contains(content), "{content:?} is missing in\n{}", page.text());
    }
}

#[tokio::test]
async fn a_bad_form_keeps_what_was_typed_and_marks_the_fields() {
    let app = with_an_estimate().await;
    let page =
        app.post("/predict", FORM, "voltage=two+hundred%22%3E&current=5&sub_metering_1=0&sub_metering_2=0").await;
    assert_eq!(page.status, 422);
    assert_well_formed(page.text());
    assert_eq!(page.text().matches("aria-invalid=\"true\"").count(), 2, "{}", page.text());
    assert!(page.text().contains("must be a number") && page.text().contains("is needed"));
    assert!(page.text().contains("value=\"two hundred&#34;&#62;\""), "{}", page.text());
    assert!(page.text().contains("value=\"5\""));
}

#[tokio::test]
async fn before_the_first_training_the_form_says_so() {
    let app = TestApp::start().await;
    let page = app.get("/predict").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("no estimate model of stream household serves yet"), "{}", page.text());
}
