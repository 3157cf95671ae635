//! The published roll-ups are what a computation over the whole table gives at the boundary's version (I5).

use std::collections::HashMap;

use kilowatch_shared::{
    lake::LakeTable,
    rollup::{Partial, RollupKey},
    stream::StreamProfile,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError, rollups::WindowQuery};

/// Rows of the views that are read at once.
const PAGE_ROWS: u32 = 10_000;

/// A publication in the middle of the comparison makes it start again.
const MAX_TRIES: u32 = 5;

/// Sums of the same values in another order differ in their last digits.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// Compares all partials of all windows.
pub(super) async fn compare(
    deps: &BatchDeps,
    profile: &StreamProfile,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    for _ in 0..MAX_TRIES {
        let boundary = deps.views.boundary(&profile.name).await?;
        let Some(version) = boundary.lake_version else { return Ok(()) };
        let table = deps.lake.open_table(&profile.name, LakeTable::Readings, Some(version)).await?;
        let mut computed: HashMap<RollupKey, Partial> = HashMap::new();
        if !table.files.is_empty() {
            let mut query = WindowQuery::over(&deps.lake, &table, profile)?;
            for secs in &profile.rollup_windows_secs {
                query
                    .for_each(*secs, None, async |rows| {
                        computed.extend(rows.into_iter().map(|row| (row.key, row.partial)));
                        Ok(())
                    })
                    .await?;
            }
        }
        let mut attempt = report.clone();
        compare_pages(deps, profile, computed, &mut attempt).await?;
        if deps.views.boundary(&profile.name).await? == boundary {
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

async fn compare_pages(
    deps: &BatchDeps,
    profile: &StreamProfile,
    mut computed: HashMap<RollupKey, Partial>,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let mut after: Option<RollupKey> = None;
    loop {
        let page = deps.views.published_rollups(&profile.name, after.as_ref(), PAGE_ROWS).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for row in page {
            report.partials.checked += 1;
            let expected = computed.remove(&row.key);
            if !expected.is_some_and(|expected| same(&expected, &row.partial)) {
                report.partials.differing += 1;
                report.describe(|| format!("{:?}: published {:?}, computed {expected:?}", row.key, row.partial));
            }
        }
    }
    for (key, partial) in computed {
        report.partials.checked += 1;
        report.partials.differing += 1;
        report.describe(|| format!("{key:?}: not published, computed {partial:?}"));
    }
    Ok(())
}

fn same(a: &Partial, b: &Partial) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= RELATIVE_TOLERANCE * a.abs().max(b.abs());
    let extremes = a.min == b.min && a.max == b.max;
    a.count == b.count && extremes && near(a.sum, b.sum) && near(a.sum_squares, b.sum_squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_are_the_same_up_to_the_last_digits_of_their_sums_alone() {
        let partial = Partial { count: 2, sum: 3.0, min: 1.0, max: 2.0, sum_squares: 5.0 };
        assert!(same(&partial, &Partial { sum: 3.0 + 1e-12, ..partial }));
        assert!(!same(&partial, &Partial { sum: 3.0 + 1e-6, ..partial }));
        assert!(!same(&partial, &Partial { max: 2.0 + 1e-12, ..partial }));
        assert!(!same(&partial, &Partial { count: 3, ..partial }));
    }
}
