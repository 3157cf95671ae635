//! The rows of one file on their way into data files: compared, encoded and stored, and not yet committed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::{
        LakeTable,
        delta::{TableFiles, WrittenFile},
    },
    position::SourceId,
    stream::StreamProfile,
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    BatchDeps, BatchError,
    ingest::{
        BrokenOff, BucketBuffer, BucketRows, DeviceNumbers, Feed, HourlyStats, IngestError, IngestRequest, InputFile,
        KeySet, LakeKeys, Replacing, Tally, find_repeats,
    },
    marking::Remarked,
};

/// Data files that are encoded at once, some 30 MB each at their largest: one a core.
const ENCODERS: usize = 2;

/// Data files on their way into the store, encoding included: while a store syncs some, the cores encode others.
const FILES_AT_ONCE: usize = 4;

/// Rows of one file, whose keys are in memory until its end: 1 GiB if they ascend. Fifteen years of one meter's minutes are an
/// eighth of it.
const MAX_KEYS: usize = 64 << 20;

/// The rows of a file on their way into data files.
pub(super) struct FileRows<'a> {
    pub deps: &'a BatchDeps,
    pub profile: &'a StreamProfile,
    source: SourceId,
    ingested_at: DateTime<Utc>,
    numbers: DeviceNumbers,
    file_keys: KeySet,
    lake_keys: LakeKeys,
    /// Whether the lake has the file, of which it may have left out rows.
    known: bool,
    /// What an earlier ingest of the file left, if one broke off.
    pub broken_off: Option<BrokenOff>,
    /// Which rows of the lake stop to count, if rows are to be replaced at all.
    replacing: Option<Replacing>,
    /// Older rows are left out.
    pub floor: Option<DateTime<Utc>>,
    /// Statistics of the rows, if they are wanted.
    pub stats: Option<HourlyStats>,
    /// Whether rows go into the lake, or only into the statistics.
    pub writes: bool,
    /// Rows that go into the lake and lack a measure.
    pub missing_rows: u64,
    encoders: Arc<Semaphore>,
    storing: JoinSet<Result<WrittenFile, BatchError>>,
    /// Data files of the rows.
    pub written: Vec<WrittenFile>,
    /// Data files in which rows stop to count, or count again.
    pub remarked: Remarked,
}

impl<'a> FileRows<'a> {
    /// Nothing is read yet; `base` is the version of the table that the rows are compared with.
    pub(super) fn new(
        deps: &'a BatchDeps,
        profile: &'a StreamProfile,
        source: SourceId,
        base: Option<TableFiles>,
        ingested_at: DateTime<Utc>,
    ) -> Self {
        Self {
            deps,
            profile,
            source,
            ingested_at,
            numbers: DeviceNumbers::default(),
            file_keys: KeySet::default(),
            lake_keys: LakeKeys::of(base),
            known: false,
            broken_off: None,
            replacing: None,
            floor: None,
            stats: None,
            writes: true,
            missing_rows: 0,
            encoders: Arc::new(Semaphore::new(ENCODERS)),
            storing: JoinSet::new(),
            written: Vec::new(),
            remarked: Remarked::default(),
        }
    }

    /// Lets rows take the place of those that they contradict. Of a file that the lake knows, rows may be there already.
    pub(super) async fn replace(&mut self, base: Option<&TableFiles>, known: bool) -> Result<(), BatchError> {
        self.known = known;
        let base = base.filter(|_| known);
        let replacing = Replacing::of_known(self.deps, self.profile, base, &self.source, &mut self.numbers).await?;
        self.replacing = Some(replacing);
        Ok(())
    }

