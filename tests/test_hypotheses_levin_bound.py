"""Tests of the Levin bound: levels on maps that keep it, power where it is broken, and the control of its slope."""

import math

import numpy as np
import pytest
from scipy import stats

from pfmap import (
    FunctionCounts,
    InvalidInput,
    TruthTables,
    complexity,
    estimate_prior,
    fit_levin_bound,
    levin_bound_test,
    levin_line_tests,
    levin_slope_test,
)
from pfmap.bounds import LevinBound
from tests.statistics import LEVEL, assert_binomial

EVERY = TruthTables.from_ints(range(256), 3)
K = complexity.circuit_size(EVERY)


def line(a, b):
    return LevinBound(a, b, a, a, b, b, 1.0, "a priori")


def judged(rng, p, n_samples):
    """All functions of three inputs, judged."""
    counts = rng.multinomial(n_samples, p / p.sum())
    return estimate_prior(FunctionCounts.from_unordered(EVERY, counts, n_samples=n_samples, at_least=0), at=EVERY)


def on_the_line(a):
    """P = 2^(-a K - b) exactly, with that b."""
    p = 2.0 ** (-a * K)
    return p / p.sum(), line(a, math.log2(p.sum()))


def zipf(rng):
    return 1 / (1.0 + rng.permutation(256))


class TestAbove:
    def test_level_where_every_function_lies_on_the_bound(self, rng):
        """Law: at most Binomial(500, 0.05) rejections, and intervals of the largest excess, 0, hold as often."""
        p, bound = on_the_line(0.7)
        tests = [levin_bound_test(judged(rng, p, 2_000), K, bound) for _ in range(500)]
        assert stats.binom.sf(sum(test.is_rejected for test in tests) - 1, 500, 0.05) >= LEVEL / 2
        missed = sum(not test.effect_interval[0] <= 0 <= test.effect_interval[1] for test in tests)
        assert stats.binom.sf(missed - 1, 500, 0.05) >= LEVEL / 2

    def test_the_p_value_is_the_sum_of_tails_that_counts_can_attain(self, rng):
        """Functions that the bound makes rare, frequent and certain, against a scan of all counts."""
        bound, n = line(1.5, 0.0), 300
        for _ in range(20):
            p = rng.dirichlet(np.full(256, 0.1))
            prior = judged(rng, p, n)
            attainable = [stats.binom.sf(np.arange(-1, n + 1), n, 2.0 ** (-1.5 * k)) for k in K]
            smallest = min(tail[c] for tail, c in zip(attainable, prior.counts, strict=True))
            expected = min(1.0, sum(tail[tail <= smallest * (1 + 1e-9)].max() for tail in attainable))
            assert levin_bound_test(prior, K, bound).p_value == pytest.approx(expected, rel=1e-6)

    def test_level_is_nearly_reached_where_counts_are_large(self, rng):
        """Law: at least Binomial(400, 0.025) rejections, with 256 functions on the bound that come 400 times each."""
        bound = line(0.0, 8.0)
        rejected = sum(levin_bound_test(judged(rng, np.ones(256), 102_400), K, bound).is_rejected for _ in range(400))
        assert stats.binom.cdf(rejected, 400, 0.025) >= LEVEL
        assert stats.binom.sf(rejected - 1, 400, 0.05) >= LEVEL

    def test_a_bound_half_a_bit_too_low_is_rejected(self, rng):
        p, bound = on_the_line(0.7)
        test = levin_bound_test(judged(rng, p, 20_000), K, line(bound.a, bound.b + 0.5))
        assert test.p_value < LEVEL
        assert 0 < test.effect_interval[0] <= 0.5 <= test.effect_interval[1]

    def test_functions_picked_by_the_counts_that_judge_them_are_allowed_for(self, rng):
        """Law: at most Binomial(200, 0.05); the p-value that takes them for chosen beforehand rejects far more."""
        bound, own, naive = line(0.0, 8.0), 0, 0
        for _ in range(200):
            counts = rng.multinomial(400, np.full(256, 1 / 256))
            came = np.flatnonzero(counts >= 5)  # what caught the eye
            seen = FunctionCounts.from_unordered(EVERY[came], counts[came], n_samples=400, at_least=0)
            picked = estimate_prior(FunctionCounts.from_unordered(EVERY[counts > 0], counts[counts > 0]))
            own += levin_bound_test(picked, np.ones(len(picked)), bound).is_rejected
            naive += levin_bound_test(estimate_prior(seen, at=seen.tables), np.ones(len(seen)), bound).is_rejected
        assert stats.binom.sf(own - 1, 200, 0.05) >= LEVEL
        assert stats.binom.sf(naive - 1, 200, 0.05) < LEVEL


