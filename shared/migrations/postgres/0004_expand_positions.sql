-- When the owner last claimed or applied: whether somebody is at work on a partition, for whoever wants to move it.
ALTER TABLE partitions ADD COLUMN owner_seen_at TIMESTAMPTZ;

-- What an operator changed of a partition's position, and why. A gap is what no layer will ever know.
CREATE TABLE position_changes (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    verb             TEXT COLLATE "C" NOT NULL,
    from_offset      BIGINT NOT NULL,
    to_offset        BIGINT NOT NULL,
    gap_from         BIGINT,
    gap_to           BIGINT,
    changed_at       TIMESTAMPTZ NOT NULL,
    changed_by       TEXT COLLATE "C" NOT NULL,
    reason           TEXT COLLATE "C" NOT NULL
);

CREATE INDEX position_changes_by_time ON position_changes (stream, changed_at DESC, id DESC);

-- Topics that were deleted and made again, and adopted as another source since.
CREATE TABLE topic_generations (
    topic      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL
);
