"""Prime implicants of packed functions, and covers of a function by few of them.

A cube is a product of literals; its code has ternary digits d_i in {0, 1, 2 = not read}, the lowest for the last input.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfmap.kernels.bits import popcount


def prime_cubes(words: NDArray[np.uint64], n_inputs: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Codes of the prime implicants of one function, ascending, and the points that each covers.

    Args:
        words: uint64[n_words], bit j % 64 of word j // 64 is entry j.
        n_inputs: n.

    Returns:
        int64[n_primes], uint64[n_primes, n_words].

    Error: exact. Cost: O(n 3^n) to prepare, once a call.
    """
    codes, covered = _primes_of_one(words, n_inputs, *_all_cubes(n_inputs, len(words)))
    return codes, covered


def count_primes(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """Numbers of prime implicants: int64[size], of words uint64[size, n_words].

    Error: exact. Cost: O(n 3^n) bit operations a function.
    """
    counts = np.empty(len(words), np.int64)
    _count_primes(np.ascontiguousarray(words), n_inputs, *_all_cubes(n_inputs, words.shape[1]), counts)
    return counts


def greedy_covers(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """Terms and literals of an irredundant cover by prime implicants: int64[size, 2], of words uint64[size, n_words].

    Essential primes first; then, while points are left, the prime that covers most of them, with fewest literals, with
    the lowest code; at last each term that the others cover is dropped, in the order in which terms came.

    Error: an upper bound on both. Cost: as `count_primes`, and primes times terms.
    """
    sizes = np.empty((len(words), 2), np.int64)
    _greedy_covers(np.ascontiguousarray(words), n_inputs, *_all_cubes(n_inputs, words.shape[1]), sizes)
    return sizes


@njit(cache=True, nogil=True)
def _all_cubes(n_inputs, n_words):
    # Points of each cube, and its cubes twice as large: wider[c, :n_literals[c]].
    n_cubes = 3**n_inputs
    covers = np.zeros((n_cubes, n_words), np.uint64)
    wider = np.zeros((n_cubes, n_inputs), np.int32)
    n_literals = np.zeros(n_cubes, np.int64)
    for c in range(n_cubes):
        point, step, halving = 0, 1, 0
        for i in range(n_inputs):
            digit = c // step % 3
            if digit == 2:
                halving = step
            else:
                point |= digit << i
                wider[c, n_literals[c]] = c + (2 - digit) * step
                n_literals[c] += 1
            step *= 3
        if halving:
            covers[c] = covers[c - halving] | covers[c - 2 * halving]
        else:
            covers[c, point >> 6] = np.uint64(1) << np.uint64(point & 63)
    return covers, wider, n_literals


@njit(cache=True, nogil=True, inline="always")
def _find_primes(function, covers, wider, n_literals, implies, primes):
    # Smallest cubes have the most literals, but the largest code is the cube of all points: go down, and a cube twice
    # as large has been judged already.
    n_primes = 0
    n_words = covers.shape[1]
    for c in range(len(covers) - 1, -1, -1):
        inside = True
        for w in range(n_words):
            if covers[c, w] & ~function[w]:
                inside = False
                break
        implies[c] = inside
        if inside:
            prime = True
            for k in range(n_literals[c]):
                if implies[wider[c, k]]:
                    prime = False
                    break
            if prime:
                primes[n_primes] = c
                n_primes += 1
    return n_primes


@njit(cache=True, nogil=True)
def _primes_of_one(function, n_inputs, covers, wider, n_literals):
    implies = np.empty(len(covers), np.bool_)
    primes = np.empty(len(covers), np.int64)
    n_primes = _find_primes(function, covers, wider, n_literals, implies, primes)
    codes = primes[:n_primes][::-1].copy()
    return codes, covers[codes]


@njit(cache=True, nogil=True)
def _count_primes(words, n_inputs, covers, wider, n_literals, counts):
    implies = np.empty(len(covers), np.bool_)
    primes = np.empty(len(covers), np.int64)
    for row in range(len(words)):
        counts[row] = _find_primes(words[row], covers, wider, n_literals, implies, primes)


@njit(cache=True, nogil=True)
def _greedy_covers(words, n_inputs, covers, wider, n_literals, sizes):
    n_words = words.shape[1]
    implies = np.empty(len(covers), np.bool_)
    primes = np.empty(len(covers), np.int64)
    taken = np.empty(1 << n_inputs, np.int64)
    left = np.empty(n_words, np.uint64)
    once = np.empty(n_words, np.uint64)
    more = np.empty(n_words, np.uint64)
    for row in range(len(words)):
        n_primes = _find_primes(words[row], covers, wider, n_literals, implies, primes)
        once[:] = 0
        more[:] = 0
        for p in range(n_primes):
            for w in range(n_words):
                more[w] |= once[w] & covers[primes[p], w]
                once[w] |= covers[primes[p], w]
        left[:] = words[row]
        n_taken, n_left = 0, 0
        for p in range(n_primes):
            essential = False
            for w in range(n_words):
                essential |= (covers[primes[p], w] & once[w] & ~more[w]) != 0
            if essential:
                taken[n_taken] = primes[p]
                n_taken += 1
                for w in range(n_words):
                    left[w] &= ~covers[primes[p], w]
        for w in range(n_words):
            n_left += popcount(left[w])
        while n_left > 0:
            most, fewest, best = 0, 0, -1
            for p in range(n_primes):
                gained = 0
                for w in range(n_words):
                    gained += popcount(left[w] & covers[primes[p], w])
                literals = n_literals[primes[p]]
                # Codes come in descending order, so a tie goes to the later one.
                if gained > most or (gained == most and gained > 0 and literals <= fewest):
                    most, fewest, best = gained, literals, primes[p]
            taken[n_taken] = best
            n_taken += 1
            n_left -= most
            for w in range(n_words):
                left[w] &= ~covers[best, w]
        sizes[row, 0], sizes[row, 1] = 0, 0
        for t in range(n_taken):
            once[:] = 0
            for u in range(n_taken):
                if u != t and taken[u] >= 0:
                    for w in range(n_words):
                        once[w] |= covers[taken[u], w]
            redundant = True
            for w in range(n_words):
                redundant &= (covers[taken[t], w] & ~once[w]) == 0
            if redundant:
                taken[t] = -1
            else:
                sizes[row, 0] += 1
                sizes[row, 1] += n_literals[taken[t]]
