//! What every page has around its content.

use chrono::FixedOffset;
use kilowatch_shared::{position::DeviceId, stream::StreamProfile, wording::counted};

use super::format;
use crate::{
    http::ApiError,
    readiness::{LiveState, StreamLiveState},
    routes::usage::profile_offset,
    state::AppState,
};

/// Head, navigation and choices of a page.
pub(super) struct Chrome {
    pub title: &'static str,
    /// Path of the page; marks its entry in the navigation.
    pub path: &'static str,
    pub version: &'static str,
    pub stream: String,
    pub stream_description: String,
    pub streams: Vec<Choice>,
    pub devices: Vec<Choice>,
    /// The device that is looked at; empty for all.
    pub device: String,
    pub zone: String,
    pub live: LivePill,
    /// Whether the stream has something to estimate.
    pub has_estimate: bool,
    /// Query of this stream for links, with its question mark.
    pub query: String,
}

/// An option of a select.
pub(super) struct Choice {
    pub value: String,
    pub label: String,
    pub chosen: bool,
}

impl Choice {
    pub fn new(value: &str, label: &str, chosen: Option<&str>) -> Self {
        Self { value: value.to_owned(), label: label.to_owned(), chosen: chosen == Some(value) }
    }
}

/// The state of the live side: a colour class, a word, and the reason where it stands still.
pub(super) struct LivePill {
    pub class: &'static str,
    pub label: &'static str,
    pub detail: String,
}

impl From<StreamLiveState> for LivePill {
    fn from(live: StreamLiveState) -> Self {
        let lag = live.lag_messages.filter(|lag| *lag > 0);
        let detail = lag.map(|lag| format!("{} behind", counted(lag, "message"))).unwrap_or_default();
        match live.state {
            LiveState::Live => Self { class: "is-live", label: "Live", detail },
            LiveState::Starting => Self { class: "is-starting", label: "Starting", detail },
            LiveState::Stopped { reason } => Self { class: "is-stopped", label: "Stopped", detail: reason },
            LiveState::Elsewhere => {
                Self { class: "is-elsewhere", label: "Replica", detail: "the live side runs elsewhere".to_owned() }
            }
        }
    }
}

impl Chrome {
    pub async fn gather(
        state: &AppState,
        profile: &StreamProfile,
        device: Option<&DeviceId>,
        title: &'static str,
        path: &'static str,
    ) -> Result<Self, ApiError> {
        let devices = state.some_devices(profile).await?;
        let device = device.map(DeviceId::as_str);
        Ok(Self {
            title,
            path,
            version: env!("CARGO_PKG_VERSION"),
            stream: profile.name.to_string(),
            stream_description: profile.description.clone(),
            streams: state
                .streams
                .iter()
                .map(|known| Choice::new(known.name.as_str(), known.name.as_str(), Some(profile.name.as_str())))
                .collect(),
            devices: devices.iter().map(|(id, _)| Choice::new(id.as_str(), id.as_str(), device)).collect(),
            device: device.unwrap_or("").to_owned(),
            zone: format::zone(offset(profile)),
            has_estimate: profile.forecast.is_some(),
            live: state.readiness.report().stream(&profile.name).into(),
            query: if profile.name == state.default_stream {
                String::new()
            } else {
                format!("?stream={}", profile.name)
            },
        })
    }
}

/// The zone in which a page shows times.
pub(super) fn offset(profile: &StreamProfile) -> FixedOffset {
    profile_offset(profile)
}
