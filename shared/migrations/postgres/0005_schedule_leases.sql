-- Which process runs the schedule of a stream.
CREATE TABLE schedule_leases (
    stream       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder       TEXT COLLATE "C" NOT NULL,
    leased_until TIMESTAMPTZ NOT NULL
);
