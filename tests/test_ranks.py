"""Ranks against counting one function at a time, against sums that are known, and as a code."""

import math

import numpy as np
import pytest

from pfmap import Cube, InvalidInput, TruthTables, complexity
from pfmap.complexity import ComplexityMeasure, rank_code
from pfmap.streams import generator
from pfmap.tables import Points

MEASURES = [m for m in vars(complexity).values() if isinstance(m, ComplexityMeasure) and not isinstance(m, type)]
OF_FIVE_INPUTS = [12, 100, 1140, 11570, 109826, 995240, 8430800, 63401728, 383877392, 1519125536, 2123645248]
OF_FIVE_INPUTS += [195366784, 1920]
"""Functions with C = 0 to 12; Knuth, The Art of Computer Programming 4A, section 7.1.2."""


def every_function(domain):
    return TruthTables.from_words(np.arange(1 << domain.n_points, dtype=np.uint64)[:, None], domain)


def counted(values):
    """log2 of the number of values that are no larger, up to rounding."""
    return np.log2([np.count_nonzero(values <= v + 1e-9) for v in values])


@pytest.mark.parametrize("measure", [m for m in MEASURES if m.min_inputs <= 3], ids=lambda m: m.name)
def test_a_rank_counts_the_functions_that_are_no_more_complex(measure):
    for n in (2, 3):
        if measure.min_inputs <= n:
            everything = every_function(Cube(n))
            np.testing.assert_allclose(rank_code(everything, measure), counted(measure(everything)), rtol=1e-15)


def test_published_counts_of_circuits():
    everything = every_function(Cube(4))
    exact = np.log2(np.cumsum([10, 60, 456, 2474, 10624, 24184, 25008, 2720]))
    found = rank_code(everything, complexity.circuit_size)
    np.testing.assert_array_equal(found, exact[complexity.circuit_size(everything).astype(int)])
    some = generator(0, "ranks").permutation(1 << 16)[:99]
    np.testing.assert_array_equal(rank_code(everything[some], complexity.circuit_size), found[some])


def test_values_that_rounding_alone_tells_apart_share_a_level():
    def tenths(tables):
        first, second, other, _ = tables.bits().T
        return np.where(other == 1, 0.1 * first + 0.2 * second, (first + 2 * second) / 10)

    everything = every_function(Cube(2))
    assert len(np.unique(tenths(everything))) == 5  # 0.1 + 0.2 is not 0.3
    np.testing.assert_array_equal(np.unique(rank_code(everything, tenths)), np.log2([4, 8, 12, 16]))


OF_WEIGHT = [complexity.distance_to_constant, complexity.entropy, complexity.type_code]
KNOWN = [*OF_WEIGHT, complexity.anf_terms, complexity.anf_degree]


@pytest.mark.parametrize("measure", KNOWN, ids=lambda m: m.name)
def test_what_is_known_beyond_agrees_with_counting_below(measure, monkeypatch):
    domains = [Cube(n) for n in (1, 2, 3, 4)]
    if measure in OF_WEIGHT:
        domains += [Points(m) for m in (1, 3, 5, 10)]
    for domain in domains:
        everything = every_function(domain)
        by_counting = rank_code(everything, measure)
        with monkeypatch.context() as patched:
            patched.setattr("pfmap.complexity.ranks.MAX_COUNTED_POINTS", 0)
            np.testing.assert_allclose(rank_code(everything, measure), by_counting, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [5, 7, 12, 16])
