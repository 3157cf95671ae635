#!/usr/bin/env python3
"""Computes the hourly means of a UCI file on its own and compares them with what kilowatch published.

Usage: dev/check_hourly.py FILE --views VIEWS.db [--stream household] [--device meter-0001] [--utc-offset +01:00]
       dev/check_hourly.py FILE --stats STATS.json [...]

Shares no code with kilowatch: csv and gzip read the file, exact sums (math.fsum) make the means, sqlite3 reads the views
(or json the file of `batch ingest --stats`). Of a repeated minute the first row counts, as in kilowatch. Every hour of
every measure is compared: counts and extremes exactly, means to 1e-9 relative. Exit code 1 if anything differs.
"""
import argparse
import csv
import gzip
import json
import math
import sqlite3
import sys
from datetime import datetime, timedelta, timezone

MEASURES = {
    "Global_active_power": "active_power",
    "Global_reactive_power": "reactive_power",
    "Voltage": "voltage",
    "Global_intensity": "current",
    "Sub_metering_1": "sub_metering_1",
    "Sub_metering_2": "sub_metering_2",
    "Sub_metering_3": "sub_metering_3",
}
TOLERANCE = 1e-9


def open_text(path):
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", newline="") if packed else open(path, newline="")


def hours_of_file(path, offset):
    """{(hour, measure): values} of the readable rows."""
    hours, seen = {}, set()
    with open_text(path) as file:
        for row in csv.DictReader(file, delimiter=";"):
            try:
                local = datetime.strptime(f"{row['Date']} {row['Time']}", "%d/%m/%Y %H:%M:%S")
                values = {name: float(row[header]) for header, name in MEASURES.items() if row[header] not in ("?", "")}
            except (TypeError, ValueError):
                continue
            # A line with too many fields, or a value that is no number, is a dead letter and no reading.
            if None in row or not all(map(math.isfinite, values.values())):
                continue
            instant = (local - offset).replace(tzinfo=timezone.utc)
            if instant in seen:
                continue
            seen.add(instant)
            hour = instant.replace(minute=0, second=0)
            for name, value in values.items():
                hours.setdefault((hour, name), []).append(value)
    return {
        key: (len(values), math.fsum(values) / len(values), min(values), max(values)) for key, values in hours.items()
    }


def hours_of_views(path, stream, device):
    """The published roll-ups, read from the file itself and from no other process's memory."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT window_start, measure, value_count, value_sum / value_count, value_min, value_max FROM rollup_batch"
        " WHERE stream = ? AND device_id = ? AND window_secs = 3600",
        (stream, device),
    )
    return {(instant_of(start), measure): tuple(rest) for start, measure, *rest in rows}


def hours_of_stats(path, device):
    with open(path) as file:
        stats = json.load(file)
    return {
        (instant_of(hour["hour"]), name): (figures["count"], figures["mean"], figures["min"], figures["max"])
        for hour in stats["hours"]
        if hour["device_id"] == device
        for name, figures in hour["measures"].items()
        if figures["count"] > 0
    }


def instant_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def offset_of(text):
    sign = -1 if text.startswith("-") else 1
    hours, _, minutes = text.lstrip("+-").partition(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes or 0))


def difference(expected, found):
    """What differs, or None."""
    if expected is None or found is None:
        return "only in kilowatch" if expected is None else "not in kilowatch"
    if (expected[0], expected[2], expected[3]) != (found[0], found[2], found[3]):
        return "count or extremes differ"
    if not math.isclose(expected[1], found[1], rel_tol=TOLERANCE, abs_tol=0.0):
        return "means differ"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--views", help="the SQLite file of the views")
    source.add_argument("--stats", help="the JSON file of batch ingest --stats")
    parser.add_argument("--stream", default="household")
    parser.add_argument("--device", default="meter-0001")
    parser.add_argument("--utc-offset", default="+01:00")
    args = parser.parse_args()

    expected = hours_of_file(args.file, offset_of(args.utc_offset))
    if args.views:
        found = hours_of_views(args.views, args.stream, args.device)
    else:
        found = hours_of_stats(args.stats, args.device)
    differing, worst = 0, 0.0
    for key in sorted(expected.keys() | found.keys()):
        mine, theirs = expected.get(key), found.get(key)
        what = difference(mine, theirs)
        if mine and theirs and mine[1]:
            worst = max(worst, abs(mine[1] - theirs[1]) / abs(mine[1]))
        if what:
            differing += 1
            if differing <= 10:
                print(f"{key[0].isoformat()} {key[1]}: {what}: here {mine}, kilowatch {theirs}", file=sys.stderr)
    hours = len({hour for hour, _ in expected})
    print(f"{hours} hours, {len(expected)} means of {len(MEASURES)} measures compared; {differing} differ;"
          f" largest relative difference {worst:.1e}")
    if not expected:
        print("the file holds no readable value: nothing was compared", file=sys.stderr)
    sys.exit(1 if differing or not expected else 0)


if __name__ == "__main__":
    main()
