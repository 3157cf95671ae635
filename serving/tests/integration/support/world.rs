//! The stores under a test, and the time in it: half past twelve UTC on Saturday 10 March 2007.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    clock::FixedClock,
    lake::memory::MemoryLake,
    log::memory::MemoryLog,
    position::{DeviceId, StreamName},
    stream::{StreamProfile, StreamRegistry},
    views::sqlite::SqliteViews,
};

use super::SetProbe;

/// The meter of most tests.
const DEVICE: &str = "meter-0001";

/// In-memory twins of everything that the server talks to.
pub struct World {
    pub views: Arc<SqliteViews>,
    pub log: Arc<MemoryLog>,
    pub lake: Arc<MemoryLake>,
    pub probe: Arc<SetProbe>,
    pub clock: FixedClock,
    pub streams: StreamRegistry,
    pub profile: StreamProfile,
}

impl World {
    pub async fn empty() -> Self {
        let clock = FixedClock(at("2007-03-10T12:30:00Z"));
        let streams = StreamRegistry::built_in().unwrap();
        let profile = streams.find(&"household".parse().unwrap()).unwrap().clone();
        Self {
            views: Arc::new(SqliteViews::in_memory().await.unwrap()),
            log: Arc::new(MemoryLog::new(Arc::new(clock))),
            lake: Arc::new(MemoryLake::default()),
            probe: Arc::default(),
            clock,
            streams,
            profile,
        }
    }

    pub fn stream(&self) -> &StreamName {
        &self.profile.name
    }

    pub fn device(&self) -> DeviceId {
        DEVICE.parse().unwrap()
    }
}

/// An instant.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
