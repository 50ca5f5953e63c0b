"""Canonical tables of up to seven inputs under permutations, flips and complement, on two 64-bit words.

The canonical table is the least table among those of the orbit with the least key. Keys come from cofactor weights, so
that most group elements are ruled out unseen: a table has the least key only if at most half of its entries are ones,
at most half of these where any input is 1, and inputs stand in ascending order of their invariants. What the
invariants leave tied is enumerated, and the group elements that reach the canonical table are the automorphisms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfmap.kernels.bits import ONES, SET, popcount

MAX_INPUTS = 7


def _plain_changes() -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Adjacent transpositions that walk through all orders of 2 … 7 things (Steinhaus, Johnson, Trotter)."""
    changes: list[list[int]] = [[], []]
    for size in range(2, MAX_INPUTS + 1):
        # The last thing sweeps across each order of the others; between sweeps the others take their own next change.
        walk: list[int] = []
        down = True
        for inner in [*changes[-1], None]:
            walk += range(size - 2, -1, -1) if down else range(size - 1)
            if inner is not None:
                walk.append(inner + 1 if down else inner)
            down = not down
        changes.append(walk)
    lengths = np.array([len(walk) for walk in changes], np.int64)
    padded = np.zeros((len(changes), lengths[-1]), np.int8)
    for size, walk in enumerate(changes):
        padded[size, : len(walk)] = walk
    return padded, lengths


CHANGES, N_CHANGES = _plain_changes()
"""Of n things, row n: each step exchanges CHANGES[n, step] and the next; N_CHANGES[n] steps see all orders."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_U1, _U32, _U63 = np.uint64(1), np.uint64(32), np.uint64(63)
_ZERO = np.uint64(0)
_BLOCK = 64


def canonical_tables(
    words: NDArray[np.uint64], n_inputs: int, *, permutations: bool, flips: bool, reversal: bool, complement: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Canonical tables and numbers of automorphisms: uint64[size, ceil(2^n / 64)] and int64[size].

    Args:
        words: uint64[size, ceil(2^n / 64)], bits beyond 2^n zero.
        n_inputs: 1 to 7.
        permutations: whether the group reorders inputs.
        flips: whether it negates any inputs.
        reversal: whether it negates all inputs at once.
        complement: whether it negates the output.
    """
    low = words[:, 0].copy()
    high = words[:, 1].copy() if n_inputs == 7 else np.zeros_like(low)
    automorphisms = np.empty(len(low), np.int64)
    scratch = canonical_scratch()
    canonicalize_rows(low, high, n_inputs, (permutations, flips, reversal, complement), automorphisms, scratch)
    return (np.stack([low, high], axis=1) if n_inputs == 7 else low[:, None]), automorphisms


class CanonicalScratch(NamedTuple):
    """What one thread works in."""

    invariants: NDArray[np.uint64]  # of one table's inputs
    groups: NDArray[np.int64]
    best: NDArray[np.uint64]
    ones: NDArray[np.uint64]  # of each input and table of a block
    shared: NDArray[np.uint64]
    flags: NDArray[np.uint64]
    runs: NDArray[np.int64]


def canonical_scratch() -> CanonicalScratch:
    """Scratch for `canonicalize_rows`."""
    return CanonicalScratch(
        np.empty(MAX_INPUTS, np.uint64),
        np.empty((MAX_INPUTS, 4), np.int64),
        np.empty(3, np.uint64),
        np.empty((MAX_INPUTS, _BLOCK), np.uint64),
        np.empty((MAX_INPUTS, _BLOCK), np.uint64),
        np.empty((3, _BLOCK), np.uint64),
        np.empty(_BLOCK, np.int64),
    )


@njit(cache=True, nogil=True)
def canonicalize_rows(low, high, n, symmetries, automorphisms, scratch):
    """Replace tables uint64[k], uint64[k] by their canonical ones, and tell their automorphisms int64[k].

    Symmetries are permutations, flips, reversal and complement, as of canonical_tables.
    """
    permutations, flips, reversal, complement = symmetries
    invariants, groups, best, ones, shared, flags, runs = scratch
    reversal = reversal and not flips
    if permutations and not flips and not reversal:
        for start in range(0, len(low), _BLOCK):
            block = slice(start, start + _BLOCK)
            a, b, automorphic = low[block], high[block], automorphisms[block]
            _sort_inputs(a, b, n, complement, automorphic, ones, shared, flags, runs)
            for row in range(len(a)):
                if automorphic[row] == 0:
                    automorphic[row] = _search(
                        a[row], b[row], n, True, False, False, complement, invariants, groups, best
                    )
                    b[row], a[row] = best[1], best[2]
        return
    for row in range(len(low)):
        automorphisms[row] = _search(
            low[row], high[row], n, permutations, flips, reversal, complement, invariants, groups, best
        )
        high[row], low[row] = best[1], best[2]


