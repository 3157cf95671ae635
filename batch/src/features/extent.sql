-- How many readings count in each hour, and until when there are any. "Vouched" leaves out those whose clock is further
-- ahead of their message's time in the log than clocks are; a log without times (0) has nothing to say of that.
SELECT
    date_bin(INTERVAL '3600 seconds', event_time) AS "Hour"
    , COUNT(*) AS "Count"
    , MAX(event_time) AS "Newest"
    , MAX(
        CASE
            WHEN
                CAST(ingested_at AS BIGINT) = 0
                OR CAST(event_time AS BIGINT) - CAST(ingested_at AS BIGINT) <= {lead_micros}
                THEN event_time
        END
    ) AS "Vouched"
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
    AND CAST(event_time AS BIGINT) < {until_micros}
GROUP BY "Hour"
ORDER BY "Hour"
