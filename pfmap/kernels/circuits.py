"""Exact tables over all 65,536 functions of four inputs: smallest circuits, formulas and depths.

A function is its integer, entry j at bit j; x_0 is 0xFF00 and x_3 is 0xAAAA. Gates have two inputs each, and NOT is
free, so a function and its complement cost the same and only one is searched: the normal one, 0 at the point 0 (even).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numba import njit
from numpy.typing import NDArray

INPUTS = np.array([0xFF00, 0xF0F0, 0xCCCC, 0xAAAA], np.int64)
MOST_GATES = 7
"""No function of four inputs needs more gates."""

_ALL = 0xFFFF
_UNKNOWN = 99


def smallest_circuits() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Gates of the smallest circuit of each function, and one such circuit as the functions of its gates in order.

    Every set of at most 5 gates that one more gate can complete is visited once, up to renaming and negating inputs:
    the first gate is x_0 and x_1 or their XOR. What 6 gates do not reach takes one more gate on an input.

    Returns:
        uint8[65536], and uint16[65536, 7] padded with 0, all gates normal.

    Error: exact. Cost: 2 s on one core.
    """
    best = np.full(_ALL + 1, _UNKNOWN, np.uint8)
    gates = np.zeros((_ALL + 1, MOST_GATES), np.uint16)
    best[0] = best[INPUTS] = 0
    for first in (INPUTS[0] & INPUTS[1], INPUTS[0] ^ INPUTS[1]):
        _visit_gate_sets(INPUTS, first, MOST_GATES - 1, best, gates)
    sizes, chains = _over_symmetries(best, gates, *_symmetries())
    _add_a_gate_on_an_input(INPUTS, sizes, chains)
    return _both_signs(sizes), _both_signs(chains)


def smallest_formulas(*, with_xor: bool) -> NDArray[np.uint8]:
    """Gates of the smallest formula, a circuit whose gates feed one gate each: uint8[65536].

    With XOR any gate of two inputs may stand; without, only AND and OR (of negated inputs or not).

    Error: exact. Cost: 0.03 s with XOR, 2 s without.
    """
    sizes: NDArray[np.uint8] = _both_signs(_formulas(INPUTS, 5 if with_xor else 4))
    return sizes


def smallest_depths() -> NDArray[np.uint8]:
    """Gates on the longest path of the circuit where that is shortest: uint8[65536].

    Error: exact. Cost: 0.01 s.
    """
    depths: NDArray[np.uint8] = _both_signs(_depths(INPUTS))
    return depths


def _both_signs(of_normal):
    odd = np.arange(1, _ALL + 1, 2)
    of_normal[odd] = of_normal[_ALL - odd]
    return of_normal


def _symmetries():
    # Images of the two bytes of a function under all 384 ways to permute and negate inputs.
    points = np.arange(16)
    x = points[:, None] >> np.arange(4) & 1
    low, high = [], []
    byte = np.arange(256)[:, None] >> np.arange(8) & 1
    for order in permutations(range(4)):
        for flips in range(16):
            image = (x[:, list(order)] << np.arange(4)).sum(1) ^ flips
            low.append(byte @ (1 << image[:8]))
            high.append(byte @ (1 << image[8:]))
    return np.array(low), np.array(high)


@njit(cache=True, nogil=True, inline="always")
def apply_gate(which, f, g):
    """One of the five gates of two functions, up to their complements: AND, twice AND NOT, OR, XOR."""
    if which == 0:
        return f & g
    if which == 1:
        return f & ~g
    if which == 2:
        return ~f & g
    if which == 3:
        return f | g
    return f ^ g


