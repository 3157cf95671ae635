-- Readings that count, device by device in the order of their time, as the lake's schema has them: features that look
-- back are computed over this order. The position decides where times are equal. Lines with a name in braces stand once for each of them.
SELECT
    device_id
    , event_time
    , "{measure}"
    , "{tag}"
    , source
    , source_partition
    , source_offset
    , ingested_at
    , is_duplicate
    , injected
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
ORDER BY
    device_id,
    event_time,
    source,
    source_partition,
    source_offset
