//! The running server of one test.

use std::sync::{Arc, OnceLock};

use kilowatch_serving::{Application, ServingConfig, ServingDeps};
use kilowatch_shared::{lake::SegmentLake, log::SharedLog};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::{Client, Method, header::HeaderMap, redirect};
use tokio_util::sync::CancellationToken;

use super::World;

/// The server over a world, and a client. It stops when it is dropped.
pub struct TestApp {
    pub world: World,
    pub base: String,
    client: Client,
    stop: CancellationToken,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error's code; empty if it is no error envelope.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("").to_owned()
    }
}

impl TestApp {
    /// A server over an empty world.
    pub async fn start() -> Self {
        Self::over(World::empty().await).await
    }

    /// A server over `world`.
    pub async fn over(world: World) -> Self {
        Self::configured(world, |_, _| {}).await
    }

    /// A server over `world`, after `change` had its way with what it is built from.
    pub async fn configured(world: World, change: impl FnOnce(&mut ServingDeps, &mut ServingConfig)) -> Self {
        let (mut deps, mut config) =
            (deps_of(&world), ServingConfig { listen: "127.0.0.1:0".into(), ..Default::default() });
        change(&mut deps, &mut config);
        let application = Application::build(deps, config).unwrap();
        let base = format!("http://127.0.0.1:{}", application.port());
        let stop = CancellationToken::new();
        tokio::spawn(application.run_until_stopped(stop.clone()));
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { world, base, client, stop }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(Method::POST, path, &[("content-type", content_type)], body).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a server over `world` is built from.
pub fn deps_of(world: &World) -> ServingDeps {
    ServingDeps {
        views: world.views.clone(),
        log: Some(Arc::clone(&world.log) as SharedLog),
        lake: Some(Arc::clone(&world.lake) as Arc<dyn SegmentLake>),
        streams: world.streams.clone(),
        clock: Arc::new(world.clock),
        readiness: world.probe.clone(),
        metrics: Some(recorder()),
    }
}

/// The recorder of this process; there can be only one.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).clone()
}
