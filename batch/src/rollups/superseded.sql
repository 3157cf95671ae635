-- Live rows whose device and time a file's row that counts has. So many at once that their positions stay below 40 MB; the next look
-- finds the others.
SELECT
    live.source,
    live.source_partition,
    live.source_offset
FROM live
LEFT SEMI JOIN filed
    ON live.device_id = filed.device_id
    AND live.event_time = filed.event_time
    AND NOT filed.superseded
    AND (filed.source LIKE 'file:%' OR filed.source LIKE 'dead:%')
WHERE (live.source LIKE 'kafka:%' OR live.source LIKE 'log:%')
    AND NOT live.is_duplicate
    AND NOT live.superseded
LIMIT 250000
