//! The published roll-ups are what a computation over the whole table gives at the boundary's version (I5), in every window
//! length that is stored; longer ones are sums of these. Windows of another profile than the one at hand are computed as
//! they were published.

use std::collections::{HashMap, VecDeque};

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use chrono::{DateTime, Utc};
use kilowatch_shared::{
    lake::{
        LakeError, LakeTable,
        delta::TableFiles,
        session::{SessionLimits, SessionTable, lake_session},
    },
    position::DeviceId,
    rollup::{Partial, RollupKey, RollupRow},
    stream::StreamProfile,
};

use super::VerifyReport;
use crate::{
    BatchDeps, BatchError,
    rollups::{Shape, WindowQuery},
};

/// Rows of the views that are read at once.
const PAGE_ROWS: u32 = 10_000;

/// A publication in the middle of the comparison makes it start again.
const MAX_TRIES: u32 = 5;

/// Compares all partials of all windows.
pub(super) async fn compare(
    deps: &BatchDeps,
    profile: &StreamProfile,
    rows_at_once: u64,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    for _ in 0..MAX_TRIES {
        let boundary = deps.views.boundary(&profile.name).await?;
        let Some(version) = boundary.lake_version else { return Ok(()) };
        let shape = deps.views.published_shape(&profile.name).await?;
        let published_for = shape.as_deref().and_then(Shape::parse).unwrap_or_else(|| Shape::of(profile));
        let awaits_rollup = published_for != Shape::of(profile);
        let profile = &published_for.applied_to(profile);
        let floors = deps.views.age_floors(&profile.name).await?;
        let floor = floors.of_computed_windows();
        let table = deps.lake.open_table(&profile.name, LakeTable::Readings, Some(version)).await?;
        let mut attempt = VerifyReport { awaits_rollup, ..report.clone() };
        let mut published = Published::new(deps, profile, floor);
        for (least, greatest) in runs(&devices_of(deps, &table).await?, rows_at_once) {
            let mut computed = computed(deps, profile, &table, &least, &greatest).await?;
            computed.retain(|key, _| floor.is_none_or(|floor| key.window_start >= floor));
            while let Some(row) = published.next_up_to(Some(&greatest)).await? {
                compare_one(&row, computed.remove(&row.key), &mut attempt);
            }
            for (key, partial) in computed {
                attempt.partials.checked += 1;
                attempt.partials.differing += 1;
                attempt.describe(|| format!("{key:?}: not published, computed {partial:?}"));
            }
        }
        while let Some(row) = published.next_up_to(None).await? {
            compare_one(&row, None, &mut attempt);
        }
        attempt.too_old += published.too_old;
        let is_same = deps.views.boundary(&profile.name).await? == boundary
            && deps.views.published_shape(&profile.name).await? == shape
            && deps.views.age_floors(&profile.name).await? == floors;
        if is_same {
            *report = attempt;
            return Ok(());
        }
    }
    Err(BatchError::Contended {
        job: "verify",
        attempts: MAX_TRIES,
        reason: "roll-ups were published during each comparison".to_owned(),
    })
}

fn compare_one(row: &RollupRow, expected: Option<Partial>, report: &mut VerifyReport) {
    report.partials.checked += 1;
    if !expected.is_some_and(|expected| expected.is_close_to(&row.partial)) {
        report.partials.differing += 1;
        report.describe(|| format!("{:?}: published {:?}, computed {expected:?}", row.key, row.partial));
    }
}

