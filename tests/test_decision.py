"""Decision trees against their recursions written out, in exact fractions for the mixture."""

from fractions import Fraction
from functools import cache
from math import log2, prod

import numpy as np
import pytest

from pfmap import Cube, IncompatibleTables, Points, TruthTables, complexity
from pfmap.kernels.lattice import LANES
from pfmap.streams import generator


def halves(s):
    """Both restrictions of a truth table string, for each of its inputs."""
    width = len(s)
    while width > 1:
        zero = "".join(s[at : at + width // 2] for at in range(0, len(s), width))
        one = "".join(s[at + width // 2 : at + width] for at in range(0, len(s), width))
        yield zero, one
        width //= 2


@cache
def depth(s):
    return 0 if len(set(s)) == 1 else 1 + min(max(depth(zero), depth(one)) for zero, one in halves(s))


@cache
def leaves(s):
    return 1 if len(set(s)) == 1 else min(leaves(zero) + leaves(one) for zero, one in halves(s))


def krichevsky_trofimov(s):
    """Symbol by symbol: the next is b with probability (b's so far + 1/2) / (symbols so far + 1)."""
    return prod((Fraction(s[:at].count(b)) + Fraction(1, 2)) / (at + 1) for at, b in enumerate(s))


@cache
def mixture(s):
    if len(s) == 1:
        return Fraction(1, 2)
    leaf = krichevsky_trofimov(s) / 2 + Fraction(len(set(s)) == 1, 4)
    splits = [mixture(zero) * mixture(one) for zero, one in halves(s)]
    return leaf / 2 + sum(splits) / len(splits) / 2


def bits_of(probability):
    return log2(probability.denominator) - log2(probability.numerator)


def assert_as_defined(tables):
    strings = tables.strings()
    np.testing.assert_array_equal(complexity.decision_tree_depth(tables), [depth(s) for s in strings])
    np.testing.assert_array_equal(complexity.decision_tree_size(tables), [leaves(s) for s in strings])
    expected = [bits_of(mixture(s)) for s in strings]
    np.testing.assert_allclose(complexity.decision_tree_mixture(tables), expected, rtol=0, atol=1e-11)


def some_functions(n, size):
    rng = generator(0, f"decision-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_few_inputs(n):
    assert_as_defined(TruthTables.from_ints(range(1 << (1 << n)), n))


@pytest.mark.parametrize(("n", "size"), [(4, 200), (5, LANES + 1), (6, LANES - 1), (7, 4)])
def test_random_functions(n, size):
    assert_as_defined(some_functions(n, size))


@pytest.mark.parametrize("n", [8, 9, 10])
def test_functions_whose_trees_are_known(n):
    x = Cube(n).points().astype(int)
    rows = [np.zeros(1 << n), np.ones(1 << n), x[:, 3], x.min(1), x.sum(1) % 2]
    address = np.where(x[:, 0], np.where(x[:, 1], x[:, 2], x[:, 3]), np.where(x[:, 1], x[:, 4], x[:, 5]))
    tables = TruthTables.from_bits(np.array([*rows, address], bool))
    np.testing.assert_array_equal(complexity.decision_tree_depth(tables), [0, 0, 1, n, n, 3])
    np.testing.assert_array_equal(complexity.decision_tree_size(tables), [1, 1, 2, n + 1, 1 << n, 8])


def test_mixture_of_a_constant_at_ten_inputs():
    """All subcubes of one size of a constant are alike, so exact fractions reach n = 10."""
    probability = Fraction(1, 2)
    for k in range(1, 11):
        kt = prod(Fraction(2 * at + 1, 2 * at + 2) for at in range(1 << k))
        probability = (kt / 2 + Fraction(1, 4)) / 2 + probability**2 / 2
    tables = TruthTables.from_ints([0, (1 << 1024) - 1], 10)
    np.testing.assert_allclose(complexity.decision_tree_mixture(tables), bits_of(probability), atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_mixture_is_a_distribution(n):
    lengths = complexity.decision_tree_mixture(TruthTables.from_ints(range(1 << (1 << n)), n))
    assert abs(np.exp2(-lengths).sum() - 1) < 1e-12


@pytest.mark.parametrize("n", [7, 10])
def test_mixture_keeps_every_bit_when_inputs_move(n):
    tables = some_functions(n, 40)
    order = generator(0, "decision-order").permutation(n)
    moved = tables.permute_inputs(list(order)).flip_inputs(range(0, n, 2)).complement()
    np.testing.assert_array_equal(complexity.decision_tree_mixture(moved), complexity.decision_tree_mixture(tables))


def test_random_functions_of_ten_inputs_cost_a_little_more_than_their_table():
    lengths = complexity.decision_tree_mixture(
        TruthTables.from_bits(generator(0, "decision-noise").random((20, 1024)) < 0.5)
    )
    assert np.all((lengths > 1015) & (lengths < 1040))


def test_points_are_no_cube():
    tables = TruthTables.from_strings(["0110"], Points(4))
    with pytest.raises(IncompatibleTables, match="all points of a cube"):
        complexity.decision_tree_depth(tables)
