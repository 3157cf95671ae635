//! What every request can reach.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    clock::SharedClock,
    lake::SegmentLake,
    log::SharedLog,
    position::{DeviceId, StreamName},
    stream::{StreamProfile, StreamRegistry},
    views::SharedViews,
};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    assets::Assets,
    config::ServingConfig,
    http::{ApiError, ErrorCode, Params},
    models::EstimateModels,
    readiness::ReadinessProbe,
    startup::ServingDeps,
};

/// Devices that one look takes from the views.
const DEVICES_A_LOOK: u32 = 1000;

pub(crate) struct AppState {
    pub views: SharedViews,
    pub log: Option<SharedLog>,
    pub lake: Option<Arc<dyn SegmentLake>>,
    pub streams: StreamRegistry,
    pub clock: SharedClock,
    pub readiness: Arc<dyn ReadinessProbe>,
    pub metrics: Option<PrometheusHandle>,
    pub config: ServingConfig,
    pub default_stream: StreamName,
    pub models: EstimateModels,
    pub assets: Assets,
}

impl AppState {
    /// Checks the configuration against the streams.
    pub fn try_new(deps: ServingDeps, config: ServingConfig) -> Result<Self, Vec<String>> {
        let mut problems = config.problems();
        let default_stream = StreamName::parse(&config.default_stream).ok();
        if let Some(name) = default_stream.as_ref().filter(|name| deps.streams.find(name).is_none()) {
            problems.push(format!(
                "default_stream = {:?}: there is no such stream; known: {}",
                name.as_str(),
                known_streams(&deps.streams)
            ));
        }
        let (Some(default_stream), true) = (default_stream, problems.is_empty()) else { return Err(problems) };
        Ok(Self {
            views: deps.views,
            log: deps.log,
            lake: deps.lake,
            streams: deps.streams,
            clock: deps.clock,
            readiness: deps.readiness,
            metrics: deps.metrics,
            config,
            default_stream,
            models: EstimateModels::default(),
            assets: Assets::default(),
        })
    }

    /// The profile that the parameter `stream` names, or the default one.
    pub fn profile(&self, params: &Params) -> Result<&StreamProfile, ApiError> {
        self.profile_named(params.text("stream"))
    }

    /// The profile of that name, or the default one.
    pub fn profile_named(&self, name: Option<&str>) -> Result<&StreamProfile, ApiError> {
        let asked = name.unwrap_or(self.default_stream.as_str());
        StreamName::parse(asked).ok().and_then(|name| self.streams.find(&name)).ok_or_else(|| {
            ApiError::new(ErrorCode::UnknownStream, format!("no stream {asked:?}"))
                .hint(format!("known streams: {}", known_streams(&self.streams)))
        })
    }

    /// Refuses a device that no layer has seen. Asked only when an answer came out empty, so that the usual request
    /// pays nothing for it.
    pub async fn require_device(&self, profile: &StreamProfile, device: &DeviceId) -> Result<(), ApiError> {
        let mut after: Option<DeviceId> = None;
        loop {
            let page = self.views.list_devices(&profile.name, after.as_ref(), DEVICES_A_LOOK).await?;
            if page.iter().any(|(id, _)| id == device) {
                return Ok(());
            }
            match page.last() {
                Some((last, _)) if last < device && page.len() == DEVICES_A_LOOK as usize => after = Some(last.clone()),
                _ => break,
            }
        }
        Err(ApiError::new(
            ErrorCode::UnknownDevice,
            format!("no device {:?} in stream {}", device.as_str(), profile.name),
        )
        .hint(format!("list devices with GET /api/devices?stream={}", profile.name)))
    }

    /// The devices of a stream, at most a thousand, for a choice on a page.
    pub async fn some_devices(&self, profile: &StreamProfile) -> Result<Vec<(DeviceId, DateTime<Utc>)>, ApiError> {
        Ok(self.views.list_devices(&profile.name, None, DEVICES_A_LOOK).await?)
    }

    /// The instant that "now" means for a stream: the clock, or the newest event where the data ended before it, as
    /// with an ingested history. "The last seven days" then shows the last seven days that there are.
    pub async fn data_now(&self, profile: &StreamProfile) -> Result<DateTime<Utc>, ApiError> {
        let now = self.clock.now();
        let newest = self.some_devices(profile).await?.into_iter().map(|(_, newest)| newest).max();
        Ok(newest.map_or(now, |newest| newest.min(now)))
    }
}

fn known_streams(streams: &StreamRegistry) -> String {
    streams.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ")
}
