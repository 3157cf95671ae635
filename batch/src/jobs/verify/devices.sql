-- The devices of a table, and how many rows each has.
SELECT
    device_id,
    COUNT(*)
FROM readings
GROUP BY device_id
