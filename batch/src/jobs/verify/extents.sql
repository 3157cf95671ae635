-- How many rows each partition of each source has, and its first and last offset.
SELECT
    source,
    source_partition,
    COUNT(*),
    MIN(source_offset),
    MAX(source_offset)
FROM positions
GROUP BY
    source,
    source_partition
