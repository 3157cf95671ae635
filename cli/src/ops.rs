//! Health and metrics of a role that has no dashboard.

use std::sync::Arc;

use anyhow::Context as _;
use kilowatch_serving::{OpsServer, ReadinessProbe, StartError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, telemetry};

/// The server of `[ops]` on its way, or nothing where none is configured.
#[derive(Debug, Default)]
pub struct Ops {
    running: Option<(CancellationToken, JoinHandle<Result<(), StartError>>)>,
}

impl Ops {
    /// Starts it.
    ///
    /// # Errors
    /// The address is taken or may not be listened on.
    pub fn start(context: &Context, readiness: Arc<dyn ReadinessProbe>) -> anyhow::Result<Self> {
        let Some(address) = context.settings.ops.address().map_err(anyhow::Error::msg)? else {
            return Ok(Self::default());
        };
        let metrics = telemetry::record_metrics().context("starting the metrics")?;
        let server = OpsServer::build(address, readiness, metrics)?;
        tracing::info!("health and metrics at http://{}", server.address());
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run_until_stopped(stop.clone()));
        Ok(Self { running: Some((stop, running)) })
    }

    /// Ends it, after the role: until then health says "stopping".
    ///
    /// # Errors
    /// The server broke while it ran.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Some((stop, running)) = self.running {
            stop.cancel();
            running.await.context("the server of health and metrics ended badly")??;
        }
        Ok(())
    }
}
