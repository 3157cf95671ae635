-- Messages that leave through a sink: written with the effects that they tell of, deleted once the sink has them.
-- Order of one partition: by position, then by id.
CREATE TABLE outbox (
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    message_id       TEXT    NOT NULL,
    topic            TEXT    NOT NULL,
    message_key      BLOB,
    payload          BLOB,
    headers          TEXT    NOT NULL,
    PRIMARY KEY (stream, source, source_partition, source_offset, message_id)
) STRICT;

-- Who delivers a partition's messages, so that two members do not mix their order.
CREATE TABLE outbox_leases (
    stream           TEXT    NOT NULL,
    source           TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    holder           TEXT    NOT NULL,
    leased_until     TEXT    NOT NULL,
    PRIMARY KEY (stream, source, source_partition)
) STRICT, WITHOUT ROWID;

-- Positions below it leave no message: they were told of before the partition was moved back.
ALTER TABLE partitions ADD COLUMN outbox_from INTEGER NOT NULL DEFAULT 0;

-- When a replay brought it to the lake, if one did.
ALTER TABLE dead_letters ADD COLUMN replayed_at TEXT;
