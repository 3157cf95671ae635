-- A line with a name in braces stands once for each measure of the UCI format.
COPY (
    SELECT
        date_trunc('hour', ts) AS hour
        , count("{measure}") AS "{measure}_count"
        , sum("{measure}") AS "{measure}_sum"
        , min("{measure}") AS "{measure}_min"
        , max("{measure}") AS "{measure}_max"
        , sum("{measure}" * "{measure}") AS "{measure}_sum_squares"
    FROM read_parquet('readings.parquet')
    GROUP BY ALL
) TO 'hours.parquet' (FORMAT parquet, COMPRESSION zstd);
