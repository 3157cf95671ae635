//! The views in SQL, written once for both databases.
//!
//! [`speed`], [`batch`] and [`serving`] keep the promises of the traits: which steps make one transaction. A step is a
//! function of the file of its table ([`partitions`], [`rollups`], [`publication`], [`anomalies`], ...) that asks a
//! [`Session`] to run a [`Statement`]. Both databases take `$1`, `ON CONFLICT` and `RETURNING`; what differs between
//! them (how to begin, how to list rows, how an instant is stored) is behind [`Database`] and [`Session`].

mod aging;
mod anomalies;
mod batch;
mod benchmarks;
mod dead_letters;
mod devices;
mod erasures;
mod forecasts;
pub mod instant;
mod job_runs;
mod model_swaps;
mod models;
mod outbox;
mod partitions;
mod positions;
mod publication;
mod rollups;
pub mod row;
mod schedule;
mod serving;
mod speed;
pub mod statement;
mod verifications;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use row::Row;
pub use statement::{Bulk, Statement, Value};

use super::ViewsError;
use crate::clock::SharedClock;

/// A transaction. Dropped without [`Session::commit`], it leaves no trace.
#[async_trait]
pub trait Session: Send {
    /// Runs a statement; returns how many rows it changed.
    async fn execute(&mut self, statement: Statement) -> Result<u64, ViewsError>;

    /// Runs a statement; returns its rows.
    async fn fetch(&mut self, statement: Statement) -> Result<Vec<Row>, ViewsError>;

    /// Runs a statement over many rows; returns how many rows it changed. No row, no statement.
    async fn bulk(&mut self, bulk: Bulk) -> Result<u64, ViewsError>;

    /// Takes away the indexes of a table beside its key, where nobody has to wait for that, and returns what
    /// [`Session::build_indexes`] makes them from: to sort many rows once costs less than to file them one by one.
    async fn drop_indexes(&mut self, _table: &'static str) -> Result<Vec<String>, ViewsError> {
        Ok(Vec::new())
    }

    /// Builds what [`Session::drop_indexes`] took away.
    async fn build_indexes(&mut self, _definitions: Vec<String>) -> Result<(), ViewsError> {
        Ok(())
    }

    /// The time by the one clock that everybody who uses the database shares: that of whoever asks, where the database is a
    /// file of this machine.
    async fn time(&mut self, asked_at: DateTime<Utc>) -> Result<DateTime<Utc>, ViewsError> {
        Ok(asked_at)
    }

    /// Makes everything durable and visible at once.
    async fn commit(self: Box<Self>) -> Result<(), ViewsError>;

    /// Runs a statement that gives at most one row.
    async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<Row>, ViewsError> {
        Ok(self.fetch(statement).await?.into_iter().next())
    }
}

/// A database that sessions can be opened on.
#[async_trait]
pub trait Database: std::fmt::Debug + Send + Sync + 'static {
    /// Begins a transaction that may write. Its statements see what others committed before them.
    async fn write(&self) -> Result<Box<dyn Session>, ViewsError>;

    /// Begins a transaction that only reads; all its statements see one state.
    async fn snapshot(&self) -> Result<Box<dyn Session>, ViewsError>;

    /// Runs one reading statement on its own.
    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, ViewsError>;

    /// Runs one reading statement that gives at most one row.
    async fn fetch_optional(&self, statement: Statement) -> Result<Option<Row>, ViewsError> {
        Ok(self.fetch(statement).await?.into_iter().next())
    }

    /// Brings the schema to what this build knows. Several processes may do so at once.
    async fn migrate(&self) -> Result<(), ViewsError>;

    /// Leaves no copy of deleted rows in files that are ours.
    async fn overwrite_deleted(&self) -> Result<(), ViewsError>;

    /// Ends all sessions.
    async fn close(&self);
}

/// The views on a database.
#[derive(Debug)]
pub struct SqlViews<D: Database> {
    pub(super) database: D,
    /// Stamps publications and stages; no answer depends on it.
    pub(super) clock: SharedClock,
}

impl<D: Database> SqlViews<D> {
    /// Takes the times of publications and stages from `clock`, not from the machine.
    #[must_use]
    pub fn with_clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Ends all sessions; every call after it fails with [`ViewsError::Unavailable`].
    pub async fn close(&self) {
        self.database.close().await;
    }
}
