"""Smallest decision diagrams against diagrams built in every order, and against sizes known in closed form."""

from itertools import permutations

import numpy as np
import pytest

from pfmap import Cube, TruthTables, complexity
from pfmap.streams import generator


def nodes_in_order(s):
    """Decision nodes of the reduced diagram of a truth table string, its inputs read from x_0 on."""
    unique = {}

    def node_of(s):
        if len(s) == 1:
            return s
        zero, one = node_of(s[: len(s) // 2]), node_of(s[len(s) // 2 :])
        return zero if zero == one else unique.setdefault((len(s), zero, one), len(unique))

    node_of(s)
    return len(unique)


def smallest_by_all_orders(tables):
    orders = permutations(range(tables.n_inputs))
    return np.min([[nodes_in_order(s) for s in tables.permute_inputs(o).strings()] for o in orders], axis=0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_few_inputs(n):
    tables = TruthTables.from_ints(range(1 << (1 << n)), n)
    np.testing.assert_array_equal(complexity.robdd_size(tables), smallest_by_all_orders(tables))


@pytest.mark.parametrize(("n", "size"), [(4, 60), (5, 20), (6, 4)])
def test_random_functions(n, size):
    rng = generator(0, f"bdd-{n}")
    tables = TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))
    np.testing.assert_array_equal(complexity.robdd_size(tables), smallest_by_all_orders(tables))


@pytest.mark.parametrize("n", [6, 7, 8, 10, 12])
def test_functions_whose_diagrams_are_known(n):
    x = Cube(n).points().astype(int)
    # Disjoint pairs need n nodes in a good order and 2^(n / 2 + 1) - 2 in the worst, which the table's own order is.
    pairs = np.max([x[:, i] & x[:, i + n // 2] for i in range(n // 2)], axis=0)
    threshold = x.sum(1) >= 3
    rows = [np.zeros(1 << n), x[:, 2], x.min(1), x.sum(1) % 2, pairs, threshold]
    tables = TruthTables.from_bits(np.array(rows, bool))
    assert nodes_in_order(tables.strings()[4]) == 2 * (1 << n // 2) - 2
    # At least k of n: a grid of k by n - k + 1 nodes.
    np.testing.assert_array_equal(complexity.robdd_size(tables), [0, 1, n, 2 * n - 1, n // 2 * 2, 3 * (n - 2)])
