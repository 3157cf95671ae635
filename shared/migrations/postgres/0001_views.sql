-- Column for column the tables of migrations/sqlite. Texts are collated "C": ids sort by their bytes, on every server.

CREATE TABLE partitions (
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    owner            TEXT COLLATE "C",
    applied_offset   BIGINT NOT NULL,
    last_message     TEXT COLLATE "C",
    readings         BIGINT NOT NULL DEFAULT 0,
    duplicates       BIGINT NOT NULL DEFAULT 0,
    dead_letters     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, source, source_partition)
);

-- What segments are judged with, by the SHA-256 of the body: few different ones for half a million cuts a year.
CREATE TABLE pins (
    id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body TEXT COLLATE "C" NOT NULL
);

CREATE TABLE cuts (
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    cut_offset       BIGINT NOT NULL,
    pins_id          TEXT COLLATE "C" NOT NULL REFERENCES pins (id),
    PRIMARY KEY (stream, source, source_partition, cut_offset),
    FOREIGN KEY (stream, source, source_partition) REFERENCES partitions (stream, source, source_partition)
);

CREATE TABLE boundaries (
    stream       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    lake_version BIGINT,
    published_at TIMESTAMPTZ
);

CREATE TABLE boundary_partitions (
    stream           TEXT COLLATE "C" NOT NULL REFERENCES boundaries (stream),
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    boundary_offset  BIGINT NOT NULL,
    PRIMARY KEY (stream, source, source_partition)
);

CREATE TABLE rollup_batch (
    stream            TEXT COLLATE "C" NOT NULL,
    device_id         TEXT COLLATE "C" NOT NULL,
    window_secs       BIGINT NOT NULL,
    window_start      TIMESTAMPTZ NOT NULL,
    measure           TEXT COLLATE "C" NOT NULL,
    group_key         TEXT COLLATE "C" NOT NULL,
    value_count       BIGINT NOT NULL,
    value_sum         DOUBLE PRECISION NOT NULL,
    value_min         DOUBLE PRECISION NOT NULL,
    value_max         DOUBLE PRECISION NOT NULL,
    value_sum_squares DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (stream, device_id, window_secs, window_start, measure, group_key)
);

-- The primary key serves one device; this one serves all of them together, and counts values without the table.
CREATE INDEX rollup_batch_by_time ON rollup_batch (stream, window_secs, measure, window_start, value_count);

-- A row is a window's gain of one segment: `tag` is the cut that opened the segment.
CREATE TABLE rollup_speed (
    stream            TEXT COLLATE "C" NOT NULL,
    device_id         TEXT COLLATE "C" NOT NULL,
    window_secs       BIGINT NOT NULL,
    window_start      TIMESTAMPTZ NOT NULL,
    measure           TEXT COLLATE "C" NOT NULL,
    group_key         TEXT COLLATE "C" NOT NULL,
    source            TEXT COLLATE "C" NOT NULL,
    source_partition  BIGINT NOT NULL,
    tag               BIGINT NOT NULL,
    value_count       BIGINT NOT NULL,
    value_sum         DOUBLE PRECISION NOT NULL,
    value_min         DOUBLE PRECISION NOT NULL,
    value_max         DOUBLE PRECISION NOT NULL,
    value_sum_squares DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (stream, device_id, window_secs, window_start, measure, group_key, source, source_partition, tag)
);

CREATE INDEX rollup_speed_by_time ON rollup_speed (stream, window_secs, measure, window_start);
CREATE INDEX rollup_speed_by_tag ON rollup_speed (stream, source, source_partition, tag);

-- Rows of a publication to be. Not readable by anyone until they are moved to rollup_batch.
CREATE TABLE rollup_stage (
    stage_id          TEXT COLLATE "C" NOT NULL,
    stream            TEXT COLLATE "C" NOT NULL,
    device_id         TEXT COLLATE "C" NOT NULL,
    window_secs       BIGINT NOT NULL,
    window_start      TIMESTAMPTZ NOT NULL,
    measure           TEXT COLLATE "C" NOT NULL,
    group_key         TEXT COLLATE "C" NOT NULL,
    value_count       BIGINT NOT NULL,
    value_sum         DOUBLE PRECISION NOT NULL,
    value_min         DOUBLE PRECISION NOT NULL,
    value_max         DOUBLE PRECISION NOT NULL,
    value_sum_squares DOUBLE PRECISION NOT NULL,
    staged_at         TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (stage_id, stream, device_id, window_secs, window_start, measure, group_key)
);

