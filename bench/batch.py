"""What the batch layer must show: hours of the same Parquet as the peers, growth, and the repair of late rows."""
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from measuring import HERE, in_turn, peer, report, run

# Tiles of the half year, and what they make in MB.
TILES = {1: 16, 8: 131, 16: 262, 32: 524, 64: 1048}
LATE_ROWS, LATE_METERS = 10_000, 300
# Hours of one measure: every reading is a window of its own, so that with the seven of `household` the views would hold 61
# million partials of 8.76 million rows.
HOMES = """
name = "homes"
description = "Hours of many households"
topic = "homes"
partitions = 1
key_field = "device_id"
time_field = "timestamp"
time_format = "rfc3339"
time_stamps = "start"
interval_secs = 3600
rollup_windows_secs = [3600]
bucket = "month"
measures = [{ name = "active_power", unit = "kW", label = "Active power" }]
"""


class BatchBench:
    """Over the stores of a scratch folder."""

    def __init__(self, args):
        self.binary, self.work, self.source = str(Path(args.binary).resolve()), Path(args.work), args.source
        self.runs, self.tiles, self.households_count = args.runs, args.tiles, args.households

    def kilowatch(self, data, *args, env=None):
        output, figures = run([self.binary, "--data-dir", str(data), "--json", *map(str, args)], env=env)
        return figures | {"answer": json.loads(output)}

    def tiled(self, times):
        path = self.work / f"uci_x{times}.csv"
        if not path.exists():
            subprocess.run([sys.executable, HERE / "peers/tile.py", self.source, path, str(times)], check=True)
        return path

    def rolled_up(self, data, *args):
        figures = self.kilowatch(data, "batch", "rollup", *args)
        answer = figures["answer"]
        return figures | {"op_s": answer["query_seconds"], "publish_s": answer["publish_seconds"]}

    def rollup(self):
        """The same aggregates of the same files, and one mean of them."""
        data = self.work / "lake-rollup"
        shutil.rmtree(data, ignore_errors=True)
        self.kilowatch(data, "batch", "ingest", self.tiled(8))
        table = data / "lake/household/readings"
        theirs = lambda engine, what: lambda: peer("lake_hours.py", engine, what, table)
        runs = in_turn({
            "kilowatch, published": lambda: self.rolled_up(data, "--full"),
            "DuckDB": theirs("duckdb", "seven"),
            "Polars": theirs("polars", "seven"),
            "DuckDB, mean of one measure": theirs("duckdb", "one"),
            "Polars, mean of one measure": theirs("polars", "one"),
        }, self.runs)
        report("Hours of the lake's own Parquet files: count, sum, min, max, sum of squares of seven measures", runs,
               ["op_s", "wall_s", "publish_s", "cpu_s", "peak_mb"])
        with sqlite3.connect(data / "views.sqlite") as views:
            ours = views.execute("SELECT COUNT(DISTINCT window_start), SUM(value_sum_squares) FROM rollup_batch "
                                 "WHERE measure = 'voltage'").fetchone()
        for name in ("DuckDB", "Polars"):
            squares = runs[name][0]["voltage_squares"]
            assert math.isclose(squares, ours[1], rel_tol=1e-9), f"{name}: {squares}, ours {ours[1]}"
        print(f"\nSums of squares agree ({ours[0]} hours with a voltage).")

    def growth(self):
        """Ingest and full roll-up of files from 16 MB to 1 GB; no peers."""
        ingests, rollups = {}, {}
        for times in self.tiles:
            source, counted = self.tiled(times), max(2, self.runs if times <= 8 else 3)
            data, name = self.work / "lake-growth", f"{self.tiled(times).stat().st_size / 1e6:.0f} MB"

            def ingest():
                shutil.rmtree(data, ignore_errors=True)
                figures = self.kilowatch(data, "batch", "ingest", source)
                return figures | {"rows": figures["answer"]["rows"], "mb_per_s": source.stat().st_size / 1e6 / figures["wall_s"]}

            ingests |= in_turn({name: ingest}, counted)
            rollups |= in_turn({name: lambda: self.rolled_up(data, "--full")}, 2 if times > 8 else 3, warmup=0)
            shutil.rmtree(data)
            if times > 8:
                source.unlink()
        report("Growth: ingest", ingests, ["rows", "wall_s", "mb_per_s", "cpu_s", "peak_mb"])
        report("Growth: full roll-up", rollups, ["op_s", "publish_s", "wall_s", "peak_mb"])

    def households(self):
        """A year of hours of many households, one late file, and its repair beside a full roll-up."""
        data, on_time, late = self.work / "lake-households", self.work / "hours.csv", self.work / "late.csv"
        shutil.rmtree(data, ignore_errors=True)
        profile = self.work / "homes.toml"
        profile.write_text(HOMES)
        env = os.environ | {"KILOWATCH_STREAM_FILES": f'["{profile}"]'}
        stream = lambda *args: self.kilowatch(data, "batch", *args, "--stream", "homes", env=env)

        def rolled_up(*args):
            figures = stream("rollup", *args)
            answer = figures["answer"]
            return figures | {"op_s": answer["query_seconds"], "publish_s": answer["publish_seconds"], "partials": answer["partials"]}

        if not late.exists():
            simulate_hours(self.binary, self.work, self.households_count, on_time, late)
        rows, held_back = lines(on_time) - 1, lines(late) - 1
        print(f"\n{rows} rows of {self.households_count} households simulated, {held_back} more of {LATE_METERS} meters late", flush=True)
        steps = {"ingest": [stream("ingest", on_time)], "full roll-up": [rolled_up("--full")]}
        with Partials(self.work) as partials:
            partials.keep(data, "before")
            steps["ingest of the late file"] = [stream("ingest", late)]
            steps["repair"] = [rolled_up()]
            partials.keep(data, "repaired")
            steps["full roll-up again"] = [rolled_up("--full")]
            partials.keep(data, "full")
            rewritten, wrong, total = partials.differing("before", "repaired"), partials.differing("repaired", "full"), partials.count("full")
        report(f"{self.households_count} households, a year of hours", steps,
               ["wall_s", "op_s", "publish_s", "partials", "cpu_s", "peak_mb"])
        answer = steps["repair"][0]["answer"]
        print(f"\nRepair: {answer['windows']} windows rewritten; {rewritten} of {total} partials differ from before, "
              f"{wrong} from the full roll-up.", flush=True)
        assert not answer["full"] and wrong == 0


