//! When a run that is to end with its topic may end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use kilowatch_shared::{
    log::{LogError, SharedLog},
    position::{Offset, PartitionId, StreamName},
    stream::StreamProfile,
    views::{SharedViews, ViewsError},
};
use kilowatch_speed::{SpeedLayer, SpeedStatus};

/// How often a member looks at itself.
const OWN_POLL: Duration = Duration::from_millis(50);

/// How often a member that is through looks at what others work on: in the views, which all of them share.
const OTHERS_POLL: Duration = Duration::from_millis(200);

/// What is to be applied before a run may end, whichever member of the group does it. Nobody leaves while another member
/// is at work: whoever stands by takes over if that one dies.
#[derive(Debug)]
pub struct Drain {
    views: SharedViews,
    stream: StreamName,
    /// Where each partition ended when the run began. What comes later to others' partitions is not waited for, or a
    /// producer that goes on would keep all of them from ending.
    ends: BTreeMap<PartitionId, Offset>,
    /// How long something may refuse what a partition needs. What is only away is waited for.
    patience: Duration,
}

impl Drain {
    /// Everything that is in the topic now, unless something refuses it for longer than `patience`.
    ///
    /// # Errors
    /// The log does not answer.
    pub async fn begin(
        log: &SharedLog,
        views: SharedViews,
        profile: &StreamProfile,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let ends = ends(log, profile).await.context("asking the topic where it ends")?;
        Ok(Self { views, stream: profile.name.clone(), ends, patience })
    }

    /// Completes when `layer` has nothing left to apply and neither have the others, and nothing is left to be told.
    ///
    /// # Errors
    /// A partition of this member waits for an operator, or is refused what it needs, so that the end would never come.
    pub async fn wait(&self, layer: Arc<SpeedLayer>) -> anyhow::Result<()> {
        loop {
            let status = layer.status();
            let stopped = status.partitions.iter().find_map(|own| Some((&own.partition, own.stopped.as_ref()?)));
            if let Some((partition, reason)) = stopped {
                bail!("{partition} is stopped: {reason}");
            }
            if let Some((partition, trouble)) = status.refused_for(self.patience) {
                let secs = self.patience.as_secs_f64();
                bail!("{partition} cannot go on, and could not for {secs} s (speed.stop_deadline_ms): {trouble}");
            }
            if !status.is_caught_up() {
                tokio::time::sleep(OWN_POLL).await;
                continue;
            }
            let others = self.ends.iter().filter(|(id, _)| status.partitions.iter().all(|own| own.partition != **id));
            // Views that are away are waited for here as everywhere.
            if self.are_applied(others).await.unwrap_or(false) && self.is_told().await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(OTHERS_POLL).await;
        }
    }

    /// Whether the stop after it could bring everything to the lake.
    ///
    /// # Errors
    /// It could not; the error says why, what is left, and who closes it.
    pub fn was_closed(status: &SpeedStatus) -> anyhow::Result<()> {
        let left = status.unclosed();
        let errors = status.close_errors();
        let said = errors.keys().copied().collect::<Vec<_>>().join("; ");
        let why = if errors.is_empty() {
            "speed.stop_deadline_ms was too short to bring it to the lake".to_owned()
        } else if errors.values().all(|of_lake| *of_lake) {
            format!("the lake does not take it ({said})")
        } else {
            format!("it could not be brought to the lake ({said})")
        };
        ensure!(
            left.is_empty(),
            "everything is applied, but {why}: {}; the next run, or any other member, closes the rest",
            left.join(", ")
        );
        Ok(())
    }

    /// What a member that died was about to tell waits until its lease is over, and then is this one's to tell.
    async fn is_told(&self) -> Result<bool, ViewsError> {
        Ok(self.views.outbox_backlogs(&self.stream).await?.is_empty())
    }

    async fn are_applied(&self, ends: impl Iterator<Item = (&PartitionId, &Offset)>) -> Result<bool, ViewsError> {
        for (partition, end) in ends {
            let applied = self.views.partition(partition).await?.map_or(Offset::ZERO, |state| state.applied);
            if applied < *end {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn ends(log: &SharedLog, profile: &StreamProfile) -> Result<BTreeMap<PartitionId, Offset>, LogError> {
    let mut ends = BTreeMap::new();
    for found in log.partitions(&profile.topic).await? {
        let end = log.watermarks(&found).await?.high;
        let (stream, source, partition) = (profile.name.clone(), found.source, found.partition);
        ends.insert(PartitionId { stream, source, partition }, end);
    }
    Ok(ends)
}
