-- What each window holds of each measure. A line with a name in braces stands once for each of the profile's. Rows that
-- repeat another one, or that a file's row replaces, do not count. Without a range of devices its line is left out. Names with a capital are no measure's or tag's.
SELECT
    device_id,
    date_bin(INTERVAL '{window_secs} seconds', event_time) AS "Start",
    ''
        || '/' || COALESCE("{rollup_tag}", '')
        AS "Group"
    , partial_of("{measure}") AS "{measure}"
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
    AND device_id >= '{first_device}' AND device_id <= '{last_device}'
GROUP BY
    device_id,
    "Start",
    "Group"