class Partials:
    """What the batch views held at some moments, in a database of its own."""

    KEY = "device_id, window_secs, window_start, measure, group_key"

    def __init__(self, work):
        self.path = work / "partials.sqlite"

    def __enter__(self):
        self.path.unlink(missing_ok=True)
        self.database = sqlite3.connect(self.path)
        self.database.execute("PRAGMA synchronous = OFF")
        return self

    def __exit__(self, *_):
        self.database.close()
        self.path.unlink()

    def keep(self, data, moment):
        self.database.execute("ATTACH ? AS views", (str(data / "views.sqlite"),))
        self.database.execute(f"CREATE TABLE {moment} AS SELECT {self.KEY}, value_count, value_sum, value_min, value_max, "
                              f"value_sum_squares FROM views.rollup_batch ORDER BY {self.KEY}")
        self.database.execute(f"CREATE UNIQUE INDEX {moment}_key ON {moment} ({self.KEY})")
        self.database.commit()
        self.database.execute("DETACH views")

    def count(self, moment):
        return self.database.execute(f"SELECT COUNT(*) FROM {moment}").fetchone()[0]

    def differing(self, one, other):
        """Keys of which the two say something else: counts and extremes exactly, sums to 1e-9 of what they add up."""
        changed, shared = self.database.execute(
            f"SELECT SUM(NOT (a.value_count = b.value_count AND a.value_min = b.value_min AND a.value_max = b.value_max "
            f"AND ABS(a.value_sum - b.value_sum) <= 1e-9 * MAX(ABS(a.value_sum), ABS(b.value_sum)) "
            f"AND ABS(a.value_sum_squares - b.value_sum_squares) <= 1e-9 * a.value_sum_squares)), COUNT(*) "
            f"FROM {one} a JOIN {other} b USING ({self.KEY})").fetchone()
        return changed + self.count(one) + self.count(other) - 2 * shared


def simulate_hours(binary, work, households, on_time, late):
    """Writes the year as CSV, some rows of some meters into the late file."""
    draw = random.Random(1)
    meters = {f"meter-{number:04}" for number in draw.sample(range(1, households + 1), min(LATE_METERS, households))}
    # A little more than the share, so that the number is met before the year ends.
    share = 1.02 * LATE_ROWS / (len(meters) * 365 * 24)
    total, held_back = households * 365 * 24, 0
    command = [binary, "--data-dir", str(work / "unused"), "simulate", "--stream", "household", "--to", "stdout", "--devices",
               str(households), "--interval", "3600", "--from", "2025-01-01T00:00:00Z", "--count", str(total), "--anomaly-share", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as simulator, \
            open(on_time, "w") as punctual, open(late, "w") as tardy:
        for file in (punctual, tardy):
            file.write("timestamp,device_id,active_power\n")
        for line in simulator.stdout:
            reading = json.loads(line)
            power = "" if reading["active_power"] is None else reading["active_power"]
            is_late = reading["device_id"] in meters and held_back < LATE_ROWS and draw.random() < share
            held_back += is_late
            (tardy if is_late else punctual).write(f"{reading['timestamp']},{reading['device_id']},{power}\n")
    if simulator.returncode != 0:
        sys.exit(f"bench: the simulator ended with {simulator.returncode}")


def lines(path):
    with open(path, "rb") as file:
        return sum(1 for _ in file)
