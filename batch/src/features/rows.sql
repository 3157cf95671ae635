-- Readings that count, with the measures that a model learns from. The line with a name in braces stands once for each of them.
SELECT
    event_time
    , "{measure}"
FROM readings
WHERE NOT is_duplicate
    AND NOT superseded
    AND "{measure}" IS NOT NULL
