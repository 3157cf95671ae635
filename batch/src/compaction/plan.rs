//! Which data files become one: a pure function of what the log says about them.

use std::{collections::BTreeMap, sync::Arc};

use chrono::NaiveDate;
use kilowatch_shared::lake::delta::LakeFile;

/// Data files of one bucket that become one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The bucket.
    pub bucket: NaiveDate,
    /// The files, two at least.
    pub files: Vec<Arc<LakeFile>>,
}

impl Merge {
    /// Bytes that have to be read.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        size_of(&self.files)
    }

    /// Rows of all files, if their writers said so.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.stats.rows).sum()
    }
}

/// Where the rows of a file come from. Rows of a log and rows of files are asked for by different ranges, so a file that
/// holds both could be left out of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Log,
    Files,
    Unknown,
}

/// The merges that pay, of at most `target_bytes` each.
///
/// Only neighbours in time become one file, so that each still covers a short time and few offsets. A merge pays if
/// what comes out has at least twice the size of its largest part: a row is then rewritten as often as its file can
/// double, and not at each run.
#[must_use]
pub fn plan_merges(files: &[Arc<LakeFile>], target_bytes: u64) -> Vec<Merge> {
    let mut alike: BTreeMap<(NaiveDate, Origin), Vec<Arc<LakeFile>>> = BTreeMap::new();
    for file in files {
        // A file without a bucket is not ours to move.
        if let Some(bucket) = file.bucket {
            alike.entry((bucket, origin_of(file))).or_default().push(Arc::clone(file));
        }
    }
    let mut merges = Vec::new();
    for ((bucket, _), mut files) in alike {
        files.sort_by(|a, b| age(a).cmp(&age(b)));
        for run in runs_within(&files, target_bytes) {
            push_paying(bucket, run, &mut merges);
        }
    }
    merges
}

/// Dead letters have no event time; they follow each other as they were written.
fn age(file: &LakeFile) -> impl Ord + '_ {
    (file.stats.event_time.map(|(first, _)| first), file.modified_at, &file.path)
}

fn origin_of(file: &LakeFile) -> Origin {
    let Some((least, greatest)) = &file.stats.source else { return Origin::Unknown };
    let is_log = |source: &str| source.starts_with("kafka:") || source.starts_with("log:");
    let is_file = |source: &str| source.starts_with("file:") || source.starts_with("dead:");
    // Between the two ends of such a range lies no name of the other kind: `dead` < `file` < `kafka` < `log`.
    if is_log(least) && is_log(greatest) {
        Origin::Log
    } else if is_file(least) && is_file(greatest) {
        Origin::Files
    } else {
        Origin::Unknown
    }
}

