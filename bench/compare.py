#!/usr/bin/env python3
"""Runs kilowatch and its peers in turn (A B C A B C ...) and prints min, median and max of each figure.

Called by bench/run. A figure is of a whole process, from start to exit, unless its name says otherwise:
wall_s, cpu_s and peak_mb come from the operating system (wait4), the rest from what the process prints.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from batch import TILES, BatchBench
from measuring import HERE, in_turn, peer, report, run

ALL = ["ingest", "rollup", "growth", "households", "train", "speed", "up"]


class Bench(BatchBench):
    def ingest(self):
        data, x8 = self.work / "lake-x8", self.tiled(8)

        def ours():
            shutil.rmtree(data, ignore_errors=True)
            figures = self.kilowatch(data, "batch", "ingest", x8)
            figures["out_mb"] = sum(f.stat().st_size for f in data.glob("lake/household/readings/**/*.parquet")) / 1e6
            return figures

        parquet = {name: self.work / f"{name}.parquet" for name in ("duckdb", "polars")}
        runs = in_turn({
            "kilowatch, as a Delta commit": ours,
            "DuckDB": lambda: peer("ingest.py", "duckdb", "ingest", x8, parquet["duckdb"]),
            "Polars": lambda: peer("ingest.py", "polars", "ingest", x8, parquet["polars"]),
        }, self.runs)
        report(f"UCI CSV ({x8.stat().st_size / 1e6:.0f} MB) to typed zstd Parquet", runs, ["wall_s", "op_s", "cpu_s", "peak_mb", "out_mb"])

    def train(self):
        data, h1 = self.work / "lake-h1", self.tiled(1)
        self.kilowatch(data, "batch", "ingest", h1)
        env = os.environ | {"OUT": str(self.work), "MAX_FEATURES": "3"}
        run([sys.executable, HERE / "peers/forest_prep.py", h1, "h1"], env=env)
        seeds = iter(range(1, 1000))

        def ours():
            figures = self.kilowatch(data, "batch", "train", "--model", "estimate", "--seed", str(next(seeds)), "--no-promote")
            answer = figures["answer"]
            return figures | {"fit_s": answer["fit_seconds"], "rmse": answer["metrics"]["rmse"], "r2": answer["metrics"]["r2"]}

        runs = in_turn({
            "kilowatch": ours,
            "scikit-learn, n_jobs=2": lambda: peer("forest.py", "sklearn", "h1", env=env | {"SEED": str(next(seeds))}),
        }, self.runs)
        report("Random forest, 20 trees of depth 10, 3 features a split, a new seed each run", runs, ["fit_s", "wall_s", "peak_mb", "rmse", "r2"])

    def speed(self):
        """Drains a filled embedded log: readings, roll-ups and anomalies into SQLite, segments into a Delta lake."""
        data = self.work / "speed"

        def ours():
            shutil.rmtree(data, ignore_errors=True)
            count = 500_000
            run([self.binary, "--data-dir", str(data), "simulate", "--to", "log", "--count", str(count)])
            output, figures = run([self.binary, "--data-dir", str(data), "--json", "speed", "run", "--until-caught-up"])
            answer = json.loads(output)
            return figures | {"events_per_s": answer["messages"] / answer["seconds"], "op_s": answer["seconds"]}

        report("Speed: 500,000 readings from the embedded log", in_turn({"kilowatch, three-sigma": ours}, self.runs, warmup=0),
               ["events_per_s", "op_s", "wall_s", "peak_mb"])

    def up(self):
        """First start on an empty folder, then a second one; resident memory after a minute."""
        data = self.work / "up"
        for title in ("first start, empty folder", "second start"):
            start = time.perf_counter()
            process = subprocess.Popen([self.binary, "--data-dir", str(data), "--listen", "127.0.0.1:18480", "up"], stderr=subprocess.DEVNULL)
            try:
                first_page = self.wait(start, "/", lambda body: True)
                content = self.wait(start, "/api/forecasts", lambda body: '"horizon_hours"' in body)
                anomalies = self.wait(start, "/api/anomalies", lambda body: '"detector"' in body)
                time.sleep(max(0, 60 - (time.perf_counter() - start)))
                status = Path(f"/proc/{process.pid}/status").read_text()
            finally:
                process.terminate()
                process.wait()
            rss, peak = (int(re.search(rf"{k}:\s+(\d+)", status)[1]) // 1024 for k in ("VmRSS", "VmHWM"))
            print(f"\n`up`, {title}: first page {first_page:.2f} s, forecast {content:.1f} s, anomalies {anomalies:.1f} s, "
                  f"resident after a minute {rss} MB (peak {peak} MB)", flush=True)

    @staticmethod
    def wait(start, path, accept):
        import urllib.request
        while time.perf_counter() - start < 120:
            try:
                with urllib.request.urlopen("http://127.0.0.1:18480" + path, timeout=5) as answer:
                    if accept(answer.read().decode()):
                        return time.perf_counter() - start
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit(f"compare: {path} did not answer as expected within 120 s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", required=True, help="UCI file, plain or gzip")
    parser.add_argument("--work", required=True, help="scratch folder")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tiles", type=lambda text: [int(part) for part in text.split(",")], default=list(TILES),
                        help="how often the half year is tiled for `growth`")
    parser.add_argument("--households", type=int, default=1000, help="households of `households`")
    parser.add_argument("what", nargs="*", choices=[[], *ALL])
    args = parser.parse_args()
    bench = Bench(args)
    for name in args.what or ALL:
        getattr(bench, name)()


if __name__ == "__main__":
    main()
