"""Counting keys: open-addressing tables of exact keys of any number of 64-bit words.

A slot holds a key and what is counted of it side by side, so that a key costs one line of memory; a first count of 0
marks it free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

AHEAD = 64
"""Keys whose slots are asked for before the first of them is read."""

_MAX_LOAD = 0.6
_SMALLEST, _QUICK_GROWTH = 1 << 12, 1 << 20
_LINE = 64
_LARGE = 1 << 30
_CELLS_A_KEY = 16


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


@njit(nogil=True, cache=True, inline="always")
def find_slot(flat, stride, mask, keys, i, slot):
    """Where the slot of row i begins, looked for from its own place on, and whether it was free: the key is there now.

    Whoever asks adds a count at once, as a slot without one is free.
    """
    width = keys.shape[1]
    while True:
        base = slot * stride
        if flat[base + width] == 0:
            for w in range(width):
                flat[base + w] = np.int64(keys[i, w])
            return base, True
        same = True
        for w in range(width):
            if flat[base + w] != np.int64(keys[i, w]):
                same = False
                break
        if same:
            return base, False
        slot = (slot + 1) & mask


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
            i = start + b
            base, is_new = find_slot(flat, stride, mask, keys, i, at[b])
            new += is_new
            for v in range(len(values)):
                flat[base + width + v] += values[v][i] if len(values[v]) else 1
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
def _collect(slots, start, at_least, keys, values):
    """Keys from slot `start` on of so large a first value, and all their values as columns, until these are full.

    Returns the next slot and the number of rows.
    """
    width, stride = keys.shape[1], slots.shape[1]
    flat, words = slots.reshape(-1), keys.reshape(-1)
    row, slot = 0, start
    while slot < len(slots) and row < len(keys):
        base = slot * stride
        if flat[base + width] >= at_least:
            for w in range(width):
                words[row * width + w] = flat[base + w]
            for v in range(len(values)):
                values[v, row] = flat[base + width + v]
            row += 1
        slot += 1
    return slot, row


def _free_slots(capacity: int, stride: int) -> NDArray[np.int64]:
    """Zeros int64[capacity, stride] from the start of a line of memory: a slot of half a line lies within one."""
    held = np.zeros(capacity * stride + _LINE // 8, np.int64)
    start = -held.ctypes.data % _LINE // 8
    return held[start : start + capacity * stride].reshape(capacity, stride)


class _Sums:
    """A growing table from keys, uint64[n_words], to sums of n_values positive numbers.

    Attributes:
        slots: int64[capacity, n_words + n_values], a key and its sums, all 0 where free; capacity is a power of two.
        size: keys in there.
    """

    def __init__(self, n_words: int, n_values: int, expected: int) -> None:
        self._n_words = n_words
        self.size = 0
        needed = int((expected + AHEAD) / _MAX_LOAD)
        self.slots = _free_slots(max(_SMALLEST, 1 << needed.bit_length()), n_words + n_values)

    def __len__(self) -> int:
        return self.size

    def make_room(self, needed: int) -> int:
        """Grow until so many new keys fit; returns how many do."""
        while (room := self._room()) < needed:
            self._grow(4 if len(self.slots) < _QUICK_GROWTH else 2)
        return room

    def foresee(self, soon: int, at_most: int) -> None:
        """Where `soon` new keys would not fit, grow to what `at_most` new keys need; only fourfold from a GiB on.

        Moving keys into a larger table costs as much as counting them; few large steps move them seldom.
        """
        if self._room() < soon:
            fitting = int((self.size + at_most + AHEAD) / _MAX_LOAD / len(self.slots))
            factor = 1 << max(1, fitting.bit_length())
            self._grow(factor if factor * self.slots.nbytes <= _LARGE else min(factor, 4))

    def _room(self) -> int:
        return int(_MAX_LOAD * len(self.slots)) - self.size

    def _grow(self, factor: int) -> None:
        held = self.slots
        self.slots = _free_slots(factor * len(held), held.shape[1])
        _move(held, self.slots, self._n_words)

    def _add(self, keys: NDArray[np.uint64], *values: NDArray[np.int64]) -> None:
        start, words = 0, keys.view(np.int64)
        while start < len(keys):
            room = self.make_room(min(AHEAD, len(keys) - start))
            start, new = _add(self.slots, words, values, start, room)
            self.size += new

    def pieces(self, at_most: int = 1 << 17, *, at_least: int = 1) -> Iterator[tuple[NDArray[Any], ...]]:
        """All keys whose first sum is at_least so large, and their sums, in no particular order.

        They come a piece of at most `at_most` keys after the other.
        """
        start, size = 0, min(self.size, at_most)
        while size and start < len(self.slots):
            keys = np.empty((size, self._n_words), np.int64)
            values = np.empty((self.slots.shape[1] - self._n_words, size), np.int64)
            start, found = _collect(self.slots, start, at_least, keys, values)
            if found:
                yield keys[:found].view(np.uint64), *values[:, :found]

    def _items(self) -> tuple[NDArray[Any], ...]:
        empty = np.empty((0, self._n_words), np.uint64)
        none = (np.empty(0, np.int64),) * (self.slots.shape[1] - self._n_words)
        return next(self.pieces(max(1, self.size)), (empty, *none))


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
        keys, counts = self._items()
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
        keys, counts, squares = self._items()
        return keys, counts, squares


class Marks:
    """Which keys came more than once, as far as two bits a cell can tell: never no where it should be yes.

    Attributes:
        cells: uint64[2^k], 32 cells of two bits each: no key that falls there came yet; one did (01); or more (11).

    Error: a key that came once is taken for a repeated one where another shares its cell, with probability of about
    keys / cells, at most 1 / 16 for as many as expected. Cost: 4 to 8 bytes an expected key.
    """

    def __init__(self, expected: int) -> None:
        self.cells = np.zeros(1 << max(6, (expected * _CELLS_A_KEY // 32).bit_length()), np.uint64)

    @property
    def shift(self) -> np.uint64:
        """What `cell_of` leaves out of 64 bits."""
        return np.uint64(64 - (32 * len(self.cells)).bit_length() + 1)

    def add(self, other: Marks) -> None:
        """Marks of other samples, in equally many cells."""
        once = np.uint64(0x5555555555555555)
        both = self.cells & other.cells & once
        self.cells |= other.cells
        self.cells |= both << np.uint64(1)


@njit(nogil=True, cache=True, inline="always")
def cell_of(keys, i, shift):
    """The cell of row i: the upper bits of a quick hash, as nothing is lost where two keys share a cell."""
    x = uint64(0)
    for w in range(keys.shape[1]):
        x = (x ^ uint64(keys[i, w])) * uint64(0x9E3779B97F4A7C15)
    return x >> shift


@njit(nogil=True, cache=True)
def mark_keys(cells, shift, keys, rows):
    """Mark the listed rows of keys."""
    at = np.empty(AHEAD, np.uint64)
    for e in range(len(rows) + AHEAD):  # each cell is asked for AHEAD rows before it is marked
        place = uint64(e) % uint64(AHEAD)
        if e >= AHEAD:
            word, bit = at[place] >> uint64(5), uint64(2) * (at[place] & uint64(31))
            cells[word] |= (uint64(1) + (uint64(2) & cells[word] >> bit << uint64(1))) << bit
        if e < len(rows):
            at[place] = cell_of(keys, rows[e], shift)
            prefetch(cells, np.int64(at[place] >> uint64(5)))


@njit(nogil=True, cache=True)
def keep_repeated(cells, shift, keys, rows):
    """Keep those of the listed rows in the list that may have come more than once; returns their number."""
    at = np.empty(AHEAD, np.uint64)
    kept = 0
    for e in range(len(rows) + AHEAD):
        place = uint64(e) % uint64(AHEAD)
        if e >= AHEAD:
            rows[kept] = rows[e - AHEAD]
            came_again = cells[at[place] >> uint64(5)] >> uint64(2) * (at[place] & uint64(31)) & uint64(2)
            kept += came_again != uint64(0)
        if e < len(rows):
            at[place] = cell_of(keys, rows[e], shift)
            prefetch(cells, np.int64(at[place] >> uint64(5)))
    return kept
