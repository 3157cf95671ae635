-- What the rows that count say, by device and time.
SELECT
    device_id,
    event_time
    , "{measure}"
    , "{tag}"
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
