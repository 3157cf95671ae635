//! Boundary and windows move together, forward, from cut to cut, and only for who read the boundary last.

use chrono::{DateTime, TimeDelta, Utc};
use kilowatch_shared::{
    checkpoint::Boundary,
    rollup::RollupRow,
    views::{Publication, PublishOutcome, PublishedShape, ReplacedWindows, StageId, UsageResult},
};
use uuid::Uuid;

use super::subject::{
    HOUR, MEASURE, Member, Subject, boundary, device, dropped_after, hour, household, partition, rollups, value,
};

/// A member of partition 0 with cuts at 0, 2, 4 and 6, where each message is worth 1.
async fn three_segments(subject: &Subject) -> Member {
    let mut member = subject.claim(&partition(0), 0).await;
    for to in [2, 4, 6] {
        let number = i64::try_from(to).unwrap();
        member.apply(to, rollups(vec![value("m", number, 1.0), value("m", number + 1, 1.0)])).await;
        member.cut().await;
    }
    member
}

async fn refused(subject: &Subject, publication: &Publication) -> String {
    let before = subject.usage(&household()).await;
    let outcome = subject.views.publish(publication).await.unwrap();
    assert_eq!(subject.usage(&household()).await, before);
    match outcome {
        PublishOutcome::Refused { reason } => reason,
        PublishOutcome::Published => panic!("{publication:?} was published"),
    }
}

async fn publication(subject: &Subject, expected: Boundary, next: Boundary, rows: &[RollupRow]) -> Publication {
    let stage = subject.stage(&household(), rows).await;
    Publication {
        stream: household(),
        expected,
        next,
        stage,
        replaces: ReplacedWindows::All,
        shape: PublishedShape::default(),
    }
}

pub async fn a_publication_moves_boundary_and_windows_at_once(subject: &Subject) {
    three_segments(subject).await;
    let info = subject.views.boundary_info(&household()).await.unwrap();
    assert_eq!((info.boundary, info.published_at), (Boundary::default(), None));
    let rows = [value("m", 2, 1.0), value("m", 3, 1.0)];
    assert_eq!(subject.publish_all(&household(), 3, &[(&partition(0), 2)], &rows).await, PublishOutcome::Published);
    let info = subject.views.boundary_info(&household()).await.unwrap();
    assert_eq!(info.boundary, boundary(3, &[(&partition(0), 2)]));
    assert_eq!(info.published_at, Some(subject.now));
    assert_eq!(subject.views.boundary(&household()).await.unwrap(), info.boundary);
    let counts = subject.views.counts(&household(), MEASURE, HOUR).await.unwrap();
    assert_eq!(counts.batch_values, 2);
}

pub async fn what_is_only_staged_is_read_by_nobody(subject: &Subject) {
    subject.stage(&household(), &[value("m", 0, 1.0)]).await;
    assert_eq!(subject.usage(&household()).await.windows, []);
    assert_eq!(subject.views.counts(&household(), MEASURE, HOUR).await.unwrap().batch_values, 0);
}

pub async fn a_stale_expectation_is_refused(subject: &Subject) {
    three_segments(subject).await;
    let read = subject.views.boundary(&household()).await.unwrap();
    subject.publish_all(&household(), 1, &[(&partition(0), 2)], &[value("m", 2, 2.0)]).await;
    let late = publication(subject, read, boundary(2, &[(&partition(0), 4)]), &[value("m", 2, 99.0)]).await;
    let reason = refused(subject, &late).await;
    assert!(reason.contains("another job"), "{reason}");
    // The lake's version is a part of what was read.
    let other = boundary(9, &[(&partition(0), 2)]);
    let late = publication(subject, other, boundary(10, &[(&partition(0), 4)]), &[]).await;
    refused(subject, &late).await;
}

pub async fn a_partition_neither_goes_back_nor_is_forgotten(subject: &Subject) {
    three_segments(subject).await;
    subject.publish_all(&household(), 1, &[(&partition(0), 4)], &[value("m", 2, 4.0)]).await;
    let read = boundary(1, &[(&partition(0), 4)]);
    let back = publication(subject, read.clone(), boundary(2, &[(&partition(0), 2)]), &[value("m", 2, 2.0)]).await;
    assert!(refused(subject, &back).await.contains("back"));
    let forgotten = publication(subject, read, boundary(2, &[]), &[value("m", 2, 2.0)]).await;
    assert!(refused(subject, &forgotten).await.contains("forgotten"));
}

