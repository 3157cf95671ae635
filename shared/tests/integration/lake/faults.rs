//! A store that fails at the worst moment.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Waker},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::{TryStreamExt, stream::BoxStream};
use kilowatch_shared::{
    lake::{CommitOutcome, LakeError, LakeTable, SegmentLake, store::LakeStore},
    position::Offset,
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::{NOTHING, close, door};
use crate::contracts::lake::subject::{partition, profile, segment, segment_with, span};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The object is not stored.
    Lost,
    /// The object is stored, and the answer says that something went wrong.
    AnswerLost,
    /// The object is stored, the client tries again, and the store says that it is there already.
    Retried,
}

/// Puts whose path contains `at` go wrong once.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    at: &'static str,
    left: AtomicU32,
}

impl Faulty {
    fn store(at: &'static str, fault: Fault) -> (LakeStore, Arc<Self>) {
        let faulty = Arc::new(Self { inner: InMemory::new(), fault, at, left: AtomicU32::new(0) });
        (LakeStore::over("memory://", faulty.clone()), faulty)
    }

    fn arm(&self) {
        self.left.store(1, Ordering::SeqCst);
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let broken = || Error::Generic { store: "Faulty", source: "the network is gone".into() };
        let hit = location.as_ref().contains(self.at)
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if hit && self.fault == Fault::Lost {
            return Err(broken());
        }
        // A store far away does not answer at once, which is when a future can be dropped.
        tokio::task::yield_now().await;
        let result = self.inner.put_opts(location, payload, opts).await;
        tokio::task::yield_now().await;
        match self.fault {
            Fault::AnswerLost if hit => Err(broken()),
            Fault::Retried if hit => {
                Err(Error::AlreadyExists { path: location.to_string(), source: "the first try went through".into() })
            }
            _ => result,
        }
    }

    async fn put_multipart_opts(&self, to: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Closes [0, 5) cleanly, then tries [5, 9) while the fault is armed. Gives its outcome, and L and rows afterwards.
async fn with_fault(at: &'static str, fault: Fault) -> (std::result::Result<CommitOutcome, LakeError>, u64, usize) {
    let (store, faulty) = Faulty::store(at, fault);
    let lake = door(&store);
    close(&lake, 5).await;
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    faulty.arm();
    let outcome = lake.append_readings(&profile(), &base, &[segment(&partition(0), 5, 9)]).await;
    for seen in [&lake, &door(&store)] {
        let snapshot = seen.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
        let rows = seen.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len();
        assert_eq!(snapshot.closed_to(&partition(0)).map(Offset::get), Some(rows as u64), "L and rows part ways");
    }
    let rows = lake.read_readings(&profile(), &partition(0), span(0, 99)).await.unwrap().len();
    let closed = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap().closed_to(&partition(0));
    (outcome, closed.unwrap().get(), rows)
}

#[tokio::test]
async fn a_data_file_that_cannot_be_stored_leaves_nothing_visible() {
    let (outcome, closed, rows) = with_fault(".parquet", Fault::Lost).await;
    assert!(matches!(outcome, Err(LakeError::Unavailable { .. })), "{outcome:?}");
    assert_eq!((closed, rows), (5, 5));
}

#[tokio::test]
async fn of_data_files_of_which_one_cannot_be_stored_none_stays_behind() {
    let (store, faulty) = Faulty::store(".parquet", Fault::Lost);
    let lake = door(&store);
    close(&lake, 5).await;
    let base = lake.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
    let data_files = async || {
        let stored: Vec<_> = store.objects().list(None).try_collect().await.unwrap();
        stored.into_iter().filter(|object| object.location.as_ref().ends_with(".parquet")).count()
    };
    let before = data_files().await;
    // Rows of two months are two files.
    let segment = segment_with(&partition(0), 5, 9, |row| {
        if row.position.offset.get() > 6 {
            row.reading.event_time += TimeDelta::days(40);
        }
    });
    faulty.arm();
    lake.append_readings(&profile(), &base, std::slice::from_ref(&segment)).await.unwrap_err();
    assert_eq!(data_files().await, before);
    let outcome = lake.append_readings(&profile(), &base, &[segment]).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(_)));
    assert_eq!(data_files().await, before + 2);
}

#[tokio::test]
async fn a_commit_that_cannot_be_stored_leaves_nothing_visible() {
    let (outcome, closed, rows) = with_fault("_delta_log", Fault::Lost).await;
    assert!(matches!(outcome, Err(LakeError::Unavailable { .. })), "{outcome:?}");
    assert_eq!((closed, rows), (5, 5));
}

#[tokio::test]
async fn after_a_lost_answer_l_tells_that_the_commit_is_in() {
    let (outcome, closed, rows) = with_fault("_delta_log", Fault::AnswerLost).await;
    assert!(matches!(outcome, Err(LakeError::Unavailable { .. })), "{outcome:?}");
    assert_eq!((closed, rows), (9, 9));
}

#[tokio::test]
async fn a_put_that_the_client_tried_twice_is_recognised_as_ours() {
    let (outcome, closed, rows) = with_fault("_delta_log", Fault::Retried).await;
    assert_eq!(outcome.unwrap(), CommitOutcome::Committed(1));
    assert_eq!((closed, rows), (9, 9));
}

#[tokio::test]
async fn a_commit_dropped_at_any_point_is_in_whole_or_not_at_all() {
    let mut outcomes = std::collections::BTreeSet::new();
    for polls in 0..60 {
        let (store, _) = Faulty::store("nothing", Fault::Lost);
        let lake = door(&store);
        {
            let (profile, base, segments) =
                (profile(), NOTHING, [segment(&partition(0), 0, 5), segment(&partition(1), 0, 3)]);
            let mut append = Box::pin(lake.append_readings(&profile, &base, &segments));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if append.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        for seen in [&lake, &door(&store)] {
            let snapshot = seen.snapshot(&profile().name, LakeTable::Readings).await.unwrap();
            let closed = [0, 1].map(|number| snapshot.closed_to(&partition(number)).map(Offset::get));
            let mut rows = [0, 0];
            for (count, number) in rows.iter_mut().zip([0, 1]) {
                *count = seen.read_readings(&profile(), &partition(number), span(0, 9)).await.unwrap().len();
            }
            match closed {
                [None, None] => assert_eq!(rows, [0, 0]),
                [Some(5), Some(3)] => assert_eq!(rows, [5, 3]),
                other => panic!("half a commit: {other:?}"),
            }
            outcomes.insert(closed);
        }
        // The door still works.
        assert!(matches!(close(&lake, 8).await, CommitOutcome::Committed(_)));
    }
    assert_eq!(outcomes.len(), 2, "the test never dropped a commit both before and after it was in");
}
