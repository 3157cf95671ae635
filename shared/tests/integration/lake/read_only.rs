//! Queries of people: they read, within their limits, and nothing else.

use std::time::Duration;

use arrow::{array::AsArray, datatypes::Int64Type, record_batch::RecordBatch};
use kilowatch_shared::lake::{
    LakeError, TableName,
    delta::DeltaLake,
    session::{Query, QueryLimits, QueryRows, ReadOnlySession},
    store::LakeStore,
};

use super::{close, door};

const LIMITS: QueryLimits = QueryLimits { time: Duration::from_secs(120), memory_bytes: 64 << 20, rows: 1_000_000 };

/// A lake with a hundred readings.
async fn hundred() -> DeltaLake {
    let lake = door(&LakeStore::in_memory());
    close(&lake, 100).await;
    lake
}

async fn begin(lake: &DeltaLake, sql: &str, limits: QueryLimits) -> Result<QueryRows, LakeError> {
    let query = Query::parse(sql)?;
    let names = if query.asks_for_all { lake.stored_tables().await? } else { query.tables.clone() };
    let mut tables: Vec<(TableName, _)> = Vec::new();
    for name in names {
        let files = lake.open_table_as_of(&name.stream, name.table, None).await?;
        tables.push((name, files));
    }
    ReadOnlySession::over(lake.store(), &tables, limits)?.run(query).await
}

async fn answer(lake: &DeltaLake, sql: &str, limits: QueryLimits) -> Result<Vec<RecordBatch>, LakeError> {
    let mut rows = begin(lake, sql, limits).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await? {
        batches.push(batch);
    }
    Ok(batches)
}

