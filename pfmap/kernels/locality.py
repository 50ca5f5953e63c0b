"""How often a Boolean function changes between neighbours, on packed tables: one word holds 64 inputs at once."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfmap.kernels.bits import ONES, SET, popcount

_ZERO, _ONE = np.uint64(0), np.uint64(1)


def sensitivities(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """Of s(x), the number of inputs whose flip changes f(x): sum and maximum over x, and how many are positive.

    Args:
        words: uint64[size, ceil(2^n / 64)], bits beyond 2^n zero.
        n_inputs: 1 to 15.

    Returns:
        int64[size, 3].
    """
    found = np.empty((len(words), 3), np.int64)
    _sensitivities(np.ascontiguousarray(words), n_inputs, found)
    return found


@njit(cache=True, nogil=True)
def _neighbour(words, row, w, k):
    """Entries 64 w … 64 w + 63 of x -> f(x with index bit k flipped)."""
    if k >= 6:
        return words[row, w ^ (1 << (k - 6))]
    word, shift, mask = words[row, w], np.uint64(1 << k), SET[k]
    return (word & mask) >> shift | (word << shift) & mask


@njit(cache=True, nogil=True)
def _sensitivities(words, n, found):
    for row in range(len(words)):
        total, most, positive = 0, 0, 0
        for w in range(words.shape[1]):
            word = words[row, w]
            # Four planes of a counter for each of the 64 entries.
            c0, c1, c2, c3 = _ZERO, _ZERO, _ZERO, _ZERO
            for k in range(n):
                carry = word ^ _neighbour(words, row, w, k)
                total += popcount(carry)
                c0, carry = c0 ^ carry, c0 & carry
                c1, carry = c1 ^ carry, c1 & carry
                c2, carry = c2 ^ carry, c2 & carry
                c3 ^= carry
            positive += popcount(c0 | c1 | c2 | c3)
            here, left = 0, ONES
            for plane, bit in ((c3, 8), (c2, 4), (c1, 2), (c0, 1)):
                if plane & left:
                    left &= plane
                    here += bit
            most = max(most, here)
        found[row, 0], found[row, 1], found[row, 2] = total, most, positive


def unequal_pairs(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """Unordered pairs at Hamming distance 1, and at distance 2, on which f differs: int64[size, 2]."""
    found = np.empty((len(words), 2), np.int64)
    _unequal_pairs(np.ascontiguousarray(words), n_inputs, found)
    return found


@njit(cache=True, nogil=True)
def _unequal_pairs(words, n, found):
    for row in range(len(words)):
        first, second = 0, 0
        for w in range(words.shape[1]):
            word = words[row, w]
            for k in range(n):
                moved = _neighbour(words, row, w, k)
                first += popcount(word ^ moved)
                for j in range(min(k, 6)):
                    second += popcount(((moved >> np.uint64(1 << j)) ^ word) & ~SET[j])
                for j in range(6, k):
                    if not w >> (j - 6) & 1:
                        second += popcount(words[row, w ^ (1 << (k - 6)) ^ (1 << (j - 6))] ^ word)
        found[row, 0], found[row, 1] = first // 2, second


def certificate_sizes(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """The largest over x of the least number of inputs that fix f at f(x), for n <= 7: int64[size].

    Over which subcubes f is constant is found for all subsets of free inputs, at all x at once.
    """
    found = np.empty(len(words), np.int64)
    _certificate_sizes(np.ascontiguousarray(words), n_inputs, found)
    return found


@njit(cache=True, nogil=True)
def _certificate_sizes(words, n, found):
    n_words = words.shape[1]
    every = np.empty((1 << n, n_words), np.uint64)  # 1 at x if f is 1 on all of the subcube through x
    some = np.empty((1 << n, n_words), np.uint64)
    covered = np.empty((n + 1, n_words), np.uint64)
    full = ONES if n >= 6 else (_ONE << np.uint64(1 << n)) - _ONE
    for row in range(len(words)):
        covered[:] = _ZERO
        every[0], some[0] = words[row], words[row]
        for free in range(1, 1 << n):
            k = _lowest(free)
            fewer = free & (free - 1)
            size = popcount(np.uint64(free))
            for w in range(n_words):
                every[free, w] = every[fewer, w] & _neighbour(every, fewer, w, k)
                some[free, w] = some[fewer, w] | _neighbour(some, fewer, w, k)
                covered[size, w] |= every[free, w] | ~some[free, w]
        size = n
        while size > 0:
            everywhere = full
            for w in range(n_words):
                everywhere &= covered[size, w]
            if everywhere == full:
                break
            size -= 1
        found[row] = n - size


def block_sensitivities(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """The largest over x of the number of disjoint blocks of inputs whose flip changes f(x), for n <= 7: int64[size].

    The best packing within each set of inputs comes from that within its subsets, at all x at once.
    """
    found = np.empty(len(words), np.int64)
    _block_sensitivities(np.ascontiguousarray(words), n_inputs, found)
    return found


@njit(cache=True, nogil=True)
def _lowest(members):
    return popcount(np.uint64((members & -members) - 1))


@njit(cache=True, nogil=True)
def _block_sensitivities(words, n, found):
    n_words = words.shape[1]
    moved = np.empty((1 << n, n_words), np.uint64)
    changes = np.empty(1 << n, np.uint64)
    # packs[within, k]: the x at which k disjoint sensitive blocks fit within a set of inputs.
    packs = np.zeros((1 << n, n + 2), np.uint64)
    packs[:, 0] = ONES
    for row in range(len(words)):
        moved[0] = words[row]
        for block in range(1, 1 << n):
            for w in range(n_words):
                moved[block, w] = _neighbour(moved, block & (block - 1), w, _lowest(block))
        most = 0
        for w in range(n_words):
            for block in range(1 << n):
                changes[block] = moved[block, w] ^ words[row, w]
            for within in range(1, 1 << n):
                rest = within & (within - 1)
                size = popcount(np.uint64(within))
                for k in range(1, size):
                    packs[within, k] = packs[rest, k]
                packs[within, size] = _ZERO
                others = rest  # of the block that holds the lowest input of `within`
                while True:
                    change = changes[within ^ rest ^ others]
                    if change:
                        left = rest ^ others
                        for k in range(popcount(np.uint64(left)) + 1):
                            packs[within, k + 1] |= change & packs[left, k]
                    if not others:
                        break
                    others = (others - 1) & rest
            for k in range(most + 1, n + 1):
                if packs[(1 << n) - 1, k]:
                    most = k
        found[row] = most
