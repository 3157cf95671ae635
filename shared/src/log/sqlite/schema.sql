CREATE TABLE topics (
    topic_id INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    source   TEXT NOT NULL UNIQUE
) STRICT;

-- next_offset is kept here, so that it does not fall when every message is trimmed.
CREATE TABLE partitions (
    partition_id INTEGER PRIMARY KEY,
    topic_id     INTEGER NOT NULL REFERENCES topics (topic_id),
    number       INTEGER NOT NULL,
    low_offset   INTEGER NOT NULL DEFAULT 0,
    next_offset  INTEGER NOT NULL DEFAULT 0 CHECK (next_offset >= low_offset),
    UNIQUE (topic_id, number)
) STRICT;

-- Messages [first_offset, first_offset + records) of a partition; body holds them one after another.
CREATE TABLE chunks (
    chunk_id     INTEGER PRIMARY KEY,
    partition_id INTEGER NOT NULL REFERENCES partitions (partition_id),
    first_offset INTEGER NOT NULL,
    records      INTEGER NOT NULL CHECK (records > 0),
    logged_at_us INTEGER NOT NULL,
    body         BLOB NOT NULL,
    UNIQUE (partition_id, first_offset)
) STRICT;
