//! Health and metrics of a process that serves no pages: a member of the speed layer, or the scheduler of batch.

use std::{net::SocketAddr, sync::Arc};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    guard::{GuardContext, fn_guard},
    http::header,
    web,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    config::parse_listen,
    error::StartError,
    http::is_own_host,
    readiness::ReadinessProbe,
    routes::{
        health::{describe_liveness, describe_readiness},
        metrics::describe_metrics,
    },
    startup::{bind, keep_metrics_small},
};

/// Section `[ops]`: where `speed run` and `batch schedule` answer `/healthz`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpsConfig {
    /// Address and port; a loopback address, port 0 takes a free one. Default none: they answer nowhere. Variable
    /// `KILOWATCH_OPS__LISTEN`.
    pub listen: Option<String>,
    /// Lets other machines reach the address although nobody has to say who they are; they see metrics and reasons and
    /// can change nothing. Default false. Variable `KILOWATCH_OPS__ALLOW_UNAUTHENTICATED_BEYOND_LOOPBACK`.
    pub allow_unauthenticated_beyond_loopback: bool,
}

impl OpsConfig {
    /// What is wrong, each with key (inside the section), value and fix; empty if nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.address().err().into_iter().collect()
    }

    /// The address to listen on, if there is one.
    ///
    /// # Errors
    /// The problem as a line with key, value and fix.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        let parse = |listen: &String| parse_listen(listen, self.allow_unauthenticated_beyond_loopback, "OPS");
        self.listen.as_ref().map(parse).transpose()
    }
}

/// The little server, bound but not yet running.
#[must_use = "it answers only while it runs"]
pub struct OpsServer {
    server: Server,
    address: SocketAddr,
    metrics: PrometheusHandle,
}

impl std::fmt::Debug for OpsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpsServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl OpsServer {
    /// Binds the address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: the address is taken or refused.
    pub fn build(
        asked: SocketAddr,
        readiness: Arc<dyn ReadinessProbe>,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        let listener = bind(asked)?;
        let refused = |source| StartError::AddressRefused { address: asked, source };
        let address = listener.local_addr().map_err(refused)?;
        let (probe, render) = (web::Data::from(readiness), web::Data::new(metrics.clone()));
        let beyond_loopback = !address.ip().is_loopback();
        let server = HttpServer::new(move || {
            let routes = web::scope("")
                .guard(fn_guard(move |request| beyond_loopback || names_this_machine(request)))
                .route("/healthz", web::get().to(find_liveness))
                .route("/readyz", web::get().to(find_readiness))
                .route("/metrics", web::get().to(render_metrics));
            App::new().app_data(probe.clone()).app_data(render.clone()).service(routes)
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .map_err(refused)?
        .run();
        Ok(Self { server, address, metrics })
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled.
    ///
    /// # Errors
    /// [`StartError::Server`] if the server broke.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), StartError> {
        let handle = self.server.handle();
        let mut server = std::pin::pin!(self.server);
        tokio::select! {
            ended = &mut server => ended,
            () = keep_metrics_small(Some(self.metrics)) => Ok(()),
            () = stop.cancelled() => {
                // The handle answers only while the server is polled.
                let ((), ended) = tokio::join!(handle.stop(false), &mut server);
                ended
            }
        }
        .map_err(|source| StartError::Server { source })
    }
}

/// On loopback the name is the only lock, as for the pages; beyond it there is none, and a scraper uses any name.
fn names_this_machine(request: &GuardContext<'_>) -> bool {
    let host = request.head().headers().get(header::HOST).map(|host| host.to_str().unwrap_or(""));
    is_own_host(host)
}

async fn find_liveness(probe: web::Data<dyn ReadinessProbe>) -> HttpResponse {
    describe_liveness(&probe.report())
}

async fn find_readiness(probe: web::Data<dyn ReadinessProbe>) -> HttpResponse {
    let report = probe.report();
    describe_readiness(report.stopping, report.problems)
}

async fn render_metrics(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    describe_metrics(Some(&metrics))
}
