//! The little server of a role without a dashboard.

use std::{net::SocketAddr, sync::Arc};

use kilowatch_serving::{OpsConfig, OpsServer, ReadinessProbe, ReadinessProblem, ReadinessReport};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Probe(ReadinessReport);

impl ReadinessProbe for Probe {
    fn report(&self) -> ReadinessReport {
        self.0.clone()
    }
}

async fn start(report: ReadinessReport) -> (String, CancellationToken) {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("kilowatch_speed_records_consumed_total").increment(7)
    });
    let config = OpsConfig { listen: Some("127.0.0.1:0".to_owned()), ..OpsConfig::default() };
    let address: SocketAddr = config.address().unwrap().unwrap();
    let server = OpsServer::build(address, Arc::new(Probe(report)), recorder.handle()).unwrap();
    let (url, stop) = (format!("http://{}", server.address()), CancellationToken::new());
    tokio::spawn(server.run_until_stopped(stop.clone()));
    (url, stop)
}

async fn get(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[actix_web::test]
async fn a_role_says_how_it_is_and_what_it_counted() {
    let (url, stop) = start(ReadinessReport::default()).await;
    assert_eq!(get(&format!("{url}/healthz")).await, (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(get(&format!("{url}/readyz")).await.0, 200);
    let (status, metrics) = get(&format!("{url}/metrics")).await;
    assert!(status == 200 && metrics.contains("kilowatch_speed_records_consumed_total 7"), "{metrics}");
    assert_eq!(get(&format!("{url}/api/readings")).await.0, 404);
    stop.cancel();
}

#[actix_web::test]
async fn a_problem_turns_readiness_red_with_its_reason_and_leaves_health_green() {
    let problem = ReadinessProblem { component: "speed".to_owned(), reason: "the outbox of grid is full".to_owned() };
    let (url, stop) = start(ReadinessReport { problems: vec![problem], ..ReadinessReport::default() }).await;
    let (status, body) = get(&format!("{url}/readyz")).await;
    assert!(status == 503 && body.contains("the outbox of grid is full"), "{body}");
    assert_eq!(get(&format!("{url}/healthz")).await.0, 200);
    stop.cancel();
}

#[actix_web::test]
async fn a_foreign_name_finds_nothing_on_loopback() {
    let (url, stop) = start(ReadinessReport::default()).await;
    let request = reqwest::Client::new().get(format!("{url}/metrics")).header("host", "evil.example");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 404);
    stop.cancel();
}

#[test]
fn an_address_beyond_loopback_has_to_be_asked_for() {
    let open = OpsConfig { listen: Some("0.0.0.0:9100".to_owned()), ..OpsConfig::default() };
    let problem = open.problems().remove(0);
    assert!(problem.contains("allow_unauthenticated_beyond_loopback"), "{problem}");
    let asked = OpsConfig { allow_unauthenticated_beyond_loopback: true, ..open };
    assert_eq!(asked.problems(), Vec::<String>::new());
    assert_eq!(OpsConfig::default().address(), Ok(None));
}
