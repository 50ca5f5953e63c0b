"""Sensitivities, certificates and Franco's complexity against their definitions, point by point."""

import itertools

import numpy as np
import pytest

from pfmap import Cube, IncompatibleTables, InvalidInput, Points, TruthTables, complexity
from pfmap.streams import generator


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


def some_functions(n, size):
    rng = generator(0, f"locality-{n}")
    x = Cube(n).points().astype(int)
    rows = [x.sum(1) % 2, x.sum(1) > n // 2, x[:, 0], x[:, -1], x.all(1), x[:, 0] ^ (x[:, 1] & x[:, -1]), x[:, 0] * 0]
    noise = rng.random((size, 1 << n)) < rng.random((size, 1))
    return TruthTables.from_bits(np.concatenate([np.array(rows) != 0, noise]))


def sensitivity_at(f, n):
    return [sum(int(f[x] != f[x ^ 1 << k]) for k in range(n)) for x in range(1 << n)]


def pairs_differing(f, n, distance):
    pairs = [(x, y) for x in range(1 << n) for y in range(1 << n) if (x ^ y).bit_count() == distance]
    return np.mean([f[x] != f[y] for x, y in pairs]) if pairs else 0.0


def certificate_at(f, n, x):
    for size in range(n + 1):
        for shown in itertools.combinations(range(n), size):
            mask = sum(1 << k for k in shown)
            if len({int(f[y]) for y in range(1 << n) if (x ^ y) & mask == 0}) == 1:
                return size
    raise AssertionError("all inputs shown fix the value")


def most_disjoint(blocks):
    if not blocks:
        return 0
    first, others = blocks[0], blocks[1:]
    return max(most_disjoint(others), 1 + most_disjoint([b for b in others if not b & first]))


def block_sensitivity_at(f, n, x):
    sensitive = [b for b in range(1, 1 << n) if f[x] != f[x ^ b]]
    return most_disjoint([b for b in sensitive if not any(c != b and c & b == c for c in sensitive)])


@pytest.mark.parametrize("n", range(1, 11))
def test_sensitivities_and_neighbouring_pairs(n):
    tables = every_function(n) if n <= 3 else some_functions(n, 30 if n < 9 else 4)
    if n > 7:
        tables = tables[:10]
    rows = tables.bits()
    sensitivities = np.array([sensitivity_at(f, n) for f in rows])
    np.testing.assert_array_equal(complexity.average_sensitivity(tables), sensitivities.mean(axis=1))
    np.testing.assert_array_equal(complexity.max_sensitivity(tables), sensitivities.max(axis=1))
    np.testing.assert_array_equal(complexity.critical_sample_ratio(tables), (sensitivities > 0).mean(axis=1))
    few = slice(None) if n <= 6 else slice(3)
    franco = [pairs_differing(f, n, 1) + pairs_differing(f, n, 2) for f in rows[few]]
    np.testing.assert_allclose(complexity.generalization_complexity(tables)[few], franco, rtol=1e-14)


@pytest.mark.parametrize("n", [12, 15])
def test_more_inputs_by_arrays(n):
    tables = some_functions(n, 2)
    bits, x = tables.bits(), np.arange(1 << n)
    flips = [bits != bits[:, x ^ 1 << k] for k in range(n)]
    sensitivities = np.sum(flips, axis=0)
    np.testing.assert_array_equal(complexity.max_sensitivity(tables), sensitivities.max(axis=1))
    np.testing.assert_array_equal(complexity.critical_sample_ratio(tables), (sensitivities > 0).mean(axis=1))
    second = [bits != bits[:, x ^ 1 << k ^ 1 << j] for k in range(n) for j in range(k)]
    franco = np.mean(flips, axis=(0, 2)) + np.mean(second, axis=(0, 2))
    np.testing.assert_allclose(complexity.generalization_complexity(tables), franco, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_certificates_and_blocks(n):
    tables = every_function(n) if n <= 3 else some_functions(n, 40 if n == 4 else 8)
    certificates = [max(certificate_at(f, n, x) for x in range(1 << n)) for f in tables.bits()]
    np.testing.assert_array_equal(complexity.certificate_complexity(tables), certificates)
    blocks = [max(block_sensitivity_at(f, n, x) for x in range(1 << n)) for f in tables.bits()]
    np.testing.assert_array_equal(complexity.block_sensitivity(tables), blocks)


@pytest.mark.parametrize("n", [6, 7])
def test_certificates_and_blocks_of_two_words(n):
    """Functions of certificates too long for the slow search, where the answer is known."""
    x = Cube(n).points().astype(int)
    known = {
        "parity": (x.sum(1) % 2, n, n),
        "and": (x.all(1), n, n),
        "address": (np.where(x[:, 0] == 1, x[:, 1], x[:, n - 1]), 2, 2),
        "first and last": (x[:, 0] & x[:, n - 1], 2, 2),
        "majority": (x.sum(1) > n // 2, n // 2 + 1, n // 2 + 1),
        "not all equal": ((x.sum(1) > 0) & (x.sum(1) < n), n, n),
    }
    tables = TruthTables.from_bits(np.array([f for f, _, _ in known.values()]).astype(bool))
    np.testing.assert_array_equal(complexity.certificate_complexity(tables), [c for _, c, _ in known.values()])
    np.testing.assert_array_equal(complexity.block_sensitivity(tables), [b for _, _, b in known.values()])
    rows = some_functions(n, 3)[7:]
    slow = [max(certificate_at(f, n, x) for x in range(1 << n)) for f in rows.bits()]
    np.testing.assert_array_equal(complexity.certificate_complexity(rows), slow)
    sparse = TruthTables.from_bits(generator(0, "sparse").random((3, 1 << n)) < 0.03)
    slow = [max(block_sensitivity_at(f, n, x) for x in range(1 << n)) for f in sparse.bits()]
    np.testing.assert_array_equal(complexity.block_sensitivity(sparse), slow)


def test_an_idle_input_changes_nothing_but_the_fractions():
    """x_0 goes to the top word and to the top index bit: f of 6 inputs seen as a function of 7."""
    six = some_functions(6, 20)
    seven = TruthTables.from_bits(np.concatenate([six.bits(), six.bits()], axis=1))
    for of in (
        complexity.average_sensitivity,
        complexity.max_sensitivity,
        complexity.critical_sample_ratio,
        complexity.certificate_complexity,
        complexity.block_sensitivity,
    ):
        np.testing.assert_array_equal(of(six), of(seven))


def test_order_of_the_measures():
    """s <= bs <= C <= s bs (Nisan 1991)."""
    tables = some_functions(7, 200)
    s, bs = complexity.max_sensitivity(tables), complexity.block_sensitivity(tables)
    c = complexity.certificate_complexity(tables)
    assert np.all((s <= bs) & (bs <= c) & (c <= s * bs))


def test_known_values():
    x = Cube(7).points()
    tables = TruthTables.from_bits(np.array([x.sum(1) % 2, x.sum(1) > 3, x[:, 0]]).astype(bool))
    np.testing.assert_array_equal(complexity.average_sensitivity(tables), [7, 70 * 4 / 128, 1])
    np.testing.assert_array_equal(complexity.generalization_complexity(tables)[[0, 2]], [1, 1 / 7 + 2 / 7])


@pytest.mark.parametrize(
    "name",
    [
        "average_sensitivity",
        "max_sensitivity",
        "critical_sample_ratio",
        "generalization_complexity",
        "certificate_complexity",
        "block_sensitivity",
    ],
)
def test_points_have_no_neighbours(name):
    with pytest.raises(IncompatibleTables, match="cube"):
        getattr(complexity, name)(TruthTables.from_bits([[0, 1, 1]], Points(3)))


def test_beyond_seven_inputs_certificates_name_an_alternative():
    with pytest.raises(InvalidInput, match=r"at most 7; use complexity\.max_sensitivity"):
        complexity.block_sensitivity(some_functions(8, 1))
