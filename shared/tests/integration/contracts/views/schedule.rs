//! Leases of schedules, and when jobs ran last.

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::OwnerToken,
    job::{JobRun, JobStatus},
    position::StreamName,
    views::Lease,
};

use super::subject::{Subject, hour, household, noon};

/// A lease of ten seconds, taken so many seconds after noon.
fn lease(holder: OwnerToken, seconds: i64) -> Lease {
    let now = noon() + TimeDelta::seconds(seconds);
    Lease { holder, now, until: now + TimeDelta::seconds(10) }
}

async fn take(subject: &Subject, lease: Lease) -> bool {
    subject.views.lease_schedule(&household(), &lease).await.unwrap()
}

pub async fn one_process_runs_a_schedule_until_its_lease_ends_or_is_given_back(subject: &Subject) {
    let (one, two) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(subject, lease(one, 0)).await);
    assert!(!take(subject, lease(two, 1)).await, "two run a schedule at once");
    let other = StreamName::parse("grid").unwrap();
    assert!(subject.views.lease_schedule(&other, &lease(two, 1)).await.unwrap(), "streams share a lease");
    assert!(take(subject, lease(one, 5)).await, "a holder cannot renew");
    assert!(!take(subject, lease(two, 14)).await, "a renewed lease ended early");
    assert!(take(subject, lease(two, 15)).await, "a lease does not end");
    subject.views.release_schedule(&household(), one).await.unwrap();
    assert!(!take(subject, lease(one, 16)).await, "somebody else's release counted");
    subject.views.release_schedule(&household(), two).await.unwrap();
    assert!(take(subject, lease(one, 16)).await, "a lease that was given back lasts");
}

pub async fn a_schedule_is_not_kept_by_a_clock_that_ran_ahead(subject: &Subject) {
    let (ahead, right) = (OwnerToken::fresh(), OwnerToken::fresh());
    assert!(take(subject, lease(ahead, 10)).await);
    assert!(!take(subject, lease(right, 0)).await, "clocks that differ by a little took the lease from each other");
    assert!(take(subject, lease(ahead, 86_400)).await);
    assert!(take(subject, lease(right, 0)).await, "tomorrow's lease holds today");
}

pub async fn of_processes_that_ask_at_once_one_runs_the_schedule(subject: &Subject) {
    let tries = (0..8).map(|_| {
        let views = subject.views.clone();
        tokio::spawn(async move { views.lease_schedule(&household(), &lease(OwnerToken::fresh(), 0)).await.unwrap() })
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
