//! Pages of anomalies, and the newest of everything else.

use kilowatch_shared::{
    anomaly::{Anomaly, AnomalyOrigin, Severity},
    benchmark::{
        Benchmark, BenchmarkPage, BenchmarkTask, EngineFound, Figures, Machine, Measurement, MeasurementResult, Spread,
    },
    job::{JobRun, JobStatus},
    model::ModelId,
    position::StreamName,
    verification::Verification,
    views::{AnomalyFilter, Effects, KEPT_BENCHMARKS, KEPT_JOB_RUNS},
};

use super::subject::{Subject, anomaly, dead_letter, device, hour, household, partition};

async fn with_anomalies(subject: &Subject, anomalies: Vec<Anomaly>) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(1000, Effects { anomalies, ..Effects::default() }).await;
}

async fn ids(subject: &Subject, filter: AnomalyFilter) -> Vec<u64> {
    let page = subject.views.list_anomalies(&household(), &filter, None, 100).await.unwrap();
    page.anomalies.iter().map(|anomaly| anomaly.position.offset.get()).collect()
}

pub async fn pages_hold_every_anomaly_once_where_event_times_are_equal(subject: &Subject) {
    // Five event times for 53 anomalies, so that every page ends among equal times.
    let all: Vec<_> = (0..53).map(|number| anomaly(number, hour((number % 5) as i64), "m", Severity::Minor)).collect();
    with_anomalies(subject, all.clone()).await;
    let mut expected = all;
    expected.sort_by(|a, b| b.event_time.cmp(&a.event_time).then_with(|| a.id.cmp(&b.id)));
    for limit in [1, 7, 53, 100] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let views = &subject.views;
            let page =
                views.list_anomalies(&household(), &AnomalyFilter::default(), after.as_ref(), limit).await.unwrap();
            assert!(page.anomalies.len() <= limit as usize);
            found.extend(page.anomalies);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
}

pub async fn a_last_full_page_says_that_it_is_the_last(subject: &Subject) {
    with_anomalies(subject, (0..4).map(|number| anomaly(number, hour(0), "m", Severity::Minor)).collect()).await;
    let page = subject.views.list_anomalies(&household(), &AnomalyFilter::default(), None, 4).await.unwrap();
    assert_eq!((page.anomalies.len(), page.next), (4, None));
}

pub async fn a_filter_holds_on_every_side(subject: &Subject) {
    let mut other_detector = anomaly(4, hour(4), "a", Severity::Warning);
    other_detector.verdict.detector = "isolation_forest".to_owned();
    with_anomalies(
        subject,
        vec![
            anomaly(1, hour(1), "a", Severity::Minor),
            anomaly(2, hour(2), "a", Severity::Warning),
            anomaly(3, hour(3), "b", Severity::Critical),
            other_detector,
        ],
    )
    .await;
    let all = AnomalyFilter::default;
    assert_eq!(ids(subject, all()).await, [4, 3, 2, 1]);
    assert_eq!(ids(subject, AnomalyFilter { device: Some(device("b")), ..all() }).await, [3]);
    assert_eq!(ids(subject, AnomalyFilter { detector: Some("three_sigma".to_owned()), ..all() }).await, [3, 2, 1]);
    assert_eq!(ids(subject, AnomalyFilter { min_severity: Some(Severity::Minor), ..all() }).await, [4, 3, 2, 1]);
    assert_eq!(ids(subject, AnomalyFilter { min_severity: Some(Severity::Warning), ..all() }).await, [4, 3, 2]);
    assert_eq!(ids(subject, AnomalyFilter { min_severity: Some(Severity::Critical), ..all() }).await, [3]);
    assert_eq!(ids(subject, AnomalyFilter { from: Some(hour(2)), until: Some(hour(4)), ..all() }).await, [3, 2]);
    let narrow = AnomalyFilter {
        device: Some(device("a")),
        detector: Some("three_sigma".to_owned()),
        min_severity: Some(Severity::Warning),
        from: Some(hour(0)),
        until: Some(hour(9)),
    };
    assert_eq!(ids(subject, narrow).await, [2]);
    assert_eq!(ids(subject, AnomalyFilter { device: Some(device("' OR 1=1")), ..all() }).await, [0_u64; 0]);
}