class TestLine:
    def test_level(self, rng):
        """Law: at most Binomial(60, 0.05) rejections of the true slope and of the true offset."""
        p, bound = on_the_line(0.7)
        tests = [levin_line_tests(judged(rng, p, 20_000), K, bound) for _ in range(60)]
        for i in (0, 1):
            assert stats.binom.sf(sum(pair[i].is_rejected for pair in tests) - 1, 60, 0.05) >= LEVEL / 2

    def test_another_line_is_rejected_and_its_p_value_is_where_the_interval_ends(self, rng):
        p, _ = on_the_line(0.7)
        prior = judged(rng, p, 200_000)
        slope, offset = levin_line_tests(prior, K, line(0.0, 8.0))
        assert slope.p_value < LEVEL
        assert offset.p_value < LEVEL
        fitted = fit_levin_bound(prior, K)
        assert slope.effect == fitted.a
        edge, _ = levin_line_tests(prior, K, line(fitted.a_low, 0.0))
        assert edge.p_value == pytest.approx(0.05, rel=1e-3)

    def test_simultaneous_intervals_are_refused(self, rng):
        p, bound = on_the_line(0.7)
        counts = FunctionCounts.from_unordered(EVERY, 1 + rng.multinomial(1_000, p))
        with pytest.raises(InvalidInput, match="simultaneous=False"):
            levin_line_tests(estimate_prior(counts, at=EVERY, simultaneous=True), K, bound)


class TestSlope:
    @pytest.mark.parametrize("law", [lambda rng: np.ones(256), zipf], ids=["uniform", "zipf"])
    def test_level_on_maps_without_simplicity_bias(self, law, rng):
        """Law: Binomial(300, 0.05) rejections at 0.05, 19 permutations. Smallest fault caught: a level of 0.17."""
        rejected = 0
        for seed in range(300):
            prior = judged(rng, law(rng), 3_000)
            rejected += levin_slope_test(prior, K, group=(), permutations=19, seed=seed).p_value <= 0.05
        assert_binomial(rejected, 300, 0.05, level=LEVEL / 2)

    def test_without_its_control_a_slope_appears_from_nothing(self, rng):
        """Zipf dealt out at random: the fitted slope is below 0 in most samples, as complex levels hold more."""
        below = sum(fit_levin_bound(judged(rng, zipf(rng), 3_000), K).a < 0 for _ in range(400))
        assert stats.binom.sf(below - 1, 400, 0.5) < LEVEL

    def test_planted_slopes_are_found(self, rng):
        for a in (0.5, 1.0, 2.0):
            test = levin_slope_test(judged(rng, 2.0 ** (-a * K), 20_000), K, group=())
            assert test.p_value == 0.005
            assert test.effect > 0

    def test_mistakes_are_explained(self, rng):
        prior = judged(rng, zipf(rng), 100)
        with pytest.raises(InvalidInput, match="from 19 up"):
            levin_slope_test(prior, K, permutations=3)
        with pytest.raises(InvalidInput, match="256 functions need 256 numbers"):
            levin_bound_test(prior, [1.0], line(1, 0))
        with pytest.raises(InvalidInput, match="from 0 up"):
            levin_slope_test(prior, -1 - K)
        with pytest.raises(InvalidInput, match="from 0 up"):
            levin_line_tests(prior, -1 - K, line(1, 0))
