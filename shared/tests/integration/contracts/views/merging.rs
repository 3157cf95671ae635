//! Batch below the boundary, speed from it on, and together the truth (I2).

use kilowatch_shared::{
    checkpoint::Boundary,
    rollup::Partial,
    views::{PublishOutcome, UsageQuery},
};

use super::subject::{Subject, all_hours, at, boundary, device, hour, household, partition, rollups, row, value};

pub async fn speed_answers_alone_before_the_first_publication(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(2, rollups(vec![value("m", 0, 1.0), value("m", 1, 2.0)])).await;
    let usage = subject.usage(&household()).await;
    assert_eq!(usage.boundary, Boundary::default());
    let sums: Vec<_> =
        usage.windows.iter().map(|window| (window.start, window.partial.sum, window.batch_count)).collect();
    assert_eq!(sums, [(hour(0), 1.0, 0), (hour(1), 2.0, 0)]);
}

pub async fn below_the_boundary_batch_answers_and_from_it_on_speed(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(1, rollups(vec![value("m", 0, 1.0)])).await;
    member.cut().await;
    // One window, two segments: the seam runs through it.
    member.apply(2, rollups(vec![value("m", 0, 2.0)])).await;
    member.apply(3, rollups(vec![value("m", 0, 4.0)])).await;
    // Batch says 10 where speed said 1, so that it shows who answers.
    let outcome = subject.publish_all(&household(), 7, &[(&partition(0), 1)], &[value("m", 0, 10.0)]).await;
    assert_eq!(outcome, PublishOutcome::Published);
    let usage = subject.usage(&household()).await;
    assert_eq!(usage.boundary, boundary(7, &[(&partition(0), 1)]));
    assert_eq!(usage.windows.len(), 1);
    let window = &usage.windows[0];
    assert_eq!((window.partial.count, window.partial.sum, window.batch_count), (3, 16.0, 1));
    assert_eq!((window.partial.min, window.partial.max, window.partial.sum_squares), (2.0, 10.0, 120.0));
}

pub async fn a_partition_without_an_end_is_speeds_alone(subject: &Subject) {
    let mut one = subject.claim(&partition(0), 0).await;
    let mut two = subject.claim(&partition(1), 0).await;
    one.apply(1, rollups(vec![value("m", 0, 1.0)])).await;
    one.cut().await;
    two.apply(1, rollups(vec![value("m", 0, 2.0)])).await;
    two.cut().await;
    subject.publish_all(&household(), 1, &[(&partition(0), 1)], &[value("m", 0, 1.0)]).await;
    let windows = subject.usage(&household()).await.windows;
    assert_eq!((windows[0].partial.sum, windows[0].batch_count), (3.0, 1));
}

pub async fn a_gap_stays_a_gap(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    member.apply(2, rollups(vec![value("m", 0, 1.0), value("m", 5, 0.0)])).await;
    let starts: Vec<_> = subject.usage(&household()).await.windows.iter().map(|window| window.start).collect();
    assert_eq!(starts, [hour(0), hour(5)]);
}

pub async fn a_query_takes_its_device_measure_length_and_range(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let mut voltage = value("a", 2, 1000.0);
    voltage.key.measure = "voltage".to_owned();
    let mut quarter = value("a", 2, 2000.0);
    quarter.key.window_secs = 900;
    let mut rows: Vec<_> = (0..6).map(|number| value("a", number, 1.0)).collect();
    rows.extend((0..6).map(|number| value("b", number, 10.0)));
    rows.extend([voltage, quarter]);
    member.apply(14, rollups(rows)).await;
    let sums = async |query: UsageQuery| -> Vec<f64> {
        subject.views.usage(&query).await.unwrap().windows.iter().map(|window| window.partial.sum).collect()
    };
    let whole = all_hours(&household());
    assert_eq!(sums(whole.clone()).await, [11.0; 6]);
    assert_eq!(sums(UsageQuery { device: Some(device("b")), ..whole.clone() }).await, [10.0; 6]);
    assert_eq!(sums(UsageQuery { from: hour(2), until: hour(5), ..whole.clone() }).await, [11.0; 3]);
    assert_eq!(sums(UsageQuery { limit: 2, ..whole.clone() }).await, [11.0; 2]);
    assert_eq!(sums(UsageQuery { measure: "voltage".to_owned(), ..whole.clone() }).await, [1000.0]);
    assert_eq!(sums(UsageQuery { window_secs: 900, ..whole.clone() }).await, [2000.0]);
    let earliest = subject.views.usage(&UsageQuery { limit: 2, ..whole }).await.unwrap();
    assert_eq!(earliest.windows.iter().map(|window| window.start).collect::<Vec<_>>(), [hour(0), hour(1)]);
}

