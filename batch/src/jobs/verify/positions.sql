-- The partitions of sources in which a position of a span of offsets stands more than once, in either table or in both.
SELECT
    source,
    source_partition,
    COUNT(*),
    COUNT(DISTINCT source_offset),
    MAX(source_offset)
FROM (
    SELECT source, source_partition, source_offset FROM readings
    UNION ALL
    SELECT source, source_partition, source_offset FROM dead_letters
) AS positions
WHERE source_offset >= {from} AND source_offset < {to}
GROUP BY
    source,
    source_partition
HAVING COUNT(*) > COUNT(DISTINCT source_offset)
