//! The streams that this process knows: the built-in profiles and the user's own.

use std::collections::BTreeMap;

use super::profile::{ProfileError, StreamProfile};
use crate::position::StreamName;

const BUILT_IN: [(&str, &str); 5] = [
    ("household", include_str!("../../profiles/household.toml")),
    ("power-plant", include_str!("../../profiles/power-plant.toml")),
    ("campus", include_str!("../../profiles/campus.toml")),
    ("sensor", include_str!("../../profiles/sensor.toml")),
    ("grid", include_str!("../../profiles/grid.toml")),
];

/// Profiles by name.
#[derive(Debug, Clone)]
pub struct StreamRegistry {
    profiles: BTreeMap<StreamName, StreamProfile>,
}

impl StreamRegistry {
    /// The profiles that the binary brings along.
    ///
    /// # Errors
    /// [`ProfileError`] in a built-in profile, which a test excludes.
    pub fn built_in() -> Result<Self, ProfileError> {
        let mut registry = Self { profiles: BTreeMap::new() };
        for (name, text) in BUILT_IN {
            registry.add(StreamProfile::parse(text, name)?);
        }
        Ok(registry)
    }

    /// Adds a user's profile; it replaces one of the same name.
    pub fn add(&mut self, profile: StreamProfile) {
        self.profiles.insert(profile.name.clone(), profile);
    }

    /// The profile of that name.
    #[must_use]
    pub fn find(&self, name: &StreamName) -> Option<&StreamProfile> {
        self.profiles.get(name)
    }

    /// All profiles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &StreamProfile> {
        self.profiles.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_valid() {
        let registry = StreamRegistry::built_in().unwrap();
        let names: Vec<&str> = registry.iter().map(|profile| profile.name.as_str()).collect();
        assert_eq!(names, ["campus", "grid", "household", "power-plant", "sensor"]);
    }

    #[test]
    fn a_bad_profile_names_every_problem_at_once() {
        let text = include_str!("../../profiles/household.toml")
            .replace("rollup_windows_secs = [3600]", "rollup_windows_secs = [7]")
            .replace("key_field = \"device_id\"", "key_field = \"voltage\"")
            .replace("target = \"active_power\"", "target = \"activ_power\"");
        let message = StreamProfile::parse(&text, "mine.toml").unwrap_err().to_string();
        assert!(message.contains("must contain 3600"), "{message}");
        assert!(message.contains("measures: `voltage` is the key or time field too"), "{message}");
        assert!(message.contains("each must divide a day"), "{message}");
        assert!(message.contains("`activ_power` is not one of the measures"), "{message}");
    }
}
