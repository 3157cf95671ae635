//! The state of a partition between two steps.

use std::sync::Arc;

use kilowatch_shared::{
    checkpoint::{OwnerToken, SourcePartition},
    cut_line::{CutLine, PinSet},
    lake::SavedState,
    log::ReadLimit,
    position::{Offset, PartitionId},
    views::PartitionState,
};

use super::{Doors, StopReason, micro_batch::SealedApply};
use crate::{
    config::SpeedConfig, error::StepError, open_batch::OpenBatch, segmented_fold::SegmentedFold, unclosed::Unclosed,
};

/// How a step ended, where nothing outside failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is done.
    Done,
    /// Another member owns the partition: everything in memory was dropped. Claim again only while it is assigned.
    Fenced,
    /// Memory and the outside disagree: everything in memory was dropped. Claim again.
    Reclaim,
    /// The partition waits for an operator; see [`PartitionWorker::stop_reason`].
    Stopped,
}

/// Where a partition is between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Not claimed.
    Idle,
    /// Claimed, not checked.
    Claimed,
    /// Checked, not restored.
    Checked,
    /// Applying micro-batches.
    Running,
    /// Waiting for an operator.
    Stopped,
}

/// One partition of one member. Its methods are the steps of the protocol; each either is done or leaves the partition
/// as it was.
#[derive(Debug)]
pub struct PartitionWorker {
    pub(super) doors: Arc<Doors>,
    pub(super) config: Arc<SpeedConfig>,
    pub(super) partition: PartitionId,
    pub(super) log_partition: SourcePartition,
    pub(super) next_pins: PinSet,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Claimed(Claimed),
    Checked(Checked),
    Running(Box<Running>),
    Stopped(Stopped),
}

#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) reason: StopReason,
    /// Ours until it is released.
    pub(super) token: Option<OwnerToken>,
}

#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) token: OwnerToken,
    pub(super) state: PartitionState,
}

#[derive(Debug)]
pub(super) struct Checked {
    pub(super) token: OwnerToken,
    pub(super) applied: Offset,
    pub(super) cuts: CutLine,
    pub(super) closed: Offset,
    pub(super) catch_up: Option<Offset>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) token: OwnerToken,
    /// A.
    pub(super) applied: Offset,
    pub(super) cuts: CutLine,
    /// At the end of the open batch, or at A. Out only while a step folds.
    pub(super) fold: Option<SegmentedFold>,
    pub(super) batch: Option<OpenBatch>,
    /// A transaction whose answer is not known: the same one is tried again before anything else.
    pub(super) unanswered: Option<Box<SealedApply>>,
    pub(super) catch_up: Option<Offset>,
    pub(super) unclosed: Unclosed,
    /// L.
    pub(super) closed: Offset,
    pub(super) closing: Option<OnItsWay>,
    /// The newest state that is not in the lake yet.
    pub(super) state: Option<SavedState>,
    pub(super) cuts_since_state: u32,
}

/// The close that the lake has not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnItsWay {
    /// Its end.
    pub(super) to: Offset,
    /// What its rows take in memory, also while they are read from the log again.
    pub(super) bytes: usize,
}

impl PartitionWorker {
    /// A partition that nobody claimed yet. `pins` are those of the next segment that it opens.
    #[must_use]
    pub fn new(doors: Arc<Doors>, config: Arc<SpeedConfig>, partition: PartitionId, pins: PinSet) -> Self {
        let log_partition = SourcePartition::from(&partition);
        Self { doors, config, partition, log_partition, next_pins: pins, phase: Phase::Idle }
    }

    /// From the next cut on, judge with these pins.
    pub fn use_pins(&mut self, pins: PinSet) {
        self.next_pins = pins;
    }

    /// Which partition.
    #[must_use]
    pub const fn partition(&self) -> &PartitionId {
        &self.partition
    }

