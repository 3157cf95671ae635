//! What is only true of the embedded views: a file that several processes share.

use std::path::Path;

use kilowatch_shared::{
    checkpoint::Boundary,
    views::{
        BatchViews as _, Publication, PublishOutcome, PublishedShape, ReplacedWindows, ServingViews as _, ViewsError,
        open, sqlite::SqliteViews,
    },
};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{
    listing::benchmark,
    subject::{Subject, cut, household, partition, rollups, value},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_see_and_write_the_same_views() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("views.sqlite");
    // Each handle has connections of its own, as a second process would.
    let [one, two] = [SqliteViews::open(&path).await.unwrap(), SqliteViews::open(&path).await.unwrap()];
    let (one, two) = (Subject::around(one), Subject::around(two));
    let mut first = one.claim(&partition(0), 0).await;
    let mut second = two.claim(&partition(1), 0).await;
    let writers = [
        tokio::spawn(async move {
            for number in 0..50 {
                first.apply(number + 1, rollups(vec![value("m", 0, 1.0)])).await;
            }
        }),
        tokio::spawn(async move {
            for number in 0..50 {
                second.apply(number + 1, rollups(vec![value("m", 0, 1.0)])).await;
            }
        }),
    ];
    for writer in writers {
        writer.await.unwrap();
    }
    for subject in [&one, &two] {
        let windows = subject.usage(&household()).await.windows;
        assert_eq!((windows.len(), windows[0].partial.count), (1, 100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_open_a_new_file_at_once_all_find_the_schema() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("views.sqlite");
    let opens = (0..4).map(|_| {
        let path = path.clone();
        tokio::spawn(async move { SqliteViews::open(&path).await.map(drop) })
    });
    for open in opens.collect::<Vec<_>>() {
        open.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("views.sqlite").display());
    let before = {
        let views = open(&url).await.unwrap();
        let owner = kilowatch_shared::checkpoint::OwnerToken::fresh();
        views.claim(&partition(0), owner, &cut(3)).await.unwrap()
    };
    let views = open(&url).await.unwrap();
    assert_eq!(views.partition(&partition(0)).await.unwrap(), Some(before));
}

#[tokio::test]
async fn what_windows_were_computed_for_is_unknown_after_a_build_published_that_does_not_tell() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("views.sqlite");
    let subject = Subject::around(SqliteViews::open(&path).await.unwrap());
    let stage = subject.stage(&household(), &[value("m", 0, 1.0)]).await;
    let publication = Publication {
        stream: household(),
        expected: Boundary::default(),
        next: Boundary { lake_version: Some(1), ..Boundary::default() },
        stage,
        replaces: ReplacedWindows::All,
        shape: PublishedShape { expected: None, next: Some("of a profile".to_owned()) },
    };
    assert_eq!(subject.views.publish(&publication).await.unwrap(), PublishOutcome::Published);
    let shape = async || subject.views.published_shape(&household()).await.unwrap();
    assert_eq!(shape().await.as_deref(), Some("of a profile"));
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let moved = "UPDATE boundaries SET lake_version = 2, published_at = '2031-01-01T00:00:00.000000Z'";
    sqlx::query(moved).execute(&mut connection).await.unwrap();
    assert_eq!(shape().await, None);
}

#[tokio::test]
async fn a_benchmark_that_another_build_kept_is_left_out_and_told_of() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("views.sqlite");
    let views = SqliteViews::open(&path).await.unwrap();
    for seed in [1, 2, 3] {
        views.add_benchmark(&benchmark(seed)).await.unwrap();
    }
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let foreign = "UPDATE benchmarks SET body = '{\"form\": 2}' WHERE id >= 2";
    sqlx::query(foreign).execute(&mut connection).await.unwrap();
    let first = views.list_benchmarks(None, 2).await.unwrap();
    assert_eq!((first.benchmarks.len(), first.unreadable.len()), (0, 2));
    assert_eq!(views.benchmark(first.unreadable[0]).await.unwrap(), None);
    let second = views.list_benchmarks(first.next, 2).await.unwrap();
    assert_eq!((second.benchmarks[0].benchmark.seed, second.unreadable.len(), second.next), (1, 0, None));
}

#[tokio::test]
async fn a_file_that_holds_no_views_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "these are no views, however much they are opened as such".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteViews::open(&path).await.unwrap_err();
    assert!(matches!(error, ViewsError::Corrupt { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_as_the_cause() {
    let folder = TempDir::new().unwrap();
    let error = SqliteViews::open(&folder.path().join("missing/views.sqlite")).await.unwrap_err();
    assert!(matches!(&error, ViewsError::Refused { reason } if reason.contains("folder")), "{error:?}");
}

async fn indexes(path: &Path) -> Vec<String> {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let definitions =
        sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name");
    definitions.fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn publications_of_all_windows_leave_the_indexes_as_they_were() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("views.sqlite");
    let subject = Subject::around(SqliteViews::open(&path).await.unwrap());
    let before = indexes(&path).await;
    assert!(before.iter().any(|definition| definition.contains("rollup_batch_by_time")), "{before:?}");
    for (version, windows) in [(1, 2), (2, 3)] {
        let rows: Vec<_> = (0..windows).map(|number| value("m", number, 1.0)).collect();
        assert_eq!(subject.publish_all(&household(), version, &[], &rows).await, PublishOutcome::Published);
        assert_eq!(indexes(&path).await, before);
        assert_eq!(subject.usage(&household()).await.windows.len(), rows.len());
    }
}

#[tokio::test]
async fn closed_views_are_away_for_now() {
    let views = SqliteViews::in_memory().await.unwrap();
    views.close().await;
    let subject = Subject::around(views);
    let error = subject.views.ping().await.unwrap_err();
    assert!(matches!(error, ViewsError::Unavailable { .. }), "{error:?}");
}
