//! What speed says of itself, in the words of readiness.

use std::{collections::BTreeMap, sync::Arc};

use kilowatch_serving::{LiveState, ReadinessProbe, ReadinessProblem, ReadinessReport, StreamLiveState};
use kilowatch_shared::position::StreamName;
use kilowatch_speed::{PartitionStatus, SpeedLayer};
use tokio_util::sync::CancellationToken;

/// Looks at the speed layer of this process.
#[derive(Debug)]
pub struct SpeedProbe {
    layer: Arc<SpeedLayer>,
    stop: CancellationToken,
}

impl SpeedProbe {
    /// A probe of `layer`, in a process that ends with `stop`.
    pub const fn new(layer: Arc<SpeedLayer>, stop: CancellationToken) -> Self {
        Self { layer, stop }
    }
}

impl ReadinessProbe for SpeedProbe {
    fn report(&self) -> ReadinessReport {
        let status = self.layer.status();
        let problems = status
            .problems()
            .into_iter()
            .map(|reason| ReadinessProblem { component: "speed".to_owned(), reason })
            .collect();
        let mut by_stream: BTreeMap<&StreamName, Vec<&PartitionStatus>> = BTreeMap::new();
        for partition in &status.partitions {
            by_stream.entry(&partition.partition.stream).or_default().push(partition);
        }
        let streams = by_stream.into_iter().map(|(stream, partitions)| live_state(stream, &partitions)).collect();
        ReadinessReport { stopping: self.stop.is_cancelled(), problems, streams }
    }
}

fn live_state(stream: &StreamName, partitions: &[&PartitionStatus]) -> StreamLiveState {
    let stopped = partitions.iter().find_map(|partition| partition.stopped.as_ref());
    let state = match stopped {
        Some(reason) => LiveState::Stopped { reason: reason.to_string() },
        None if partitions.iter().all(|partition| partition.applied.is_some()) => LiveState::Live,
        None => LiveState::Starting,
    };
    let lag_messages = partitions.iter().map(|partition| partition.lag_records).sum();
    StreamLiveState { stream: stream.clone(), state, lag_messages }
}