    /// Where it is.
    #[must_use]
    pub const fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::Idle => PhaseName::Idle,
            Phase::Claimed(_) => PhaseName::Claimed,
            Phase::Checked(_) => PhaseName::Checked,
            Phase::Running(_) => PhaseName::Running,
            Phase::Stopped(_) => PhaseName::Stopped,
        }
    }

    /// Why it waits for an operator, if it does.
    #[must_use]
    pub const fn stop_reason(&self) -> Option<&StopReason> {
        match &self.phase {
            Phase::Stopped(stopped) => Some(&stopped.reason),
            _ => None,
        }
    }

    /// A, as far as this member knows it.
    #[must_use]
    pub const fn applied(&self) -> Option<Offset> {
        match &self.phase {
            Phase::Running(running) => Some(running.applied),
            Phase::Checked(checked) => Some(checked.applied),
            Phase::Claimed(claimed) => Some(claimed.state.applied),
            Phase::Idle | Phase::Stopped(_) => None,
        }
    }

    /// The first offset that may hold a message which is not applied: what was read and held none is behind us.
    #[must_use]
    pub fn unapplied_from(&self) -> Option<Offset> {
        match &self.phase {
            Phase::Running(running) if self.gathered() == 0 => Some(running.reached()),
            _ => self.applied(),
        }
    }

    /// L, as far as this member knows it.
    #[must_use]
    pub const fn closed_to(&self) -> Option<Offset> {
        match &self.phase {
            Phase::Running(running) => Some(running.closed),
            Phase::Checked(checked) => Some(checked.closed),
            Phase::Idle | Phase::Claimed(_) | Phase::Stopped(_) => None,
        }
    }

    /// Cuts that the lake does not hold yet.
    #[must_use]
    pub fn unclosed_cuts(&self) -> usize {
        match &self.phase {
            Phase::Running(running) => running.unclosed.sealed_segments() + usize::from(running.closing.is_some()),
            _ => 0,
        }
    }

    /// Bytes of the rows that are kept until the lake holds them, those of a close on its way included.
    #[must_use]
    pub fn unclosed_bytes(&self) -> usize {
        match &self.phase {
            Phase::Running(running) => running.unclosed.kept_bytes() + running.closing.map_or(0, |way| way.bytes),
            _ => 0,
        }
    }

    /// Whether messages were applied, or gathered, since the last cut, and no cut is forbidden now.
    #[must_use]
    pub fn may_cut(&self) -> bool {
        matches!(&self.phase, Phase::Running(running)
            if running.catch_up.is_none() && running.reached() > running.cuts.last().offset)
    }

    /// Whether the open segment is to be ended, whatever its age: it is full, or other pins are wanted.
    #[must_use]
    pub fn wants_cut(&self) -> bool {
        let Phase::Running(running) = &self.phase else { return false };
        let messages = running.unclosed.open_messages() + running.batch.as_ref().map_or(0, OpenBatch::messages);
        self.may_cut()
            && (messages >= self.config.segment_rows
                || running.unclosed.open_bytes() >= self.config.segment_bytes
                || running.cuts.last().pin_set.id != self.next_pins.id)
    }

    /// Whether the next step has to be an [`apply`](Self::apply): a transaction without an answer, or a cut that the
    /// lake knows and the views do not.
    #[must_use]
    pub fn owes_apply(&self) -> bool {
        matches!(&self.phase, Phase::Running(running)
            if running.unanswered.is_some()
                || (running.batch.is_none() && running.cuts.at(running.applied).is_some_and(|cut| !cut.recorded)))
    }

    /// Messages of the open batch.
    #[must_use]
    pub fn gathered(&self) -> usize {
        match &self.phase {
            Phase::Running(running) => running.batch.as_ref().map_or(0, OpenBatch::messages),
            _ => 0,
        }
    }

    /// How much more the open batch takes; `None` if it is full or ends at a cut.
    #[must_use]
    pub fn room(&self) -> Option<ReadLimit> {
        let Phase::Running(running) = &self.phase else { return None };
        let (messages, bytes) = running.batch.as_ref().map_or((0, 0), |batch| (batch.messages(), batch.bytes()));
        let before = running.barrier();
        let open = before.is_none_or(|before| running.reached() < before);
        (open && messages < self.config.batch_rows && bytes < self.config.batch_bytes).then(|| ReadLimit {
            records: self.config.batch_rows - messages,
            bytes: self.config.batch_bytes - bytes,
            before,
        })
    }

    pub(super) fn stop(&mut self, reason: StopReason) -> Step {
        self.phase = Phase::Stopped(Stopped { reason, token: self.token() });
        Step::Stopped
    }

    /// An error that will not go away by trying again stops the partition; any other is the caller's.
    pub(super) fn settle(&mut self, error: StepError) -> Result<Step, StepError> {
        match error {
            StepError::CannotJudge { reason, .. } => Ok(self.stop(StopReason::CannotJudge { explanation: reason })),
            other => Err(other),
        }
    }

    pub(super) fn out_of_order(&self, step: &'static str) -> StepError {
        let phase = match self.phase() {
            PhaseName::Idle => "not claimed",
            PhaseName::Claimed => "claimed",
            PhaseName::Checked => "checked",
            PhaseName::Running => "running",
            PhaseName::Stopped => "stopped",
        };
        StepError::OutOfOrder { partition: self.partition.clone(), phase, step }
    }
}

impl Running {
    /// The end of the open batch, or A.
    pub(super) fn reached(&self) -> Offset {
        self.batch.as_ref().map_or(self.applied, |batch| batch.span().to)
    }

    /// The offset that the open batch must not cross.
    pub(super) fn barrier(&self) -> Option<Offset> {
        let begin = self.batch.as_ref().map_or(self.applied, |batch| batch.span().from);
        match (self.cuts.next_above(begin), self.catch_up) {
            (Some(cut), Some(catch_up)) => Some(cut.min(catch_up)),
            (cut, catch_up) => cut.or(catch_up),
        }
    }
}
