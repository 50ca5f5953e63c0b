"""Sorted runs merge into what sorting everything at once gives, wherever buffers and rooms end."""

import numpy as np
import pytest

from pfmap.kernels.merging import ENDED, FULL, RunMerger


def merged(runs, n_words, n_columns, capacity, room):
    """All rows of the merge of runs of (keys, counts), handed over in pieces of at most `capacity` rows."""
    merger = RunMerger(len(runs), capacity, n_words, n_columns)
    handed = [0] * len(runs)

    def refill(run):
        keys, counts = runs[run]
        piece = slice(handed[run], min(handed[run] + capacity, len(keys)))
        size = piece.stop - piece.start
        merger.keys[run, :size], merger.counts[run, :size] = keys[piece], counts[piece]
        handed[run] = piece.stop
        merger.refilled(run, size)

    for run in range(len(runs)):
        refill(run)
    keys, counts = np.empty((room, n_words), np.uint64), np.empty((room, n_columns), np.int64)
    out, n_rows, why = [], 0, None
    while why != ENDED:
        why, n_rows = merger.step(keys, counts, n_rows)
        if why in (FULL, ENDED):
            out.append((keys[:n_rows].copy(), counts[:n_rows].copy()))
            n_rows = 0
        else:
            refill(why)
    return tuple(np.concatenate(parts) for parts in zip(*out, strict=True))


@pytest.mark.parametrize("n_runs", [1, 2, 3, 5, 8, 37])
@pytest.mark.parametrize(("n_words", "n_columns", "capacity", "room"), [(1, 1, 1, 1), (2, 2, 7, 5), (3, 1, 100, 64)])
def test_a_merge_is_the_sorted_union_with_counts_added(n_runs, n_words, n_columns, capacity, room, rng):
    runs, everything = [], {}
    for _ in range(n_runs):
        size = int(rng.integers(0, 60))
        keys = np.unique(rng.integers(0, 4, (size, n_words), np.uint64) << np.uint64(62), axis=0)
        counts = rng.integers(1, 100, (len(keys), n_columns))
        runs.append((keys, counts))
        for key, count in zip(map(tuple, keys.tolist()), counts, strict=True):
            everything[key] = everything.get(key, 0) + count
    keys, counts = merged(runs, n_words, n_columns, capacity, room)
    assert [tuple(key) for key in keys.tolist()] == sorted(everything)
    expected = np.array([everything[key] for key in sorted(everything)]).reshape(-1, n_columns)
    np.testing.assert_array_equal(counts, expected)
