//! Puts data files in the place of others.

use std::sync::Arc;

use kilowatch_shared::{
    lake::{
        CommitOutcome, LakeTable,
        delta::{LakeFile, Rewrite, TableFiles, WrittenFile},
    },
    stream::StreamProfile,
};

use crate::{BatchDeps, BatchError};

/// Looks at a table at most: each leaves fewer files to rewrite, unless others keep rewriting them.
pub(crate) const MAX_LOOKS: u32 = 20;

/// A table whose data files a job writes anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rewriting<'a> {
    pub(crate) deps: &'a BatchDeps,
    pub(crate) profile: &'a StreamProfile,
    pub(crate) kind: LakeTable,
    /// The job, for errors.
    pub(crate) job: &'static str,
}

impl Rewriting<'_> {
    /// The table as it is now; `None` if there is none.
    pub(crate) async fn newest(&self) -> Result<Option<TableFiles>, BatchError> {
        Ok(self.deps.lake.newest_table(&self.profile.name, self.kind).await?)
    }

    /// Commits that `new` stand in the place of `old`; false, and nothing of them stays, if one of the old files was
    /// rewritten by somebody else meanwhile.
    pub(crate) async fn replace(
        &self,
        old: &[Arc<LakeFile>],
        new: &[WrittenFile],
        rewrite: Rewrite<'_>,
    ) -> Result<bool, BatchError> {
        match self.deps.lake.replace_files(self.profile, self.kind, old, new, rewrite).await? {
            CommitOutcome::Committed(version) => {
                tracing::debug!(
                    job.name = self.job,
                    lake.version = version,
                    lake.files = old.len(),
                    "rewrote data files"
                );
                Ok(true)
            }
            CommitOutcome::Conflict => {
                self.discard(new).await;
                Ok(false)
            }
        }
    }

    /// Removes data files that no commit will name.
    pub(crate) async fn discard(&self, files: &[WrittenFile]) {
        self.deps.lake.discard(self.profile, self.kind, files).await;
    }

    /// The error of a job that found something to rewrite at each of its looks.
    pub(crate) fn contended(&self) -> BatchError {
        let reason = "there was something to write anew each time".to_owned();
        BatchError::Contended { job: self.job, attempts: MAX_LOOKS, reason }
    }
}