pub async fn every_part_of_an_anomaly_comes_back(subject: &Subject) {
    let mut odd = anomaly(9, hour(0) + chrono::TimeDelta::microseconds(1), "Zähler 1", Severity::Critical);
    odd.verdict.score = -1.0 / 3.0;
    odd.verdict.threshold = f64::MAX;
    odd.verdict.model_id = Some(ModelId::of(b"forest"));
    odd.verdict.explanation.observed = 0.1 + 0.2;
    odd.verdict.explanation.expected_low = None;
    odd.verdict.explanation.expected_high = Some(5e-324);
    odd.verdict.explanation.window_readings = 0;
    odd.verdict.explanation.text = "«unusual» \u{1f50c}\n\"quoted\"".to_owned();
    odd.origin = AnomalyOrigin::Batch;
    let plain = anomaly(3, hour(7), "m", Severity::Minor);
    with_anomalies(subject, vec![odd.clone(), plain.clone()]).await;
    assert_eq!(subject.views.anomalies_of(&partition(0)).await.unwrap(), [plain, odd]);
    assert_eq!(subject.views.anomalies_of(&partition(1)).await.unwrap(), []);
}

pub async fn dead_letters_come_newest_first_and_whole(subject: &Subject) {
    let mut tombstone = dead_letter(3, "a tombstone\nis no reading");
    tombstone.key = None;
    tombstone.raw = bytes::Bytes::new();
    let letters = vec![dead_letter(1, "one"), dead_letter(2, "two"), tombstone];
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(9, Effects { dead_letters: letters.clone(), ..Effects::default() }).await;
    let newest: Vec<_> = letters.into_iter().rev().collect();
    assert_eq!(subject.views.recent_dead_letters(&household(), 10).await.unwrap(), newest);
    assert_eq!(subject.views.recent_dead_letters(&household(), 2).await.unwrap(), newest[..2]);
}

pub async fn a_text_with_a_nul_does_not_stop_a_partition(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let letters = vec![dead_letter(1, "unexpected `\0` at column 3")];
    member.apply(2, Effects { dead_letters: letters, ..Effects::default() }).await;
    let reason = subject.views.recent_dead_letters(&household(), 1).await.unwrap().remove(0).reason;
    assert!(reason.ends_with("at column 3"), "{reason:?}");
}

fn job_run(job: &str, number: i64, status: JobStatus) -> JobRun {
    JobRun {
        job: job.to_owned(),
        stream: household(),
        started_at: hour(number),
        finished_at: hour(number + 1),
        status,
        rows: 8760,
        message: "8,760 windows".to_owned(),
    }
}

pub async fn job_runs_come_newest_first(subject: &Subject) {
    let statuses = [(2, JobStatus::Failed), (1, JobStatus::Skipped), (0, JobStatus::Succeeded)];
    let runs = statuses.map(|(number, status)| job_run("rollup", number, status));
    for run in runs.iter().rev() {
        subject.views.add_job_run(run).await.unwrap();
    }
    assert_eq!(subject.views.recent_job_runs(&household(), 10).await.unwrap(), runs);
    assert_eq!(subject.views.recent_job_runs(&household(), 1).await.unwrap(), runs[..1]);
}

