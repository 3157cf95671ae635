//! The schema's steps, embedded in the binary.
//!
//! A step expands first and contracts a release later, so a build may run beside one that is a step ahead: applied
//! steps that it does not know are no error to it.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

const SQLITE: [(i64, &str, &str); 11] = [
    (1, "views", include_str!("../../migrations/sqlite/0001_views.sql")),
    (2, "outbox", include_str!("../../migrations/sqlite/0002_outbox.sql")),
    (3, "expand anomalies", include_str!("../../migrations/sqlite/0003_expand_anomalies.sql")),
    (4, "expand positions", include_str!("../../migrations/sqlite/0004_expand_positions.sql")),
    (5, "schedule leases", include_str!("../../migrations/sqlite/0005_schedule_leases.sql")),
    (6, "expand verifications", include_str!("../../migrations/sqlite/0006_expand_verifications.sql")),
    (7, "expand benchmarks", include_str!("../../migrations/sqlite/0007_expand_benchmarks.sql")),
    (8, "erasures", include_str!("../../migrations/sqlite/0008_erasures.sql")),
    (9, "expand boundaries", include_str!("../../migrations/sqlite/0009_expand_boundaries.sql")),
    (10, "age floors", include_str!("../../migrations/sqlite/0010_age_floors.sql")),
    (11, "expand boundaries shaped at", include_str!("../../migrations/sqlite/0011_expand_boundaries_shaped_at.sql")),
];

const POSTGRES: [(i64, &str, &str); 11] = [
    (1, "views", include_str!("../../migrations/postgres/0001_views.sql")),
    (2, "outbox", include_str!("../../migrations/postgres/0002_outbox.sql")),
    (3, "expand anomalies", include_str!("../../migrations/postgres/0003_expand_anomalies.sql")),
    (4, "expand positions", include_str!("../../migrations/postgres/0004_expand_positions.sql")),
    (5, "schedule leases", include_str!("../../migrations/postgres/0005_schedule_leases.sql")),
    (6, "expand verifications", include_str!("../../migrations/postgres/0006_expand_verifications.sql")),
    (7, "expand benchmarks", include_str!("../../migrations/postgres/0007_expand_benchmarks.sql")),
    (8, "erasures", include_str!("../../migrations/postgres/0008_erasures.sql")),
    (9, "expand boundaries", include_str!("../../migrations/postgres/0009_expand_boundaries.sql")),
    (10, "age floors", include_str!("../../migrations/postgres/0010_age_floors.sql")),
    (11, "expand boundaries shaped at", include_str!("../../migrations/postgres/0011_expand_boundaries_shaped_at.sql")),
];

/// The steps of SQLite.
pub fn sqlite() -> Migrator {
    migrator(&SQLITE)
}

/// The steps of Postgres.
pub fn postgres() -> Migrator {
    migrator(&POSTGRES)
}

fn migrator(steps: &'static [(i64, &'static str, &'static str)]) -> Migrator {
    let steps = steps.iter().map(|(version, description, text)| {
        let description = Cow::Borrowed(*description);
        Migration::new(*version, description, MigrationType::Simple, (*text).into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.set_ignore_missing(true);
    migrator
}
