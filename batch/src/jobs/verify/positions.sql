-- The positions of a span of offsets, in both tables.
SELECT source, source_partition, source_offset FROM readings WHERE source_offset >= {from} AND source_offset < {to}
UNION ALL
SELECT source, source_partition, source_offset FROM dead_letters WHERE source_offset >= {from} AND source_offset < {to}