pub async fn the_history_keeps_the_newest_runs_of_each_job(subject: &Subject) {
    let kept = i64::from(KEPT_JOB_RUNS);
    let train = job_run("train", 0, JobStatus::Succeeded);
    subject.views.add_job_run(&train).await.unwrap();
    for number in 1..=kept + 2 {
        subject.views.add_job_run(&job_run("rollup", number, JobStatus::Skipped)).await.unwrap();
    }
    let runs = subject.views.recent_job_runs(&household(), 2 * KEPT_JOB_RUNS).await.unwrap();
    let mut expected: Vec<JobRun> =
        (3..=kept + 2).rev().map(|number| job_run("rollup", number, JobStatus::Skipped)).collect();
    expected.push(train);
    assert_eq!(runs, expected);
}

pub async fn the_last_verification_of_each_stream_is_kept(subject: &Subject) {
    let found = |stream: &str, number: i64, differing: u64| Verification {
        stream: StreamName::parse(stream).unwrap(),
        verified_at: hour(number),
        lake_version: number,
        differing,
        unproved: differing / 2,
        message: format!("{differing} differences among 7 positions"),
    };
    assert_eq!(subject.views.verifications().await.unwrap(), []);
    for verification in [found("household", 1, 0), found("grid", 2, 1), found("household", 3, 5)] {
        subject.views.keep_verification(&verification).await.unwrap();
    }
    let kept = subject.views.verifications().await.unwrap();
    assert_eq!(kept, [found("grid", 2, 1), found("household", 3, 5)]);
}

pub fn benchmark(seed: u64) -> Benchmark {
    let spread = Spread { min: 0.1, median: 1.0 / 3.0, max: 0.7 };
    let figures = Figures { wall_secs: spread, cpu_secs: spread, peak_bytes: spread, engine_secs: None };
    let measurement = |engine: &str, result| Measurement {
        task: BenchmarkTask::Ingest,
        engine: engine.to_owned(),
        input_bytes: 50_000_000,
        input_rows: 800_000,
        result,
    };
    Benchmark {
        started_at: hour(1),
        finished_at: hour(2),
        machine: Machine { cpu: "a \"fast\" one".to_owned(), cores: 2, memory_bytes: 1 << 34, os: "Linux".to_owned() },
        rounds: 3,
        seed,
        engines: vec![EngineFound {
            engine: "Spark".to_owned(),
            version: None,
            absence: Some("not installed".to_owned()),
        }],
        measurements: vec![
            measurement("kilowatch", MeasurementResult::Measured(figures)),
            measurement("DuckDB", MeasurementResult::Failed("out of memory".to_owned())),
        ],
    }
}

pub async fn benchmarks_come_newest_first_page_by_page_and_whole(subject: &Subject) {
    assert_eq!(subject.views.list_benchmarks(None, 10).await.unwrap(), BenchmarkPage::default());
    for seed in 1..=5 {
        subject.views.add_benchmark(&benchmark(seed)).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = subject.views.list_benchmarks(after, 2).await.unwrap();
        assert!(page.unreadable.is_empty() && page.benchmarks.len() <= 2);
        found.extend(page.benchmarks);
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    let seeds: Vec<u64> = found.iter().map(|kept| kept.benchmark.seed).collect();
    assert_eq!(seeds, [5, 4, 3, 2, 1]);
    assert_eq!(found[0].benchmark, benchmark(5));
    assert_eq!(subject.views.benchmark(found[3].id).await.unwrap().as_ref(), Some(&found[3]));
}

pub async fn the_newest_benchmarks_are_kept(subject: &Subject) {
    let added = u64::from(KEPT_BENCHMARKS) + 3;
    for seed in 1..=added {
        subject.views.add_benchmark(&benchmark(seed)).await.unwrap();
    }
    let kept = subject.views.list_benchmarks(None, 2 * KEPT_BENCHMARKS).await.unwrap().benchmarks;
    assert_eq!(kept.len(), KEPT_BENCHMARKS as usize);
    assert_eq!(kept.last().map(|oldest| oldest.benchmark.seed), Some(4));
}

pub async fn views_that_are_there_answer(subject: &Subject) {
    subject.views.ping().await.unwrap();
}
