//! Starting and stopping the HTTP server.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::Server,
    middleware::{Compress, from_fn},
    web,
};
use kilowatch_shared::{
    clock::SharedClock, lake::SegmentLake, log::SharedLog, stream::StreamRegistry, views::SharedViews,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    assets, config::ServingConfig, error::StartError, http, pages, readiness::ReadinessProbe, routes, state::AppState,
    telemetry,
};

/// What the serving layer works with.
#[derive(Clone)]
pub struct ServingDeps {
    /// The views.
    pub views: SharedViews,
    /// The log that takes posted readings; without one they are refused.
    pub log: Option<SharedLog>,
    /// The lake that holds the models; without one the estimate is refused.
    pub lake: Option<Arc<dyn SegmentLake>>,
    /// The streams.
    pub streams: StreamRegistry,
    /// The time.
    pub clock: SharedClock,
    /// What the rest of the process says of itself.
    pub readiness: Arc<dyn ReadinessProbe>,
    /// The recorder behind `/metrics`; without one the page is empty.
    pub metrics: Option<PrometheusHandle>,
}

impl std::fmt::Debug for ServingDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServingDeps")
            .field("views", &self.views)
            .field("log", &self.log)
            .field("lake", &self.lake)
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// The HTTP server, bound but not yet running.
#[must_use = "it serves only while it runs"]
pub struct Application {
    server: Server,
    address: SocketAddr,
    metrics: Option<PrometheusHandle>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Application {
    /// Checks the configuration and binds the address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: an invalid configuration, or an address that is taken or refused.
    pub fn build(deps: ServingDeps, config: ServingConfig) -> Result<Self, StartError> {
        telemetry::describe();
        let state = AppState::try_new(deps, config).map_err(|problems| StartError::Config { problems })?;
        let asked = state.config.listen_address().map_err(|problem| StartError::Config { problems: vec![problem] })?;
        let listener = bind(asked)?;
        let refused = |source| StartError::AddressRefused { address: asked, source };
        let address = listener.local_addr().map_err(refused)?;
        let (workers, shutdown_secs) = (state.config.workers, state.config.shutdown_timeout_secs);
        let metrics = state.metrics.clone();
        let state = web::Data::new(state);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .configure(routes::configure)
                .configure(pages::configure)
                .configure(assets::configure)
                .default_service(web::to(http::not_found))
                .wrap(from_fn(http::observe))
                .wrap(Compress::default())
        })
        .workers(workers)
        .shutdown_timeout(shutdown_secs)
        .client_request_timeout(Duration::from_secs(10))
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

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until `stop` is cancelled, then lets open requests finish within the configured time.
    ///
    /// # Errors
    /// [`StartError::Server`] if the server broke.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), StartError> {
        let handle = self.server.handle();
        let mut server = std::pin::pin!(self.server);
        tokio::select! {
            ended = &mut server => ended,
            () = keep_metrics_small(self.metrics) => Ok(()),
            () = stop.cancelled() => {
                // The handle answers only while the server is polled.
                let ((), ended) = tokio::join!(handle.stop(true), &mut server);
                ended
            }
        }
        .map_err(|source| StartError::Server { source })
    }
}

/// Values of histograms pile up between two scrapes; somebody who never scrapes must not pay for that with memory.
const METRICS_UPKEEP: Duration = Duration::from_secs(15);

/// Binds an address.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => StartError::AddressTaken { address },
        _ => StartError::AddressRefused { address, source },
    })
}

/// Never ends.
pub(crate) async fn keep_metrics_small(metrics: Option<PrometheusHandle>) {
    let Some(metrics) = metrics else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
