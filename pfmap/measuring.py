"""Complexity of the functions of a run, as columns of its table: cheap measures first, in chunks that can be stopped.

The one thing to know: what is measured is kept. Columns of this version of pfmap go on where they end, most frequent
functions first; a function not yet measured is null in the table.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity import ComplexityMeasure
from pfmap.errors import InvalidInput, StoreError
from pfmap.store import load_complexity, save_complexity, stored_measures
from pfmap.tables import TruthTables

_CHUNK_SECONDS = 0.3
_MOST_IN_A_CHUNK = 1 << 18
_PILOT_SECONDS = 0.02
_SAVE_SECONDS, _SAVE_RATIO = 5.0, 10.0


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one measure still has to say of a run.

    Attributes:
        measure: K.
        rows: int64[k], the functions that it is to be computed for, in the order of the run's table.
        seconds: the time that will take, from a pilot on functions spread over `rows`; too long where a measure
            shares work among the functions it is given.
        goes_on: whether the table has a column of this measure to fill, or one is begun.
    """

    measure: ComplexityMeasure
    rows: NDArray[np.int64]
    seconds: float
    goes_on: bool


def missing_measurements(
    run: str | os.PathLike[str],
    tables: TruthTables,
    measures: Iterable[ComplexityMeasure],
    *,
    top: int | None = None,
    redo: bool = False,
) -> list[Measurement]:
    """What is missing in a run's table, cheapest measure first; measures with nothing missing are left out.

    Args:
        run: a run folder with a finished draw, or a file of counts.
        tables: `load_counts(run).tables`.
        measures: which to compute.
        top: for the so many most frequent functions only.
        redo: also what is there already.

    Raises:
        InvalidInput: a measure does not answer for these tables, or `top` is below 1.
        StoreError: the run cannot be read.
        CorruptStore: a column that is there is damaged.

    Cost: a fraction of a second a measure, for the pilot.
    """
    if top is not None and top < 1:
        raise InvalidInput(f"top is {top}; it needs a number of functions of at least 1")
    stored = set() if redo else {name for name, said in stored_measures(run).items() if said.is_current}
    wanted = []
    for measure in dict.fromkeys(measures):
        measure(tables[:1])  # refuses tables that it does not answer for, and compiles
        goes_on = measure.name in stored
        K = load_complexity(run, [measure.name])[measure.name] if goes_on else _nothing(tables)
        rows = np.flatnonzero(np.isnan(K[:top]))
        if len(rows):
            wanted.append(Measurement(measure, rows, len(rows) * _seconds_each(measure, tables, rows), goes_on))
    return sorted(wanted, key=lambda measurement: measurement.seconds)


def add_complexity(
    run: str | os.PathLike[str],
    tables: TruthTables,
    measurements: Sequence[Measurement],
    *,
    progress: bool | None = None,
) -> None:
    """Compute what is missing and keep it in the run's table.

    The table is saved every few seconds (less often where saving takes long: it takes at most a tenth of the time), at
    the end, and when an error or Ctrl-C ends the call, so that only kill -9 loses work, that since the last save.

    Args:
        run: a run folder with a finished draw, or a file of counts.
        tables: `load_counts(run).tables`.
        measurements: as `missing_measurements` gives them.
        progress: show a bar a measure; by default if stderr is a terminal.

    Raises:
        StoreError: the table cannot be read or written; it holds what was saved before.

    Error: as the measures. Cost: theirs, and a tenth for saving.
    """
    unsaved: dict[ComplexityMeasure, NDArray[np.float64]] = {}
    saved, pause = time.monotonic(), _SAVE_SECONDS
    try:
        for i, measurement in enumerate(measurements, 1):
            measure = measurement.measure
            K = load_complexity(run, [measure.name])[measure.name] if measurement.goes_on else _nothing(tables)
            title = f"{measure.name} ({i} of {len(measurements)})"
            with _progress_bar(len(measurement.rows), title, progress) as bar:
                for rows in _chunks(measurement):
                    K[rows] = measure(tables[rows])
                    unsaved[measure] = K
                    bar.update(len(rows))
                    if time.monotonic() - saved > pause:
                        started = time.monotonic()
                        save_complexity(run, unsaved)
                        unsaved.clear()
                        saved = time.monotonic()
                        pause = max(_SAVE_SECONDS, _SAVE_RATIO * (saved - started))
    except StoreError:  # what could not be written is not tried again
        raise
    except BaseException:
        save_complexity(run, unsaved)
        raise
    save_complexity(run, unsaved)


def _nothing(tables: TruthTables) -> NDArray[np.float64]:
    return np.full(len(tables), np.nan)


def _seconds_each(measure: ComplexityMeasure, tables: TruthTables, rows: NDArray[np.int64]) -> float:
    size = 8
    while True:
        chosen = tables[rows[np.linspace(0, len(rows) - 1, min(size, len(rows))).astype(np.int64)]]
        started = time.perf_counter()
        measure(chosen)
        seconds = time.perf_counter() - started
        if seconds > _PILOT_SECONDS or size >= len(rows):
            return seconds / len(chosen)
        size *= 4


def _chunks(measurement: Measurement) -> Iterator[NDArray[np.int64]]:
    """The rows in chunks small enough that Ctrl-C is heard soon; they grow where the work is quicker than the pilot."""
    rows = measurement.rows
    size = max(1, int(len(rows) * _CHUNK_SECONDS / max(measurement.seconds, _CHUNK_SECONDS)))
    start = 0
    while start < len(rows):
        began = time.perf_counter()
        yield rows[start : start + min(size, _MOST_IN_A_CHUNK)]
        start += min(size, _MOST_IN_A_CHUNK)
        factor = _CHUNK_SECONDS / max(time.perf_counter() - began, 1e-3)
        size = max(1, int(size * min(max(factor, 0.25), 4.0)))


def _progress_bar(total: int, title: str, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total,
        unit="function",
        unit_scale=True,
        disable=None if progress is None else not progress,
        desc=title,
        leave=False,
    )