async fn number(lake: &DeltaLake, sql: &str) -> i64 {
    answer(lake, sql, LIMITS).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_names_tables_by_their_stream() {
    let lake = hundred().await;
    assert_eq!(number(&lake, "SELECT count(*) FROM meters.readings").await, 100);
    let sql = "WITH a AS (SELECT * FROM meters.readings) SELECT count(*) FROM a JOIN meters.readings b \
               ON a.source_offset = b.source_offset WHERE a.source_offset < 10";
    assert_eq!(number(&lake, sql).await, 10);
    let query = Query::parse(sql).unwrap();
    assert_eq!(query.tables.iter().map(ToString::to_string).collect::<Vec<_>>(), ["meters.readings"]);
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'meters'";
    assert_eq!(number(&lake, tables).await, 1);
    assert!(!answer(&lake, "SHOW TABLES", LIMITS).await.unwrap().is_empty());
    assert_eq!(answer(&lake, "DESCRIBE meters.readings", LIMITS).await.unwrap()[0].num_rows(), 13);
    assert!(!answer(&lake, "EXPLAIN ANALYZE SELECT * FROM meters.readings", LIMITS).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_writes_sets_or_looks_elsewhere_is_refused_before_it_begins() {
    let lake = hundred().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.csv");
    let copy = format!("COPY meters.readings TO '{}' STORED AS CSV", file.display());
    let explained = format!("EXPLAIN ANALYZE {copy}");
    let external = format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{}'", folder.path().display());
    for refused in [
        "INSERT INTO meters.readings SELECT * FROM meters.readings",
        "DELETE FROM meters.readings",
        "UPDATE meters.readings SET power = 0",
        "DROP TABLE meters.readings",
        "CREATE TABLE meters.x AS SELECT 1",
        "CREATE VIEW meters.x AS SELECT 1",
        "CREATE SCHEMA x",
        "SELECT * INTO meters.x FROM meters.readings",
        "TRUNCATE TABLE meters.readings",
        "SET datafusion.execution.batch_size = 1",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "BEGIN",
        "COMMIT",
        copy.as_str(),
        explained.as_str(),
        external.as_str(),
    ] {
        let error = answer(&lake, refused, LIMITS).await.unwrap_err();
        assert!(matches!(error, LakeError::NotReadOnly { .. } | LakeError::Query { .. }), "{refused}: {error:?}");
    }
    assert!(!file.exists());
    let outside = folder.path().join("secret.csv");
    std::fs::write(&outside, "a\n1\n").unwrap();
    for elsewhere in [
        format!("SELECT * FROM '{}'", outside.display()),
        format!("SELECT * FROM read_csv('{}')", outside.display()),
        "SELECT 1; SELECT 2".to_owned(),
    ] {
        let error = answer(&lake, &elsewhere, LIMITS).await.unwrap_err();
        assert!(matches!(error, LakeError::Query { .. }), "{elsewhere}: {error:?}");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM meters.readings").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_query_is_said_in_the_engines_words() {
    let lake = hundred().await;
    for (sql, told) in [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM meters.readings", "nothing"),
        ("SELECT device_id + 1 FROM meters.readings", "Cannot coerce"),
        ("SELECT device_id FROM meters.readings GROUP BY event_time", "device_id"),
        ("SELECT * FROM readings", "household.readings"),
        ("SELECT * FROM meters.rows", "meters.rows"),
        ("", "SQL"),
        ("SELECT CAST('x' AS INT)", "x"),
    ] {
        let error = answer(&lake, sql, LIMITS).await.unwrap_err();
        assert!(matches!(&error, LakeError::Query { reason } if reason.contains(told)), "{sql}: {error}");
    }
    let long = format!("SELECT {}1", "1+".repeat(20_000));
    let error = Query::parse(&long).unwrap_err().to_string();
    assert!(error.contains("at most"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_names_the_setting_that_it_comes_from() {
    let lake = hundred().await;
    let many = "SELECT a.power FROM meters.readings a, meters.readings b, meters.readings c, meters.readings d, \
                meters.readings e";
    let limits = async |limits: QueryLimits| answer(&lake, many, limits).await.unwrap_err();
    let error = limits(QueryLimits { time: Duration::from_millis(20), rows: u64::MAX, ..LIMITS }).await;
    assert!(matches!(error, LakeError::LimitReached { setting: "lake.sql.max_secs", .. }), "{error}");
    let error = limits(QueryLimits { rows: 150, ..LIMITS }).await;
    assert!(matches!(error, LakeError::LimitReached { setting: "lake.sql.max_rows", .. }), "{error}");
    let grouped = "SELECT a.source_offset, b.source_offset, c.source_offset, d.source_offset, count(*) \
                   FROM meters.readings a, meters.readings b, meters.readings c, meters.readings d GROUP BY 1, 2, 3, 4";
    let tight = QueryLimits { memory_bytes: 1 << 10, ..LIMITS };
    let error = answer(&lake, grouped, tight).await.unwrap_err();
    assert!(matches!(error, LakeError::LimitReached { setting: "lake.sql.max_memory_mb", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_operator_that_keeps_its_thread_does_not_keep_the_deadline_from_passing() {
    let lake = hundred().await;
    // 2 * 10^9 pairs in memory: nothing in it ever waits.
    let endless = "SELECT count(*) FROM meters.readings a, meters.readings b, meters.readings c, meters.readings d, \
                   meters.readings e WHERE e.source_offset < 20 AND a.power + b.power + c.power + d.power <> 0.123";
    let limits = QueryLimits { time: Duration::from_millis(200), ..LIMITS };
    let error = answer(&lake, endless, limits).await.unwrap_err();
    assert!(matches!(error, LakeError::LimitReached { setting: "lake.sql.max_secs", .. }), "{error}");
    // The one thread of this runtime is free, whatever the engine still computes.
    assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_makes_much_of_little_is_not_there() {
    let lake = hundred().await;
    for sql in [
        "SELECT repeat('x', 100000000)",
        "SELECT lpad('x', 100000000)",
        "SELECT count(*) FROM generate_series(1, 100000000000)",
    ] {
        let error = answer(&lake, sql, LIMITS).await.unwrap_err();
        assert!(matches!(error, LakeError::Query { .. }), "{sql}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_up_to_the_limit_are_given_before_it_is_said() {
    let lake = hundred().await;
    let limits = QueryLimits { rows: 40, ..LIMITS };
    let mut rows = begin(&lake, "SELECT power FROM meters.readings", limits).await.unwrap();
    let mut given = 0;
    let error = loop {
        match rows.next().await {
            Ok(Some(batch)) => given += batch.num_rows(),
            Ok(None) => panic!("the limit is not noticed"),
            Err(error) => break error,
        }
    };
    assert_eq!((given, rows.taken()), (40, 40));
    assert!(error.to_string().contains("more than 40 rows"), "{error}");
    let exact = QueryLimits { rows: 100, ..LIMITS };
    let all = answer(&lake, "SELECT power FROM meters.readings", exact).await.unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
}
