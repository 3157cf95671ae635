-- Which process runs the schedule of a stream.
CREATE TABLE schedule_leases (
    stream       TEXT NOT NULL PRIMARY KEY,
    holder       TEXT NOT NULL,
    leased_until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
