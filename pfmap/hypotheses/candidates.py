"""Which functions to look at where simple ones are asked for: all of few gates, or those of random circuits."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain, combinations, permutations

import numpy as np

from pfmap.complexity.circuits import circuit_size_bound
from pfmap.complexity.tabulated import read_tables
from pfmap.errors import InvalidInput
from pfmap.streams import check_seed, generator
from pfmap.symmetry import NPN, Symmetry, canonicalize, check_group
from pfmap.tables import Cube, TruthTables, concatenate

_MOST_INPUTS, _LISTED = 5, 4
_GATES = np.array([[int(c) for c in f"{gate:04b}"] for gate in (1, 2, 4, 6, 7, 8, 9, 11, 13, 14)], np.uint8)
"""Tables of the two-input gates that read both operands."""


def simple_functions(n_inputs: int, max_gates: int, *, group: Collection[Symmetry] = NPN) -> TruthTables:
    """All functions of circuit size C at most max_gates, one of each orbit under a group.

    Circuit size is one number throughout an NPN class, P need not be: a network on {0,1}^n may prefer x_0 AND x_1 to
    x_0 NOR x_1. Pass what the map declares, `net.symmetry`, for one function of each P.

    Args:
        n_inputs: 1 to 5.
        max_gates: two-input gates, from 0 up. A function of five inputs whose C is known as a range counts as its end.
        group: symmetries; empty for every function.

    Returns:
        The functions by C, those of one C by their tables.

    Raises:
        InvalidInput: n_inputs or max_gates outside what is allowed, or a symmetry of another name.

    Error: exact. Cost: 0.05 s of four inputs; of five, that of `canonicalize` for the images under NPN of all classes
    of so few gates, 29 for three.

    Example:
        >>> [len(simple_functions(4, 3, group=group)) for group in (NPN, {"input_permutations", "complement"})]
        [29, 137]
        >>> simple_functions(2, 1, group={"input_permutations"}).strings()[4:]
        ['1000', '0010', '0110', '1110', '0001', '1001', '1011', '0111']
    """
    n, chosen = Cube(n_inputs).n_inputs, check_group(group) if group else frozenset()
    if n > _MOST_INPUTS:
        raise InvalidInput(
            f"simple_functions came with {n} inputs; all functions of few gates are known for at most {_MOST_INPUTS}; "
            "of more, take those of random circuits: random_circuits(n_inputs, n_gates, size)"
        )
    most = _count("max_gates", max_gates, 0)
    if n <= _LISTED:
        found = TruthTables.from_words(np.arange(1 << (1 << n), dtype=np.uint64)[:, None], Cube(n))
        found = found[circuit_size_bound(found) <= most]
    else:
        classes, bounds, _ = read_tables()
        found = TruthTables.from_words(classes[bounds >> 4 <= most].astype(np.uint64)[:, None], Cube(n))
        found = _images(found, NPN - chosen)
    found = canonicalize(found, group=chosen).representatives if chosen else found
    found = TruthTables.from_words(np.unique(found.words(), axis=0), Cube(n))
    return found[np.argsort(circuit_size_bound(found), kind="stable")]


def random_circuits(n_inputs: int, n_gates: int, size: int, *, seed: int = 0) -> TruthTables:
    """The distinct functions of random circuits: candidates of circuit size at most n_gates, for any number of inputs.

    Each gate is one of the ten that read both operands, and reads two different inputs or earlier gates, all choices
    equally likely; the last gate is the output.

    Args:
        n_inputs: 2 to 16.
        n_gates: at least 1.
        size: circuits.
        seed: 0 to 2^64 - 1.

    Returns:
        Their functions, at most `size`.

    Raises:
        InvalidInput: an argument outside what is allowed.

    Error: none. Cost: O(size n_gates 2^n).

    Example:
        >>> from pfmap import complexity
        >>> bool(complexity.circuit_size_bounds(random_circuits(6, 4, 100, seed=1))[0].max() <= 4)
        True
    """
    n = Cube(n_inputs).n_inputs
    if n < 2:
        raise InvalidInput("n_inputs is 1; a gate reads two different inputs, so random circuits need at least 2")
    gates, size = _count("n_gates", n_gates, 1), _count("size", size, 1)
    rng = generator(check_seed(seed), "random circuits")
    values = np.empty((n + gates, size, 1 << n), np.uint8)
    values[:n] = Cube(n).points().T[:, None, :]
    rows = np.arange(size)
    for gate in range(n, n + gates):
        one = rng.integers(gate, size=size)
        other = (one + rng.integers(1, gate, size=size)) % gate
        kind = _GATES[rng.integers(len(_GATES), size=size)]
        values[gate] = kind[rows[:, None], 2 * values[one, rows] + values[other, rows]]
    packed = TruthTables.from_bits(values[-1], Cube(n)).packed
    return TruthTables(Cube(n), np.unique(packed, axis=0))


def _images(tables: TruthTables, group: Collection[Symmetry]) -> TruthTables:
    # All images under the generators of NPN that the group holds.
    inputs = range(tables.n_inputs)
    if "complement" in group:
        tables = concatenate([tables, tables.complement()])
    if "input_flips" in group:
        subsets = chain.from_iterable(combinations(inputs, k) for k in range(len(inputs) + 1))
        tables = concatenate([tables.flip_inputs(which) for which in subsets])
    if "input_permutations" in group:
        tables = concatenate([tables.permute_inputs(order) for order in permutations(inputs)])
    return tables


def _count(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InvalidInput(f"{name} is {value!r}; it needs an int of at least {least}")
    return int(value)
