"""Counting keys: open-addressing tables of exact keys of any number of 64-bit words.

A slot holds a key and what is counted of it side by side, so that a key costs one line of memory; a first count of 0
marks it free.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

AHEAD = 32
"""Keys whose slots are asked for before the first of them is read."""

_MAX_LOAD = 0.6
_SMALLEST, _QUICK_GROWTH = 1 << 12, 1 << 19
_LINE = 64


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Ask for the line of memory that holds array[index], to write to it soon."""
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
def hash_key(keys, i):
    """64 well-mixed bits of row i of keys[k, n_words]."""
    x = uint64(0)
    for w in range(keys.shape[1]):
        # Every word passes a full multiply and shift: truth tables are far too regular for a weaker mix.
        x = (x ^ uint64(keys[i, w])) * uint64(0x9E3779B97F4A7C15)
        x ^= x >> uint64(32)
    x *= uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> uint64(29))


@njit(nogil=True, cache=True)
def _add(slots, keys, values, start, room):
    """Add values of keys[start:], stopping before `room` new ones are passed; returns the place reached and how many.

    Values are one or two arrays int64[k]; an empty one stands for ones.
    """
    mask = len(slots) - 1
    width = keys.shape[1]
    stride = slots.shape[1]
    flat = slots.reshape(-1)
    at = np.empty(AHEAD, np.int64)
    new = 0
    while start < len(keys):
        batch = min(AHEAD, len(keys) - start)
        if new + batch > room:
            break
        for b in range(batch):
            at[b] = np.int64(hash_key(keys, start + b) & uint64(mask))
            prefetch(flat, at[b] * stride)
        for b in range(batch):
            slot = at[b]
            i = start + b
            while True:
                base = slot * stride
                same = True
                if flat[base + width] == 0:
                    for w in range(width):
                        flat[base + w] = keys[i, w]
                    new += 1
                else:
                    for w in range(width):
                        if flat[base + w] != keys[i, w]:
                            same = False
                            break
                if same:
                    for v in range(len(values)):
                        flat[base + width + v] += values[v][i] if len(values[v]) else 1
                    break
                slot = (slot + 1) & mask
        start += batch
    return start, new


@njit(nogil=True, cache=True)
def _move(slots, larger, width):
    """Every key into a larger table, in which none of them stands; both are walked in nearly the same order."""
    mask = len(larger) - 1
    stride = slots.shape[1]
    keys, held, free = slots[:, :width], slots.reshape(-1), larger.reshape(-1)
    for i in range(len(slots)):
        if held[i * stride + width] == 0:
            continue
        slot = np.int64(hash_key(keys, i) & uint64(mask))
        while free[slot * stride + width]:
            slot = (slot + 1) & mask
        for v in range(stride):
            free[slot * stride + v] = held[i * stride + v]


@njit(nogil=True, cache=True)
def _collect(slots, keys, values):
    """Every key, and its values as columns."""
    width, stride = keys.shape[1], slots.shape[1]
    flat, words = slots.reshape(-1), keys.reshape(-1)
    row = 0
    for base in range(0, len(flat), stride):
        if flat[base + width]:
            for w in range(width):
                words[row * width + w] = flat[base + w]
            for v in range(len(values)):
                values[v, row] = flat[base + width + v]
            row += 1


def _free_slots(capacity: int, stride: int) -> NDArray[np.int64]:
    """Zeros int64[capacity, stride] from the start of a line of memory: a slot of half a line lies within one."""
    held = np.zeros(capacity * stride + _LINE // 8, np.int64)
    start = -held.ctypes.data % _LINE // 8
    return held[start : start + capacity * stride].reshape(capacity, stride)


class _Sums:
    """A growing table from keys, uint64[n_words], to sums of n_values positive numbers."""

    def __init__(self, n_words: int, n_values: int, expected: int) -> None:
        self._n_words = n_words
        self._size = 0
        needed = int((expected + AHEAD) / _MAX_LOAD)
        self._slots = _free_slots(max(_SMALLEST, 1 << needed.bit_length()), n_words + n_values)

    def __len__(self) -> int:
        return self._size

    def _add(self, keys: NDArray[np.uint64], *values: NDArray[np.int64]) -> None:
        start, words = 0, keys.view(np.int64)
        while start < len(keys):
            room = int(_MAX_LOAD * len(self._slots)) - self._size
            start, new = _add(self._slots, words, values, start, room)
            self._size += new
            if start < len(keys):
                held = self._slots
                factor = 4 if len(held) < _QUICK_GROWTH else 2
                self._slots = _free_slots(factor * len(held), held.shape[1])
                _move(held, self._slots, self._n_words)

    def _items(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        keys = np.empty((self._size, self._n_words), np.int64)
        values = np.empty((self._slots.shape[1] - self._n_words, self._size), np.int64)
        _collect(self._slots, keys, values)
        return keys.view(np.uint64), values


_ONES = np.empty(0, np.int64)


class CountTable(_Sums):
    """A growing table from keys, uint64[n_words], to counts; no growth up to `expected` keys.

    Error: exact; keys are compared whole. Cost: some 20 ns a key, 8 (n_words + 1) bytes for each of 1.7 to 4 slots a
        key.
    """

    def __init__(self, n_words: int, *, expected: int = 0) -> None:
        super().__init__(n_words, 1, expected)

    def add(self, keys: NDArray[np.uint64], counts: NDArray[np.int64] = _ONES) -> None:
        """Count each row of keys uint64[k, n_words] once, or counts int64[k] times."""
        self._add(keys, counts)

    def items(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """All keys uint64[size, n_words] in no particular order, and their counts int64[size]."""
        keys, (counts,) = self._items()
        return keys, counts


class ClusterCountTable(_Sums):
    """A growing table from keys, uint64[n_words], to counts and sums of squares of the counts within clusters.

    No growth up to `expected` keys. Error: exact; keys are compared whole. Cost: as CountTable, 8 bytes more a slot.
    """

    def __init__(self, n_words: int, *, expected: int = 0) -> None:
        super().__init__(n_words, 2, expected)

    def add(self, keys: NDArray[np.uint64], counts: NDArray[np.int64], squares: NDArray[np.int64]) -> None:
        """Add counts and squares int64[k] to those of each row of keys uint64[k, n_words]."""
        self._add(keys, counts, squares)

    def items(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """All keys uint64[size, n_words] in no particular order, their counts and their squares int64[size]."""
        keys, (counts, squares) = self._items()
        return keys, counts, squares
