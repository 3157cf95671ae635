#!/usr/bin/env python3
"""Hours of the very Parquet files that kilowatch's lake holds: by device, rows that count only, in memory.

Usage:  lake_hours.py {duckdb|polars} {seven|one} LAKE/household/readings
        seven: count, sum, min, max and sum of squares of each of the seven measures; one: the mean of active_power
Prints RESULT with op_s (the query), start_s (imports), hours, and of `seven` the sum of the voltage's squares, to compare.
"""
import sys
import time

T0 = time.perf_counter()
from common import result

engine, what, table = sys.argv[1:4]
FILES = f"{table}/**/*.parquet"
MEASURES = ["active_power", "reactive_power", "voltage", "current", "sub_metering_1", "sub_metering_2", "sub_metering_3"]

if engine == "duckdb":
    import duckdb
    connection = duckdb.connect()
    if what == "one":
        aggregates = "avg(active_power)"
    else:
        aggregates = ", ".join(f"count({m}), sum({m}), min({m}), max({m}), sum({m} * {m}) AS {m}_squares" for m in MEASURES)

    def query():
        # Whole hours since 1970: a time zone would cost DuckDB more than the grouping.
        return connection.execute(f"""SELECT device_id, epoch_us(event_time) // 3600000000 AS hour, {aggregates}
            FROM read_parquet('{FILES}', hive_partitioning = false) WHERE NOT is_duplicate AND NOT superseded
            GROUP BY ALL""").to_arrow_table()

    def squares(hours):
        return sum(squares or 0.0 for squares in hours.column("voltage_squares").to_pylist())
else:
    import polars as pl

    def partials(m):
        value = pl.col(m)
        return [value.count().alias(f"{m}_count"), value.sum().alias(f"{m}_sum"), value.min().alias(f"{m}_min"),
                value.max().alias(f"{m}_max"), (value * value).sum().alias(f"{m}_squares")]

    def query():
        chosen = [pl.col("active_power").mean()] if what == "one" else [p for m in MEASURES for p in partials(m)]
        rows = pl.scan_parquet(FILES, hive_partitioning=False).filter(~pl.col("is_duplicate") & ~pl.col("superseded"))
        return rows.group_by("device_id", pl.col("event_time").dt.truncate("1h").alias("hour")).agg(chosen).collect()

    def squares(hours):
        return hours["voltage_squares"].sum()

t1 = time.perf_counter()
hours = query()
t2 = time.perf_counter()
extra = {"voltage_squares": squares(hours)} if what == "seven" else {}
result(op_s=round(t2 - t1, 4), start_s=round(t1 - T0, 3), hours=len(hours), **extra)