/// The devices of a table in the order of their ids, with how many rows each has.
async fn devices_of(deps: &BatchDeps, table: &TableFiles) -> Result<Vec<(DeviceId, u64)>, BatchError> {
    if table.files.is_empty() {
        return Ok(Vec::new());
    }
    let readings = SessionTable { name: "readings", files: table };
    let session = lake_session(deps.lake.store(), &[readings], &SessionLimits::default())?;
    let mut devices = Vec::new();
    for batch in session.collect(include_str!("devices.sql")).await? {
        let ids = cast(batch.column(0), &DataType::Utf8).map_err(|error| corrupt(&error))?;
        let rows = cast(batch.column(1), &DataType::Int64).map_err(|error| corrupt(&error))?;
        let ids = ids.as_string::<i32>();
        for (row, rows) in rows.as_primitive::<Int64Type>().values().iter().enumerate() {
            devices.push((DeviceId::parse(ids.value(row)).map_err(|error| corrupt(&error))?, rows.cast_unsigned()));
        }
    }
    devices.sort();
    Ok(devices)
}

/// Neighbouring devices that are computed together, as (first, last).
fn runs(devices: &[(DeviceId, u64)], rows_at_once: u64) -> Vec<(DeviceId, DeviceId)> {
    let mut runs: Vec<(DeviceId, DeviceId)> = Vec::new();
    let mut held = 0;
    for (device, rows) in devices {
        match runs.last_mut() {
            Some((_, last)) if held + rows <= rows_at_once => last.clone_from(device),
            _ => {
                held = 0;
                runs.push((device.clone(), device.clone()));
            }
        }
        held += rows;
    }
    runs
}

async fn computed(
    deps: &BatchDeps,
    profile: &StreamProfile,
    table: &TableFiles,
    least: &DeviceId,
    greatest: &DeviceId,
) -> Result<HashMap<RollupKey, Partial>, BatchError> {
    let mut computed = HashMap::new();
    let mut query = WindowQuery::over(&deps.lake, table, profile)?.of_devices(least, greatest);
    for secs in &profile.rollup_windows_secs {
        query
            .for_each(*secs, None, async |rows| {
                computed.extend(rows.into_iter().map(|row| (row.key, row.partial)));
                Ok(())
            })
            .await?;
    }
    Ok(computed)
}

/// The published rows in the order of their keys, which begin with the device.
struct Published<'a> {
    deps: &'a BatchDeps,
    profile: &'a StreamProfile,
    page: VecDeque<RollupRow>,
    after: Option<RollupKey>,
    ended: bool,
    /// Windows that begin earlier are not compared.
    floor: Option<DateTime<Utc>>,
    too_old: u64,
}

impl<'a> Published<'a> {
    fn new(deps: &'a BatchDeps, profile: &'a StreamProfile, floor: Option<DateTime<Utc>>) -> Self {
        Self { deps, profile, page: VecDeque::new(), after: None, ended: false, floor, too_old: 0 }
    }

    /// The next row, if its device is not beyond `last`.
    async fn next_up_to(&mut self, last: Option<&DeviceId>) -> Result<Option<RollupRow>, BatchError> {
        // A page may hold nothing but what is too old.
        while self.page.is_empty() && !self.ended {
            let views = &self.deps.views;
            self.page = views.published_rollups(&self.profile.name, self.after.as_ref(), PAGE_ROWS).await?.into();
            self.after = self.page.back().map(|row| row.key.clone());
            self.ended = self.page.is_empty();
            let read = self.page.len();
            self.page.retain(|row| self.floor.is_none_or(|floor| row.key.window_start >= floor));
            self.too_old += (read - self.page.len()) as u64;
        }
        Ok(self.page.pop_front_if(|row| last.is_none_or(|last| row.key.device <= *last)))
    }
}

fn corrupt(reason: &dyn std::fmt::Display) -> BatchError {
    LakeError::Corrupt { reason: format!("devices: {reason}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_computed_together_up_to_so_many_rows() {
        let device = |name: &str| DeviceId::parse(name).unwrap();
        let devices = [("a", 5), ("b", 95), ("c", 300), ("d", 1), ("e", 1)];
        let devices = devices.map(|(name, rows)| (device(name), rows));
        let expected = [("a", "b"), ("c", "c"), ("d", "e")].map(|(from, to)| (device(from), device(to)));
        assert_eq!(runs(&devices, 100), expected);
        assert_eq!(runs(&[], 100), []);
    }
}
