//! Restore: the fold comes back to A, and the rows that the lake does not hold come back to memory.

use kilowatch_shared::{checkpoint::OffsetSpan, log::LogError};

use super::{
    PartitionWorker, Step,
    rebuild::Rebuild,
    worker::{Checked, Phase, Running},
};
use crate::{
    error::StepError,
    unclosed::{Rows, Unclosed},
};

impl PartitionWorker {
    /// Rebuilds state up to min(L, A), then state and segment rows of [L, A); effects are skipped, the views have them.
    ///
    /// # Errors
    /// Of log or lake; the partition stays checked.
    pub async fn restore(&mut self) -> Result<Step, StepError> {
        match self.rebuild_running().await {
            Ok(running) => {
                self.phase = Phase::Running(Box::new(running));
                Ok(Step::Done)
            }
            Err(StepError::Log(LogError::OutOfRange { .. })) => {
                self.phase = Phase::Idle;
                Ok(Step::Reclaim)
            }
            Err(error) => self.settle(error),
        }
    }

    async fn rebuild_running(&self) -> Result<Running, StepError> {
        let Phase::Checked(Checked { token, applied, cuts, closed, catch_up }) = &self.phase else {
            return Err(self.out_of_order("be restored"));
        };
        let rebuild = Rebuild { doors: &self.doors, partition: &self.partition, cuts };
        let mut fold = rebuild.fold_at((*closed).min(*applied)).await?;
        let mut unclosed = Unclosed::new(*closed, self.config.unclosed_bytes);
        let mut at = *closed;
        while at < *applied {
            let to = cuts.next_above(at).map_or(*applied, |cut| cut.min(*applied));
            let span = OffsetSpan { from: at, to };
            let rows;
            (fold, rows) = rebuild.fold_log(fold, Rows::default(), span).await?;
            let messages = rows.len();
            unclosed.extend(rows, messages);
            if cuts.contains(to) {
                unclosed.seal(to);
            }
            at = to;
        }
        Ok(Running {
            token: *token,
            applied: *applied,
            cuts: cuts.clone(),
            fold: Some(fold),
            batch: None,
            unanswered: None,
            catch_up: *catch_up,
            unclosed,
            closed: *closed,
            closing: None,
            state: None,
            cuts_since_state: 0,
        })
    }
}
