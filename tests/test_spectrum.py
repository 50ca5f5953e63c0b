"""Fourier measures and algebraic normal forms against sums over all sets of inputs."""

import numpy as np
import pytest

from pfmap import Cube, IncompatibleTables, Points, TruthTables, complexity
from pfmap.streams import generator


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


def some_functions(n, size):
    rng = generator(0, f"spectrum-{n}")
    x = Cube(n).points().astype(int)
    rows = [x.sum(1) % 2, x.sum(1) > n // 2, x[:, 0], x[:, -1], x.all(1), x[:, 0] ^ (x[:, 1] & x[:, -1]), x[:, 0] * 0]
    noise = rng.random((size, 1 << n)) < rng.random((size, 1))
    return TruthTables.from_bits(np.concatenate([np.array(rows) != 0, noise]))


def characters(n):
    """Rows S, columns x: (-1)^(sum of x_i over i in S), and |S|."""
    x = Cube(n).points().astype(np.int64)
    return 1 - 2 * (x @ x.T % 2), x.sum(axis=1)


@pytest.mark.parametrize("n", range(1, 11))
def test_fourier_measures(n):
    tables = every_function(n) if n <= 3 else some_functions(n, 150)
    chi, size = characters(n)
    coefficients = (1 - 2 * tables.bits().astype(np.int64)) @ chi.T / (1 << n)
    squares = coefficients**2
    degree = [size[row != 0].max() for row in coefficients]
    np.testing.assert_array_equal(complexity.fourier_degree(tables), degree)
    np.testing.assert_array_equal(complexity.fourier_l1_norm(tables), np.abs(coefficients).sum(axis=1))
    np.testing.assert_array_equal(complexity.fourier_sparsity(tables), (coefficients != 0).sum(axis=1))
    np.testing.assert_allclose(complexity.total_influence(tables), squares @ size, rtol=1e-12)
    np.testing.assert_allclose(complexity.noise_sensitivity(tables), (1 - squares @ 0.5**size) / 2, atol=1e-14)


@pytest.mark.parametrize("n", [2, 5])
def test_noise_sensitivity_is_the_probability_it_says(n):
    """Exactly, by summing over all pairs of points."""
    tables = some_functions(n, 10)
    x = np.arange(1 << n)
    flipped = np.bitwise_count(x[:, None] ^ x)
    weight = 0.25**flipped * 0.75 ** (n - flipped) / (1 << n)
    differs = tables.bits()[:, :, None] != tables.bits()[:, None, :]
    np.testing.assert_allclose(complexity.noise_sensitivity(tables), (differs * weight).sum(axis=(1, 2)), atol=1e-14)


def test_the_most_inputs_stay_within_machine_integers():
    """At n = 14 the largest coefficient is that of a parity, 2^14."""
    x = Cube(14).points()
    parity = TruthTables.from_bits((x.sum(axis=1) % 2).astype(bool)[None])
    tables = TruthTables(Cube(14), np.concatenate([parity.packed, parity.complement().packed]))
    np.testing.assert_array_equal(complexity.fourier_degree(tables), 14)
    np.testing.assert_array_equal(complexity.fourier_l1_norm(tables), 1)
    np.testing.assert_array_equal(complexity.fourier_sparsity(tables), 1)
    np.testing.assert_array_equal(complexity.noise_sensitivity(tables), (1 - 2.0**-14) / 2)


def test_bent_functions_have_the_largest_norm():
    x = Cube(8).points().astype(int)
    bent = TruthTables.from_bits(((x[:, ::2] * x[:, 1::2]).sum(axis=1) % 2).astype(bool)[None])
    assert complexity.fourier_l1_norm(bent) == 16
    assert complexity.fourier_sparsity(bent) == 256


@pytest.mark.parametrize("n", range(1, 11))
def test_algebraic_normal_form(n):
    """The coefficient of the product of the inputs in S is the sum modulo 2 of f over all points within S."""
    tables = every_function(n) if n <= 3 else some_functions(n, 60)
    x = np.arange(1 << n)
    within = (x & ~x[:, None] == 0).astype(np.int64)
    form = tables.bits().astype(np.int64) @ within.T % 2
    np.testing.assert_array_equal(complexity.anf_terms(tables), form.sum(axis=1))
    degree = [max(np.bitwise_count(x[row == 1]), default=0) for row in form]
    np.testing.assert_array_equal(complexity.anf_degree(tables), degree)


def test_degree_is_full_where_the_weight_is_odd():
    tables = some_functions(16, 4)
    full = complexity.anf_degree(tables) == 16
    np.testing.assert_array_equal(full, tables.hamming_weight() % 2 == 1)


def test_points_have_no_spectrum():
    for measure in (complexity.fourier_degree, complexity.anf_degree, complexity.total_influence):
        with pytest.raises(IncompatibleTables, match="cube"):
            measure(TruthTables.from_bits([[0, 1, 1]], Points(3)))