@njit(cache=True, nogil=True)
def _full(n):
    return ONES if n >= 6 else (_U1 << np.uint64(1 << n)) - _U1, ONES if n == 7 else _ZERO


@njit(cache=True, nogil=True)
def _search(a, b, n, permutations, flips, reversal, complement, invariants, groups, best):
    """The canonical table of one, in `best`; returns the number of automorphisms."""
    full_low, full_high = _full(n)
    half = 1 << (n - 1)
    weight = popcount(a) + popcount(b)
    if complement and weight > half:
        a, b, weight = a ^ full_low, b ^ full_high, 2 * half - weight
    best[0] = best[1] = best[2] = ONES
    count = 0
    for start in range(4):
        negated, turned = start & 1, start >> 1
        if (negated and not (complement and weight == half)) or (turned and not reversal):
            continue
        c, d = (a ^ full_low, b ^ full_high) if negated else (a, b)
        if turned:
            for k in range(n):
                c, d = flip_bit(c, d, k)
        if flips:
            count = _over_flips(c, d, n, weight, permutations, invariants, groups, best, count)
        elif permutations:
            count = _over_permutations(c, d, n, 1, invariants, groups, best, count)
        else:
            count = _judge(_ZERO, c, d, 1, best, count)
    return count


@njit(cache=True, nogil=True)
def _judge(key, low, high, factor, best, count):
    """Keep the least (key, table), and count the group elements that reach it; `factor` of them reached this one."""
    if key == best[0] and high == best[1] and low == best[2]:
        return count + factor
    if key < best[0] or (key == best[0] and (high < best[1] or (high == best[1] and low < best[2]))):
        best[0], best[1], best[2] = key, high, low
        return factor
    return count


@njit(cache=True, nogil=True)
def flip_bit(low, high, k):
    """Negate index bit k."""
    if k == 6:
        return high, low
    shift, mask = np.uint64(1 << k), SET[k]
    return (low & mask) >> shift | (low << shift) & mask, (high & mask) >> shift | (high << shift) & mask


@njit(cache=True, nogil=True, inline="always")
def swap_bits(low, high, i, j, where=ONES):
    """Exchange index bits i < j; `where` is all ones, or zero to leave the table as it is."""
    if j == 6:
        shift, mask = np.uint64(1 << i), SET[i] & where
        moved = ((high << shift) ^ low) & mask
        return low ^ moved, high ^ (moved >> shift)
    shift, mask = np.uint64((1 << j) - (1 << i)), SET[i] & ~SET[j] & where
    moved = ((low >> shift) ^ low) & mask
    low ^= moved ^ (moved << shift)
    moved = ((high >> shift) ^ high) & mask
    return low, high ^ moved ^ (moved << shift)


@njit(cache=True, nogil=True)
def _ones_where(low, high, k):
    if k == 6:
        return popcount(high)
    return popcount(low & SET[k]) + popcount(high & SET[k])


@njit(cache=True, nogil=True)
def _ones_where_both(low, high, i, j):
    if i == 6:
        return popcount(high & SET[j])
    if j == 6:
        return popcount(high & SET[i])
    mask = SET[i] & SET[j]
    return popcount(low & mask) + popcount(high & mask)


@njit(cache=True, nogil=True, inline="always")
def _mix(ones, invariant):
    x = (np.uint64(ones) + (invariant << np.uint64(8)) + _U1) * _SPREAD
    x ^= x >> _U32
    return x * x


