"""Threshold degree against published counts, functions of known degree, and a dual proof of impossibility."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from pfmap import Cube, IncompatibleTables, InvalidInput, Points, TruthTables, complexity
from pfmap.complexity import threshold
from pfmap.streams import generator


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


@pytest.mark.parametrize(("n", "linear"), [(1, 4), (2, 14), (3, 104), (4, 1882)])
def test_linear_threshold_functions_are_as_many_as_published(n, linear):
    """OEIS A000609; and only the two parities of all inputs need degree n."""
    degrees = complexity.threshold_degree(every_function(n))
    assert (degrees <= 1).sum() == linear
    assert (degrees == 0).sum() == 2
    if n > 1:
        parity = TruthTables.from_callables(lambda x: x.sum() % 2, n).ints()[0]
        assert np.flatnonzero(degrees == n).tolist() == sorted([parity, (1 << (1 << n)) - 1 - parity])


def test_integer_polynomials_with_small_coefficients_reach_the_degrees_of_three_inputs():
    """The slow definition: all signs that polynomials of degree d with coefficients -3 … 3 take, at n = 3."""
    x = Cube(3).points().astype(int)
    chi, size = 1 - 2 * (x @ x.T % 2), x.sum(axis=1)
    degrees = complexity.threshold_degree(every_function(3))
    for degree, largest in ((0, 1), (1, 2), (2, 2)):
        columns = chi[:, size <= degree]
        coefficients = np.array(list(itertools.product(range(-largest, largest + 1), repeat=columns.shape[1])))
        values = coefficients @ columns.T
        reached = np.unique((values[(values != 0).all(axis=1)] > 0) @ (1 << np.arange(8)))
        np.testing.assert_array_equal(reached, np.flatnonzero(degrees <= degree))


@pytest.mark.parametrize("n", [5, 6, 7])
def test_functions_of_known_degree(n):
    x = Cube(n).points().astype(int)
    known = {
        "majority": (x.sum(1) > n // 2, 1),
        "and of three": (x[:, 0] & x[:, 2] & x[:, -1], 1),
        "parity of three": (x[:, [0, 2, -1]].sum(1) % 2, 3),
        "parity": (x.sum(1) % 2, n),
        "not all equal": ((x.sum(1) > 0) & (x.sum(1) < n), 2),
        "symmetric with three changes": (np.isin(x.sum(1), [1, 2, n]), 3),
        "or of two ands": ((x[:, 0] & x[:, 1]) | (x[:, 2] & x[:, 3]), 2),
    }
    tables = TruthTables.from_bits(np.array([f for f, _ in known.values()]).astype(bool))
    np.testing.assert_array_equal(complexity.threshold_degree(tables), [d for _, d in known.values()])


@pytest.mark.parametrize("n", [4, 6])
def test_no_lower_degree_by_duality(n):
    """Gordan: no polynomial of degree < d fits exactly if f correlates with none under some distribution."""
    rng = generator(0, f"threshold-{n}")
    tables = TruthTables.from_bits(rng.random((25, 1 << n)) < rng.random((25, 1)))
    x = Cube(n).points().astype(int)
    chi, size = 1.0 - 2 * (x @ x.T % 2), x.sum(axis=1)
    for signs, degree in zip(2.0 * tables.bits() - 1, complexity.threshold_degree(tables), strict=True):
        for d in (degree - 1, degree):
            columns = signs[:, None] * chi[:, size <= d]
            distribution = linprog(
                np.zeros(1 << n),
                A_eq=np.column_stack([columns, np.ones(1 << n)]).T,
                b_eq=np.append(np.zeros(columns.shape[1]), 1),
            )
            assert (distribution.status == 0) == (d < degree)


@pytest.mark.parametrize("n", [4, 5])
def test_the_search_finds_what_linear_programs_do(n, monkeypatch):
    """Without a step of it all is left to the programs; and what neither finds is of degree n."""
    tables = TruthTables.from_bits(generator(1, f"threshold-{n}").random((60, 1 << n)) < 0.4)
    degrees = complexity.threshold_degree(tables)
    monkeypatch.setattr(threshold, "_STEPS", 0)
    np.testing.assert_array_equal(complexity.threshold_degree(tables), degrees)
    monkeypatch.setattr(threshold, "_represents", lambda *_: False)
    assert (complexity.threshold_degree(tables) == n).all()


def test_blocks_of_functions_are_put_together(monkeypatch):
    tables = TruthTables.from_bits(generator(2, "threshold").random((30, 32)) < 0.3)
    degrees = complexity.threshold_degree(tables)
    monkeypatch.setattr(threshold, "_BLOCK", 7)
    np.testing.assert_array_equal(complexity.threshold_degree(tables), degrees)


def test_at_most_the_fourier_degree():
    tables = TruthTables.from_bits(generator(0, "threshold").random((20, 32)) < 0.2)
    assert np.all(complexity.threshold_degree(tables) <= complexity.fourier_degree(tables))


def test_no_tables_and_other_domains():
    assert complexity.threshold_degree(every_function(2)[:0]).shape == (0,)
    with pytest.raises(InvalidInput, match=r"at most 7; use complexity\.fourier_degree"):
        complexity.threshold_degree(TruthTables.from_ints([1], 8))
    with pytest.raises(IncompatibleTables, match="cube"):
        complexity.threshold_degree(TruthTables.from_bits([[0, 1, 1]], Points(3)))
