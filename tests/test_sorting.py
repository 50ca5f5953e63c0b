"""sort_rows against numpy's lexsort, on easy keys and on keys that share their leading bytes."""

import numpy as np
import pytest

from pfmap import Cube, TruthTables
from pfmap.kernels.sorting import reversed_bits, sort_rows


def keys_of(kind, size, n_words, rng):
    keys = rng.integers(0, 1 << 64, (size, n_words), np.uint64)
    if kind == "sparse":  # nearly all entries of a table are zeros
        return keys & np.roll(keys, 1, 0) & np.roll(keys, 2, 0) & np.roll(keys, 3, 0) & np.roll(keys, 5, 0)
    if kind == "one byte":  # somewhere in the last word
        keys[:, :-1], keys[:, -1] = 7, keys[:, -1] & np.uint64(0xFF00)
    if kind == "equal":
        keys[:] = 3
    if kind == "shared prefix":
        keys[:, :-1] &= np.uint64(1)
    return keys


@pytest.mark.parametrize("kind", ["random", "sparse", "one byte", "equal", "shared prefix"])
@pytest.mark.parametrize("n_words", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 40, 41, 3_000])
def test_rows_stand_in_the_order_of_their_keys(kind, n_words, size, rng):
    keys = keys_of(kind, size, n_words, rng)
    rows = np.column_stack([keys, np.arange(size, dtype=np.uint64), ~np.arange(size, dtype=np.uint64)])
    expected = keys[np.lexsort(keys.T[::-1])]
    moved = rows.copy()
    sort_rows(moved, n_words)
    np.testing.assert_array_equal(moved[:, :n_words], expected)
    own, complement = moved[:, n_words], moved[:, n_words + 1]  # what belongs to a key went with it
    np.testing.assert_array_equal(rows[own.astype(int)], moved)
    np.testing.assert_array_equal(own, ~complement)
    again = rows.copy()
    sort_rows(again, n_words)
    np.testing.assert_array_equal(again, moved)


def test_the_assertion_sees_words_in_the_wrong_order(rng):
    # The fault planted: the last word first, as a plain lexsort would have it.
    rows = rng.integers(0, 1 << 64, (100, 2), np.uint64)
    expected = rows[np.lexsort(rows.T[::-1])]
    backward = rows[:, ::-1].copy()
    sort_rows(backward, 2)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(backward[:, ::-1], expected)


@pytest.mark.parametrize("n", [1, 3, 6, 8])
def test_reversed_bits_sort_as_strings(n, rng):
    tables = TruthTables.from_bits(rng.integers(0, 2, (500, 2**n)), Cube(n))
    keys = reversed_bits(tables.words())
    rows = np.column_stack([keys, np.arange(500, dtype=np.uint64)])
    sort_rows(rows, keys.shape[1])
    assert tables[rows[:, -1].astype(int)].strings() == sorted(tables.strings())
    np.testing.assert_array_equal(reversed_bits(keys), tables.words())
