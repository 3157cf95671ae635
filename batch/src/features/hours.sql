-- What each hour holds of the one measure that is forecast.
SELECT
    device_id,
    date_bin(INTERVAL '{window_secs} seconds', event_time) AS "Start"
    , COUNT("{measure}") AS "Count"
    , SUM("{measure}") AS "Sum"
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
GROUP BY
    device_id,
    "Start"