def test_known_sums_of_many_inputs(n):
    m = 1 << n
    weights = [0, 1, 2, m // 2 - 1, m // 2, m - 1]
    tables = TruthTables.from_bits(np.arange(m) < np.array(weights)[:, None])
    subsets = [sum(math.comb(m, i) for i in range(k + 1)) for k in (0, 1, 2)]
    bits = [*(1 + math.log2(s) for s in subsets), math.log2(2**m - math.comb(m, m // 2)), m, 1 + math.log2(m + 1)]
    for measure in OF_WEIGHT:
        np.testing.assert_allclose(rank_code(tables, measure), bits, rtol=1e-14)
    x = Cube(n).points().astype(int)
    # 0; 1; x_0; parity, which has n terms of degree 1; AND, one of degree n; OR, all terms but 1.
    rows = np.array([0 * x[:, 0], 1 + 0 * x[:, 0], x[:, 0], x.sum(1) % 2, x.min(1), x.max(1)], bool)
    polynomials = TruthTables.from_bits(rows)
    np.testing.assert_array_equal(rank_code(polynomials, complexity.anf_degree), [1, 1, n + 1, n + 1, m, m])
    terms = [0, math.log2(1 + m), math.log2(1 + m)]
    terms += [math.log2(sum(math.comb(m, i) for i in range(n + 1))), terms[1], math.log2(2**m - 1)]
    np.testing.assert_allclose(rank_code(polynomials, complexity.anf_terms), terms, rtol=1e-14)


def test_circuits_of_five_inputs():
    """As far as circuit_size reaches, the ranks are those of the published counts."""
    x = Cube(5).points().astype(int)
    tables = TruthTables.from_bits(np.array([0 * x[:, 0], x[:, 4], x[:, 0] & x[:, 1], x.min(1), x.sum(1) % 2], bool))
    if complexity.circuit_size.max_inputs < 5:
        with pytest.raises(InvalidInput, match="circuit_size_bounds"):
            rank_code(tables, complexity.circuit_size)
    else:
        up_to = np.cumsum(OF_FIVE_INPUTS)
        assert up_to[-1] == 2**32
        np.testing.assert_array_equal(rank_code(tables, complexity.circuit_size), np.log2(up_to[[0, 0, 1, 4, 4]]))


@pytest.mark.parametrize("measure", [m for m in MEASURES if m.min_inputs <= 3], ids=lambda m: m.name)
def test_it_is_no_code_but_for_a_known_number_of_bits(measure):
    """The sum of 2^-R is that of n_k / N_k over levels: 1 or more; R plus its logarithm is a complete code."""
    bits = rank_code(every_function(Cube(3)), measure)
    up_to = np.unique(np.exp2(bits))
    levels = np.diff(up_to, prepend=0) / up_to
    kraft = np.exp2(-bits).sum()
    assert kraft == pytest.approx(levels.sum(), rel=1e-12)
    assert 1 <= kraft <= 1 + 8 * np.log(2)
    assert np.exp2(-(bits + np.log2(kraft))).sum() == pytest.approx(1, rel=1e-12)


def test_the_sum_over_a_code_quoted_for_circuits():
    bits = rank_code(every_function(Cube(4)), complexity.circuit_size)
    assert round(np.exp2(-bits).sum(), 2) == 5.41


def test_measures_of_one_s_own_and_plain_functions():
    calls = []

    def ones(tables):
        calls.append(len(tables))
        return tables.hamming_weight()

    mine = complexity.measure(unit="ones", invariance={"input_permutations"}, is_code_length=False)(ones)
    tables = TruthTables.from_strings(["0000", "0110", "1111"])
    for _ in range(2):
        np.testing.assert_array_equal(rank_code(tables, mine), np.log2([1, 11, 16]))
    assert calls == [16]  # counted once
    for _ in range(2):
        np.testing.assert_array_equal(rank_code(tables, ones), np.log2([1, 11, 16]))
    assert calls == [16, 16, 16]
    np.testing.assert_array_equal(rank_code(tables, lambda t: [0] * len(t)), [4, 4, 4])
    assert rank_code(tables[:0], mine).shape == (0,)
    rank_code(tables, mine)[:] = 0  # the caller's own
    np.testing.assert_array_equal(rank_code(tables, mine), np.log2([1, 11, 16]))


def test_points_are_counted_too():
    everything = every_function(Points(5))
    np.testing.assert_allclose(
        rank_code(everything, complexity.distance_to_constant),
        counted(complexity.distance_to_constant(everything)),
    )


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ("lempel_ziv", r"came with 'lempel_ziv' for a measure; it needs a function"),
        (lambda tables: [1.0, 2.0], r"returned \[1.0, 2.0\] .* needs float\[16\]"),
        (lambda tables: np.full(len(tables), np.nan), "one finite number each"),
        (lambda tables: tables.strings()[0], "one finite number each"),
        (lambda tables: ["a"] * len(tables), "one finite number each"),
    ],
)
def test_other_things_are_no_measure(wrong, match):
    with pytest.raises(InvalidInput, match=match):
        rank_code(TruthTables.from_strings(["0110"]), wrong)


def test_refuses_tables_it_cannot_count():
    tables = TruthTables.from_ints([1], 5)
    for measure in (complexity.lempel_ziv, lambda t: t.hamming_weight()):
        with pytest.raises(InvalidInput, match=r"at most 16 points .* use complexity.decision_tree_mixture"):
            rank_code(tables, measure)
    with pytest.raises(InvalidInput, match=r"zstd_length .* at least 8"):
        rank_code(TruthTables.from_strings(["0110"]), complexity.zstd_length)
    with pytest.raises(InvalidInput, match=r"rank_code .* needs TruthTables"):
        rank_code(["0110"], complexity.lempel_ziv)
