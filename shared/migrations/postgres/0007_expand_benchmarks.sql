-- What `batch benchmark` measured, run by run.
CREATE TABLE benchmarks (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL,
    body       TEXT COLLATE "C" NOT NULL
);
