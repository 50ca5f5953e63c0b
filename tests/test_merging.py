"""Sorted runs merge into what sorting everything at once gives, wherever buffers end."""

import numpy as np
import pytest

from pfmap.kernels.merging import RunBuffers


def merged(runs, n_words, n_columns, capacity, at_once):
    """All rows of the merge of runs uint64[k, n_words + n_columns], `at_once` rows of each handed over at a time."""
    buffers = RunBuffers(len(runs), capacity, n_words, n_columns)
    handed, out = np.zeros(len(runs), np.int64), []
    while buffers.has_more.any() or buffers.filled.any():
        for run, rows in enumerate(runs):
            while buffers.has_more[run] and buffers.filled[run] + at_once <= capacity:
                piece, filled = rows[handed[run] : handed[run] + at_once], buffers.filled[run]
                buffers.rows[run, filled : filled + len(piece)] = piece
                handed[run] += len(piece)
                buffers.filled[run], buffers.has_more[run] = filled + len(piece), handed[run] < len(rows)
        buffers.take()
        out.append(buffers.taken())
    return tuple(np.concatenate(parts) for parts in zip(*out, strict=True))


def some_runs(rng, n_runs, n_words, n_columns, spread):
    for run in range(n_runs):
        size = int(rng.integers(0, 60))
        keys = rng.integers(0, 4, (size, n_words), np.uint64) << np.uint64(62)
        if spread:  # each run has a range of keys of its own
            keys[:, 0] = np.uint64(run) + (keys[:, 0] >> np.uint64(63))
        keys = np.unique(keys, axis=0)
        yield np.column_stack([keys, rng.integers(1, 100, (len(keys), n_columns)).astype(np.uint64)])


@pytest.mark.parametrize("n_runs", [1, 2, 3, 8, 37])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize(("n_words", "n_columns", "capacity", "at_once"), [(1, 1, 1, 1), (2, 2, 7, 3), (3, 1, 100, 64)])
def test_a_merge_is_the_sorted_union_with_counts_added(n_runs, spread, n_words, n_columns, capacity, at_once, rng):
    runs, everything = list(some_runs(rng, n_runs, n_words, n_columns, spread)), {}
    for row in np.concatenate(runs):
        key = tuple(row[:n_words].tolist())
        everything[key] = everything.get(key, 0) + row[n_words:].astype(np.int64)
    keys, counts = merged(runs, n_words, n_columns, capacity, at_once)
    assert [tuple(key) for key in keys.tolist()] == sorted(everything)
    expected = np.array([everything[key] for key in sorted(everything)]).reshape(-1, n_columns)
    np.testing.assert_array_equal(counts, expected)
    assert counts.dtype == np.int64


def test_a_run_that_has_more_holds_back_what_may_come_again():
    # The fault planted: a run said to have ended lets a key out before its second count is there.
    buffers = RunBuffers(2, 4, 1, 1)
    buffers.rows[0, :2], buffers.rows[1, :2] = [[1, 5], [3, 5]], [[1, 6], [2, 6]]
    buffers.filled[:] = 2
    buffers.take()
    assert buffers.filled.tolist() == [1, 0]
    buffers.rows[1, 0], buffers.filled[1] = [3, 7], 1  # what was taken is not touched by what comes next
    assert [x.ravel().tolist() for x in buffers.taken()] == [[1, 2], [11, 6]]
    buffers.has_more[:] = False
    buffers.take()
    assert [x.ravel().tolist() for x in buffers.taken()] == [[3], [12]]
    buffers.rows[0, :2], buffers.filled[0], buffers.has_more[1] = [[1, 5], [3, 5]], 2, False
    buffers.take()
    assert buffers.taken()[0].ravel().tolist() == [1, 3]
