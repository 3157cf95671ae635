-- The windows of rows that are not the same in two sets of files: as often here as there, as far as windows depend on them.
-- A tombstone is in no window; the row that it was is. A line with a name in braces stands once for each of the profile's.
SELECT DISTINCT
    device_id,
    date_bin(INTERVAL '{window_secs} seconds', event_time) AS "Start"
FROM (
    SELECT
        device_id,
        event_time
    FROM (
        SELECT device_id, event_time, is_duplicate, superseded, 1 AS "Side"
            , "{measure}"
            , "{rollup_tag}"
        FROM after
        WHERE device_id <> ''
        UNION ALL
        SELECT device_id, event_time, is_duplicate, superseded, -1 AS "Side"
            , "{measure}"
            , "{rollup_tag}"
        FROM before
        WHERE device_id <> ''
    )
    GROUP BY
        device_id,
        event_time,
        is_duplicate,
        superseded
        , "{measure}"
        , "{rollup_tag}"
    HAVING SUM("Side") <> 0
)
