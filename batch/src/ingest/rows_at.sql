-- What the rows that count say of some devices and times. The few that are wanted come first: the engine keeps the left side of
-- a join in memory where it does not know how many rows there are.
SELECT
    readings.device_id,
    readings.event_time
    , readings."{measure}"
    , readings."{tag}"
FROM wanted
INNER JOIN readings
    ON readings.device_id = wanted.device_id
    AND readings.event_time = wanted.event_time
WHERE NOT readings.is_duplicate
    AND NOT readings.superseded
