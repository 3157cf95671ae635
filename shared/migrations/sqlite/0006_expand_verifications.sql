-- What the last `verify` of each stream found.
CREATE TABLE verifications (
    stream       TEXT    NOT NULL PRIMARY KEY,
    verified_at  TEXT    NOT NULL,
    lake_version INTEGER NOT NULL,
    differing    INTEGER NOT NULL,
    unproved     INTEGER NOT NULL,
    message      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
