//! Members that do not know of each other.

use std::sync::Arc;

use kilowatch_shared::{
    lake::{CommitOutcome, LakeTable, SegmentLake},
    position::Offset,
};

use super::subject::{Subject, partition, profile, segment};

const PARTITIONS: u32 = 3;
const LAST: u64 = 60;

/// Closes whatever is open until everything is closed, with segments of changing length.
async fn close_everything(lake: Arc<dyn SegmentLake>, member: u64) -> u32 {
    let mut conflicts = 0;
    for round in 0.. {
        let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
        let segments: Vec<_> = (0..PARTITIONS)
            .filter(|number| member == 2 || u64::from(*number) != round % 3)
            .filter_map(|number| {
                let from = base.closed_to(&partition(number)).unwrap_or_default().get();
                let to = (from + 1 + (round * 5 + member * 3) % 7).min(LAST);
                (to > from).then(|| segment(&partition(number), from, to))
            })
            .collect();
        if segments.is_empty() {
            if (0..PARTITIONS).all(|number| base.closed_to(&partition(number)) == Some(Offset::new(LAST))) {
                break;
            }
            continue;
        }
        if lake.append_readings(&profile(), &base, &segments).await.unwrap() == CommitOutcome::Conflict {
            conflicts += 1;
        }
        tokio::task::yield_now().await;
    }
    conflicts
}

pub async fn two_members_racing_lose_nothing_and_double_nothing(subject: &Subject) {
    let tasks = [
        tokio::spawn(close_everything(subject.lake.clone(), 1)),
        tokio::spawn(close_everything(subject.other.clone(), 2)),
    ];
    for task in tasks {
        task.await.unwrap();
    }
    for number in 0..PARTITIONS {
        let rows = subject.rows(&partition(number), 0, LAST).await;
        assert_eq!(rows, segment(&partition(number), 0, LAST).readings().collect::<Vec<_>>());
    }
}
