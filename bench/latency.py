#!/usr/bin/env python3
"""From the moment a reading is made to the moment the API shows the anomaly in it, at 1,000 readings a second on an idle machine.

Called by bench/speed inside `dev/services run`: simulator -> Kafka -> speed (micro-batches of 50 ms) -> PostgreSQL -> serve. The
simulator makes what is due fifty times a second, stamps it with that millisecond and sends it at once. The API is asked again and
again for the newest anomalies; one that is new has become visible while the question was on its way, and its age is counted to the
answer.
"""
import argparse
import datetime
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from servers import Servers

PAUSE_SECS = 0.002
# Far more than become visible between two questions.
NEWEST = 20
PARTS = {
    "log's timestamp -> in the views": "kilowatch_speed_end_to_end_latency_seconds",
    "first message of a micro-batch -> committed": "kilowatch_speed_batch_seconds",
    "of this, the transaction": "kilowatch_speed_apply_seconds",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Roles:
    """Processes of kilowatch; all of them end with the block."""

    def __init__(self, binary, work, env):
        self.binary, self.work, self.env, self.running = binary, Path(work), env, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            process.wait()

    def start(self, name, *command, **env):
        data = self.work / name
        data.mkdir(parents=True, exist_ok=True)
        log = open(self.work / f"{name}.log", "w")
        env = self.env | {"KILOWATCH_DATA_DIR": str(data)} | env
        process = subprocess.Popen([self.binary, *command], env=env, stdout=log, stderr=log)
        self.running.append(process)
        return process


def wait_ready(url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"latency: {url} did not become ready")


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def histogram(port, name):
    """Cumulative counts of a Prometheus histogram by the upper edges of its buckets, in seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics = answer.read().decode()
    buckets = {}
    for edge, count in re.findall(rf'^{name}_bucket{{.*le="([^"]+)".*}} (\S+)$', metrics, re.MULTILINE):
        edge = float("inf") if edge == "+Inf" else float(edge)
        buckets[edge] = buckets.get(edge, 0) + float(count)
    return buckets


def histogram_quantile(before, after, share):
    """The upper edge, in milliseconds, of the bucket that holds this share of what came between two looks."""
    came = {edge: count - before.get(edge, 0) for edge, count in sorted(after.items())}
    total = came.get(float("inf"), 0)
    return next((edge * 1000 for edge, count in came.items() if total and count >= share * total), float("nan"))


def watch(port, seconds):
    """Ages of new anomalies, and how long the API took, in milliseconds."""
    api = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    seen, ages, calls = set(), [], []
    until = time.time() + seconds
    first = True
    while time.time() < until:
        asked = time.perf_counter()
        api.request("GET", f"/api/anomalies?stream=grid&limit={NEWEST}")
        body = json.loads(api.getresponse().read())
        now = time.time()
        calls.append((time.perf_counter() - asked) * 1000)
        for anomaly in body["data"]:
            if anomaly["id"] not in seen:
                seen.add(anomaly["id"])
                made = datetime.datetime.fromisoformat(anomaly["event_time"].replace("Z", "+00:00")).timestamp()
                if not first:
                    ages.append((now - made) * 1000)
        first = False
        time.sleep(PAUSE_SECS)
    return ages, calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True, help="scratch folder")
    parser.add_argument("--rate", type=int, default=1000, help="readings a second")
    parser.add_argument("--window-ms", type=int, default=50)
    parser.add_argument("--warm-up", type=int, default=60, help="seconds before the first answer counts")
    parser.add_argument("--seconds", type=int, default=120)
    args = parser.parse_args()
    servers = Servers()
    env = {k: v for k, v in os.environ.items() if not k.startswith("KILOWATCH_")}
    env |= {
        "KILOWATCH_LOG__URL": f"kafka://{servers.brokers}",
        "KILOWATCH_VIEWS__URL": servers.fresh_database("latency"),
        "KILOWATCH_LAKE__URL": str(Path(args.work) / "lake"),
    }
    with Roles(args.binary, args.work, env) as roles:
        ops, api = free_port(), free_port()
        roles.start("speed", "speed", "run", "--stream", "grid", KILOWATCH_SPEED__WINDOW_MS=str(args.window_ms),
                    KILOWATCH_OPS__LISTEN=f"127.0.0.1:{ops}")
        wait_ready(f"http://127.0.0.1:{ops}")
        roles.start("serve", "serve", KILOWATCH_SERVING__LISTEN=f"127.0.0.1:{api}")
        wait_ready(f"http://127.0.0.1:{api}")
        roles.start("simulator", "simulate", "--stream", "grid", "--to", "log", "--devices", str(args.rate), "--rate", str(args.rate),
                    "--anomaly-share", "0.1")
        # Ten readings of a meter warm its average up; the broker compiles itself to machine code for longer than that.
        time.sleep(args.warm_up)
        before = {part: histogram(ops, metric) for part, metric in PARTS.items()}
        ages, calls = watch(api, args.seconds)
        after = {part: histogram(ops, metric) for part, metric in PARTS.items()}
    print(f"\n### {args.rate:,} readings a second, micro-batches of {args.window_ms} ms, {args.seconds} s\n")
    print("| | n | p50 ms | p90 ms | p99 ms | max ms |\n|---|--:|--:|--:|--:|--:|")
    for name, values in (("made -> visible by the API", ages), ("of this, the API's answer", calls)):
        if not values:
            sys.exit(f"latency: no value of `{name}`")
        cells = [quantile(values, share) for share in (0.5, 0.9, 0.99)] + [max(values)]
        print(f"| {name} | {len(values)} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    for part in PARTS:
        cells = [histogram_quantile(before[part], after[part], share) for share in (0.5, 0.9, 0.99)]
        print(f"| {part} | | " + " | ".join(f"<= {cell:.1f}" for cell in cells) + " | - |")


if __name__ == "__main__":
    main()
