#!/usr/bin/env python3
"""The speed layer from a topic that was filled beforehand to PostgreSQL, lake and `anomalies` topic, beside Flink on the same topic.

Called by bench/speed inside `dev/services run`. Contestants run in turn; the first round, in which the broker warms up, is not
counted. Rates are messages by wall time of the whole process, start and stop included; what counts as a message is what the views say was applied and the lake says it holds. `cpu_*` is processor time
while the process ran: its own, the broker's and PostgreSQL's.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from servers import Servers

FLINK_OPENS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("util", "lang", "time")]


class Bench:
    def __init__(self, args):
        self.args, self.servers, self.work = args, Servers(), Path(args.work)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("KILOWATCH_")}
        self.env["KILOWATCH_LOG__URL"] = f"kafka://{self.servers.brokers}"

    def kilowatch(self, env, *command):
        ran = subprocess.run([self.args.binary, *command], env=env, capture_output=True, text=True)
        if ran.returncode != 0:
            sys.exit(f"speed: {' '.join(command)} ended with {ran.returncode}: {ran.stderr[-2000:]}")
        return ran.stdout

    def fresh(self, name):
        """Views and lake of their own."""
        data = self.work / "data"
        shutil.rmtree(data, ignore_errors=True)
        url = self.servers.fresh_database(name)
        return self.env | {"KILOWATCH_VIEWS__URL": url, "KILOWATCH_DATA_DIR": str(data)}, data

    def fill(self, stream, events, *options):
        start = time.perf_counter()
        self.kilowatch(self.env | {"KILOWATCH_DATA_DIR": str(self.work / "filler")}, "simulate", "--stream", stream, "--to", "log",
                       "--count", str(events), "--from", "2026-01-01T00:00:00Z", *options)
        took = time.perf_counter() - start
        print(f"filled the topic of {stream} with {events:,} messages in {took:.1f} s ({' '.join(options)})", flush=True)

    def measured(self, command, env):
        """A process from start to exit: its output, and the figures of it and of the servers."""
        before = self.servers.cpu()
        start = time.perf_counter()
        with open(self.work / "stderr", "w+") as errors:
            process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
            resident = Resident(process.pid)
            output = process.stdout.read()
            resident.over.set()
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            if os.waitstatus_to_exitcode(status) != 0:
                errors.seek(0)
                sys.exit(f"speed: {command[0]} failed:\n{output[-1000:]}\n{errors.read()[-3000:]}")
        after = self.servers.cpu()
        figures = {"wall_s": wall, "peak_mb": usage.ru_maxrss / 1024, "cpu_own_s": usage.ru_utime + usage.ru_stime,
                   "late_mb": resident.late_mb()}
        figures |= {f"cpu_{name}_s": after[name] - before[name] for name in before}
        return output, figures

    def ours(self, stream, events, prepare=None):
        env, data = self.fresh("bench")
        history = 0
        if prepare:
            prepare(env)
            history = lake_rows(data / "lake" / stream)
        output, figures = self.measured([self.args.binary, "--json", "speed", "run", "--stream", stream, "--until-caught-up"], env)
        applied = int(self.servers.sql("SELECT sum(applied_offset) FROM partitions", "bench"))
        held = lake_rows(data / "lake" / stream) - history
        if applied != events or held != events:
            sys.exit(f"speed: {events} messages were there, {applied} were applied, the lake holds {held}")
        figures |= {
            "events_per_s": applied / figures["wall_s"],
            "alarms": int(self.servers.sql("SELECT count(*) FROM anomalies", "bench")),
            "undelivered": int(self.servers.sql("SELECT count(*) FROM outbox", "bench")),
            "run_s": json.loads(output)["seconds"],
        }
        return figures

    def flink(self, topic, events):
        libs = f"{self.args.flink}/flink-peer-1.jar:{self.args.flink}/libs/*"
        command = ["java", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *FLINK_OPENS, "-cp", libs, "peers.SpeedJob",
                   self.servers.brokers, topic, "flink-anomalies", "2"]
        output, figures = self.measured(command, os.environ)
        result = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[7:])
        if result["messages"] != events:
            sys.exit(f"speed: Flink read {result['messages']} of {events} messages")
        return figures | {"events_per_s": events / figures["wall_s"], "run_s": result["run_s"], "alarms": result["flagged"]}

    def grid(self):
        """Moving average and limit; 100 meters at 10 ms are the grid system's 10,000 readings a second."""
        args = self.args
        self.fill("grid", args.events, "--devices", str(args.meters), "--interval", str(args.interval))
        rounds = {"kilowatch": [], "Flink": []}
        for _ in range(1 + args.runs):
            if not args.without_flink:
                rounds["Flink"].append(self.flink("sensor-readings", args.events))
            rounds["kilowatch"].append(self.ours("grid", args.events))
        report(f"grid, {args.events:,} messages of {args.meters} meters every {args.interval} s",
               {name: runs[1:] for name, runs in rounds.items()})

    def household(self):
        """The detectors as shipped, the isolation forest trained on a simulated half year. A hundred households share a topic of
        three partitions; the profile as shipped is of one, and makes one."""
        args = self.args
        events = args.household_events
        profile = self.work / "household.toml"
        shipped = self.kilowatch(self.env | {"KILOWATCH_DATA_DIR": str(self.work / "filler")}, "streams", "show", "household")
        profile.write_text(shipped.replace("\npartitions = 1\n", "\npartitions = 3\n"))
        self.env["KILOWATCH_STREAM_FILES"] = json.dumps([str(profile)])
        history = self.work / "history.csv"
        env, _ = self.fresh("bench")
        self.kilowatch(env, "simulate", "--stream", "household", "--to", "csv", "--file", str(history), "--count", "260640",
                       "--from", "2025-06-01T00:00:00Z")
        self.fill("household", events, "--devices", "100", "--anomaly-share", "0.01")

        def train(env):
            self.kilowatch(env, "batch", "ingest", str(history))
            self.kilowatch(env, "batch", "train", "--model", "isolation-forest")

        runs = [self.ours("household", events, train) for _ in range(1 + args.runs)]
        report(f"household, {events:,} messages of 100 meters, 3 partitions, one reading a minute each", {"kilowatch": runs[1:]})

    def devices(self):
        """Resident memory at the steady state of 100,000 meters: each has sent twice what its detector remembers, at its own pace."""
        meters, readings = 100_000, 20
        self.fill("grid", meters * readings, "--devices", str(meters), "--interval", "10")
        runs = [self.ours("grid", meters * readings) for _ in range(1 + self.args.runs)]
        report(f"grid, {meters:,} meters, {readings} readings each, one every 10 s of event time", {"kilowatch": runs[1:]})