pub async fn groups_of_a_device_add_up(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let floor = |name: &str, amount: f64| {
        let mut row = value("building-a", 0, amount);
        row.key.group = name.to_owned();
        row
    };
    member.apply(2, rollups(vec![floor("1", 1.0), floor("2\0'; DROP TABLE rollup_speed; --", 2.0)])).await;
    member.cut().await;
    subject.publish_all(&household(), 1, &[(&partition(0), 2)], &[floor("1", 1.0), floor("2", 2.0)]).await;
    let windows = subject.usage(&household()).await.windows;
    assert_eq!((windows.len(), windows[0].partial.count, windows[0].partial.sum), (1, 2, 3.0));
}

pub async fn a_group_is_answered_alone_by_both_layers(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let floor = |device: &str, group: &str, number: i64, amount: f64| {
        let mut row = value(device, number, amount);
        row.key.group = group.to_owned();
        row
    };
    let seen = [floor("a/1", "a", 0, 1.0), floor("a/2", "a", 0, 2.0), floor("b/1", "b", 0, 4.0)];
    member.apply(3, rollups(seen.to_vec())).await;
    member.cut().await;
    member.apply(5, rollups(vec![floor("a/1", "a", 1, 8.0), floor("b/1", "b", 1, 16.0)])).await;
    subject.publish_all(&household(), 1, &[(&partition(0), 3)], &seen).await;
    let sums = async |device_id: Option<&str>, group: Option<&str>| -> Vec<f64> {
        let query =
            UsageQuery { device: device_id.map(device), group: group.map(str::to_owned), ..all_hours(&household()) };
        subject.views.usage(&query).await.unwrap().windows.iter().map(|window| window.partial.sum).collect()
    };
    assert_eq!(sums(None, Some("a")).await, [3.0, 8.0]);
    assert_eq!(sums(Some("a/1"), Some("a")).await, [1.0, 8.0]);
    assert_eq!(sums(Some("b/1"), Some("a")).await, [] as [f64; 0]);
    assert_eq!(sums(None, None).await, [7.0, 24.0]);
}

pub async fn partials_survive_bit_by_bit(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    // A zero loses its sign in SQLite, which is why there is none: it stays equal to what it was.
    let odd = [0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, 1.797e308, -1e-300, 123_456_789.123_456_79, 1.0 / 3.0];
    let rows: Vec<_> = odd
        .iter()
        .zip(0..)
        .map(|(value, number)| {
            let partial = Partial { count: 1, sum: *value, min: *value, max: *value, sum_squares: value.abs() };
            row("m", hour(number), partial)
        })
        .collect();
    member.apply(7, rollups(rows.clone())).await;
    let bits = |partial: Partial| [partial.sum, partial.min, partial.max, partial.sum_squares].map(f64::to_bits);
    let from_speed: Vec<_> = subject.usage(&household()).await.windows.iter().map(|w| bits(w.partial)).collect();
    assert_eq!(from_speed, rows.iter().map(|row| bits(row.partial)).collect::<Vec<_>>());
    member.cut().await;
    subject.publish_all(&household(), 1, &[(&partition(0), 7)], &rows).await;
    let from_batch: Vec<_> = subject.usage(&household()).await.windows.iter().map(|w| bits(w.partial)).collect();
    assert_eq!(from_batch, from_speed);
}

pub async fn the_years_1_and_9999_are_times_as_others(subject: &Subject) {
    let mut member = subject.claim(&partition(0), 0).await;
    let starts = [at("0001-01-01T00:00:00Z"), at("1969-12-31T23:00:00Z"), at("9999-12-31T22:00:00Z")];
    let rows: Vec<_> = starts.iter().map(|start| row("m", *start, Partial::of(1.0))).collect();
    let mut effects = rollups(rows.clone());
    effects.devices = vec![(device("first"), starts[0]), (device("last"), starts[2])];
    member.apply(3, effects).await;
    member.cut().await;
    subject.publish_all(&household(), 1, &[(&partition(0), 3)], &rows).await;
    let windows = subject.usage(&household()).await.windows;
    assert_eq!(windows.iter().map(|window| window.start).collect::<Vec<_>>(), starts);
    let devices = subject.views.list_devices(&household(), None, 10).await.unwrap();
    assert_eq!(devices, [(device("first"), starts[0]), (device("last"), starts[2]), (device("m"), starts[2])]);
}
