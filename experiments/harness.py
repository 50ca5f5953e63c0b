"""The skeleton of every experiment: sizes and a seed in, figures/NAME.png and figures/NAME.json out.

A script holds main(seed, **sizes) -> (figure, numbers) and ends in run(main, quick={…}, full={…}).
In the JSON everything outside "run" is a function of the seed and the sizes alone; what a clock says, a third result of
main, goes to "run".
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pfmap import plots

FIGURES = Path(__file__).parent.parent / "figures"


def run(
    main: Callable[..., tuple[Any, Mapping[str, Any]]],
    *,
    quick: Mapping[str, Any],
    full: Mapping[str, Any],
    arguments: list[str] | None = None,
) -> Path:
    """Run main at one of two sizes, write its figure and its numbers, and name them."""
    script = Path(main.__code__.co_filename)
    parser = argparse.ArgumentParser(prog=script.name, description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{dict(quick)} instead of {dict(full)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder to write into; figures, or figures/quick if --quick")
    chosen = parser.parse_args(arguments)
    out = chosen.out or (FIGURES / "quick" if chosen.quick else FIGURES)
    if chosen.out is None:
        out.mkdir(exist_ok=True)
    elif not out.is_dir():
        parser.error(f"--out {out} is no folder; make it first")

    sizes = dict(quick if chosen.quick else full)
    start = time.perf_counter()
    figure, numbers, *measured = main(chosen.seed, **sizes)
    picture = plots.save(figure, out / f"{script.stem}.png")
    record = {"numbers": numbers, "sizes": sizes, "seed": chosen.seed, "run": about_this_run(start)}
    if measured:
        record["run"]["measured"] = measured[0]
    text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False, default=_plain)
    (out / f"{script.stem}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{picture} and .json, after {record['run']['seconds']} s")
    return picture


def remembered(folder: str | None, key: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """What make(…) returns, in JSON's types; from the folder, if there is one and it was made there before."""
    path = Path(folder) / f"{key}.json" if folder else None
    if path and path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(make(*arguments), default=_plain)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_text(text, encoding="utf-8")
        path.with_suffix(".new").replace(path)
    return json.loads(text)


def peak_memory() -> int:
    """Bytes that this program held at most, as Linux tells it; ru_maxrss would count what its caller held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def about_this_run(start: float) -> dict[str, Any]:
    """Time since `start`, versions and class of machine: what may differ between two runs of one seed."""
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "versions": {name: version(name) for name in ("pfmap", "numpy", "torch", "numba")},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {_processor()}{os.cpu_count()} cores",
    }


def _processor() -> str:
    """Which one, where Linux tells: rates depend on it more than on anything else."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return ""
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    if "model name" not in told:
        return ""
    return f"{told['model name']}, cpu family {told.get('cpu family')}, model {told.get('model')}, "


def _plain(value: Any) -> Any:
    return value.tolist()  # numpy scalars and arrays
