"""Many sorted runs merged a stretch of keys at a time: what all of them hold up to some key, sorted once more.

Runs of one kind of sample are spread alike, so a stretch takes most of what is buffered of each, and to sort it costs
less than to choose its rows one by one.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfmap.kernels.sorting import is_less, sort_rows


class RunBuffers:
    """What is in memory of each of many runs of rows, sorted by key: uint64, n_words of them and n_columns of counts.

    Attributes:
        rows: uint64[n_runs, capacity, n_words + n_columns]; `rows[run, filled[run]:]` is free.
        filled: int64[n_runs].
        has_more: bool[n_runs], whether rows of the run are still to come.

    Error: exact. Cost: 0.1 us a row of two words, for thousands of runs of one kind.
    """

    def __init__(self, n_runs: int, capacity: int, n_words: int, n_columns: int) -> None:
        self.rows = np.empty((n_runs, capacity, n_words + n_columns), np.uint64)
        self.filled = np.zeros(n_runs, np.int64)
        self.has_more = np.ones(n_runs, np.bool_)
        self._n_words = n_words

    def take(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The rows that nothing to come can precede or equal, each key once, in order: keys and their counts added.

        What was buffered of at least one run is all among them, unless every run has ended.
        """
        taken = _take(self.rows, self.filled, self.has_more, self._n_words)
        sort_rows(taken, self._n_words)
        taken = taken[: _add_equal(taken, self._n_words)]
        keys, counts = taken[:, : self._n_words], taken[:, self._n_words :]
        return np.ascontiguousarray(keys), np.ascontiguousarray(counts).view(np.int64)


@njit(nogil=True, cache=True)
def _take(rows, filled, has_more, n_words):
    width = rows.shape[2]
    first = -1  # the run whose last buffered key comes first
    for run in range(len(filled)):
        last = filled[run] - 1
        if has_more[run] and (first < 0 or is_less(rows[run, last], rows[first, filled[first] - 1], n_words)):
            first = run
    until = filled.copy()
    if first >= 0:
        pivot = rows[first, filled[first] - 1]
        for run in range(len(filled)):
            low, high = 0, filled[run]
            while low < high:
                middle = (low + high) // 2
                if is_less(pivot, rows[run, middle], n_words):
                    high = middle
                else:
                    low = middle + 1
            until[run] = low
    taken = np.empty((until.sum(), width), np.uint64)
    place = 0
    for run in range(len(filled)):
        for i in range(until[run]):
            for v in range(width):
                taken[place + i, v] = rows[run, i, v]
        place += until[run]
        filled[run] -= until[run]
        for i in range(filled[run]):
            for v in range(width):
                rows[run, i, v] = rows[run, until[run] + i, v]
    return taken


@njit(nogil=True, cache=True)
def _add_equal(rows, n_words):
    """Make sorted rows with equal keys one, in the first places; returns how many are left."""
    size = 0
    for i in range(len(rows)):
        same = size > 0
        for w in range(n_words):
            same = same and rows[size - 1, w] == rows[i, w]
        for v in range(n_words if same else 0, rows.shape[1]):
            rows[size - same, v] = rows[i, v] + (rows[size - 1, v] if same else np.uint64(0))
        size += not same
    return size
