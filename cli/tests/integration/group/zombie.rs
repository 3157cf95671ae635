//! A member that stops in the middle of a transaction, and wakes when its partitions have another owner.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{
    ASSIGNED, GIVEN_AWAY,
    ledger::{Producer, ends_well},
    trials::{Trial, trials},
};
use crate::process::wait_until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_paused_inside_a_transaction_neither_holds_its_partitions_nor_writes_late() {
    for trial in trials("household", (1, 10), &[1]) {
        is_paused_inside_a_transaction(&trial).await;
    }
}

async fn is_paused_inside_a_transaction(trial: &Trial) {
    let cluster = trial.cluster().await;
    let producer = Producer::start(&cluster, 8);
    let mut zombie = cluster.start_member();
    for _ in 0..trial.rounds {
        let assigned = zombie.said(ASSIGNED);
        wait_until("the member works", async || {
            zombie.said(ASSIGNED) > 0 && cluster.applied().await > producer.count().saturating_sub(500)
        })
        .await;
        // A micro-batch moves A first, and then adds to the windows: there its transaction is held up.
        let mut connection = cluster.database().await;
        let windows = format!("{}.rollup_speed", cluster.schema());
        let mut lock = connection.begin().await.unwrap();
        let statement = format!("LOCK TABLE {windows} IN EXCLUSIVE MODE");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *lock).await.unwrap();
        let mut observer = cluster.database().await;
        wait_until("its transaction waits", async || sessions(&mut observer, &windows, "active").await > 0).await;
        zombie.pause();
        lock.commit().await.unwrap();
        let left_open = async || sessions(&mut observer, &windows, "idle in transaction").await > 0;
        wait_until("its transaction is left open", left_open).await;

        let before = cluster.applied_offsets().await;
        assert_eq!(before.len(), 3);
        let other = cluster.start_member();
        wait_until("another member works on in each partition, although the zombie sleeps", async || {
            cluster.applied_offsets().await.iter().zip(&before).all(|(now, before)| now.1 > before.1)
        })
        .await;
        zombie.resume();
        // Its commit fails or comes too late; then it hears that its partitions were given to another, and joins again.
        wait_until("the zombie has let go", async || zombie.said(GIVEN_AWAY) >= 3).await;
        wait_until("the zombie is a member again", async || zombie.said(ASSIGNED) > assigned).await;
        zombie.kill();
        zombie = other;
    }
    let ledger = producer.finish().await;
    ends_well(&cluster, ledger, vec![zombie]).await;
}

/// Sessions in this state that hold a lock on the table or wait for one, but for whoever locked all of it.
async fn sessions(observer: &mut PgConnection, table: &str, state: &str) -> i64 {
    let statement = "SELECT COUNT(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
                     WHERE relation = CAST($1 AS REGCLASS) AND state = $2 AND pg_locks.mode = 'RowExclusiveLock'";
    sqlx::query(statement).bind(table).bind(state).fetch_one(observer).await.unwrap().get(0)
}
