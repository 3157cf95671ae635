-- Hours of a measure whose count, extremes or sum differ. Sums of the same values in another order differ in their last
-- digits, which is no difference; count times sum of squares bounds what they add up to without their signs. The parser takes all that follows DISTINCT FROM for its right side, hence the brackets.
WITH earlier_hours AS (
    SELECT
        device_id,
        date_bin(INTERVAL '1 hour', event_time) AS hour_start,
        COUNT("{measure}") AS value_count,
        SUM("{measure}") AS value_sum,
        MIN("{measure}") AS value_min,
        MAX("{measure}") AS value_max,
        SUM("{measure}" * "{measure}") AS value_squares
    FROM earlier
    WHERE NOT is_duplicate AND NOT superseded AND "{measure}" IS NOT NULL
    GROUP BY device_id, hour_start
),
later_hours AS (
    SELECT
        device_id,
        date_bin(INTERVAL '1 hour', event_time) AS hour_start,
        COUNT("{measure}") AS value_count,
        SUM("{measure}") AS value_sum,
        MIN("{measure}") AS value_min,
        MAX("{measure}") AS value_max,
        SUM("{measure}" * "{measure}") AS value_squares
    FROM later
    WHERE NOT is_duplicate AND NOT superseded AND "{measure}" IS NOT NULL
    GROUP BY device_id, hour_start
)
SELECT
    COALESCE(later_hours.device_id, earlier_hours.device_id) AS device,
    COALESCE(later_hours.hour_start, earlier_hours.hour_start) AS hour_start,
    '{measure literal}',
    COALESCE(earlier_hours.value_count, 0),
    COALESCE(later_hours.value_count, 0),
    earlier_hours.value_sum,
    later_hours.value_sum,
    earlier_hours.value_min,
    later_hours.value_min,
    earlier_hours.value_max,
    later_hours.value_max
FROM earlier_hours
FULL OUTER JOIN later_hours
    ON earlier_hours.device_id = later_hours.device_id
    AND earlier_hours.hour_start = later_hours.hour_start
WHERE (earlier_hours.value_count IS DISTINCT FROM later_hours.value_count)
    OR (earlier_hours.value_min IS DISTINCT FROM later_hours.value_min)
    OR (earlier_hours.value_max IS DISTINCT FROM later_hours.value_max)
    OR (earlier_hours.value_sum - later_hours.value_sum) * (earlier_hours.value_sum - later_hours.value_sum)
        > 1e-18 * earlier_hours.value_count * earlier_hours.value_squares
ORDER BY device, hour_start
