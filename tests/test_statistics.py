"""The statistical assertions fail as often as they say when all is well, and catch the fault they say they catch."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.statistics import (
    assert_binomial,
    assert_chi_square,
    assert_coverage,
    assert_mean,
    assert_multinomial,
    binomial_p_value,
    largest_missed_coverage,
    seed_of,
    smallest_fault,
    smallest_shift,
)

TRIALS = 4000
VISIBLE = 0.05


def fails(check, *args, level=VISIBLE, **kwargs):
    try:
        check(*args, **kwargs, level=level)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(("n", "p"), [(50, 0.5), (400, 0.02), (10_000, 0.3)])
def test_binomial_false_failures_are_exactly_those_of_the_law(n, p):
    """Exact: the rejected outcomes carry at most `level`, and most of it (the law is discrete)."""
    k = np.arange(n + 1)
    weight = stats.binom.pmf(k, n, p)
    rejected = np.array([binomial_p_value(int(i), n, p) < VISIBLE for i in k[weight > 1e-12]])
    mass = weight[weight > 1e-12][rejected].sum()
    assert VISIBLE / 3 < mass <= VISIBLE


def test_assertions_fail_at_their_visible_rate(rng):
    """Law: Binomial(4000, 0.05) false failures at most. Smallest fault: a rate of 0.075 instead of 0.05."""
    p = np.array([0.4, 0.3, 0.18, 0.11, 0.01])
    draws = rng.multinomial(5000, p, TRIALS)
    rates = {
        "binomial": [fails(assert_binomial, int(k), 5000, 0.4) for k in draws[:, 0]],
        "coverage": [fails(assert_coverage, int(k), 5000, at_least=0.4) for k in draws[:, 0]],
        "multinomial": [fails(assert_multinomial, k, p) for k in draws],
        "chi-square": [fails(assert_chi_square, k, p) for k in draws],
        "mean": [fails(assert_mean, m, 5000, expected=0.4, sd=math.sqrt(0.24)) for m in draws[:, 0] / 5000],
    }
    for name, failed in rates.items():
        assert_coverage(TRIALS - sum(failed), TRIALS, at_least=1 - VISIBLE)
        assert sum(failed) > TRIALS * VISIBLE / 3, f"{name} hardly ever fails: it would see nothing"
    for name in ("chi-square", "mean"):  # continuous enough to meet the level, not only to stay below it
        assert_binomial(sum(rates[name]), TRIALS, VISIBLE, what=f"a false failure of {name}")
    assert smallest_fault(TRIALS, VISIBLE)[1] < 0.08


@pytest.mark.parametrize(("n", "p"), [(200, 0.5), (5000, 0.05), (100_000, 1e-3)])
def test_smallest_fault_is_caught_with_its_power(n, p, rng):
    """Law: caught ~ Binomial(4000, at least 0.99). Smallest fault: a power of 0.96."""
    below, above = smallest_fault(n, p)
    assert below < p < above
    for fault in (below, above):
        values = rng.binomial(n, fault, TRIALS)
        caught = sum(binomial_p_value(int(k), n, p) < 1e-6 for k in values)
        assert_binomial(caught, TRIALS, 0.99, what="catching the smallest fault")


def test_smallest_fault_says_when_nothing_is_caught():
    assert all(map(math.isnan, smallest_fault(10, 0.5)))
    assert math.isnan(smallest_fault(100, 0.01)[0])
    assert math.isnan(largest_missed_coverage(10, 0.2))


def test_missed_coverage_and_shifts_are_caught(rng):
    coverage = largest_missed_coverage(2000, 0.95)
    hits = rng.binomial(2000, coverage, TRIALS)
    caught = sum(fails(assert_coverage, int(k), 2000, at_least=0.95, level=1e-6) for k in hits)
    assert_binomial(caught, TRIALS, 0.99, what="catching the largest missed coverage")
    shift = smallest_shift(100, 2.0)
    means = rng.normal(1 + shift, 0.2, TRIALS)
    caught = sum(fails(assert_mean, m, 100, expected=1, sd=2, level=1e-6) for m in means)
    assert_binomial(caught, TRIALS, 0.99, what="catching the smallest shift")


def test_a_forbidden_outcome_fails_at_once():
    with pytest.raises(AssertionError, match="cell 2"):
        assert_multinomial([500, 499, 1], [0.5, 0.5, 0.0])
    with pytest.raises(AssertionError, match="probability 0"):
        assert_chi_square([500, 499, 1], [0.5, 0.5, 0.0])


def test_pooled_chi_square_keeps_its_level_in_the_tail():
    """Exact, for the worst case of two cells: false failures at 1e-6 stay below 2e-6 with 400 expected, not with 25."""
    n = 10**6
    k = np.arange(3000)
    for expected, kept in ((400, True), (25, False)):
        statistic = (k - expected) ** 2 / (expected * (1 - expected / n))
        false_failures = stats.binom.pmf(k, n, expected / n)[stats.chi2.sf(statistic, 1) < 1e-6].sum()
        assert bool(false_failures < 2e-6) is kept


def test_messages_state_law_size_and_p_value():
    with pytest.raises(AssertionError, match=r"heads came 700 times; the law is Binomial\(1000, 0.5\).*p-value"):
        assert_binomial(700, 1000, 0.5, what="heads")
    with pytest.raises(AssertionError, match=r"800 of 1000 intervals held .*Binomial\(1000, 0.95\)"):
        assert_coverage(800, 1000, at_least=0.95)


def test_seeds_follow_the_test_and_shift_with_the_variable(monkeypatch):
    monkeypatch.delenv("PFMAP_TEST_SEED", raising=False)
    seed = seed_of("test_one")
    assert seed != seed_of("test_other")
    monkeypatch.setenv("PFMAP_TEST_SEED", "3")
    assert seed_of("test_one") == seed + (3 << 32)
