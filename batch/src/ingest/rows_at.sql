-- What the rows that count say of some devices and times.
SELECT
    readings.device_id,
    readings.event_time
    , readings."{measure}"
    , readings."{tag}"
FROM readings
INNER JOIN wanted
    ON readings.device_id = wanted.device_id
    AND readings.event_time = wanted.event_time
WHERE NOT readings.is_duplicate
    AND NOT readings.superseded
