"""Walks among circuits of one number of gates: all circuits that differ from one in a single gate, and on to another.

A circuit is uint8[gates, 3]: two operands by number, inputs first, and the gate, numbered as in `gate_sets`. Functions
are as there. What a walk reaches is a circuit, so a bound from above; what it misses proves nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pfmap.kernels.circuits import apply_gate
from pfmap.kernels.gate_sets import INPUTS

_STEPS = 30  # from one circuit whose neighbours are looked at to the next
_MOST_FOUND = 100_000


@njit(cache=True, nogil=True)
def _run(circuit, start, values):
    n_inputs = len(values) - len(circuit)
    for k in range(start, len(circuit)):
        values[n_inputs + k] = apply_gate(circuit[k, 2], values[circuit[k, 0]], values[circuit[k, 1]])
    return values[-1]


@njit(cache=True, nogil=True)
def _inputs_and_room(n_inputs, n_gates):
    values = np.zeros(n_inputs + n_gates, np.int64)
    values[:n_inputs] = INPUTS[len(INPUTS) - n_inputs :]
    return values


@njit(cache=True, nogil=True, inline="always")
def _is_marked(f, bitmap):
    return bitmap[f >> 4] >> (f >> 1 & 7) & 1 != 0


@njit(cache=True, nogil=True)
def explore(circuits, n_inputs, n_kinds, simpler, reached, seed):
    """Neighbours of each circuit that compute functions not yet reached; each circuit then walks on from there.

    Args:
        circuits: uint8[size, gates, 3]; each is replaced by the one that its walk ends at.
        n_inputs: of the circuits, 2 to 5.
        n_kinds: of gates, 5, or 4 without XOR.
        simpler: bitmap by f >> 1 of functions of fewer gates, which walks do not enter.
        reached: bitmap of functions that need no circuit; what is found is added.
        seed: of the walk, not 0.

    Returns:
        uint8[found, gates, 3], at most 100,000.
    """
    n_gates = circuits.shape[1]
    found = np.empty((_MOST_FOUND, n_gates, 3), np.uint8)
    values = _inputs_and_room(n_inputs, n_gates)
    state = np.uint64(seed)
    n_found = 0
    for row in range(len(circuits)):
        circuit = circuits[row]
        _run(circuit, 0, values)
        for k in range(n_gates):
            was_a, was_b, was = circuit[k, 0], circuit[k, 1], circuit[k, 2]
            for a in range(n_inputs + k):
                for b in range(a):
                    for which in range(n_kinds):
                        circuit[k, 0], circuit[k, 1], circuit[k, 2] = a, b, which
                        f = _run(circuit, k, values)
                        if not _is_marked(f, reached) and f != 0:
                            if n_found == len(found):
                                circuit[k, 0], circuit[k, 1], circuit[k, 2] = was_a, was_b, was
                                return found
                            reached[f >> 4] |= 1 << (f >> 1 & 7)
                            found[n_found] = circuit
                            n_found += 1
            circuit[k, 0], circuit[k, 1], circuit[k, 2] = was_a, was_b, was
            _run(circuit, k, values)
        taken = 0
        for _ in range(40 * _STEPS):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            bits = np.int64(state >> np.uint64(1))
            k = (bits & 0xFFFF) * n_gates >> 16
            was_a, was_b, was = circuit[k, 0], circuit[k, 1], circuit[k, 2]
            kind = bits >> 16 & 3
            other = (bits >> 18 & 0xFFFF) * (n_inputs + k) >> 16
            if kind == 0:
                circuit[k, 2] = (bits >> 34 & 0xFFFF) * n_kinds >> 16
            elif kind == 1:
                circuit[k, 0] = other
            elif kind == 2:
                circuit[k, 1] = other
            else:
                circuit[k, 0] = other
                circuit[k, 2] = (bits >> 34 & 0xFFFF) * n_kinds >> 16
            f = _run(circuit, k, values)
            if circuit[k, 0] == circuit[k, 1] or f == 0 or _is_marked(f, simpler):
                circuit[k, 0], circuit[k, 1], circuit[k, 2] = was_a, was_b, was
                _run(circuit, k, values)
                continue
            taken += 1
            if taken == _STEPS:
                break
    return found[:n_found]


@njit(cache=True, nogil=True)
def functions_of(circuits, n_inputs):
    """The function of each circuit: int64[size]."""
    functions = np.empty(len(circuits), np.int64)
    values = _inputs_and_room(n_inputs, circuits.shape[1])
    for row in range(len(circuits)):
        functions[row] = _run(circuits[row], 0, values)
    return functions


@njit(cache=True, nogil=True)
def random_circuits(n_inputs, n_kinds, rng, simpler, circuits):
    """Fill uint8[size, gates, 3] with random circuits, of functions that are not simpler."""
    n_gates = circuits.shape[1]
    values = _inputs_and_room(n_inputs, n_gates)
    row = 0
    while row < len(circuits):
        for k in range(n_gates):
            n = n_inputs + k
            a = int(n * rng.random())
            b = (a + 1 + int((n - 1) * rng.random())) % n
            circuits[row, k, 0], circuits[row, k, 1], circuits[row, k, 2] = a, b, int(n_kinds * rng.random())
        f = _run(circuits[row], 0, values)
        row += f != 0 and not _is_marked(f, simpler)
