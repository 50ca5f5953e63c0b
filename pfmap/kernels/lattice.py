"""Sweeps over the 3^n subcubes of the n-cube, smallest first, that build up optimal and averaged decision trees.

Subcube c has ternary digits d_i in {0, 1, 2 = free}, so its halves along a free input i are c - 2 * 3^i and c - 3^i,
and counting upward meets both halves before the whole. Functions go through in blocks of LANES, one SIMD lane each.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 16
_MIXED = 3  # what a subcube holds: 1 only zeros, 2 only ones, 3 both, so that halves combine by "or"


def tree_depths(bits: NDArray[np.uint8], n_inputs: int) -> NDArray[np.int16]:
    """Depth of the shallowest decision tree of each function: int16[size].

    Args:
        bits: uint8[size, 2^n_inputs], entries 0 and 1.
        n_inputs: n.

    Error: exact. Cost: n 3^(n - 1) steps a function; memory 3 * 3^n * LANES bytes.
    """
    values: NDArray[np.int16] = _swept(_best_trees, bits, n_inputs, np.int16, True)
    return values


def tree_leaves(bits: NDArray[np.uint8], n_inputs: int) -> NDArray[np.int16]:
    """Leaves of the decision tree of each function that has fewest: int16[size]; as `tree_depths`."""
    values: NDArray[np.int16] = _swept(_best_trees, bits, n_inputs, np.int16, False)
    return values


def tree_mixture_bits(bits: NDArray[np.uint8], n_inputs: int) -> NDArray[np.float64]:
    """-log2 of the probability of each function under the Bayesian mixture of decision trees: float64[size].

    Bit-identical under reordering and negating inputs: sums are rounded to a common grid before they are added.

    Args:
        bits: uint8[size, 2^n_inputs], entries 0 and 1.
        n_inputs: n, at most 10 (2^-1024 needs the scaling below).

    Error: relative 2e-14 a level. Cost: as `tree_depths`; memory 9 * 3^n * LANES bytes.
    """
    values: NDArray[np.float64] = _swept(_mixture, bits, n_inputs, np.float64, _scaled_leaves(n_inputs))
    return values


def _swept(sweep, bits, n_inputs, dtype, *settings):
    values = np.empty(len(bits), dtype)
    sweep(np.ascontiguousarray(bits), n_inputs, 3 ** np.arange(n_inputs, dtype=np.int64), *settings, values)
    return values


def _scaled_leaves(n_inputs):
    # Probability that a leaf gives a subcube of 2^k points with b ones, times 2^(2^k / 2): neither end leaves float64.
    scaled = np.zeros((n_inputs + 1, (1 << n_inputs) + 1))
    for k in range(n_inputs + 1):
        n_points = 1 << k
        for b in range(n_points + 1):
            ones, zeros = max(b, n_points - b), min(b, n_points - b)
            log_kt = math.lgamma(ones + 0.5) + math.lgamma(zeros + 0.5) - math.log(math.pi) - math.lgamma(n_points + 1)
            leaf = 0.5 * math.exp(log_kt + n_points / 2 * math.log(2))
            scaled[k, b] = leaf + (0.25 * 2.0 ** (n_points / 2) if zeros == 0 else 0.0)
    scaled[0] = math.sqrt(0.5)
    return scaled


@njit(cache=True, nogil=True)
def _free_inputs(powers):
    # Free inputs of every subcube, each given by its power of three: steps[starts[c] : starts[c + 1]].
    n_inputs = len(powers)
    n_cubes = 3**n_inputs
    starts = np.zeros(n_cubes + 1, np.int64)
    steps = np.empty(n_inputs * 3 ** (n_inputs - 1), np.int64)
    at = 0
    for c in range(n_cubes):
        for i in range(n_inputs):
            if c // powers[i] % 3 == 2:
                steps[at] = powers[i]
                at += 1
        starts[c + 1] = at
    return starts, steps


@njit(cache=True, nogil=True)
def _corners(powers):
    corners = np.zeros(1 << len(powers), np.int64)
    for x in range(len(corners)):
        for i in range(len(powers)):
            corners[x] += (x >> i & 1) * powers[i]
    return corners


@njit(cache=True, nogil=True)
def _best_trees(bits, n_inputs, powers, by_depth, values):
    starts, steps = _free_inputs(powers)
    corners = _corners(powers)
    n_cubes = len(starts) - 1
    a_leaf, a_node = (0, 1) if by_depth else (1, 0)
    holds = np.zeros((n_cubes, LANES), np.uint8)
    best = np.full((n_cubes, LANES), a_leaf, np.int16)
    for first in range(0, len(bits), LANES):
        n_lanes = min(LANES, len(bits) - first)
        for x in range(len(corners)):
            for lane in range(n_lanes):
                holds[corners[x], lane] = bits[first + lane, x] + 1
        for c in range(n_cubes):
            if starts[c] == starts[c + 1]:
                continue
            step = steps[starts[c]]
            for lane in range(LANES):
                holds[c, lane] = holds[c - step, lane] | holds[c - 2 * step, lane]
                best[c, lane] = 1 << n_inputs
            for at in range(starts[c], starts[c + 1]):
                step = steps[at]
                for lane in range(LANES):
                    one, other = best[c - step, lane], best[c - 2 * step, lane]
                    best[c, lane] = min(best[c, lane], max(one, other) if by_depth else one + other)
            for lane in range(LANES):
                best[c, lane] = best[c, lane] + a_node if holds[c, lane] == _MIXED else a_leaf
        for lane in range(n_lanes):
            values[first + lane] = best[n_cubes - 1, lane]


@njit(cache=True, nogil=True)
def _mixture(bits, n_inputs, powers, scaled_leaves, values):
    starts, steps = _free_inputs(powers)
    corners = _corners(powers)
    n_cubes = len(starts) - 1
    ones = np.zeros((n_cubes, LANES), np.int16)
    scaled = np.empty((n_cubes, LANES), np.float64)
    grid = np.empty(LANES, np.float64)
    total = np.empty(LANES, np.float64)
    for first in range(0, len(bits), LANES):
        n_lanes = min(LANES, len(bits) - first)
        for x in range(len(corners)):
            for lane in range(n_lanes):
                ones[corners[x], lane] = bits[first + lane, x]
            scaled[corners[x]] = scaled_leaves[0, 0]
        for c in range(n_cubes):
            n_free = starts[c + 1] - starts[c]
            if n_free == 0:
                continue
            step = steps[starts[c]]
            for lane in range(LANES):
                ones[c, lane] = ones[c - step, lane] + ones[c - 2 * step, lane]
                grid[lane] = 0.0
                total[lane] = 0.0
            for at in range(starts[c], starts[c + 1]):
                step = steps[at]
                for lane in range(LANES):
                    grid[lane] = max(grid[lane], scaled[c - step, lane] * scaled[c - 2 * step, lane])
            # Adding and taking away 64 times the largest rounds each product to one grid, on which sums are exact.
            for at in range(starts[c], starts[c + 1]):
                step = steps[at]
                for lane in range(LANES):
                    product = scaled[c - step, lane] * scaled[c - 2 * step, lane]
                    total[lane] += (product + 64.0 * grid[lane]) - 64.0 * grid[lane]
            for lane in range(LANES):
                scaled[c, lane] = 0.5 * scaled_leaves[n_free, ones[c, lane]] + (0.5 / n_free) * total[lane]
        for lane in range(n_lanes):
            values[first + lane] = (1 << n_inputs) / 2 - math.log2(scaled[n_cubes - 1, lane])
