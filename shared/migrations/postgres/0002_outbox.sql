-- Messages that leave through a sink: written with the effects that they tell of, deleted once the sink has them.
-- Order of one partition: by position, then by id.
CREATE TABLE outbox (
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    source_offset    BIGINT NOT NULL,
    message_id       TEXT COLLATE "C" NOT NULL,
    topic            TEXT COLLATE "C" NOT NULL,
    message_key      BYTEA,
    payload          BYTEA,
    headers          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (stream, source, source_partition, source_offset, message_id)
);

-- Who delivers a partition's messages, so that two members do not mix their order.
CREATE TABLE outbox_leases (
    stream           TEXT COLLATE "C" NOT NULL,
    source           TEXT COLLATE "C" NOT NULL,
    source_partition BIGINT NOT NULL,
    holder           TEXT COLLATE "C" NOT NULL,
    leased_until     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (stream, source, source_partition)
);

-- Positions below it leave no message: they were told of before the partition was moved back.
ALTER TABLE partitions ADD COLUMN outbox_from BIGINT NOT NULL DEFAULT 0;

-- When a replay brought it to the lake, if one did.
ALTER TABLE dead_letters ADD COLUMN replayed_at TIMESTAMPTZ;
