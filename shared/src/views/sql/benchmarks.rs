//! What `batch benchmark` measured, run by run.

use super::{Row, Session, Statement, row::corrupt};
use crate::{
    benchmark::{Benchmark, BenchmarkId, BenchmarkPage, KeptBenchmark},
    views::{KEPT_BENCHMARKS, ViewsError},
};

/// Adds a benchmark, and drops the oldest ones beyond [`KEPT_BENCHMARKS`].
pub async fn add(session: &mut dyn Session, benchmark: &Benchmark) -> Result<(), ViewsError> {
    let body = serde_json::to_string(benchmark)
        .map_err(|error| ViewsError::Refused { reason: format!("the benchmark cannot be written as JSON: {error}") })?;
    let statement = Statement::new("INSERT INTO benchmarks (started_at, body) VALUES ($1, $2)");
    session.execute(statement.bind(benchmark.started_at).bind(body)).await?;
    let old = Statement::new(
        "DELETE FROM benchmarks WHERE id <= (SELECT id FROM benchmarks ORDER BY id DESC LIMIT 1 OFFSET $1)",
    );
    session.execute(old.bind(KEPT_BENCHMARKS)).await?;
    Ok(())
}

/// The statement of the newest ones, of those older than `after` if it is given, and of one more.
pub fn page(after: Option<BenchmarkId>, limit: u32) -> Statement {
    let mut statement = Statement::new("SELECT id, body FROM benchmarks");
    if let Some(after) = after {
        statement.push_bind(" WHERE id < ", after.get());
    }
    statement.push_bind(" ORDER BY id DESC LIMIT ", limit.saturating_add(1));
    statement
}

/// The statement of one of them.
pub fn one(id: BenchmarkId) -> Statement {
    Statement::new("SELECT id, body FROM benchmarks WHERE id = $1").bind(id.get())
}

/// The page of these rows, of which the last one only tells that there are more.
pub fn page_of(rows: &[Row], limit: u32) -> Result<BenchmarkPage, ViewsError> {
    let mut page = BenchmarkPage::default();
    let (mut last, limit) = (None, limit as usize);
    for row in rows.iter().take(limit) {
        let found = benchmark_of(row)?;
        last = Some(found.as_ref().map_or_else(|unreadable| *unreadable, |kept| kept.id));
        match found {
            Ok(kept) => page.benchmarks.push(kept),
            Err(unreadable) => page.unreadable.push(unreadable),
        }
    }
    page.next = last.filter(|_| rows.len() > limit);
    Ok(page)
}

/// The benchmark of a row; its number alone where another build kept it in a form that this one does not know.
pub fn benchmark_of(row: &Row) -> Result<Result<KeptBenchmark, BenchmarkId>, ViewsError> {
    let (number, body) = (row.int("id")?, row.text("body")?);
    let id = BenchmarkId::try_new(number)
        .ok_or_else(|| corrupt("id", &number.to_string(), "a number from 1 on is expected"))?;
    Ok(serde_json::from_str(&body).map(|benchmark| KeptBenchmark { id, benchmark }).map_err(|_of_another_build| id))
}