/// Neighbours that fit into one file together.
fn runs_within(files: &[Arc<LakeFile>], target_bytes: u64) -> Vec<&[Arc<LakeFile>]> {
    let (mut runs, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (index, file) in files.iter().enumerate() {
        if bytes + file.size_bytes > target_bytes {
            runs.push(&files[begin..index]);
            (begin, bytes) = (index, 0);
        }
        bytes += file.size_bytes;
    }
    runs.push(&files[begin..]);
    runs
}

/// The run, or what is left of it on either side of a file that is too large to be worth rewriting.
fn push_paying(bucket: NaiveDate, run: &[Arc<LakeFile>], merges: &mut Vec<Merge>) {
    let largest = run.iter().enumerate().max_by_key(|(_, file)| file.size_bytes);
    let Some((index, largest)) = largest.filter(|_| run.len() > 1) else { return };
    if size_of(run) >= largest.size_bytes.saturating_mul(2) {
        merges.push(Merge { bucket, files: run.to_vec() });
    } else {
        push_paying(bucket, &run[..index], merges);
        push_paying(bucket, &run[index + 1..], merges);
    }
}

fn size_of(files: &[Arc<LakeFile>]) -> u64 {
    files.iter().map(|file| file.size_bytes).sum()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use kilowatch_shared::lake::files::FileStats;
    use proptest::prelude::*;

    use super::*;

    /// A file of that size whose rows begin at that minute.
    fn file(name: &str, bucket: &str, source: &str, minute: i64, size_bytes: u64) -> Arc<LakeFile> {
        let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let stats = FileStats {
            rows: Some(size_bytes),
            event_time: Some((at, at)),
            source: Some((source.to_owned(), source.to_owned())),
            ..FileStats::default()
        };
        Arc::new(LakeFile::for_test(name, bucket.parse().unwrap(), size_bytes, stats))
    }

    fn names(merges: &[Merge]) -> Vec<Vec<&str>> {
        merges.iter().map(|merge| merge.files.iter().map(|file| file.path.as_ref()).collect()).collect()
    }

    #[test]
    fn neighbours_in_time_of_one_bucket_and_origin_become_one_file() {
        let files = [
            file("c", "2007-01-01", "log:x", 3, 10),
            file("a", "2007-01-01", "kafka:y#1", 1, 10),
            file("b", "2007-01-01", "file:z", 2, 10),
            file("d", "2007-02-01", "log:x", 4, 10),
            file("e", "2007-01-01", "dead:w", 5, 10),
        ];
        assert_eq!(names(&plan_merges(&files, 100)), [["a", "c"], ["b", "e"]]);
    }

    #[test]
    fn a_merge_stays_within_the_target_and_a_full_file_is_left_alone() {
        let files: Vec<_> = (0..5).map(|at| file(&format!("{at}"), "2007-01-01", "log:x", at, 40)).collect();
        assert_eq!(names(&plan_merges(&files, 100)), [["0", "1"], ["2", "3"]]);
        assert_eq!(plan_merges(&files, 40), []);
        assert_eq!(plan_merges(&files, 1), []);
    }

    #[test]
    fn a_large_file_is_not_rewritten_for_a_few_small_ones() {
        let sizes = [4, 6, 1000, 5, 9];
        let files: Vec<_> =
            (0..5).zip(sizes).map(|(at, size)| file(&format!("{at}"), "2007-01-01", "log:x", at, size)).collect();
        assert_eq!(plan_merges(&files, 10_000), [], "none doubles");
        let sizes = [6, 6, 1000, 5, 4, 3];
        let files: Vec<_> =
            (0..6).zip(sizes).map(|(at, size)| file(&format!("{at}"), "2007-01-01", "log:x", at, size)).collect();
        assert_eq!(names(&plan_merges(&files, 10_000)), [vec!["0", "1"], vec!["3", "4", "5"]]);
    }

    proptest! {
        /// What a merge leaves is as large as its parts were.
        #[test]
        fn merging_ends_and_no_file_is_in_two_merges(sizes in prop::collection::vec(1_u64..200, 0..60)) {
            let mut files: Vec<_> = (0..)
                .zip(&sizes)
                .map(|(at, size)| file(&format!("{at}"), "2007-01-01", "log:x", at, *size))
                .collect();
            for round in 0.. {
                let merges = plan_merges(&files, 250);
                if merges.is_empty() {
                    break;
                }
                prop_assert!(round < 12, "merging does not end");
                for merge in &merges {
                    prop_assert!(merge.files.len() > 1 && merge.size_bytes() <= 250);
                    let before = files.len();
                    files.retain(|file| !merge.files.contains(file));
                    prop_assert_eq!(before - files.len(), merge.files.len());
                }
                for (number, merge) in (0..).zip(&merges) {
                    let minute = merge.files[0].stats.event_time.unwrap().0.timestamp() / 60;
                    let name = format!("{round}-{number}");
                    files.push(file(&name, "2007-01-01", "log:x", minute, merge.size_bytes()));
                }
            }
            prop_assert_eq!(size_of(&files), sizes.iter().sum::<u64>());
        }
    }
}
