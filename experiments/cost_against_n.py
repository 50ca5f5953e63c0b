"""Time, memory and disk of drawing 7-40-40-1 ReLU networks, against the number of samples."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import peak_memory, remembered, run
from matplotlib.figure import Figure
from networks import GAUSSIAN

import pfmap
from pfmap.store import load_counts

LIMIT = "2GB"
WAYS = {"independent": {}, "reuse": {"reuse": "auto"}, "reuse, orbits": {"reuse": "auto", "pool": "orbits"}}


def main(seed, samples, folder):
    """One process a draw, all cores, functions that came at least twice listed, within 2 GB.

    With a folder, draws that are finished there are not repeated: the largest take an hour.
    """
    numbers, measured = {}, {}
    for way, sizes in samples.items():
        rows = [remembered(folder, f"{way} {n} {seed}", one, way, n, seed) for n in sizes]
        numbers[way], measured[way] = ([row[part] for row in rows] for part in ("found", "cost"))
    return picture(numbers, measured), numbers, measured


def one(way, n, seed):
    """What one draw found and took; its store lies in the working folder until then."""
    with TemporaryDirectory(dir=Path.cwd()) as own:
        command = [sys.executable, __file__, "--draw", way, str(n), str(seed), own]
        cost = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        counts = load_counts(Path(own) / "run")
    unseen, totals = pfmap.estimate_unseen(counts), counts.totals()
    found = {
        "n_samples": counts.n_samples,
        "functions": totals.functions,
        "at_least_twice": len(counts),
        "unseen": [2**x for x in (unseen.log2_p, unseen.log2_low, unseen.log2_high)],
    }
    print(way, found, cost, flush=True)
    return {"found": found, "cost": cost}


def draw(way, n, seed, folder):
    """In a process of its own: draw, and print what it took."""
    pfmap.draw(GAUSSIAN, 20_000, **WAYS[way])  # compiles
    most, stop = [0], threading.Event()

    def watch():
        while not stop.wait(1.0):
            most[0] = max(most[0], sum(size_of(path) for path in Path(folder).rglob("*")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, used = time.perf_counter(), time.process_time()
    pfmap.draw(GAUSSIAN, n, seed=seed, at_least=2, memory=LIMIT, out=Path(folder) / "run", progress=False, **WAYS[way])
    cost = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - used,
        "peak_gb": peak_memory() / 1e9,
    }
    stop.set()
    watcher.join()
    print(json.dumps(cost | {"disk_gb": most[0] / 1e9}))


def size_of(path):
    """Bytes of a file that may be gone by now."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def picture(numbers, measured):
    """Seconds, memory and disk, and functions found."""
    figure = Figure(figsize=(7.2, 2.6))
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.19, top=0.9, wspace=0.36)
    time_ax, memory_ax, found_ax = figure.subplots(1, 3)
    for color, way in zip(("C0", "C1", "C2"), numbers, strict=False):
        n = np.array([row["n_samples"] for row in numbers[way]])
        costs, found = measured[way], numbers[way]
        time_ax.plot(n, [cost["cpu_seconds"] for cost in costs], "o-", color=color, markersize=3, label=way)
        memory_ax.plot(n, [cost["peak_gb"] for cost in costs], "o-", color=color, markersize=3)
        memory_ax.plot(n, [cost["disk_gb"] or np.nan for cost in costs], "s:", color=color, markersize=3)
        found_ax.plot(n, [row["functions"] for row in found], "o-", color=color, markersize=3)
        found_ax.plot(n, [row["at_least_twice"] for row in found], "s:", color=color, markersize=3)
    memory_ax.axhline(2.0, color="0.6", linewidth=0.8)
    memory_ax.annotate(
        "limit for counting", (0.03, 2.0), (0, 3), ("axes fraction", "data"), "offset points", fontsize=7
    )
    time_ax.set_title("CPU time (s)", fontsize=8)
    memory_ax.set_title("peak memory ●, disk ■ (GB)", fontsize=8)
    found_ax.set_title("functions: all ●, at least twice ■", fontsize=8)
    time_ax.legend(fontsize=7, frameon=False)
    for ax in (time_ax, memory_ax, found_ax):
        ax.set(xscale="log", yscale="log", xlabel="samples")
        ax.tick_params(labelsize=7)
        ax.xaxis.label.set_size(8)
    return figure


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        draw(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        run(
            main,
            quick={"samples": {way: [100_000, 1_000_000] for way in WAYS}, "folder": None},
            full={
                "samples": {
                    "independent": [10**6, 10**7, 10**8, 10**9],
                    "reuse": [10**6, 10**7, 10**8, 10**9, 10**10],
                    "reuse, orbits": [10**6, 10**7, 10**8, 10**9],
                },
                "folder": "runs/cost_against_n",
            },
        )