@njit(cache=True, nogil=True)
def _visit_gate_sets(inputs, first, most_gates, best, gates):
    n_inputs = len(inputs)
    chosen = np.zeros(n_inputs + most_gates, np.int64)
    chosen[:n_inputs] = inputs
    chosen[n_inputs] = first
    seen = np.zeros(_ALL + 1, np.bool_)
    seen[0] = seen[first] = True
    seen[inputs] = True
    best[first] = 1
    gates[first] = 0
    gates[first, 0] = first
    # candidates[d, :n_candidates[d]] may come next after d gates; those from fresh[d] on are computable only since d.
    candidates = np.empty((most_gates, 2000), np.int64)
    n_candidates = np.zeros(most_gates, np.int64)
    fresh = np.zeros(most_gates, np.int64)
    at = np.zeros(most_gates, np.int64)
    for i in range(n_inputs + 1):
        for j in range(i):
            for which in range(5):
                g = apply_gate(which, chosen[i], chosen[j])
                _reach(g, 1, chosen, n_inputs, best, gates)
                if not seen[g]:
                    seen[g] = True
                    candidates[1, n_candidates[1]] = g
                    n_candidates[1] += 1
    d = 1
    while d > 0:
        if at[d] == n_candidates[d]:
            for t in range(fresh[d], n_candidates[d]):
                seen[candidates[d, t]] = False
            d -= 1
            continue
        f = candidates[d, at[d]]
        at[d] += 1
        n_chosen = n_inputs + d
        chosen[n_chosen] = f
        if d + 2 == most_gates:
            for j in range(n_chosen):
                for which in range(5):
                    _reach(apply_gate(which, f, chosen[j]), d + 1, chosen, n_inputs, best, gates)
            continue
        # Candidates passed over stay marked as seen, so that each set of gates comes up once.
        n_left = n_candidates[d] - at[d]
        candidates[d + 1, :n_left] = candidates[d, at[d] : n_candidates[d]]
        fresh[d + 1], n_candidates[d + 1], at[d + 1] = n_left, n_left, 0
        for j in range(n_chosen):
            for which in range(5):
                g = apply_gate(which, f, chosen[j])
                _reach(g, d + 1, chosen, n_inputs, best, gates)
                if not seen[g]:
                    seen[g] = True
                    candidates[d + 1, n_candidates[d + 1]] = g
                    n_candidates[d + 1] += 1
        d += 1


@njit(cache=True, nogil=True, inline="always")
def _reach(f, n_gates_before, chosen, n_inputs, best, gates):
    if best[f] > n_gates_before + 1:
        best[f] = n_gates_before + 1
        gates[f] = 0
        for k in range(n_gates_before):
            gates[f, k] = chosen[n_inputs + k]
        gates[f, n_gates_before] = f


@njit(cache=True, nogil=True)
def _over_symmetries(best, gates, low, high):
    sizes = best.copy()
    chains = gates.copy()
    for f in range(0, len(best), 2):
        if best[f] == _UNKNOWN:
            continue
        for s in range(len(low)):
            image = low[s, f & 255] | high[s, f >> 8]
            image = _ALL - image if image & 1 else image
            if sizes[image] > best[f]:
                sizes[image] = best[f]
                chains[image] = 0
                for k in range(best[f]):
                    gate = np.int64(gates[f, k])
                    moved = low[s, gate & 255] | high[s, gate >> 8]
                    chains[image, k] = _ALL - moved if moved & 1 else moved
    return sizes, chains


@njit(cache=True, nogil=True)
def _add_a_gate_on_an_input(inputs, sizes, chains):
    for f in range(0, len(sizes), 2):
        if sizes[f] == MOST_GATES - 1:
            for x in inputs:
                for which in range(5):
                    g = apply_gate(which, f, x)
                    if sizes[g] == _UNKNOWN:
                        sizes[g] = MOST_GATES
                        chains[g] = chains[f]
                        chains[g, MOST_GATES - 1] = g


@njit(cache=True, nogil=True)
def _formulas(inputs, n_kinds):
    n_normal = (_ALL + 1) // 2
    sizes = np.full(_ALL + 1, _UNKNOWN, np.uint8)
    listed = np.empty(n_normal, np.int64)  # by size: those of k gates are listed[starts[k] : starts[k + 1]]
    starts = np.zeros(n_normal + 1, np.int64)
    sizes[0] = 0
    n_listed = 0
    for x in inputs:
        sizes[x] = 0
        listed[n_listed] = x
        n_listed += 1
    starts[1] = n_listed
    k = 0
    while n_listed < n_normal - 1:
        k += 1
        for one in range((k - 1) // 2 + 1):
            other = k - 1 - one
            for i in range(starts[one], starts[one + 1]):
                for j in range(starts[other], starts[other + 1]):
                    for which in range(n_kinds):
                        f = apply_gate(which, listed[i], listed[j])
                        if sizes[f] > k:
                            sizes[f] = k
                            listed[n_listed] = f
                            n_listed += 1
        starts[k + 1] = n_listed
    return sizes


@njit(cache=True, nogil=True)
def _depths(inputs):
    n_normal = (_ALL + 1) // 2
    depths = np.full(_ALL + 1, _UNKNOWN, np.uint8)
    listed = np.empty(n_normal, np.int64)
    depths[0] = 0
    n_listed = 0
    for x in inputs:
        depths[x] = 0
        listed[n_listed] = x
        n_listed += 1
    d, n_old = 0, 0
    while n_listed < n_normal - 1:
        d += 1
        n_shallower = n_listed
        for i in range(n_old, n_shallower):
            for j in range(i):
                for which in range(5):
                    f = apply_gate(which, listed[i], listed[j])
                    if depths[f] > d:
                        depths[f] = d
                        listed[n_listed] = f
                        n_listed += 1
            if n_listed == n_normal - 1:
                break
        n_old = n_shallower
    return depths
