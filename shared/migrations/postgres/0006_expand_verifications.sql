-- What the last `verify` of each stream found.
CREATE TABLE verifications (
    stream       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    verified_at  TIMESTAMPTZ NOT NULL,
    lake_version BIGINT NOT NULL,
    differing    BIGINT NOT NULL,
    unproved     BIGINT NOT NULL,
    message      TEXT COLLATE "C" NOT NULL
);
