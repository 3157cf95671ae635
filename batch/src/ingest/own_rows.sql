-- What the rows of one file say that the lake has, whether they count or not.
SELECT
    device_id,
    event_time,
    source_offset
    , "{measure}"
    , "{tag}"
FROM readings
WHERE source = '{source}'
