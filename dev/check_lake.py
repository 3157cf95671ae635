#!/usr/bin/env python3
"""Reads a table of the lake with other programs and compares counts, sums and positions with what one says of another.

    dev/check_lake.py DIR/lake/household/readings --column active_power [--version N]
    dev/check_lake.py s3://bucket/lake/household/readings --column active_power      # with the usual AWS_... variables

Wants the packages deltalake, pyarrow and duckdb. deltalake reads the log; pyarrow and DuckDB each read the data files that
it names. Prints what each of them counts, and exits with 1 if they differ, or from the newest version to --version.
"""

import argparse
import os
import sys

import duckdb
from deltalake import DeltaTable


def counted_by_pyarrow(table, column):
    import pyarrow.compute as pc

    rows = table.to_pyarrow_table(columns=["source", "source_partition", "source_offset", column])
    positions = rows.select(["source", "source_partition", "source_offset"]).group_by(
        ["source", "source_partition", "source_offset"]).aggregate([])
    return rows.num_rows, positions.num_rows, round(pc.sum(rows[column]).as_py() or 0.0, 6)


def counted_by_duckdb(table, column):
    connection = duckdb.connect()
    connection.register("rows_of_the_table", table.to_pyarrow_dataset())
    quoted = '"' + column.replace('"', '""') + '"'
    rows, positions, total = connection.execute(
        f"SELECT count(*), count(DISTINCT (source, source_partition, source_offset)), coalesce(sum({quoted}), 0) "
        "FROM rows_of_the_table").fetchone()
    return rows, positions, round(total, 6)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("table", help="the table's folder or s3:// address")
    arguments.add_argument("--column", required=True, help="the measure that is summed")
    arguments.add_argument("--version", type=int, help="an older version that must hold the same rows")
    asked = arguments.parse_args()
    options = {name: value for name, value in os.environ.items() if name.startswith("AWS_")} or None
    answers = {}
    for version in [None] if asked.version is None else [None, asked.version]:
        table = DeltaTable(asked.table, version=version, storage_options=options)
        for name, count in [("deltalake and pyarrow", counted_by_pyarrow), ("DuckDB", counted_by_duckdb)]:
            rows, positions, total = answers[(name, version)] = count(table, asked.column)
            print(f"version {table.version()}, {len(table.file_uris())} files, {name}: {rows} rows at {positions} "
                  f"positions, sum of {asked.column} {total}")
    same_rows = len({answer[:2] for answer in answers.values()}) == 1
    sums = [answer[2] for answer in answers.values()]
    # Another order of the terms moves the last digits of a sum.
    same_sums = max(sums) - min(sums) <= 1e-9 * max(1.0, abs(max(sums)))
    doubled = any(rows != positions for rows, positions, _ in answers.values())
    if doubled or not same_rows or not same_sums:
        print("they differ" if not doubled else "positions stand more than once", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