pub async fn an_end_that_is_no_recorded_cut_is_refused(subject: &Subject) {
    three_segments(subject).await;
    for (id, end) in [(partition(0), 3), (partition(0), 7), (partition(5), 0)] {
        let next = boundary(1, &[(&id, end)]);
        let between = publication(subject, Boundary::default(), next, &[value("m", 2, 2.0)]).await;
        let reason = refused(subject, &between).await;
        assert!(reason.contains("cut"), "{reason}");
    }
}

pub async fn an_end_may_stay_where_it_is(subject: &Subject) {
    three_segments(subject).await;
    subject.publish_all(&household(), 1, &[(&partition(0), 2)], &[value("m", 2, 2.0)]).await;
    // A file came into the lake: more rows, the same offsets.
    let outcome = subject.publish_all(&household(), 2, &[(&partition(0), 2)], &[value("m", 2, 3.0)]).await;
    assert_eq!(outcome, PublishOutcome::Published);
    assert_eq!(subject.views.boundary(&household()).await.unwrap(), boundary(2, &[(&partition(0), 2)]));
}

pub async fn files_alone_have_a_boundary_without_partitions(subject: &Subject) {
    let outcome = subject.publish_all(&household(), 0, &[], &[value("m", 2, 2.0)]).await;
    assert_eq!(outcome, PublishOutcome::Published);
    assert_eq!(subject.views.boundary(&household()).await.unwrap(), boundary(0, &[]));
    assert_eq!(subject.usage(&household()).await.windows[0].batch_count, 1);
}

pub async fn touched_windows_are_replaced_and_others_stay(subject: &Subject) {
    let all = [value("a", 0, 1.0), value("a", 1, 2.0), value("b", 0, 4.0), value("b", 1, 8.0)];
    subject.publish_all(&household(), 1, &[], &all).await;
    let publication = Publication {
        stream: household(),
        expected: boundary(1, &[]),
        next: boundary(2, &[]),
        // Of the two touched windows one has rows again, the other disappears.
        stage: subject.stage(&household(), &[value("a", 0, 100.0)]).await,
        replaces: ReplacedWindows::Touched(vec![(device("a"), HOUR, hour(0)), (device("b"), HOUR, hour(1))]),
        shape: PublishedShape::default(),
    };
    assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    let sums: Vec<_> = subject.usage(&household()).await.windows.iter().map(|w| (w.start, w.partial.sum)).collect();
    assert_eq!(sums, [(hour(0), 104.0), (hour(1), 2.0)]);
}

pub async fn a_touched_window_disappears_in_every_measure_and_group(subject: &Subject) {
    let named = |name: &str, number: i64, measure: &str, group: &str| {
        let mut row = value(name, number, 1.0);
        row.key.measure = measure.to_owned();
        row.key.group = group.to_owned();
        row
    };
    let mut all = Vec::new();
    for number in 0..600 {
        all.push(named("a", number, MEASURE, "x"));
        all.push(named("a", number, MEASURE, "y"));
        all.push(named("a", number, "voltage", "x"));
    }
    subject.publish_all(&household(), 1, &[], &all).await;
    let touched = (0..599).map(|number| (device("a"), HOUR, hour(number))).collect();
    let publication = Publication {
        stream: household(),
        expected: boundary(1, &[]),
        next: boundary(2, &[]),
        stage: StageId(Uuid::new_v4()),
        replaces: ReplacedWindows::Touched(touched),
        shape: PublishedShape::default(),
    };
    assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    let counted = async |measure| subject.views.counts(&household(), measure, HOUR).await.unwrap().batch_values;
    assert_eq!((counted(MEASURE).await, counted("voltage").await), (2, 1));
}

pub async fn a_full_recomputation_leaves_nothing_behind(subject: &Subject) {
    subject.publish_all(&household(), 1, &[], &[value("a", 0, 1.0), value("gone", 9, 2.0)]).await;
    subject.publish_all(&household(), 2, &[], &[value("a", 1, 4.0)]).await;
    let sums: Vec<_> = subject.usage(&household()).await.windows.iter().map(|w| (w.start, w.partial.sum)).collect();
    assert_eq!(sums, [(hour(1), 4.0)]);
    assert_eq!(subject.views.list_devices(&household(), None, 10).await.unwrap(), [(device("a"), hour(1))]);
}