@njit(cache=True, nogil=True)
def _over_flips(low, high, n, ones_in_all, permutations, invariants, groups, best, count):
    """Judge all flips under which at most half of the ones lie where each input is 1."""
    settled, tied, idle = 0, 0, 0
    for k in range(n):
        ones = _ones_where(low, high, k)
        if 2 * ones > ones_in_all:
            low, high = flip_bit(low, high, k)
        if 2 * ones != ones_in_all:
            settled |= 1 << k
        else:
            flipped_low, flipped_high = flip_bit(low, high, k)
            if flipped_low == low and flipped_high == high:
                idle += 1  # the function does not depend on it
            else:
                tied |= 1 << k
    low, high, tied = _orient(low, high, n, settled, tied)
    code = 0
    while True:
        if permutations:
            count = _over_permutations(low, high, n, 1 << idle, invariants, groups, best, count)
        else:
            count = _judge(_ZERO, low, high, 1 << idle, best, count)
        code += 1  # a Gray code over the subsets of the tied inputs
        k = _nth_member(tied, popcount(np.uint64((code & -code) - 1)))
        if k < 0:
            return count
        low, high = flip_bit(low, high, k)


@njit(cache=True, nogil=True)
def _orient(low, high, n, settled, tied):
    """Settle tied inputs by the ones they share with settled inputs, until none moves; returns what stays tied."""
    while tied and settled:
        newly = 0
        for k in range(n):
            if not tied >> k & 1:
                continue
            as_is, flipped = _ZERO, _ZERO
            for j in range(n):
                if settled >> j & 1:
                    ones, shared = _ones_where(low, high, j), _ones_where_both(low, high, j, k)
                    as_is += _mix(shared, np.uint64(ones))
                    flipped += _mix(ones - shared, np.uint64(ones))
            if as_is != flipped:
                newly |= 1 << k
                if as_is > flipped:
                    low, high = flip_bit(low, high, k)
        if not newly:
            break
        settled |= newly
        tied &= ~newly
    return low, high, tied


@njit(cache=True, nogil=True)
def _nth_member(members, n):
    for k in range(MAX_INPUTS):
        if members >> k & 1:
            if n == 0:
                return k
            n -= 1
    return -1


@njit(cache=True, nogil=True)
def _over_permutations(low, high, n, factor, invariants, groups, best, count):
    """Judge all orders of the inputs in which their invariants ascend; `factor` group elements come with each."""
    seen, tied = _ZERO, _ZERO
    for k in range(n):
        ones = _ones_where(low, high, k)
        invariants[k] = ones
        tied |= seen & _U1 << np.uint64(ones & 63)
        seen |= _U1 << np.uint64(ones & 63)
    if tied:
        for k in range(n):
            shared = _ZERO
            if tied >> (invariants[k] & np.uint64(63)) & _U1:
                for j in range(n):
                    if j != k:
                        shared += _mix(_ones_where_both(low, high, j, k), invariants[j])
            groups[k, 0] = np.int64(shared >> np.uint64(8))
        for k in range(n):
            invariants[k] = invariants[k] << np.uint64(56) | np.uint64(groups[k, 0])
    key = _ZERO
    for k in range(n):
        key += _mix(0, invariants[k] ^ invariants[k] >> _U32)
    if key > best[0]:
        return count
    for i in range(n - 1):
        least = i
        for j in range(i + 1, n):
            if invariants[j] < invariants[least]:
                least = j
        if least != i:
            invariants[i], invariants[least] = invariants[least], invariants[i]
            low, high = swap_bits(low, high, i, least)
    if not tied:
        return _judge(key, low, high, factor, best, count)

    n_groups, i = 0, 0
    while i < n:
        end = i + 1
        while end < n and invariants[end] == invariants[i]:
            end += 1
        symmetric, orders = True, 1
        for k in range(i, end - 1):
            orders *= k + 2 - i
            swapped_low, swapped_high = swap_bits(low, high, k, k + 1)
            symmetric &= swapped_low == low and swapped_high == high
        if symmetric:
            factor *= orders
        else:
            groups[n_groups, 0], groups[n_groups, 1], groups[n_groups, 2], groups[n_groups, 3] = i, end - i, 0, 1
            n_groups += 1
        i = end
    count = _judge(key, low, high, factor, best, count)
    # Walk to and fro through the orders of each group: an odometer whose every step exchanges two neighbours.
    at = 0
    while at < n_groups:
        start, size, step, direction = groups[at, 0], groups[at, 1], groups[at, 2], groups[at, 3]
        if direction > 0 and step < N_CHANGES[size]:
            k = start + CHANGES[size, step]
            groups[at, 2] = step + 1
        elif direction < 0 and step > 0:
            k = start + CHANGES[size, step - 1]
            groups[at, 2] = step - 1
        else:
            groups[at, 3] = -direction
            at += 1
            continue
        low, high = swap_bits(low, high, k, k + 1)
        count = _judge(key, low, high, factor, best, count)
        at = 0
    return count


