-- Instants are UTC, RFC 3339, 27 characters with six decimals, so that the order of the texts is the order of time.
-- Column for column the tables of migrations/postgres; a key is the table itself (WITHOUT ROWID).

CREATE TABLE partitions (
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    owner            TEXT,
    applied_offset   INTEGER NOT NULL,
    last_message     TEXT,
    readings         INTEGER NOT NULL DEFAULT 0,
    duplicates       INTEGER NOT NULL DEFAULT 0,
    dead_letters     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, source, source_partition)
) STRICT, WITHOUT ROWID;

-- What segments are judged with, by the SHA-256 of the body: few different ones for half a million cuts a year.
CREATE TABLE pins (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cuts (
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    cut_offset       INTEGER NOT NULL,
    pins_id          TEXT    NOT NULL REFERENCES pins (id),
    PRIMARY KEY (stream, source, source_partition, cut_offset),
    FOREIGN KEY (stream, source, source_partition) REFERENCES partitions (stream, source, source_partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE boundaries (
    stream       TEXT NOT NULL PRIMARY KEY,
    lake_version INTEGER,
    published_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE boundary_partitions (
    stream           TEXT    NOT NULL REFERENCES boundaries (stream),
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    boundary_offset  INTEGER NOT NULL,
    PRIMARY KEY (stream, source, source_partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_batch (
    stream            TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    window_secs       INTEGER NOT NULL,
    window_start      TEXT    NOT NULL,
    measure           TEXT    NOT NULL,
    group_key         TEXT    NOT NULL,
    value_count       INTEGER NOT NULL,
    value_sum         REAL    NOT NULL,
    value_min         REAL    NOT NULL,
    value_max         REAL    NOT NULL,
    value_sum_squares REAL    NOT NULL,
    PRIMARY KEY (stream, device_id, window_secs, window_start, measure, group_key)
) STRICT, WITHOUT ROWID;

-- The primary key serves one device; this one serves all of them together, and counts values without the table.
CREATE INDEX rollup_batch_by_time ON rollup_batch (stream, window_secs, measure, window_start, value_count);

-- A row is a window's gain of one segment: `tag` is the cut that opened the segment.
CREATE TABLE rollup_speed (
    stream            TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    window_secs       INTEGER NOT NULL,
    window_start      TEXT    NOT NULL,
    measure           TEXT    NOT NULL,
    group_key         TEXT    NOT NULL,
    source            TEXT    NOT NULL,
    source_partition  INTEGER NOT NULL,
    tag               INTEGER NOT NULL,
    value_count       INTEGER NOT NULL,
    value_sum         REAL    NOT NULL,
    value_min         REAL    NOT NULL,
    value_max         REAL    NOT NULL,
    value_sum_squares REAL    NOT NULL,
    PRIMARY KEY (stream, device_id, window_secs, window_start, measure, group_key, source, source_partition, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX rollup_speed_by_time ON rollup_speed (stream, window_secs, measure, window_start);
CREATE INDEX rollup_speed_by_tag ON rollup_speed (stream, source, source_partition, tag);

-- Rows of a publication to be. Not readable by anyone until they are moved to rollup_batch.
CREATE TABLE rollup_stage (
    stage_id          TEXT    NOT NULL,
    stream            TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    window_secs       INTEGER NOT NULL,
    window_start      TEXT    NOT NULL,
    measure           TEXT    NOT NULL,
    group_key         TEXT    NOT NULL,
    value_count       INTEGER NOT NULL,
    value_sum         REAL    NOT NULL,
    value_min         REAL    NOT NULL,
    value_max         REAL    NOT NULL,
    value_sum_squares REAL    NOT NULL,
    staged_at         TEXT    NOT NULL,
    PRIMARY KEY (stage_id, stream, device_id, window_secs, window_start, measure, group_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE anomalies (
    id               TEXT    NOT NULL PRIMARY KEY,
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    device_id        TEXT    NOT NULL,
    event_time       TEXT    NOT NULL,
    detector         TEXT    NOT NULL,
    score            REAL    NOT NULL,
    threshold        REAL    NOT NULL,
    severity         TEXT    NOT NULL,
    model_id         TEXT,
    measure          TEXT    NOT NULL,
    observed         REAL    NOT NULL,
    expected_low     REAL,
    expected_high    REAL,
    window_readings  INTEGER NOT NULL,
    explanation      TEXT    NOT NULL,
    origin           TEXT    NOT NULL
) STRICT;

CREATE INDEX anomalies_by_time ON anomalies (stream, event_time DESC, id);
CREATE INDEX anomalies_by_device ON anomalies (stream, device_id, event_time DESC, id);
CREATE INDEX anomalies_by_position ON anomalies (stream, source, source_partition, source_offset);

CREATE TABLE dead_letters (
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    message_key      BLOB,
    raw              BLOB    NOT NULL,
    reason           TEXT    NOT NULL,
    seen_at          TEXT    NOT NULL,
    PRIMARY KEY (stream, source, source_partition, source_offset)
) STRICT;

CREATE INDEX dead_letters_by_time ON dead_letters (stream, seen_at DESC);

-- The newest event time that each layer saw; batch knows the start of its newest window.
CREATE TABLE devices (
    stream           TEXT NOT NULL,
    device_id        TEXT NOT NULL,
    speed_event_time TEXT,
    batch_event_time TEXT,
    PRIMARY KEY (stream, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE forecasts (
    id             INTEGER NOT NULL PRIMARY KEY,
    stream         TEXT    NOT NULL,
    device_id      TEXT    NOT NULL,
    measure        TEXT    NOT NULL,
    issued_at      TEXT    NOT NULL,
    model_id       TEXT    NOT NULL,
    lake_version   INTEGER NOT NULL,
    interval_level REAL    NOT NULL,
    UNIQUE (stream, device_id, measure, issued_at, model_id)
) STRICT;

CREATE INDEX forecasts_by_issue ON forecasts (stream, issued_at DESC, id DESC);
CREATE INDEX forecasts_by_device ON forecasts (stream, device_id, issued_at DESC, id DESC);

CREATE TABLE forecast_points (
    forecast_id   INTEGER NOT NULL REFERENCES forecasts (id),
    target_time   TEXT    NOT NULL,
    horizon_hours INTEGER NOT NULL,
    value         REAL    NOT NULL,
    low           REAL    NOT NULL,
    high          REAL    NOT NULL,
    PRIMARY KEY (forecast_id, target_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    stream     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (stream, kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX models_by_time ON models (stream, created_at DESC);

CREATE TABLE model_service_periods (
    id           INTEGER NOT NULL PRIMARY KEY,
    stream       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    model_id     TEXT    NOT NULL,
    served_from  TEXT    NOT NULL,
    served_until TEXT,
    FOREIGN KEY (stream, kind, model_id) REFERENCES models (stream, kind, id)
) STRICT;

-- One model serves a kind at a time, whoever promotes at the same moment.
CREATE UNIQUE INDEX model_service_periods_open ON model_service_periods (stream, kind) WHERE served_until IS NULL;

CREATE TABLE job_runs (
    id           INTEGER NOT NULL PRIMARY KEY,
    stream       TEXT    NOT NULL,
    job          TEXT    NOT NULL,
    started_at   TEXT    NOT NULL,
    finished_at  TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    rows_changed INTEGER NOT NULL,
    message      TEXT    NOT NULL
) STRICT;

CREATE INDEX job_runs_by_time ON job_runs (stream, finished_at DESC, id DESC);
