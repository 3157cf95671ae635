-- The windows that rows fall into, whether the rows count or not: a row that stopped to count changes its window too.
SELECT DISTINCT
    device_id,
    date_bin(INTERVAL '{window_secs} seconds', event_time) AS "Start"
FROM readings
