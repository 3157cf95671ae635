-- Rows of two sets of data files by source position: those that only one of them has, and those whose columns differ.
-- A line with a name in braces stands once for each such column. The parser takes all that follows DISTINCT FROM for
-- its right side, hence the brackets.
SELECT
    CASE
        WHEN earlier.source_offset IS NULL THEN 'added'
        WHEN later.source_offset IS NULL THEN 'removed'
        ELSE 'changed'
    END,
    COALESCE(later."{shown}", earlier."{shown}"),
    COALESCE(later.source, earlier.source),
    COALESCE(later.source_partition, earlier.source_partition),
    COALESCE(later.source_offset, earlier.source_offset),
    CASE
        WHEN earlier.source_offset IS NULL OR later.source_offset IS NULL THEN ''
        ELSE ''
        || CASE WHEN earlier."{value}" IS DISTINCT FROM later."{value}" THEN '{value literal}: ' || COALESCE(CAST(earlier."{value}" AS VARCHAR), 'null') || ' to ' || COALESCE(CAST(later."{value}" AS VARCHAR), 'null') || '; ' ELSE '' END
        || CASE WHEN earlier."{bytes}" IS DISTINCT FROM later."{bytes}" THEN '{bytes literal}: other bytes; ' ELSE '' END
    END
FROM earlier
FULL OUTER JOIN later
    ON earlier.source = later.source
    AND earlier.source_partition = later.source_partition
    AND earlier.source_offset = later.source_offset
WHERE earlier.source_offset IS NULL
    OR later.source_offset IS NULL
    OR (earlier."{value}" IS DISTINCT FROM later."{value}")
    OR (earlier."{bytes}" IS DISTINCT FROM later."{bytes}")
