//! Which windows have to be computed anew.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::Boundary,
    lake::{
        LakeTable,
        delta::{DeltaLake, FileChanges, LakeFile, TableFiles},
    },
    position::DeviceId,
    stream::StreamProfile,
};

use super::WindowQuery;
use crate::BatchError;

/// From so many windows on, computing all of them costs less than telling them apart.
const MAX_TOUCHED: usize = 500_000;

/// What a roll-up computes.
#[derive(Debug)]
pub(crate) enum Scope {
    /// All windows.
    All,
    /// These.
    Touched(TouchedWindows),
}

/// Windows by device, length and start.
#[derive(Debug, Default)]
pub(crate) struct TouchedWindows {
    /// Earlier ones are not computed, so they are none.
    floor: Option<DateTime<Utc>>,
    windows: HashMap<(DeviceId, u32), HashSet<DateTime<Utc>>>,
    starts: HashMap<u32, BTreeSet<DateTime<Utc>>>,
    count: usize,
}

impl TouchedWindows {
    /// None yet, of those that begin at the floor or later.
    pub(crate) fn from_floor(floor: Option<DateTime<Utc>>) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Adds a window.
    pub(crate) fn insert(&mut self, device: DeviceId, window_secs: u32, start: DateTime<Utc>) {
        if self.floor.is_some_and(|floor| start < floor) {
            return;
        }
        if self.windows.entry((device, window_secs)).or_default().insert(start) {
            self.count += 1;
            self.starts.entry(window_secs).or_default().insert(start);
        }
    }

    /// Whether the window is among them.
    pub(crate) fn contains(&self, device: &DeviceId, window_secs: u32, start: DateTime<Utc>) -> bool {
        self.windows.get(&(device.clone(), window_secs)).is_some_and(|starts| starts.contains(&start))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Whether computing all windows costs less than telling these apart; no more are gathered then.
    pub(crate) const fn too_many(&self) -> bool {
        self.count > MAX_TOUCHED
    }

    /// Whether a data file may hold a row of one of them.
    pub(crate) fn may_be_in(&self, file: &LakeFile) -> bool {
        let Some((least, greatest)) = file.stats.event_time else { return true };
        self.starts.iter().any(|(secs, starts)| {
            let length = TimeDelta::seconds(i64::from(*secs));
            let from = least.checked_sub_signed(length).unwrap_or(DateTime::<Utc>::MIN_UTC);
            starts.range(from..=greatest).next().is_some()
        })
    }

    /// The windows as a publication names them.
    pub(crate) fn into_list(self) -> Vec<(DeviceId, u32, DateTime<Utc>)> {
        let windows = self.windows.into_iter();
        windows
            .flat_map(|((device, secs), starts)| starts.into_iter().map(move |at| (device.clone(), secs, at)))
            .collect()
    }
}

/// What the commits between a boundary and a table's version can have changed. Everything, where the log does not tell:
/// before the first publication, after the lake went back, or when commits were cleaned up. Windows that begin before the
/// floor are not computed, and data files that hold no others not looked at.
pub(crate) async fn scope_since(
    boundary: &Boundary,
    lake: &DeltaLake,
    table: &TableFiles,
    profile: &StreamProfile,
    floor: Option<DateTime<Utc>>,
) -> Result<Scope, BatchError> {
    let Some(from) = boundary.lake_version.filter(|from| *from <= table.version) else { return Ok(Scope::All) };
    let changes = lake.files_added_between(&profile.name, LakeTable::Readings, from, table.version).await?;
    let Some(mut changes) = changes else { return Ok(Scope::All) };
    if let Some(floor) = floor {
        changes.added.retain(|file| !file.is_before(floor));
        changes.removed.retain(|file| !file.is_before(floor));
    }
    // Rows that were merged with others since, or are gone, stand in files that this version does not name; a vacuum
    // keeps them until they are published.
    let gone = changes.added.iter().filter(|file| !changes.holders.contains(&file.path)).chain(&changes.removed);
    if !lake.are_stored(&table.of_files(gone.cloned().collect())).await? {
        return Ok(Scope::All);
    }
    let touched = touched_by(&changes, lake, table, profile, floor).await?;
    Ok(if touched.too_many() { Scope::All } else { Scope::Touched(touched) })
}

/// How many windows the rows fall into that these changes brought, took or marked; `None` if there are too many to tell
/// apart, or if their files are gone.
pub(crate) async fn windows_of(
    changes: &FileChanges,
    lake: &DeltaLake,
    table: &TableFiles,
    profile: &StreamProfile,
) -> Result<Option<u64>, BatchError> {
    let files = changes.added.iter().chain(&changes.removed).cloned().collect();
    if !lake.are_stored(&table.of_files(files)).await? {
        return Ok(None);
    }
    let touched = touched_by(changes, lake, table, profile, None).await?;
    Ok((!touched.too_many()).then_some(touched.len() as u64))
}

/// The windows of the rows that are not the same before and after. A file that was written anew to mark a few of its rows
/// holds all others as they were, so files of one bucket are compared where some were removed.
async fn touched_by(
    changes: &FileChanges,
    lake: &DeltaLake,
    table: &TableFiles,
    profile: &StreamProfile,
    floor: Option<DateTime<Utc>>,
) -> Result<TouchedWindows, BatchError> {
    let rewritten: BTreeSet<Option<NaiveDate>> = changes.removed.iter().map(|file| file.bucket).collect();
    let (compared, new): (Vec<_>, Vec<_>) =
        changes.added.iter().cloned().partition(|file| rewritten.contains(&file.bucket));
    let mut touched = TouchedWindows::from_floor(floor);
    touch_rows_of(&table.of_files(new), lake, profile, &mut touched).await?;
    for bucket in rewritten {
        let of_bucket = |files: &[Arc<LakeFile>]| {
            table.of_files(files.iter().filter(|file| file.bucket == bucket).cloned().collect())
        };
        let (before, after) = (of_bucket(&changes.removed), of_bucket(&compared));
        let mut query = WindowQuery::between(lake, (&before, &after), profile)?;
        for secs in &profile.rollup_windows_secs {
            query.touch_differing(*secs, &mut touched).await?;
        }
    }
    Ok(touched)
}

async fn touch_rows_of(
    files: &TableFiles,
    lake: &DeltaLake,
    profile: &StreamProfile,
    touched: &mut TouchedWindows,
) -> Result<(), BatchError> {
    if files.files.is_empty() {
        return Ok(());
    }
    let mut query = WindowQuery::over(lake, files, profile)?;
    for secs in &profile.rollup_windows_secs {
        query.touch(*secs, touched).await?;
    }
    Ok(())
}
