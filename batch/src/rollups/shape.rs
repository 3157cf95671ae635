//! What windows are computed for: where it changes, no window is what a new computation would give.

use kilowatch_shared::stream::{StreamProfile, profile::Measure};
use serde::{Deserialize, Serialize};

/// The part of a profile that windows follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    measures: Vec<String>,
    tags: Vec<String>,
    windows_secs: Vec<u32>,
}

impl Shape {
    /// That of a profile.
    pub(crate) fn of(profile: &StreamProfile) -> Self {
        Self {
            measures: profile.measures.iter().map(|measure| measure.name.clone()).collect(),
            tags: profile.rollup_tags.clone(),
            windows_secs: profile.rollup_windows_secs.clone(),
        }
    }

    /// As it stands beside the boundary.
    pub(crate) fn text(&self) -> String {
        serde_json::json!({ "measures": self.measures, "tags": self.tags, "windows_secs": self.windows_secs })
            .to_string()
    }

    /// From beside the boundary; `None` of what another build wrote in words of its own.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The profile with other windows: those that were published.
    pub(crate) fn applied_to(self, profile: &StreamProfile) -> StreamProfile {
        let measures = self.measures.into_iter().map(|name| {
            let known = profile.measures.iter().find(|measure| measure.name == name).cloned();
            known.unwrap_or_else(|| Measure { label: name.clone(), unit: String::new(), name })
        });
        let measures = measures.collect();
        StreamProfile { measures, rollup_tags: self.tags, rollup_windows_secs: self.windows_secs, ..profile.clone() }
    }
}
