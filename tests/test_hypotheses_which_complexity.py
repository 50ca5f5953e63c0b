"""Which complexity a map follows: laws against brute force, planted laws, levels, intervals and errors."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from pfmap import Cube, FunctionCounts, InvalidInput, Points, TooFewSamples, TruthTables, complexity, which_complexity
from pfmap.hypotheses.laws import complexities_of, levels_of
from pfmap.symmetry import NPN, canonicalize
from tests.statistics import LEVEL, assert_binomial, assert_coverage, smallest_fault

OF_THREE = TruthTables.from_ints(range(256), 3)
OF_FOUR = TruthTables.from_ints(range(1 << 16), 4)
BACKWARD = OF_THREE.permute_inputs([2, 1, 0]).words()[:, 0].astype(np.int64)
SOME = [
    complexity.circuit_size,
    complexity.de_morgan_formula_size,
    complexity.lempel_ziv,
    complexity.decision_tree_mixture,
    complexity.average_sensitivity,
    complexity.anf_terms,
    complexity.entropy,
    complexity.threshold_degree,
]


@complexity.measure(unit="words × log2 N", invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv_backward(tables):
    """C_LZ with the inputs in the opposite order: another measure of the same distribution."""
    return complexity.lempel_ziv(tables.permute_inputs(range(tables.n_inputs - 1, -1, -1)))


PAIR = [complexity.lempel_ziv, lempel_ziv_backward]


def sampled(rng, p, n_samples, every=OF_THREE):
    counts = rng.multinomial(n_samples, p / p.sum())
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(every[came], counts[came])


def uniform(rng):
    return np.ones(256)


def zipf(rng):
    """1 / rank, ranks dealt out at random, then made even under the opposite order of inputs."""
    p = 1 / (1.0 + rng.permutation(256))
    return p + p[BACKWARD]


def of_weight(rng):
    return 1 / np.bincount(OF_THREE.hamming_weight())[OF_THREE.hamming_weight()]


def planted(rng):
    """Both measures alike."""
    return 2.0 ** (-0.2 * (PAIR[0](OF_THREE) + PAIR[1](OF_THREE))) * zipf(rng)


@pytest.mark.parametrize("law", [zipf, of_weight, planted])
def test_level_where_two_measures_explain_equally_much(law, rng):
    """Law: Binomial(600, 0.05) rejections. Smallest fault caught: a level of 0.14. P is even under what swaps them."""
    n = 600
    found = [which_complexity(sampled(rng, law(rng), 3_000), PAIR) for _ in range(n)]
    rejected = sum(r.difference(PAIR[0].name, PAIR[1].name).p_value <= 0.05 for r in found)
    assert_binomial(rejected, n, 0.05, level=LEVEL / 3)
    assert smallest_fault(n, 0.05, level=LEVEL / 3)[1] < 0.14


def test_level_where_both_explain_nothing(rng):
    """Law: at most Binomial(1000, 0.05); z alone, without the test of a = 0, rejects too often."""
    n = 1_000
    tests = [
        which_complexity(sampled(rng, uniform(rng), 3_000), PAIR).difference(PAIR[0].name, PAIR[1].name)
        for _ in range(n)
    ]
    assert stats.binom.sf(sum(test.p_value <= 0.05 for test in tests) - 1, n, 0.05) >= LEVEL
    assert all(test.effect_interval[0] <= 0 <= test.effect_interval[1] for test in tests if not test.is_rejected)
    assert stats.binom.sf(sum(abs(test.statistic) > 1.96 for test in tests) - 1, n, 0.05) < LEVEL


@pytest.mark.parametrize("measure", SOME, ids=lambda m: m.name)
def test_a_planted_measure_is_named(measure, rng):
    """P proportional to 2^(-a K0): K0 is among those that may be best in all of 3 samples.

    Law: each set holds it with at least 1 - LEVEL / 24.
    """
    K = measure(OF_FOUR)
    p = 2.0 ** (-3 * K / K.std())
    for _ in range(3):
        found = which_complexity(sampled(rng, p, 100_000, OF_FOUR), SOME, confidence=1 - LEVEL / 24)
        assert measure.name in found.contenders
        assert len(found.contenders) < len(SOME)


def test_the_set_of_contenders_holds_the_best(rng):
    """Law: at least Binomial(500, 0.95). P is even under what swaps the two, so either is the best."""
    n = 500
    hits = [0, 0]
    for _ in range(n):
        contenders = which_complexity(sampled(rng, planted(rng), 3_000), [*PAIR, complexity.anf_degree]).contenders
        for i, measure in enumerate(PAIR):
            hits[i] += measure.name in contenders
    for held in hits:
        assert_coverage(held, n, at_least=0.95, level=LEVEL / 2)


def brute_force(p, K):
    """(a, bits, total) by minimising KL(P || P_a) over a, summing over all functions."""
    m = np.log2(len(p))
    seen = p > 0

    def divergence(a):
        law = 2.0 ** (-a * K)
        return float(p[seen] @ np.log2(p[seen] / (law / law.sum())[seen]))

    best = minimize_scalar(divergence, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    total = m + float(p[seen] @ np.log2(p[seen]))
    return best.x, total - best.fun, total


def test_intervals_cover(rng):
    """Law: at least Binomial(400, 0.93) of 95 % intervals of a, bits, fraction and total hold, of 5,000 samples."""
    n, p = 400, planted(rng)
    p /= p.sum()
    K = complexity.circuit_size(OF_THREE)
    a, bits, total = brute_force(p, K)
    hits = np.zeros(4, int)
    for _ in range(n):
        r = which_complexity(sampled(rng, p, 5_000), [complexity.circuit_size])
        hits += [
            r.a_low[0] <= a <= r.a_high[0],
            r.bits_low[0] <= bits <= r.bits_high[0],
            r.fraction_low[0] <= bits / total <= r.fraction_high[0],
            r.total_low <= total <= r.total_high,
        ]
    for held in hits:
        assert_coverage(int(held), n, at_least=0.93, level=LEVEL / 4)


@pytest.mark.parametrize("measure", [complexity.lempel_ziv, complexity.circuit_size], ids=lambda m: m.name)
def test_averaging_is_that_of_an_averaged_prior(measure, rng):
    """A million samples of P against brute force on the average of P over classes, within its own error (6 sd)."""
    p = 2.0 ** -complexity.lempel_ziv(OF_THREE) * zipf(rng)
    p /= p.sum()
    where = canonicalize(OF_THREE).representatives.words()[:, 0].astype(np.int64)
    averaged = (np.bincount(where, p, 256) / np.maximum(np.bincount(where, minlength=256), 1))[where]
    a, bits, total = brute_force(averaged, measure(OF_THREE))
    r = which_complexity(sampled(rng, p, 1_000_000), [measure], average=NPN)
    assert abs(r.bits[0] - bits) < 6 * np.sqrt(r.covariance[0, 0])
    assert abs(r.a[0] - a) < 3 * (r.a_high[0] - r.a_low[0])
    assert abs(r.total_bits - total) < 3 * (r.total_high - r.total_low)
    assert r.total_bits < which_complexity(sampled(rng, p, 1_000_000), [measure]).total_bits


def test_counts_of_orbits_are_their_functions_averaged(rng):
    counts = sampled(rng, zipf(rng), 10_000)
    r = which_complexity(counts.pooled(NPN), [complexity.circuit_size], average=NPN)
    assert r.bits[0] == pytest.approx(which_complexity(counts, [complexity.circuit_size], average=NPN).bits[0], abs=0.1)
    with pytest.raises(InvalidInput, match="counts of orbits"):
        which_complexity(counts.pooled(NPN), [complexity.circuit_size])


class TestLevels:
    def test_four_inputs_by_class_are_those_of_all_functions(self):
        for measure in (complexity.lempel_ziv, complexity.anf_terms, complexity.average_sensitivity):
            values, functions = np.unique(measure(OF_FOUR), return_counts=True)
            levels = levels_of([measure], Cube(4))
            np.testing.assert_array_equal(levels.values[:, 0], values)
            np.testing.assert_allclose(np.exp2(levels.log2_functions), functions)

    def test_five_inputs_by_class(self):
        """Numbers of functions by circuit size, exact up to 9 gates: Knuth, section 7.1.2; by weight: binomials."""
        levels = levels_of([complexity.circuit_size_bound], Cube(5))
        known = [12, 100, 1140, 11570, 109826, 995240, 8430800, 63401728, 383877392, 1519125536]
        np.testing.assert_allclose(np.exp2(levels.log2_functions[:10]), known, rtol=1e-9)
        by_class = levels_of([complexity.distance_to_constant], Cube(5))
        np.testing.assert_allclose(np.exp2(by_class.log2_functions), _pairs_of_weights(32), rtol=1e-9)

    def test_functions_of_five_inputs_are_looked_up_by_their_class(self, rng):
        measures = [complexity.circuit_size_bound, complexity.decision_tree_mixture, complexity.robdd_size]
        tables = TruthTables.from_bits(rng.random((300, 32)) < rng.random((300, 1)))
        found = complexities_of(measures, tables, NPN)
        np.testing.assert_array_equal(found, [measure(tables) for measure in measures])
        assert len(np.unique(found[1])) > 100

    def test_any_domain_by_weight(self):
        for domain in (Cube(6), Points(50)):
            levels = levels_of([complexity.distance_to_constant], domain)
            np.testing.assert_allclose(np.exp2(levels.log2_functions), _pairs_of_weights(domain.n_points), rtol=1e-9)
        with pytest.raises(InvalidInput, match="beyond, use distance_to_constant, entropy, type_code"):
            levels_of([complexity.lempel_ziv], Cube(5))

    def test_a_fitted_law_has_the_mean_it_was_given(self):
        levels = levels_of([complexity.lempel_ziv], Cube(4))
        for mean in (levels.values[0] + 1e-6, [20.0], levels.moments([0])[0], levels.values[-1] - 1e-6):
            assert levels.moments(levels.fitted(mean))[0] == pytest.approx(mean, rel=1e-8)


def _pairs_of_weights(m):
    choose = stats.binom.pmf(np.arange(m // 2 + 1), m, 0.5) * 2.0 ** (m + 1)
    choose[-1] /= 2
    return choose


def test_proportional_measures_differ_by_nothing(rng):
    r = which_complexity(
        sampled(rng, planted(rng), 3_000), [complexity.average_sensitivity, complexity.total_influence]
    )
    test = r.difference(*r.names)
    assert test.p_value == 1
    assert test.effect == pytest.approx(0, abs=1e-9)
    assert r.contenders == r.names


def test_five_inputs_are_answered(rng):
    tables = TruthTables.from_ints([0, (1 << 32) - 1, *rng.integers(0, 1 << 32, 300).tolist()], 5)
    counts = FunctionCounts.from_unordered(tables, [500, 500, *[1] * 300])
    r = which_complexity(counts, [complexity.type_code, complexity.average_sensitivity], average=NPN)
    assert r.bits[0] > 10
    with pytest.raises(InvalidInput, match="not known"):
        which_complexity(counts, [complexity.lempel_ziv])


def test_mistakes_are_explained(rng):
    counts = sampled(rng, uniform(rng), 100)
    with pytest.raises(InvalidInput, match="at least one"):
        which_complexity(counts, [])
    with pytest.raises(InvalidInput, match="each once"):
        which_complexity(counts, [complexity.entropy, complexity.entropy])
    with pytest.raises(InvalidInput, match="no complexity measure"):
        which_complexity(counts, [len])
    with pytest.raises(InvalidInput, match=r"such as 0\.95"):
        which_complexity(counts, [complexity.entropy], confidence=2)
    with pytest.raises(TooFewSamples):
        which_complexity(sampled(rng, uniform(rng), 1), [complexity.entropy])
    with pytest.raises(InvalidInput, match="draw with another"):
        which_complexity(counts.truncated(2), [complexity.entropy])
    found = which_complexity(counts, [complexity.entropy])
    assert found.contenders == ("entropy",)
    with pytest.raises(InvalidInput, match="at least two"):
        found.best_tests()
    with pytest.raises(InvalidInput, match="was not compared"):
        found.difference("entropy", "lempel_ziv")
