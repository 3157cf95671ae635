//! The running layer between a log, a lake and views that a test holds in its hands.

use std::{sync::Arc, time::Duration};

use kilowatch_shared::{
    clock::SystemClock,
    lake::{LakeTable, SegmentLake, memory::MemoryLake},
    log::{Log, NewRecord, SharedLog, memory::MemoryLog},
    position::PartitionId,
    stream::StreamProfile,
    views::{BatchViews, SharedViews, sqlite::SqliteViews},
};
use kilowatch_speed::{Outbox, SpeedConfig, SpeedError, SpeedLayer, member::Doors, pins_source::PromotedModels};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    doubles::{AwayLake, FaultyViews},
    stream::{Message, TOPIC, profile},
};

/// Far more than any step takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub log: Arc<MemoryLog>,
    pub lake: Arc<MemoryLake>,
    pub away_lake: Arc<AwayLake>,
    pub views: SharedViews,
    pub faulty: Arc<FaultyViews>,
    pub partitions: Vec<PartitionId>,
}

pub struct Run {
    pub layer: Arc<SpeedLayer>,
    stop: CancellationToken,
    pub task: JoinHandle<Result<(), SpeedError>>,
}

impl Run {
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Bench {
    pub async fn new(partitions: u32) -> Self {
        Self::with_log(MemoryLog::new(Arc::new(SystemClock)), partitions).await
    }

    pub async fn with_log(log: MemoryLog, partitions: u32) -> Self {
        let log = Arc::new(log);
        log.create_topic(TOPIC, partitions).await.unwrap();
        let lake = Arc::new(MemoryLake::new());
        let views: SharedViews = Arc::new(SqliteViews::in_memory().await.unwrap());
        let source = log.source(TOPIC).await.unwrap();
        let stream = profile().name;
        Self {
            away_lake: Arc::new(AwayLake::new(lake.clone())),
            faulty: Arc::new(FaultyViews::new(views.clone())),
            partitions: (0..partitions)
                .map(|partition| PartitionId { stream: stream.clone(), source: source.clone(), partition })
                .collect(),
            log,
            lake,
            views,
        }
    }

    pub fn run(&self) -> Run {
        self.run_with(SpeedConfig { window_ms: 50, segment_ms: 100, refresh_ms: 100, ..SpeedConfig::default() })
    }

    /// Runs without anybody who delivers what waits in the outbox.
    pub fn run_with(&self, config: SpeedConfig) -> Run {
        self.run_over(self.log.clone(), config)
    }

    /// The same over another door to the log.
    pub fn run_over(&self, log: SharedLog, config: SpeedConfig) -> Run {
        Self::start(self.layer(log, config, profile()))
    }

    pub fn run_delivering(&self, config: SpeedConfig, outbox: Outbox) -> Run {
        Self::start(self.layer(self.log.clone(), config, profile()).delivering(outbox))
    }

    /// The same as [`Self::run_with`] for a stream of another profile.
    pub fn run_of(&self, profile: StreamProfile, config: SpeedConfig) -> Run {
        Self::start(self.layer(self.log.clone(), config, profile))
    }

    fn layer(&self, log: SharedLog, config: SpeedConfig, profile: StreamProfile) -> SpeedLayer {
        let batch: Arc<dyn BatchViews> = self.views.clone();
        let doors = Doors::new(log, self.away_lake.clone(), self.faulty.clone(), batch.clone());
        let pins = Arc::new(PromotedModels(batch));
        SpeedLayer::over(doors, pins, Arc::new(SystemClock), vec![profile], config)
    }

    fn start(layer: SpeedLayer) -> Run {
        let layer = Arc::new(layer);
        let stop = CancellationToken::new();
        let (running, token) = (layer.clone(), stop.clone());
        Run { layer, stop, task: tokio::spawn(async move { running.run(token).await }) }
    }

    pub async fn produce(&self, count: i64) {
        let records: Vec<NewRecord> = (0..count)
            .map(|minute| match minute % 50 {
                13 => Message::Poison(b"{ not json").to_record(),
                _ => Message::Reading { device: usize::from(minute % 2 == 0), minute, power: Some(10) }.to_record(),
            })
            .collect();
        self.log.append(TOPIC, &records).await.unwrap();
    }

    pub async fn applied(&self) -> u64 {
        let mut applied = 0;
        for partition in &self.partitions {
            applied += self.views.partition(partition).await.unwrap().map_or(0, |state| state.applied.get());
        }
        applied
    }

    /// How many partitions have an owner.
    pub async fn owners(&self) -> usize {
        let mut owners = 0;
        for partition in &self.partitions {
            let state = self.views.partition(partition).await.unwrap();
            owners += usize::from(state.is_some_and(|state| state.owner.is_some()));
        }
        owners
    }

    pub async fn closed(&self) -> u64 {
        let snapshot = self.lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
        snapshot.closed.values().map(|offset| offset.get()).sum()
    }

    /// The lake holds each offset below `messages` exactly once.
    pub fn assert_lake_holds(&self, messages: usize) {
        let stream = profile().name;
        let readings = self.lake.readings(&stream).into_iter().map(|row| row.position);
        let dead_letters = self.lake.dead_letters(&stream).into_iter().map(|row| row.position);
        let mut held: Vec<_> = readings.chain(dead_letters).collect();
        assert_eq!(held.len(), messages, "the lake holds another number of messages");
        held.sort();
        held.dedup();
        assert_eq!(held.len(), messages, "the lake holds a message twice");
    }
}

pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "waited in vain until {what}");
}
