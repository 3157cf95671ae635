-- What `batch benchmark` measured, run by run.
CREATE TABLE benchmarks (
    id         INTEGER NOT NULL PRIMARY KEY,
    started_at TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;
