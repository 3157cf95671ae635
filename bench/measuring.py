"""Whole processes in turn: what the operating system says of each, and tables of min, median and max."""
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def run(command, env=None, cwd=None):
    """One process: its output, and what the operating system says of it."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env, cwd=cwd)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {process.returncode}:\n{output[-2000:]}")
    figures = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}
    return output, figures


def peer(script, *args, env=None):
    output, figures = run([sys.executable, HERE / "peers" / script, *map(str, args)], env=env)
    for line in output.splitlines():
        if line.startswith("RESULT "):
            figures.update({k: v for k, v in json.loads(line[7:]).items() if isinstance(v, (int, float))})
    return figures


def report(title, runs, keys):
    print(f"\n### {title}\n\n| | n | " + " | ".join(keys) + " |\n|---|--:|" + "---|" * len(keys))
    for name, rows in runs.items():
        cells = []
        for key in keys:
            values = [row[key] for row in rows if key in row]
            digits = 0 if values and min(values) >= 100 else 4 if values and max(values) < 0.1 else 3
            cells.append(f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})" if values else "-")
        print(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |", flush=True)


def in_turn(contestants, counted, warmup=1):
    runs = {name: [] for name in contestants}
    for round_number in range(warmup + counted):
        for name, once in contestants.items():
            figures = once()
            if round_number >= warmup:
                runs[name].append(figures)
    return runs
