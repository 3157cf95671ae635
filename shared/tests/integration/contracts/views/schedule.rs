//! Leases of schedules, and when jobs ran last.

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::OwnerToken,
    job::{JobRun, JobStatus},
    position::StreamName,
    views::Lease,
};

use super::subject::{Subject, hour, household, noon};

/// A lease of so many seconds, asked for at noon: views on a server have another time, which goes on.
fn lease(holder: OwnerToken, seconds: i64) -> Lease {
    Lease { holder, now: noon(), until: noon() + TimeDelta::seconds(seconds) }
}

/// Longer than any test.
const LONG: i64 = 86_400;

async fn take(subject: &Subject, lease: Lease) -> bool {
    subject.views.lease_schedule(&household(), &lease).await.unwrap()
}

pub async fn one_process_runs_a_schedule_until_its_lease_ends_or_is_given_back(subject: &Subject) {
    let (one, two) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(subject, lease(one, LONG)).await);
    assert!(!take(subject, lease(two, LONG)).await, "two run a schedule at once");
    let other = StreamName::parse("grid").unwrap();
    assert!(subject.views.lease_schedule(&other, &lease(two, LONG)).await.unwrap(), "streams share a lease");
    assert!(take(subject, lease(one, LONG)).await, "a holder cannot renew");
    assert!(!take(subject, lease(two, LONG)).await, "a renewed lease ended early");
    assert!(take(subject, lease(one, 0)).await, "a holder cannot renew for no time");
    assert!(take(subject, lease(two, LONG)).await, "a lease does not end");
    subject.views.release_schedule(&household(), one).await.unwrap();
    assert!(!take(subject, lease(one, LONG)).await, "somebody else's release counted");
    subject.views.release_schedule(&household(), two).await.unwrap();
    assert!(take(subject, lease(one, LONG)).await, "a lease that was given back lasts");
}

pub async fn a_schedule_is_not_kept_by_a_clock_that_ran_ahead(subject: &Subject) {
    let (ahead, right) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(subject, lease(ahead, 2 * LONG)).await);
    assert!(!take(subject, lease(right, LONG)).await, "clocks that differ by a little took the lease from each other");
    assert!(take(subject, lease(ahead, 3 * LONG)).await);
    assert!(take(subject, lease(right, LONG)).await, "a lease of the day after tomorrow holds today");
}

pub async fn of_processes_that_ask_at_once_one_runs_the_schedule(subject: &Subject) {
    let tries = (0..8).map(|_| {
        let views = subject.views.clone();
        tokio::spawn(
            async move { views.lease_schedule(&household(), &lease(OwnerToken::fresh(), LONG)).await.unwrap() },
        )
    });
    let mut holders = 0;
    for attempt in tries.collect::<Vec<_>>() {
        holders += usize::from(attempt.await.unwrap());
    }
    assert_eq!(holders, 1);
}

pub async fn the_last_start_of_a_job_is_that_of_its_newest_run_that_did_not_fail(subject: &Subject) {
    let last =
        async |job: &str| -> Option<DateTime<Utc>> { subject.views.last_job_start(&household(), job).await.unwrap() };
    assert_eq!(last("train").await, None);
    let runs = [
        ("train", 1, JobStatus::Succeeded),
        ("train", 2, JobStatus::Skipped),
        ("train", 3, JobStatus::Failed),
        ("rollup", 4, JobStatus::Succeeded),
    ];
    for (job, number, status) in runs {
        let run = JobRun {
            job: job.to_owned(),
            stream: household(),
            started_at: hour(number),
            finished_at: hour(number + 1),
            status,
            rows: 0,
            message: String::new(),
        };
        subject.views.add_job_run(&run).await.unwrap();
    }
    assert_eq!(last("train").await, Some(hour(2)));
}
