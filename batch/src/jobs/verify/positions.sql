-- How many rows each partition of each source has, how many positions, and the last of them.
SELECT
    source,
    source_partition,
    COUNT(*) AS row_count,
    COUNT(DISTINCT source_offset) AS position_count,
    MAX(source_offset) AS last_offset
FROM readings
GROUP BY
    source,
    source_partition
