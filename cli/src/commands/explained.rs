//! A roll-up's explanation in lines for people.

use kilowatch_batch::{
    Summary,
    jobs::{
        explain::{Changes, Explanation},
        rollup::{RollupOutcome, RollupReport},
    },
};
use kilowatch_shared::wording::{counted, grouped};
use serde::Serialize;

use super::lake::versions::author;
use crate::output;

/// What a roll-up did, and why.
#[derive(Debug, Serialize)]
pub struct ExplainedRollup {
    /// What it did.
    #[serde(flatten)]
    pub report: RollupReport,
    /// Why.
    pub explanation: Explanation,
}

/// The lines.
pub fn describe(explained: &ExplainedRollup) -> String {
    let Explanation { since, until, commits, changes } = &explained.explanation;
    let mut lines = vec![explained.report.sentence()];
    let Some(until) = until else { return lines.remove(0) };
    if explained.report.outcome == RollupOutcome::UpToDate {
        lines.push(format!("the views have seen version {until}, and there is no newer one"));
        return lines.join("\n");
    }
    lines.push(match since {
        Some(since) if since < until => format!("the views had seen version {since}; new to them:"),
        Some(since) if since == until => "all windows were asked for; the views had seen this version".to_owned(),
        Some(since) => format!("the lake went back: the views had seen version {since}, of it; the newest versions:"),
        None => "the views had seen nothing; the newest versions:".to_owned(),
    });
    for commit in commits {
        let version = &commit.version;
        let windows = commit.windows.map_or_else(|| "windows not counted".to_owned(), |count| counted(count, "window"));
        let (at, by) = (output::instant(version.at), author(&version.by));
        lines.push(format!("  version {} of {at}, {}, {by}: {windows}", version.version, version.operation));
    }
    match changes {
        Some(changes) => lines.extend(describe_changes(changes)),
        None => lines.push("what changed of the rows is not known without an older version".to_owned()),
    }
    lines.join("\n")
}

fn describe_changes(changes: &Changes) -> Vec<String> {
    let Changes { rows, new_hours, revised_hours, examples } = changes;
    let mut lines = vec![
        format!(
            "{} added, {} removed, {} changed",
            counted(rows.added, "row"),
            grouped(rows.removed),
            grouped(rows.changed)
        ),
        format!("{} new, {} revised, by device and measure", counted(*new_hours, "hour"), grouped(*revised_hours)),
    ];
    lines.extend(examples.iter().map(|hour| {
        let ((count_before, before), (count_after, after)) = (hour.before, hour.after);
        format!(
            "  {} {} {}: {count_before} values, sum {before} became {count_after} values, sum {after}",
            hour.device_id,
            output::instant(hour.hour),
            hour.measure
        )
    }));
    lines
}