pub async fn pages_of_published_rows_hold_each_row_once_and_no_staged_one(subject: &Subject) {
    let mut rows: Vec<RollupRow> =
        ["b", "a", "c"].iter().flat_map(|name| (-2..3).map(|number| value(name, number, 1.5))).collect();
    subject.publish_all(&household(), 1, &[], &rows).await;
    subject.stage(&household(), &[value("staged", 0, 1.0)]).await;
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|row: &RollupRow| &row.key);
        let page = subject.views.published_rollups(&household(), after, 4).await.unwrap();
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    paged.sort_by(|a, b| a.key.cmp(&b.key));
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(paged, rows);
}

pub async fn another_stream_stays_as_it_is(subject: &Subject) {
    let other = kilowatch_shared::position::StreamName::parse("grid").unwrap();
    subject.publish_all(&other, 1, &[], &[value("m", 0, 7.0)]).await;
    subject.publish_all(&household(), 1, &[], &[value("m", 0, 1.0)]).await;
    assert_eq!(subject.usage(&other).await.windows[0].partial.sum, 7.0);
    assert_eq!(subject.usage(&household()).await.windows[0].partial.sum, 1.0);
}

pub async fn a_stage_is_gone_after_its_publication_however_it_ended(subject: &Subject) {
    three_segments(subject).await;
    let rows = [value("m", 2, 50.0)];
    let refused_one = publication(subject, boundary(5, &[]), boundary(6, &[]), &rows).await;
    refused(subject, &refused_one).await;
    // The very stage again, now with the right expectation: it brings no rows any more.
    let again = Publication { expected: Boundary::default(), next: boundary(1, &[(&partition(0), 6)]), ..refused_one };
    assert_eq!(subject.views.publish(&again).await.unwrap(), PublishOutcome::Published);
    assert_eq!(subject.usage(&household()).await.windows, []);
}

pub async fn a_publication_that_dies_anywhere_is_in_whole_or_not_at_all(subject: &Subject) {
    three_segments(subject).await;
    let mut turns = 0;
    for version in 1..=40 {
        let expected = subject.views.boundary(&household()).await.unwrap();
        let next = boundary(version, &[(&partition(0), 4)]);
        let worth = 100.0 + version as f64;
        // Of speed's four hours below the end one is published, so the others are gaps.
        let rows = [value("m", 2, worth)];
        let before = subject.usage(&household()).await;
        let publication = publication(subject, expected, next.clone(), &rows).await;
        let _outcome = dropped_after(turns, subject.views.publish(&publication)).await;
        let published = [(hour(2), worth), (hour(6), 1.0), (hour(7), 1.0)];
        let left = subject.usage(&household()).await;
        assert!(left == before || sums(&left) == published, "after {turns} turns: {left:?}");
        // A commit that was on its way when its publisher died may come in only now; this one is refused then.
        subject.views.publish(&publication).await.unwrap();
        let after = subject.usage(&household()).await;
        assert_eq!((&after.boundary, sums(&after)), (&next, published.to_vec()), "after {turns} turns");
        // From none to far more than it takes, which differs by database and machine.
        turns += 1 + turns / 4;
    }
}

fn sums(usage: &UsageResult) -> Vec<(DateTime<Utc>, f64)> {
    usage.windows.iter().map(|window| (window.start, window.partial.sum)).collect()
}

pub async fn rows_staged_twice_count_once(subject: &Subject) {
    let stage = StageId(Uuid::new_v4());
    for _ in 0..2 {
        subject.views.stage_rollups(stage, &household(), &[value("m", 0, 1.0)]).await.unwrap();
    }
    subject.views.stage_rollups(stage, &household(), &[value("m", 1, 2.0)]).await.unwrap();
    subject.views.stage_rollups(stage, &household(), &[]).await.unwrap();
    let publication = Publication {
        stream: household(),
        expected: Boundary::default(),
        next: boundary(1, &[]),
        stage,
        replaces: ReplacedWindows::All,
        shape: PublishedShape::default(),
    };
    assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    let sums: Vec<_> = subject.usage(&household()).await.windows.iter().map(|window| window.partial.sum).collect();
    assert_eq!(sums, [1.0, 2.0]);
}

