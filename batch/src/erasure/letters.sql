SELECT source, source_partition, source_offset, key, raw, reason, seen_at
FROM dead_letters
