-- The windows that rows fall into, whether the rows count or not: a row that stopped to count changes its window too. A
-- tombstone is in no window; the row that it was is in a file that went.
SELECT DISTINCT
    device_id,
    date_bin(INTERVAL '{window_secs} seconds', event_time) AS "Start"
FROM readings
WHERE device_id <> ''