class Resident(threading.Thread):
    """Looks at the resident memory of a process until told that it is over."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over, self.samples = pid, threading.Event(), []
        self.start()

    def run(self):
        pages = os.sysconf("SC_PAGE_SIZE") / 2**20
        while not self.over.wait(0.1):
            try:
                self.samples.append(int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * pages)
            except OSError:
                return

    def late_mb(self):
        """The median of the last third: what it takes once everything has filled."""
        late = self.samples[len(self.samples) * 2 // 3:]
        return statistics.median(late) if late else 0.0


def lake_rows(stream):
    """What the commits of the readings say that they added."""
    rows = 0
    for commit in sorted((stream / "readings" / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            rows += json.loads(action["add"]["stats"])["numRecords"] if "add" in action else 0
    return rows


def report(title, runs):
    keys = ["events_per_s", "wall_s", "run_s", "cpu_own_s", "cpu_kafka_s", "cpu_postgres_s", "late_mb", "peak_mb", "alarms", "undelivered"]
    print(f"\n### {title}\n\n| | n | " + " | ".join(keys) + " |\n|---|--:|" + "---|" * len(keys))
    for name, rows in runs.items():
        cells = []
        for key in keys:
            values = [row[key] for row in rows if key in row]
            digits = 0 if values and min(values) >= 100 else 2
            text = f"{statistics.median(values):,.{digits}f}" if values else "-"
            spread = f" ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if len(set(values)) > 1 else ""
            cells.append(text + spread)
        print(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--flink", required=True, help="where bench/peers/flink was built")
    parser.add_argument("--work", required=True, help="scratch folder")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--meters", type=int, default=100)
    parser.add_argument("--interval", type=float, default=0.01, help="seconds between two readings of a meter")
    parser.add_argument("--household-events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--without-flink", action="store_true")
    parser.add_argument("what", nargs="*", choices=[[], "grid", "household", "devices"])
    args = parser.parse_args()
    bench = Bench(args)
    for name in args.what or ["grid", "household", "devices"]:
        getattr(bench, name)()


if __name__ == "__main__":
    main()