pub async fn of_publishers_that_read_the_same_boundary_one_wins(subject: &Subject) {
    three_segments(subject).await;
    let mut publishers = Vec::new();
    for number in 1..=6 {
        let next = boundary(number, &[(&partition(0), 2)]);
        let publication = publication(subject, Boundary::default(), next, &[value("m", 0, 1.0)]).await;
        let views = subject.views.clone();
        publishers.push(tokio::spawn(async move { views.publish(&publication).await.unwrap() }));
    }
    let mut published = 0;
    for publisher in publishers {
        published += usize::from(publisher.await.unwrap() == PublishOutcome::Published);
    }
    assert_eq!(published, 1);
}

pub async fn housekeeping_takes_only_what_batch_has_seen(subject: &Subject) {
    three_segments(subject).await;
    assert_eq!(subject.views.drop_seen_speed_rollups(&household(), subject.now).await.unwrap(), 0);
    let rows = [value("m", 2, 1.0), value("m", 3, 1.0), value("m", 4, 1.0), value("m", 5, 1.0)];
    subject.publish_all(&household(), 1, &[(&partition(0), 4)], &rows).await;
    let before = subject.usage(&household()).await;
    assert_eq!(subject.views.drop_seen_speed_rollups(&household(), subject.now).await.unwrap(), 4);
    assert_eq!(subject.views.drop_seen_speed_rollups(&household(), subject.now).await.unwrap(), 0);
    assert_eq!(subject.usage(&household()).await, before);
}

pub async fn housekeeping_takes_stages_of_yesterday(subject: &Subject) {
    subject.stage(&household(), &[value("m", 0, 1.0), value("m", 1, 1.0)]).await;
    let soon = subject.now + TimeDelta::hours(23);
    assert_eq!(subject.views.drop_seen_speed_rollups(&household(), soon).await.unwrap(), 0);
    let tomorrow = subject.now + TimeDelta::hours(25);
    assert_eq!(subject.views.drop_seen_speed_rollups(&household(), tomorrow).await.unwrap(), 2);
}

pub async fn seven_years_of_hours_are_staged_and_published(subject: &Subject) {
    let rows: Vec<_> = (0..60_000).map(|number| value("m", number, 0.5)).collect();
    let stage = StageId(Uuid::new_v4());
    let started = std::time::Instant::now();
    for chunk in rows.chunks(20_000) {
        subject.views.stage_rollups(stage, &household(), chunk).await.unwrap();
    }
    let staged = started.elapsed();
    let publication = Publication {
        stream: household(),
        expected: Boundary::default(),
        next: boundary(1, &[]),
        stage,
        replaces: ReplacedWindows::All,
        shape: PublishedShape::default(),
    };
    subject.views.publish(&publication).await.unwrap();
    println!("60,000 windows: staged in {staged:?}, staged and published in {:?}", started.elapsed());
    let windows = subject.usage(&household()).await.windows;
    assert_eq!((windows.len(), windows[59_999].start), (60_000, hour(59_999)));
}

pub async fn devices_are_listed_page_by_page_with_what_either_layer_saw(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let mut effects = rollups(vec![]);
    effects.devices = vec![(device("B"), hour(9)), (device("a"), hour(1))];
    member.apply(1, effects).await;
    subject.publish_all(&household(), 1, &[], &[value("a", 5, 1.0), value("B", 5, 1.0), value("c", 5, 1.0)]).await;
    let expected = [(device("B"), hour(9)), (device("a"), hour(5)), (device("c"), hour(5))];
    assert_eq!(subject.views.list_devices(&household(), None, 10).await.unwrap(), expected);
    assert_eq!(subject.views.list_devices(&household(), None, 1).await.unwrap(), expected[..1]);
    assert_eq!(subject.views.list_devices(&household(), Some(&device("B")), 1).await.unwrap(), expected[1..2]);
    let counts = subject.views.counts(&household(), MEASURE, HOUR).await.unwrap();
    assert_eq!(counts.devices, 2, "devices seen by speed");
}
