-- Devices whose data an operator erased. The record must not name them again: `device_sha256` tells whether a device that
-- somebody asks for is among them.
CREATE TABLE erasures (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream        TEXT COLLATE "C" NOT NULL,
    device_sha256 TEXT COLLATE "C" NOT NULL,
    readings      BIGINT NOT NULL,
    dead_letters  BIGINT NOT NULL,
    anomalies     BIGINT NOT NULL,
    forecasts     BIGINT NOT NULL,
    erased_at     TIMESTAMPTZ NOT NULL,
    erased_by     TEXT COLLATE "C" NOT NULL,
    reason        TEXT COLLATE "C" NOT NULL
);

CREATE INDEX erasures_by_time ON erasures (stream, erased_at DESC, id DESC);
