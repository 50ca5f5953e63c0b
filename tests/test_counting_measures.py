"""Entropy, distance to the constants and the type code against their definitions."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pfmap import Cube, Points, TruthTables, complexity


def weights_up_to(m, domain=None):
    """One table of m entries for each number of ones."""
    return TruthTables.from_bits(np.arange(m) < np.arange(m + 1)[:, None], domain)


@pytest.mark.parametrize("m", [2, 4, 128, 1024])
def test_every_weight_matches_the_definitions(m):
    tables = weights_up_to(m)
    p = np.arange(m + 1) / m
    h = [-sum(q * math.log2(q) for q in (x, 1 - x) if q) for x in p]
    np.testing.assert_allclose(complexity.entropy(tables), h, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(complexity.distance_to_constant(tables), [min(t, m - t) for t in range(m + 1)])
    code = [math.log2(m + 1) + math.log2(math.comb(m, t)) for t in range(m + 1)]
    np.testing.assert_allclose(complexity.type_code(tables), code, rtol=1e-12)


def test_extremes_are_exact():
    tables = TruthTables.from_ints([0, 2**128 - 1, 2**64 - 1], 7)
    np.testing.assert_array_equal(complexity.entropy(tables), [0, 0, 1])
    assert (complexity.type_code(tables)[:2] == np.log2(129)).all()


def test_points_have_the_same_measures():
    """Kraft's sum of the type code over all functions on 5 points is 1."""
    every = TruthTables.from_bits(list(itertools.product([0, 1], repeat=5)), Points(5))
    assert np.exp2(-complexity.type_code(every)).sum() == pytest.approx(1, abs=1e-12)
    assert complexity.entropy(every).max() == pytest.approx(-0.4 * math.log2(0.4) - 0.6 * math.log2(0.6))
    assert complexity.distance_to_constant(every).max() == 2


def test_sixteen_inputs():
    half = TruthTables.from_bits(np.arange(1 << 16)[None] % 2 == 0, Cube(16))
    expected = math.log2(65537) + math.log2(math.comb(1 << 16, 1 << 15))
    assert complexity.type_code(half) == pytest.approx(expected, rel=1e-12)


def test_rank_correlation_with_circuit_size_over_all_functions_of_four_inputs():
    """Published: entropy .19, C_LZ .21, the tree mixture .56; pooled networks instead show .87 and more."""
    every = TruthTables.from_ints(range(1 << 16), 4)
    size = complexity.circuit_size(every)
    for measure, published in (
        (complexity.entropy, 0.19),
        (complexity.lempel_ziv, 0.21),
        (complexity.decision_tree_mixture, 0.56),
    ):
        assert stats.spearmanr(size, measure(every)).statistic == pytest.approx(published, abs=0.005)
