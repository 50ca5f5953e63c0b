"""Functions in the order of their strings: keys that sort as these do, and a radix sort from the leading byte on.

A byte that all rows of a bucket share costs one look at them; buckets of a few rows are sorted by comparing whole keys.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

_FEW = 40


def sort_rows(rows: NDArray[np.uint64], n_words: int, scratch: NDArray[np.uint64] | None = None) -> None:
    """Sort rows uint64[k, width] in place by their first n_words words, the first word first.

    Args:
        rows: sorted.
        n_words: of a key.
        scratch: uint64[k, width] or more rows, overwritten; fresh memory costs as much as the sort.

    Error: exact; the order of rows with equal keys is fixed by the rows and otherwise arbitrary. Cost: 0.08 us a row of
    two words and two columns.
    """
    other = np.empty_like(rows) if scratch is None else scratch
    _sort(rows, other, n_words, np.empty((_FEW, rows.shape[1]), np.uint64))


@njit(nogil=True, cache=True)
def _sort(rows, other, n_words, few):
    # Buckets wait on a stack: start, stop, the byte that comes next, and whether they lie in `other`.
    last = 8 * n_words
    stack = np.empty((255 * last + 1, 4), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, len(rows), 0, 0
    waiting = 1
    order = np.empty(_FEW, np.int64)
    ends, at = np.empty(257, np.int64), np.empty(256, np.int64)
    while waiting:
        waiting -= 1
        start, stop, byte, is_other = stack[waiting]
        source, target = (other, rows) if is_other else (rows, other)
        if stop - start <= _FEW:
            _sort_few(source, start, stop, n_words, few, order, rows)
            continue
        byte = _first_difference(source, start, stop, byte, last, ends)
        if byte == last:
            if is_other:
                rows[start:stop] = other[start:stop]
            continue
        for b in range(256):
            ends[b + 1] += ends[b]
            at[b] = start + ends[b]
        word, shift = byte // 8, uint64(56 - 8 * (byte % 8))
        for i in range(start, stop):
            value = np.int64(source[i, word] >> shift & uint64(255))
            place = at[value]
            at[value] = place + 1
            for v in range(rows.shape[1]):
                target[place, v] = source[i, v]
        for b in range(256):
            if ends[b] < ends[b + 1]:
                stack[waiting, 0], stack[waiting, 1] = start + ends[b], start + ends[b + 1]
                stack[waiting, 2], stack[waiting, 3] = byte + 1, 1 - is_other
                waiting += 1


@njit(nogil=True, cache=True)
def _first_difference(rows, start, stop, byte, last, tally):
    """The first byte from this one on that not all rows share; tally[b + 1] says how often its value b comes."""
    while byte < last:
        word, shift = byte // 8, uint64(56 - 8 * (byte % 8))
        tally[:] = 0
        for i in range(start, stop):
            tally[np.int64(rows[i, word] >> shift & uint64(255)) + 1] += 1
        if tally.max() < stop - start:
            break
        byte += 1
    return byte


@njit(nogil=True, cache=True)
def _sort_few(source, start, stop, n_words, few, order, rows):
    """Sort source[start:stop] into the same places of rows by insertion."""
    size, width = stop - start, source.shape[1]
    for i in range(size):
        for v in range(width):
            few[i, v] = source[start + i, v]
        j, first = i, few[i, 0]
        while j > 0:
            before = order[j - 1]
            if first > few[before, 0] or (first == few[before, 0] and not is_less(few[i], few[before], n_words)):
                break
            order[j] = before
            j -= 1
        order[j] = i
    for i in range(size):
        for v in range(width):
            rows[start + i, v] = few[order[i], v]


@njit(nogil=True, cache=True, inline="always")
def is_less(one, other, n_words):
    """Whether one key of n_words words comes before another."""
    for w in range(n_words):
        if one[w] != other[w]:
            return one[w] < other[w]
    return False


@njit(nogil=True, cache=True)
def reversed_bits(words):
    """Each uint64 with bit 0 as the highest bit, so that numbers compare as the strings f(0) f(1) … do."""
    out = np.empty_like(words)
    source, target = words.ravel(), out.ravel()
    for i in range(len(source)):
        x = source[i]
        x = (x >> np.uint64(1)) & np.uint64(0x5555555555555555) | (x & np.uint64(0x5555555555555555)) << np.uint64(1)
        x = (x >> np.uint64(2)) & np.uint64(0x3333333333333333) | (x & np.uint64(0x3333333333333333)) << np.uint64(2)
        x = (x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F) | (x & np.uint64(0x0F0F0F0F0F0F0F0F)) << np.uint64(4)
        x = (x >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF) | (x & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)
        x = (x >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF) | (x & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)
        target[i] = x >> np.uint64(32) | x << np.uint64(32)
    return out
