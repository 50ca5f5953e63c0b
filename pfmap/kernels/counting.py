"""Counting keys: an open-addressing table of exact keys of any number of 64-bit words."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int64, njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

_AHEAD = 32
_MAX_LOAD = 0.6


@intrinsic
def _prefetch(typing: Any, array: Any, index: Any) -> Any:
    signature = types.void(array, types.int64)

    def generate(context: Any, b: Any, sig: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        pointer = b.gep(context.make_array(sig.args[0])(context, b, args[0]).data, [args[1]])
        name = "llvm.prefetch.p0"
        function = b.module.globals.get(name) or ir.Function(
            b.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), name
        )
        b.call(function, [b.bitcast(pointer, byte), *(ir.Constant(word, x) for x in (1, 3, 1))])  # to write, keep, data
        return context.get_dummy_value()

    return signature, generate


@njit(nogil=True, cache=True, inline="always")
def _hash(keys, i):
    x = uint64(0)
    for w in range(keys.shape[1]):
        # Every word passes a full multiply and shift: truth tables are far too regular for a weaker mix.
        x = (x ^ keys[i, w]) * uint64(0x9E3779B97F4A7C15)
        x ^= x >> uint64(32)
    x *= uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> uint64(29))


@njit(nogil=True, cache=True)
def _add(slots, slot_counts, keys, counts, start, room):
    """Count keys[start:], stopping before `room` new ones are passed; returns the place reached and the new ones."""
    mask = uint64(len(slot_counts) - 1)
    width = keys.shape[1]
    at = np.empty(_AHEAD, np.int64)
    new = 0
    while start < len(keys):
        batch = min(_AHEAD, len(keys) - start)
        if new + batch > room:
            break
        for b in range(batch):
            at[b] = int64(_hash(keys, start + b) & mask)
            _prefetch(slots, at[b] * width)
            _prefetch(slot_counts, at[b])
        for b in range(batch):
            slot = at[b]
            i = start + b
            while True:
                count = slot_counts[slot]
                base = slot * width
                if count == 0:
                    for w in range(width):
                        slots[base + w] = keys[i, w]
                    slot_counts[slot] = counts[i] if len(counts) else 1
                    new += 1
                    break
                same = True
                for w in range(width):
                    if slots[base + w] != keys[i, w]:
                        same = False
                        break
                if same:
                    slot_counts[slot] = count + (counts[i] if len(counts) else 1)
                    break
                slot = (slot + 1) & int64(mask)
        start += batch
    return start, new


_ONES = np.empty(0, np.int64)


class CountTable:
    """A growing table from keys, uint64[n_words], to counts.

    Error: exact; keys are compared whole. Cost: some 20 ns a key, 8 (n_words + 1) bytes for each of 1.7 to 4 slots a
        key.
    """

    def __init__(self, n_words: int, capacity: int = 1 << 12) -> None:
        self._n_words = n_words
        self._size = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._slots = np.zeros(capacity * self._n_words, np.uint64)
        self._counts = np.zeros(capacity, np.int64)

    def __len__(self) -> int:
        return self._size

    def add(self, keys: NDArray[np.uint64], counts: NDArray[np.int64] = _ONES) -> None:
        """Count each row of keys uint64[k, n_words] once, or counts int64[k] times."""
        start = 0
        while start < len(keys):
            room = int(_MAX_LOAD * len(self._counts)) - self._size
            start, new = _add(self._slots, self._counts, keys, counts, start, room)
            self._size += new
            if start < len(keys):
                held = self.items()
                self._allocate(2 * len(self._counts))
                _add(self._slots, self._counts, *held, 0, len(self._counts))

    def items(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """All keys uint64[size, n_words] in no particular order, and their counts int64[size]."""
        taken = np.flatnonzero(self._counts)
        return self._slots.reshape(-1, self._n_words)[taken], self._counts[taken]