def _merge_exchange(n: int) -> list[tuple[int, int]]:
    """Comparators (i < j) that sort n things (Batcher; Knuth, The Art of Computer Programming 5.2.2, algorithm M)."""
    comparators = []
    for p in (1 << k for k in range((n - 1).bit_length() - 1, -1, -1)):
        q, r, d = 1 << ((n - 1).bit_length() - 1), 0, p
        while True:
            comparators += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            q, r, d = q // 2, p, q - p
    return comparators


N_COMPARATORS = np.array([len(_merge_exchange(n)) if n > 1 else 0 for n in range(MAX_INPUTS + 1)])
COMPARATORS = np.zeros((MAX_INPUTS + 1, N_COMPARATORS.max(), 2), np.int64)
for _n in range(2, MAX_INPUTS + 1):
    COMPARATORS[_n, : N_COMPARATORS[_n]] = _merge_exchange(_n)


@njit(cache=True, nogil=True)
def _sort_inputs(low, high, n, complement, automorphisms, ones, shared, flags, runs):
    """`_search` under permutations and complement on a block of tables at a time, each loop a run of vector operations.

    A table that needs a search, as its complement or an order of tied inputs is open, is left with 0 automorphisms.
    """
    full_low, full_high = _full(n)
    half, size = 1 << (n - 1), len(low)
    original_low, original_high = low.copy(), high.copy()
    tied, seen, open_ = flags[0], flags[1], flags[2]
    for t in range(size):
        weight = popcount(low[t]) + popcount(high[t])
        flip = ONES if complement and weight > half else _ZERO
        low[t] ^= flip & full_low
        high[t] ^= flip & full_high
        open_[t] = complement and weight == half
        tied[t] = seen[t] = _ZERO
    for k in range(n):
        shared[k, :size] = _ZERO
        for t in range(size):
            ones[k, t] = popcount(high[t]) if k == 6 else popcount(low[t] & SET[k]) + popcount(high[t] & SET[k])
        for t in range(size):
            bit = _U1 << (ones[k, t] & _U63)
            tied[t] |= seen[t] & bit
            seen[t] |= bit
    for k in range(n):
        for j in range(k):
            of_low, of_high = _ZERO if k == 6 else SET[j] & SET[k], SET[j] if k == 6 else SET[j] & SET[k]
            for t in range(size):
                both = popcount(low[t] & of_low) + popcount(high[t] & of_high)
                shared[k, t] += _mix(both, ones[j, t])
                shared[j, t] += _mix(both, ones[k, t])
    for k in range(n):
        for t in range(size):
            is_tied = tied[t] >> (ones[k, t] & _U63) & _U1
            ones[k, t] = ones[k, t] << np.uint64(56) | (shared[k, t] >> np.uint64(8)) & (_ZERO - is_tied)
    for c in range(N_COMPARATORS[n]):
        i, j = COMPARATORS[n, c, 0], COMPARATORS[n, c, 1]
        for t in range(size):
            x, y = ones[i, t], ones[j, t]
            ones[i, t], ones[j, t] = min(x, y), max(x, y)
            low[t], high[t] = swap_bits(low[t], high[t], i, j, ONES if x > y else _ZERO)
    runs[:size] = 1
    automorphisms[:] = 1
    for k in range(n - 1):
        for t in range(size):
            swapped_low, swapped_high = swap_bits(low[t], high[t], k, k + 1)
            is_same = ones[k, t] == ones[k + 1, t]
            open_[t] |= np.uint64(is_same & ((swapped_low != low[t]) | (swapped_high != high[t])))
            runs[t] = runs[t] + 1 if is_same else 1
            automorphisms[t] *= runs[t]
    for t in range(size):
        if open_[t]:
            low[t], high[t], automorphisms[t] = original_low[t], original_high[t], 0
