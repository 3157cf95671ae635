-- When the owner last claimed or applied: whether somebody is at work on a partition, for whoever wants to move it.
ALTER TABLE partitions ADD COLUMN owner_seen_at TEXT;

-- What an operator changed of a partition's position, and why. A gap is what no layer will ever know.
CREATE TABLE position_changes (
    id               INTEGER NOT NULL PRIMARY KEY,
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    verb             TEXT    NOT NULL,
    from_offset      INTEGER NOT NULL,
    to_offset        INTEGER NOT NULL,
    gap_from         INTEGER,
    gap_to           INTEGER,
    changed_at       TEXT    NOT NULL,
    changed_by       TEXT    NOT NULL,
    reason           TEXT    NOT NULL
) STRICT;

CREATE INDEX position_changes_by_time ON position_changes (stream, changed_at DESC, id DESC);

-- Topics that were deleted and made again, and adopted as another source since.
CREATE TABLE topic_generations (
    topic      TEXT    NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