CREATE TABLE anomalies (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    source_offset    BIGINT NOT NULL,
    device_id        TEXT COLLATE "C" NOT NULL,
    event_time       TIMESTAMPTZ NOT NULL,
    detector         TEXT COLLATE "C" NOT NULL,
    score            DOUBLE PRECISION NOT NULL,
    threshold        DOUBLE PRECISION NOT NULL,
    severity         TEXT COLLATE "C" NOT NULL,
    model_id         TEXT COLLATE "C",
    measure          TEXT COLLATE "C" NOT NULL,
    observed         DOUBLE PRECISION NOT NULL,
    expected_low     DOUBLE PRECISION,
    expected_high    DOUBLE PRECISION,
    window_readings  BIGINT NOT NULL,
    explanation      TEXT COLLATE "C" NOT NULL,
    origin           TEXT COLLATE "C" NOT NULL
);

CREATE INDEX anomalies_by_time ON anomalies (stream, event_time DESC, id);
CREATE INDEX anomalies_by_device ON anomalies (stream, device_id, event_time DESC, id);
CREATE INDEX anomalies_by_position ON anomalies (stream, source, source_partition, source_offset);

CREATE TABLE dead_letters (
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    source_offset    BIGINT NOT NULL,
    message_key      BYTEA,
    raw              BYTEA NOT NULL,
    reason           TEXT COLLATE "C" NOT NULL,
    seen_at          TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (stream, source, source_partition, source_offset)
);

CREATE INDEX dead_letters_by_time ON dead_letters (stream, seen_at DESC);

-- The newest event time that each layer saw; batch knows the start of its newest window.
CREATE TABLE devices (
    stream           TEXT COLLATE "C" NOT NULL,
    device_id        TEXT COLLATE "C" NOT NULL,
    speed_event_time TIMESTAMPTZ,
    batch_event_time TIMESTAMPTZ,
    PRIMARY KEY (stream, device_id)
);

CREATE TABLE forecasts (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream         TEXT COLLATE "C" NOT NULL,
    device_id      TEXT COLLATE "C" NOT NULL,
    measure        TEXT COLLATE "C" NOT NULL,
    issued_at      TIMESTAMPTZ NOT NULL,
    model_id       TEXT COLLATE "C" NOT NULL,
    lake_version   BIGINT NOT NULL,
    interval_level DOUBLE PRECISION NOT NULL,
    UNIQUE (stream, device_id, measure, issued_at, model_id)
);

CREATE INDEX forecasts_by_issue ON forecasts (stream, issued_at DESC, id DESC);
CREATE INDEX forecasts_by_device ON forecasts (stream, device_id, issued_at DESC, id DESC);

CREATE TABLE forecast_points (
    forecast_id   BIGINT NOT NULL REFERENCES forecasts (id),
    target_time   TIMESTAMPTZ NOT NULL,
    horizon_hours BIGINT NOT NULL,
    value         DOUBLE PRECISION NOT NULL,
    low           DOUBLE PRECISION NOT NULL,
    high          DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (forecast_id, target_time)
);

CREATE TABLE models (
    stream     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    manifest   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (stream, kind, id)
);

CREATE INDEX models_by_time ON models (stream, created_at DESC);

CREATE TABLE model_service_periods (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream       TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    model_id     TEXT COLLATE "C" NOT NULL,
    served_from  TIMESTAMPTZ NOT NULL,
    served_until TIMESTAMPTZ,
    FOREIGN KEY (stream, kind, model_id) REFERENCES models (stream, kind, id)
);

-- One model serves a kind at a time, whoever promotes at the same moment.
CREATE UNIQUE INDEX model_service_periods_open ON model_service_periods (stream, kind) WHERE served_until IS NULL;

CREATE TABLE job_runs (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream       TEXT COLLATE "C" NOT NULL,
    job          TEXT COLLATE "C" NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL,
    finished_at  TIMESTAMPTZ NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    rows_changed BIGINT NOT NULL,
    message      TEXT COLLATE "C" NOT NULL
);

CREATE INDEX job_runs_by_time ON job_runs (stream, finished_at DESC, id DESC);
