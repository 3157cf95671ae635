-- The devices of a table, and how many rows each has. Tombstones have none.
SELECT
    device_id,
    COUNT(*)
FROM readings
WHERE device_id <> ''
GROUP BY device_id
