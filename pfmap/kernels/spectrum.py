"""Walsh spectra and algebraic normal forms of packed tables."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pfmap.kernels.bits import SET, popcount

LANES = 64
"""Functions transformed side by side, so that every butterfly is a run of whole vectors."""

MAX_INPUTS = 14
"""Coefficients times 2^n stay within int16."""

DEGREE, L1, SPARSITY, DAMPED = 0, 1, 2, 3

_ZERO, _ONE = np.uint64(0), np.uint64(1)


def walsh_summary(words: NDArray[np.uint64], n_inputs: int, which: int) -> NDArray[np.int64]:
    """One number of the integer coefficients c(S) = sum_x (-1)^(f(x) + x·S) of each function: int64[size].

    Args:
        words: uint64[size, ceil(2^n / 64)], bits beyond 2^n zero.
        n_inputs: 1 to 14.
        which: DEGREE, the largest |S| with c(S) != 0; L1, sum |c|; SPARSITY, the number of c != 0; DAMPED, the sum of
            2^(n - |S|) c^2.
    """
    found = np.empty(len(words), np.int64)
    _walsh_summary(np.ascontiguousarray(words), n_inputs, which, found)
    return found


@njit(cache=True, nogil=True)
def _walsh_summary(words, n, which, found):
    block = np.zeros((words.shape[1], LANES), np.uint64)
    c = np.empty((1 << n, LANES), np.int16)
    summary = np.empty(LANES, np.int64)
    for start in range(0, len(words), LANES):
        lanes = min(LANES, len(words) - start)
        for lane in range(lanes):
            for w in range(words.shape[1]):
                block[w, lane] = words[start + lane, w]
        _transform(block, n, c)
        _summarize(c, n, which, summary)
        found[start : start + lanes] = summary[:lanes]


@njit(cache=True, nogil=True)
def _transform(block, n, c):
    for x in range(1 << n):
        shift = np.uint64(x & 63)
        for lane in range(LANES):
            c[x, lane] = 1 - 2 * np.int16(block[x >> 6, lane] >> shift & _ONE)
    half = 1
    while half < 1 << n:
        for first in range(0, 1 << n, 2 * half):
            for x in range(first, first + half):
                for lane in range(LANES):
                    u, v = c[x, lane], c[x + half, lane]
                    c[x, lane] = u + v
                    c[x + half, lane] = u - v
        half *= 2


@njit(cache=True, nogil=True)
def _summarize(c, n, which, summary):
    summary[:] = 0
    total = np.zeros(LANES, np.int32)
    for s in range(1 << n):
        size = popcount(np.uint64(s))
        if which == DEGREE:
            for lane in range(LANES):
                total[lane] = max(total[lane], np.int32(size) * np.int32(c[s, lane] != 0))
        elif which == L1:
            for lane in range(LANES):
                total[lane] += np.int32(abs(c[s, lane]))
        elif which == SPARSITY:
            for lane in range(LANES):
                total[lane] += np.int32(c[s, lane] != 0)
        else:
            for lane in range(LANES):
                summary[lane] += np.int64(np.int32(c[s, lane]) * np.int32(c[s, lane])) << (n - size)
    if which != DAMPED:
        summary[:] = total


_OF_SIZE = np.array([sum(1 << x for x in range(64) if x.bit_count() == size) for size in range(7)], np.uint64)


def anf_summary(words: NDArray[np.uint64], n_inputs: int) -> NDArray[np.int64]:
    """Terms of each function's algebraic normal form, and the inputs in its largest term: int64[size, 2]."""
    found = np.empty((len(words), 2), np.int64)
    _anf_summary(np.ascontiguousarray(words), n_inputs, found)
    return found


@njit(cache=True, nogil=True)
def _anf_summary(words, n, found):
    n_words = words.shape[1]
    terms = np.empty(n_words, np.uint64)
    for row in range(len(words)):
        for w in range(n_words):
            word = words[row, w]
            for k in range(min(n, 6)):
                word ^= word << np.uint64(1 << k) & SET[k]
            terms[w] = word
        half = 1
        while half < n_words:
            for w in range(n_words):
                if w & half:
                    terms[w] ^= terms[w ^ half]
            half *= 2
        n_terms, degree = 0, 0
        for w in range(n_words):
            n_terms += popcount(terms[w])
            if terms[w]:
                size = 6
                while not terms[w] & _OF_SIZE[size]:
                    size -= 1
                degree = max(degree, size + popcount(np.uint64(w)))
        found[row, 0], found[row, 1] = n_terms, degree
