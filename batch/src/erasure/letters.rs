//! Tombstones in the place of dead letters that name a device.

use std::{collections::HashSet, sync::Arc};

use futures::TryStreamExt;
use kilowatch_shared::{
    lake::{
        LakeTable,
        delta::{LakeFile, TableFiles, WrittenFile},
        files::FileEncoder,
        schema::erase_dead_letters,
        session::{SessionLimits, SessionTable, lake_session, stream_error},
    },
    position::SourcePosition,
    stream::{Mention, StreamProfile},
    views::DeadLetterFilter,
};
use object_store::path::Path;

use super::rewrite::{MAX_LOOKS, add, bucket_of, contended, newest, replace, store};
use crate::{BatchDeps, BatchError, compaction::as_stored};

const LETTERS: LakeTable = LakeTable::DeadLetters;

/// Rows that are decoded at once: each may be as large as a message may be, a megabyte and more.
const AT_ONCE: usize = 64;

/// Letters of one page of the views.
const PAGE: u32 = 64;

/// The order of a data file's rows.
const ORDER: [&str; 3] = ["source", "source_partition", "source_offset"];

/// How many dead letters of the lake name the device.
pub(crate) async fn letters_naming(
    deps: &BatchDeps,
    profile: &StreamProfile,
    mention: &Mention,
) -> Result<u64, BatchError> {
    let Some(table) = newest(deps, profile, LETTERS).await? else { return Ok(0) };
    let mut letters = 0;
    for file in &table.files {
        letters += read(deps, &table, file, mention, None).await?.0;
    }
    Ok(letters)
}

/// Rewrites the data files that hold such letters, until none does; tells how many are tombstones now that were none.
pub(crate) async fn erase_letters(
    deps: &BatchDeps,
    profile: &StreamProfile,
    mention: &Mention,
) -> Result<u64, BatchError> {
    // What a letter says is known only once it is read, so a file is looked at once.
    let mut without: HashSet<Path> = HashSet::new();
    let mut erased = 0;
    for _ in 0..MAX_LOOKS {
        let Some(table) = newest(deps, profile, LETTERS).await? else { return Ok(erased) };
        let unknown: Vec<Arc<LakeFile>> =
            table.files.iter().filter(|file| !without.contains(&file.path)).cloned().collect();
        if unknown.is_empty() {
            return Ok(erased);
        }
        for file in &unknown {
            if read(deps, &table, file, mention, None).await?.0 == 0 {
                without.insert(file.path.clone());
                continue;
            }
            let (letters, new) = read(deps, &table, file, mention, Some(profile)).await?;
            let Some(new) = new else { continue };
            let path = new.path.clone();
            if replace(deps, profile, LETTERS, std::slice::from_ref(file), &[new]).await? {
                erased += letters;
                without.insert(path);
            }
        }
    }
    Err(contended())
}

/// The positions of the views' dead letters that name the device.
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
        let names = page.into_iter().filter(|listed| {
            let letter = &listed.letter;
            mention.is_in(letter.key.as_deref(), &letter.raw, &letter.reason)
        });
        found.extend(names.map(|listed| listed.letter.position));
    }
}

/// Reads a data file and counts the letters that name the device; with a profile it also stores a copy of the file in
/// which they are tombstones.
async fn read(
    deps: &BatchDeps,
    table: &TableFiles,
    file: &LakeFile,
    mention: &Mention,
    rewrite: Option<&StreamProfile>,
) -> Result<(u64, Option<WrittenFile>), BatchError> {
    let bucket = bucket_of(file)?;
    let only = table.only(|other| other.path == file.path);
    let limits = SessionLimits { batch_rows: AT_ONCE, ..SessionLimits::default() };
    let session = lake_session(deps.lake.store(), &[SessionTable { name: "letters", files: &only }], &limits)?;
    let schema = Arc::clone(&table.schema);
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut rows = session.sorted("letters", &columns, &ORDER).await?;
    let mut encoder = rewrite.map(|_| FileEncoder::try_new(&schema, bucket)).transpose()?;
    let mut erased = 0;
    while let Some(batch) = rows.try_next().await.map_err(|error| stream_error(&error))? {
        let batch = as_stored(&batch, &schema)?;
        let names = |key: Option<&[u8]>, raw: &[u8], reason: &str| mention.is_in(key, raw, reason);
        let (batch, letters) = erase_dead_letters(&batch, bucket, names)?;
        erased += letters;
        if let Some(file) = encoder.take() {
            encoder = Some(add(file, batch, &schema).await?);
        }
    }
    match (rewrite, encoder) {
        (Some(profile), Some(encoder)) => Ok((erased, Some(store(deps, profile, LETTERS, encoder).await?))),
        _ => Ok((erased, None)),
    }
}
