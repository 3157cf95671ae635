//! The segments of each partition tile it: where one ends the next one begins, up to L.
//!
//! Offsets that Kafka never delivered (of transactions, or compacted away) lie inside a segment, and a gap that an
//! operator accepted is a segment without rows: neither is a hole.

use std::collections::HashMap;

use kilowatch_shared::{
    checkpoint::SourcePartition,
    lake::{LakeTable, delta::TableFiles},
    position::Offset,
    stream::StreamProfile,
};

use super::VerifyReport;
use crate::{BatchDeps, BatchError};

/// Follows the commits of a table. Where a clean-up took the oldest ones away, it begins with what is left.
pub(super) async fn compare(
    deps: &BatchDeps,
    profile: &StreamProfile,
    which: LakeTable,
    table: &TableFiles,
    report: &mut VerifyReport,
) -> Result<(), BatchError> {
    let mut ends: HashMap<SourcePartition, Offset> = HashMap::new();
    let name = &table.folder;
    let follow = |version: i64, segment: kilowatch_shared::lake::delta::CommittedSegment| {
        report.segments.checked += 1;
        let SourcePartition { source, partition } = &segment.partition;
        let end = ends.get(&segment.partition).copied();
        if segment.span.is_empty() || end.is_some_and(|end| end != segment.span.from) {
            report.segments.differing += 1;
            let before = end.map_or_else(String::new, |end| format!(" after one that ended at {end}"));
            report.describe(|| {
                format!("{source}/{partition}: version {version} of {name} has the segment {}{before}", segment.span)
            });
        }
        ends.insert(segment.partition.clone(), segment.span.to);
    };
    let oldest = deps.lake.each_segment(&profile.name, which, table.version, follow).await?;
    for (partition, closed) in &table.closed {
        let end = ends.get(partition);
        // What was cleaned up may have told of it.
        if end.is_none() && oldest > 0 {
            continue;
        }
        if end != Some(closed) {
            report.segments.differing += 1;
            let SourcePartition { source, partition } = partition;
            let end = end.map_or_else(|| "none".to_owned(), ToString::to_string);
            report
                .describe(|| format!("{source}/{partition}: L of {name} is {closed}, its last segment ends at {end}"));
        }
    }
    Ok(())
}
