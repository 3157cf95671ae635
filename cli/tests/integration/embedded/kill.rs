//! I1, I2 and I4 under `kill -9`: the process dies again and again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    ended::ends_well,
    sender::{Ledger, send},
    up,
};
use crate::{
    process::{Running, run},
    rounds::{rounds, seed},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_lose_nothing_double_nothing_and_change_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (kills, seed) = (rounds(20, 100), seed());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let url = Arc::new(Mutex::new(String::new()));
    let ledger = Ledger::default();
    let enough = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(send(Arc::clone(&url), Arc::clone(&ledger), Arc::clone(&enough), seed));

    for kill in 0..kills {
        let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
        url.lock().unwrap().clone_from(&process.url);
        // No condition to wait for: the moment is what the test draws. Early ones hit the claim and the restore.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        tokio::task::block_in_place(|| {
            if kill % 5 == 4 {
                // The boundary has to move between the kills, or the seam would never be tried.
                let published = run(&data, &["batch", "rollup"]);
                assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
            }
            process.kill();
        });
    }
    let process = tokio::task::block_in_place(|| Running::start(&mut up(&data)));
    url.lock().unwrap().clone_from(&process.url);
    enough.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    assert_eq!(tokio::task::block_in_place(|| process.stop()), Some(0));
    let acknowledged = ledger.lock().unwrap().clone();
    assert!(acknowledged.len() > 10_000, "only {} readings were sent: the test tried too little", acknowledged.len());
    ends_well(&data, folder.path(), &acknowledged).await;
}
