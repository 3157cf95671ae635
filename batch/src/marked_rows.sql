-- By what a row is told, and whether it counts.
SELECT
    device_id,
    event_time,
    source,
    source_partition,
    source_offset,
    is_duplicate,
    superseded
FROM readings
