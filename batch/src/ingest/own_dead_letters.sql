-- The lines of one file that are dead letters.
SELECT source_offset
FROM dead_letters
WHERE source = '{source}'
