-- From when on a stream has what an age limit takes: older rows went, or go with the next `expire`. Of readings, windows
-- before it stay as they were published.
CREATE TABLE age_floors (
    stream   TEXT NOT NULL,
    aged     TEXT NOT NULL,
    floor_at TEXT NOT NULL,
    PRIMARY KEY (stream, aged)
) STRICT, WITHOUT ROWID;
