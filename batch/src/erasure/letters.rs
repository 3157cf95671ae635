//! Dead letters that are a device's, or name it.

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use kilowatch_shared::{
    dead_letter::DeadLetter,
    lake::{
        LakeTable,
        delta::LakeFile,
        schema::{dead_letters_from_batch, tombstones_of_dead_letters},
        session::{LakeSession, stream_error},
    },
    position::{DeviceId, SourcePosition},
    stream::{Mention, StreamProfile},
    views::DeadLetterFilter,
};

use super::tables::Leaving;
use crate::{BatchDeps, BatchError, rewriting::FileCopy};

/// Letters of one page of the views.
const PAGE: u32 = 64;

/// The dead letters of a device, or that name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LettersOf<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) mention: &'a Mention,
}

impl LettersOf<'_> {
    fn are_in(&self, rows: &RecordBatch) -> Result<Vec<bool>, BatchError> {
        Ok(dead_letters_from_batch(rows)?.iter().map(|letter| self.mention.is_in(letter)).collect())
    }
}

impl Leaving for LettersOf<'_> {
    const TABLE: LakeTable = LakeTable::DeadLetters;

    fn device(&self) -> &DeviceId {
        self.device
    }

    /// What a letter says is known only once it is read.
    fn may_be_in(&self, _: &LakeFile) -> bool {
        true
    }

    async fn count(&self, session: &LakeSession) -> Result<u64, BatchError> {
        let mut letters = session.stream(include_str!("letters.sql")).await?;
        let mut found = 0;
        while let Some(rows) = letters.try_next().await.map_err(|error| stream_error(&error))? {
            found += self.are_in(&rows)?.into_iter().filter(|is_in| *is_in).count() as u64;
        }
        Ok(found)
    }

    async fn copy<'a>(&self, copy: FileCopy<'a>) -> Result<FileCopy<'a>, BatchError> {
        let bucket = copy.bucket();
        copy.add(|rows| Ok(tombstones_of_dead_letters(&rows, bucket, &self.are_in(&rows)?)?)).await
    }
}

/// The positions of the views' dead letters that are the device's, or name it.
pub(crate) async fn letters_in_views(
    deps: &BatchDeps,
    profile: &StreamProfile,
    mention: &Mention,
) -> Result<Vec<SourcePosition>, BatchError> {
    let mut found = Vec::new();
    let mut after: Option<SourcePosition> = None;
    loop {
        let filter = DeadLetterFilter::default();
        let page = deps.views.list_dead_letters(&profile.name, &filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.letter.position.clone());
        let letters = page.into_iter().map(|listed| listed.letter);
        found.extend(letters.filter(|letter| mention.is_in(letter)).map(|DeadLetter { position, .. }| position));
    }
}
