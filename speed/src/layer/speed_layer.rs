//! The layer as the binary sees it.

use std::sync::Arc;

use kilowatch_shared::{
    clock::SharedClock,
    lake::SegmentLake,
    log::SharedLog,
    stream::StreamProfile,
    views::{BatchViews, SharedViews, SpeedViews},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::supervisor::Supervisor;
use crate::{
    config::SpeedConfig,
    error::SpeedError,
    member::Doors,
    outbox::{LogSink, Outbox},
    pins_source::{PinsSource, PromotedModels},
    status::{SpeedStatus, StatusBoard},
    telemetry,
};

/// What the layer works with.
#[derive(Debug, Clone)]
pub struct SpeedDeps {
    /// Where messages come from.
    pub log: SharedLog,
    /// Where segments go.
    pub lake: Arc<dyn SegmentLake>,
    /// Where effects go, and where promoted models and the boundary are read.
    pub views: SharedViews,
    /// When segments end.
    pub clock: SharedClock,
}

/// One member: it works on the partitions that the groups of its streams' topics give it.
#[derive(Debug)]
pub struct SpeedLayer {
    doors: Arc<Doors>,
    pins: Arc<dyn PinsSource>,
    clock: SharedClock,
    profiles: Vec<Arc<StreamProfile>>,
    config: Arc<SpeedConfig>,
    board: Arc<StatusBoard>,
    outbox: Option<Outbox>,
}

impl SpeedLayer {
    /// A layer that does nothing yet.
    #[must_use]
    pub fn new(deps: SpeedDeps, profiles: Vec<StreamProfile>, config: SpeedConfig) -> Self {
        let SpeedDeps { log, lake, views, clock } = deps;
        let partitions = profiles.iter().map(|profile| profile.partitions).max().unwrap_or(1);
        let sink = Arc::new(LogSink::new(log.clone(), partitions));
        let outbox = Outbox { views: views.clone(), sink };
        let batch_views: Arc<dyn BatchViews> = views.clone();
        let speed_views: Arc<dyn SpeedViews> = views;
        let doors = Doors::new(log, lake, speed_views, Arc::clone(&batch_views));
        Self::over(doors, Arc::new(PromotedModels(batch_views)), clock, profiles, config).delivering(outbox)
    }

    /// A layer over doors and a source of pins of the caller's own.
    #[must_use]
    pub fn over(
        doors: Doors,
        pins: Arc<dyn PinsSource>,
        clock: SharedClock,
        profiles: Vec<StreamProfile>,
        config: SpeedConfig,
    ) -> Self {
        let board = StatusBoard::of(profiles.iter().map(|profile| profile.name.clone()));
        Self {
            doors: Arc::new(doors),
            pins,
            clock,
            profiles: profiles.into_iter().map(Arc::new).collect(),
            config: Arc::new(config),
            board: Arc::new(board),
            outbox: None,
        }
    }

    /// The same layer, which also delivers what waits in the outbox. One without leaves that to another member.
    #[must_use]
    pub fn delivering(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> SpeedStatus {
        self.board.snapshot(&self.config, self.clock.now())
    }

    /// Runs until `cancel`, then stops in order: intake, micro-batches, cuts, closes, release. What is not through at
    /// the deadline is replayed from the log by the next owner. Log, lake and views may come and go meanwhile.
    ///
    /// # Errors
    /// Settings out of limits, or a log that says that it will never have the topic.
    pub async fn run(&self, cancel: CancellationToken) -> Result<(), SpeedError> {
        let problems = self.config.problems();
        if !problems.is_empty() {
            return Err(SpeedError::Config { problems });
        }
        telemetry::describe();
        // One stream that cannot run stops the others in order.
        let stop = cancel.child_token();
        let mut streams = JoinSet::new();
        for profile in &self.profiles {
            let supervisor = Supervisor {
                doors: Arc::clone(&self.doors),
                outbox: self.outbox.clone(),
                pins: Arc::clone(&self.pins),
                clock: Arc::clone(&self.clock),
                profile: Arc::clone(profile),
                config: Arc::clone(&self.config),
                board: Arc::clone(&self.board),
                stop: stop.clone(),
            };
            streams.spawn(supervisor.run());
        }
        let mut result = Ok(());
        while let Some(ended) = streams.join_next().await {
            let ended = ended.unwrap_or_else(|panicked| Err(SpeedError::Ended { reason: panicked.to_string() }));
            if ended.is_err() {
                stop.cancel();
                result = result.and(ended);
            }
        }
        result
    }
}
