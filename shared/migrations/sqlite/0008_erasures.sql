-- Devices whose data an operator erased. The record must not name them again: `device_sha256` tells whether a device that
-- somebody asks for is among them.
CREATE TABLE erasures (
    id            INTEGER NOT NULL PRIMARY KEY,
    stream        TEXT    NOT NULL,
    device_sha256 TEXT    NOT NULL,
    readings      INTEGER NOT NULL,
    dead_letters  INTEGER NOT NULL,
    anomalies     INTEGER NOT NULL,
    forecasts     INTEGER NOT NULL,
    erased_at     TEXT    NOT NULL,
    erased_by     TEXT    NOT NULL,
    reason        TEXT    NOT NULL
) STRICT;

CREATE INDEX erasures_by_time ON erasures (stream, erased_at DESC, id DESC);
