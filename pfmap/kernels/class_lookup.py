"""A table from 32-bit keys to bytes, by open addressing."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = 0xFFFFFFFF


def lookup_table(keys: NDArray[np.uint32], values: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The table of distinct keys, none of them 0xFFFFFFFF, for `look_up`."""
    size = 1 << (2 * len(keys)).bit_length()
    slots, kept = np.full(size, _EMPTY, np.uint32), np.zeros(size, np.uint8)
    _fill(keys, values, slots, kept)
    return slots, kept


@njit(cache=True, nogil=True, inline="always")
def _slot(key, n_slots):
    return np.int64((np.uint64(key) * _SPREAD) >> np.uint64(32)) & (n_slots - 1)


@njit(cache=True, nogil=True)
def _fill(keys, values, slots, kept):
    for i in range(len(keys)):
        at = _slot(keys[i], len(slots))
        while slots[at] != _EMPTY:
            at = (at + 1) & (len(slots) - 1)
        slots[at], kept[at] = keys[i], values[i]


@njit(cache=True, nogil=True)
def look_up(keys, slots, kept, missing):
    """The value of each key, uint8[size]; `missing` for keys that the table does not have."""
    found = np.empty(len(keys), np.uint8)
    for i in range(len(keys)):
        key = np.uint32(keys[i])
        at = _slot(key, len(slots))
        while slots[at] != key and slots[at] != _EMPTY:
            at = (at + 1) & (len(slots) - 1)
        found[i] = kept[at] if slots[at] == key else missing
    return found
