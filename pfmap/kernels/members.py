"""A fixed set of functions, or of whole orbits, to be found among many others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from pfmap.kernels.bits import ONES
from pfmap.kernels.canonical import CHANGES, N_CHANGES, flip_bit, swap_bits
from pfmap.kernels.counting import hash_key


class MemberIndex(NamedTuple):
    """Keys of a fixed set, each with the number of the member it stands for.

    Attributes:
        bitmap: uint64[2^k], a bit for each key's hash, so that most other keys are passed over at once.
        slots: int64[2^j, n_words + 1], open addressing: a key and its member's number plus one, 0 where free.
        constants: the members that the constants 0 and 1 stand for, -1 where none.
        n_members: members of the set.
    """

    bitmap: NDArray[np.uint64]
    slots: NDArray[np.int64]
    constants: tuple[int, int]
    n_members: int


def index_members(
    batches: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], n_keys: int, n_members: int, n_points: int
) -> MemberIndex:
    """An index of keys uint64[k, n_words] and the members int64[k] that they stand for, batch by batch.

    Keys may repeat; `n_keys` differ at most. Cost: 26 to 52 (n_words = 2) bytes a key.
    """
    n_words = -(-n_points // 64)
    capacity = 1 << max(6, (2 * n_keys).bit_length())
    bitmap = np.zeros(capacity // 8, np.uint64)  # eight bits a slot: some 3 to 6 % of other keys pass
    slots = np.zeros((capacity, n_words + 1), np.int64)
    for keys, members in batches:
        _insert(np.ascontiguousarray(keys).view(np.int64), members, bitmap, slots)
    full = np.uint64((1 << min(64, n_points)) - 1)
    constants = np.repeat(np.array([[0], [full]], np.uint64), n_words, axis=1).view(np.int64)
    zero, one = (int(look_up(constants, r, slots)) for r in range(2))
    return MemberIndex(bitmap, slots, (zero, one), n_members)


@njit(nogil=True, cache=True)
def _insert(keys, members, bitmap, slots):
    width, mask = keys.shape[1], len(slots) - 1
    for i in range(len(keys)):
        if look_up(keys, i, slots) >= 0:
            continue
        x = hash_key(keys, i)
        bit = (x >> uint64(32)) & uint64(64 * len(bitmap) - 1)
        bitmap[bit >> uint64(6)] |= uint64(1) << (bit & uint64(63))
        slot = np.int64(x & uint64(mask))
        while slots[slot, width]:
            slot = (slot + 1) & mask
        for w in range(width):
            slots[slot, w] = keys[i, w]
        slots[slot, width] = members[i] + 1


@njit(nogil=True, cache=True)
def look_up(keys, i, slots):
    """The member that row i stands for, or -1."""
    width, mask = keys.shape[1], len(slots) - 1
    slot = np.int64(hash_key(keys, i) & uint64(mask))
    while slots[slot, width]:
        same = True
        for w in range(width):
            same &= slots[slot, w] == np.int64(keys[i, w])
        if same:
            return slots[slot, width] - 1
        slot = (slot + 1) & mask
    return -1


@njit(nogil=True, cache=True)
def find_members(keys, slots):
    """The member that each row of keys stands for in the slots of a MemberIndex, -1 where none: int64[k]."""
    members = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        members[i] = look_up(keys, i, slots)
    return members


def orbit_members(
    keys: NDArray[np.uint64], n_inputs: int, symmetries: tuple[bool, bool, bool, bool]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Every image of each function under a group: uint64[size |G|, n_words], and the function's number int64[size |G|].

    Symmetries as of canonical_tables. A function that some group elements leave as it is comes once for each.
    """
    permutations, flips, reversal, complement = symmetries
    order = (math.factorial(n_inputs) if permutations else 1) * (1 + complement)
    order *= 1 << n_inputs if flips else 1 + reversal
    low = np.ascontiguousarray(keys[:, 0])
    high = np.ascontiguousarray(keys[:, 1]) if n_inputs == 7 else np.zeros_like(low)
    images = np.empty((len(keys) * order, 2), np.uint64)
    _images(low, high, n_inputs, permutations, flips, reversal and not flips, complement, images)
    return np.ascontiguousarray(images[:, : keys.shape[1]]), np.repeat(np.arange(len(keys)), order)


@njit(nogil=True, cache=True)
def _images(low, high, n, permutations, flips, reversal, complement, images):
    full_low = ONES if n >= 6 else (uint64(1) << uint64(1 << n)) - uint64(1)
    full_high = ONES if n == 7 else uint64(0)
    n_flips = 1 << n if flips else 2 if reversal else 1
    n_changes = N_CHANGES[n] if permutations else 0
    at = 0
    for row in range(len(low)):
        flipped_low, flipped_high = low[row], high[row]
        for code in range(1, n_flips + 1):
            a, b = flipped_low, flipped_high
            for step in range(n_changes + 1):
                images[at, 0], images[at, 1] = a, b
                at += 1
                if complement:
                    images[at, 0], images[at, 1] = a ^ full_low, b ^ full_high
                    at += 1
                if step < n_changes:
                    k = CHANGES[n, step]
                    a, b = swap_bits(a, b, k, k + 1)
            for k in range(n):  # the next of a Gray code over the flips
                if reversal or code >> k & 1:
                    flipped_low, flipped_high = flip_bit(flipped_low, flipped_high, k)
                    if not reversal:
                        break
