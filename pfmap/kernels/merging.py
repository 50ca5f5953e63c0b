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

    Error: exact. Cost: 0.1 us a row of two words, for thousands of runs of one kind; `rows` and twice their memory.
    """

    def __init__(self, n_runs: int, capacity: int, n_words: int, n_columns: int) -> None:
        shape = n_runs, capacity, n_words + n_columns
        self.rows = np.empty(shape, np.uint64)
        self.filled = np.zeros(n_runs, np.int64)
        self.has_more = np.ones(n_runs, np.bool_)
        self._n_words = n_words
        self._taken, self._other = (np.empty((n_runs * capacity, shape[2]), np.uint64) for _ in range(2))
        self._n_taken = 0

    def take(self) -> None:
        """Put aside the rows that nothing to come can precede or equal; what remains moves up, to be filled again.

        What was buffered of at least one run is all among them, unless every run has ended.
        """
        self._n_taken = _take(self.rows, self.filled, self.has_more, self._n_words, self._taken)

    def taken(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """What was put aside, each key once, in order: keys and their counts added. Once a `take`, on any thread."""
        rows = self._taken[: self._n_taken]
        sort_rows(rows, self._n_words, self._other)
        summed: tuple[NDArray[np.uint64], NDArray[np.int64]] = _add_equal(rows, self._n_words)
        return summed


@njit(nogil=True, cache=True)
def _take(rows, filled, has_more, n_words, taken):
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
    return place


@njit(nogil=True, cache=True)
def _add_equal(rows, n_words):
    """The distinct keys of sorted rows, and the counts of each added."""
    size = 0
    for i in range(len(rows)):
        size += i == 0 or is_less(rows[i - 1], rows[i], n_words)
    keys = np.empty((size, n_words), np.uint64)
    counts = np.zeros((size, rows.shape[1] - n_words), np.int64)
    at = -1
    for i in range(len(rows)):
        if i == 0 or is_less(rows[i - 1], rows[i], n_words):
            at += 1
            for w in range(n_words):
                keys[at, w] = rows[i, w]
        for v in range(counts.shape[1]):
            counts[at, v] += np.int64(rows[i, n_words + v])
    return keys, counts