    /// Reads the feed to its end; all data files are stored then, and not yet committed.
    pub(super) async fn take_all(&mut self, file: &InputFile, mut feed: Feed) -> Result<Tally, BatchError> {
        let mut tally = Tally::new(self.known);
        let mut buffer = BucketBuffer::new(self.profile);
        while let Some(mut rows) = feed.next().await? {
            if let Some(broken_off) = &self.broken_off {
                broken_off.check(file, &rows)?;
            }
            if let Some(floor) = self.floor {
                let too_old = rows.drop_before(floor.timestamp_micros());
                tally.add_too_old(too_old.map_err(|error| BatchError::Internal {
                    job: "ingest",
                    reason: format!("leaving out rows that are too old: {error}"),
                })?);
            }
            if self.writes {
                self.lake_keys.read_for(&rows, &self.deps.lake, self.profile, &mut self.numbers).await?;
            }
            let mut repeats = find_repeats(&rows, &mut self.numbers, &mut self.file_keys, &self.lake_keys);
            if let Some(replacing) = &mut self.replacing {
                replacing.decide(file, &rows, &mut repeats, &mut self.numbers)?;
            }
            let replaced = self.replacing.as_ref().map_or(0, Replacing::len);
            if self.file_keys.len() + replaced > MAX_KEYS {
                return Err(IngestError::TooManyRows { path: file.path.clone(), limit_rows: MAX_KEYS }.into());
            }
            if let Some(stats) = &mut self.stats {
                stats.add(&rows, &repeats);
            }
            tally.add(file, &mut rows, &repeats)?;
            if self.writes {
                for ready in buffer.push(&rows, &repeats)? {
                    self.store(ready).await?;
                }
            }
        }
        tally.check_readable(file)?;
        for ready in buffer.finish()? {
            self.store(ready).await?;
        }
        while let Some(stored) = self.storing.join_next().await {
            self.written.push(stored.map_err(|error| BatchError::stopped("ingest", &error))??);
        }
        let unchanged = file.clone();
        spawn_blocking(move || unchanged.check_unchanged())
            .await
            .map_err(|error| BatchError::stopped("ingest", &error))??;
        if let (Some(replacing), Some(files)) = (&self.replacing, self.lake_keys.read_files()) {
            let files = (&files, &self.source);
            self.remarked = replacing.remark(self.deps, self.profile, files, &self.numbers).await?;
        }
        Ok(tally)
    }

    /// Writes the statistics, if they are wanted.
    pub(super) async fn write_stats(&mut self, request: &IngestRequest, sha256: &str) -> Result<(), BatchError> {
        let (Some(stats), Some(target)) = (self.stats.take(), request.stats.clone()) else { return Ok(()) };
        let (profile, sha256) = (self.profile.clone(), sha256.to_owned());
        let written = spawn_blocking(move || stats.write(&target, &profile, &sha256));
        Ok(written.await.map_err(|error| BatchError::stopped("ingest", &error))??)
    }

    /// Encodes and stores a data file beside the parsing; waits while enough of them are under way.
    async fn store(&mut self, rows: BucketRows) -> Result<(), BatchError> {
        while self.storing.len() >= FILES_AT_ONCE {
            if let Some(stored) = self.storing.join_next().await {
                self.written.push(stored.map_err(|error| BatchError::stopped("ingest", &error))??);
            }
        }
        self.missing_rows += rows.count_missing(self.profile);
        let (lake, profile) = (Arc::clone(&self.deps.lake), self.profile.clone());
        let (source, ingested_at) = (self.source.clone(), self.ingested_at);
        let encoders = Arc::clone(&self.encoders);
        self.storing.spawn(async move {
            let columns = profile.clone();
            let turn = encoders.acquire_owned().await;
            let encoded = spawn_blocking(move || rows.encode(&columns, &source, ingested_at))
                .await
                .map_err(|error| BatchError::stopped("ingest", &error))??;
            drop(turn);
            Ok(lake.put_file(&profile, LakeTable::Readings, encoded).await?)
        });
        Ok(())
    }

    /// Removes data files that no commit will name.
    pub(super) async fn discard(&mut self) {
        while let Some(stored) = self.storing.join_next().await {
            self.written.extend(stored.ok().and_then(Result::ok));
        }
        self.written.append(&mut self.remarked.new);
        self.deps.lake.discard(self.profile, LakeTable::Readings, &self.written).await;
        self.written.clear();
    }
}
