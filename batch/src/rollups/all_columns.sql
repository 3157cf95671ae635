-- The rows of a data file as they stand in it.
SELECT
    device_id,
    event_time
    , "{measure}"
    , "{tag}"
    , source,
    source_partition,
    source_offset,
    ingested_at,
    is_duplicate,
    superseded,
    injected
FROM readings
