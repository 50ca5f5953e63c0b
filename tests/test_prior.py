"""Every interval covers as it claims: exactly where the law can be summed, by simulation where it cannot."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import rel_entr

from pfmap.counts import FunctionCounts
from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.prior import estimate_prior, estimate_unseen, lower_limit, upper_limit
from pfmap.tables import Cube, Points, TruthTables
from tests.statistics import assert_coverage, largest_missed_coverage

UNIFORM = np.full(256, 1 / 256)
ALL_FUNCTIONS = TruthTables.from_ints(range(256), 3)


def sample(p, n_samples, rng, tables=None):
    """Counts of a map whose functions have the probabilities p."""
    counts = rng.multinomial(n_samples, p)
    tables = TruthTables.from_ints(range(len(p)), 16) if tables is None else tables
    return FunctionCounts.from_unordered(tables[counts > 0], counts[counts > 0])


# Limits, exactly


@pytest.mark.parametrize("n", [1, 10, 1000, 10**6, 10**11])
@pytest.mark.parametrize("alpha", [0.5, 0.025, 1e-9, 1e-60])
def test_limits_have_closed_forms_at_the_ends(n, alpha):
    k = np.array([0, 1, n - 1, n])
    low, high = lower_limit(k, n, alpha), upper_limit(k, n, alpha)
    ln2 = math.log(2)
    assert low[0] == -math.inf
    assert high[3] == 0
    np.testing.assert_allclose(low[1] * ln2, math.log(-math.expm1(math.log1p(-alpha) / n)), rtol=1e-12)
    np.testing.assert_allclose(low[3] * ln2, math.log(alpha) / n, rtol=1e-5, atol=1e-16)
    np.testing.assert_allclose(high[0] * ln2, math.log(-math.expm1(math.log(alpha) / n)), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("n", [7, 500, 10**8])
def test_limits_leave_alpha_in_their_tail(n):
    k = np.unique(np.concatenate([np.arange(1, min(n, 30)), [n // 3, n // 2, n - 1]]))
    np.testing.assert_allclose(stats.binom.sf(k - 1, n, 2 ** lower_limit(k, n, 0.01)), 0.01, rtol=1e-5)
    np.testing.assert_allclose(stats.binom.cdf(k, n, 2 ** upper_limit(k, n, 0.01)), 0.01, rtol=1e-5)
    each = np.full(len(k), 0.01)
    np.testing.assert_array_equal(lower_limit(k, n, each), lower_limit(k, n, 0.01))
    np.testing.assert_array_equal(upper_limit(k, n, each), upper_limit(k, n, 0.01))


def exact_coverage(n, p, n_claimed):
    k = np.arange(n + 1)
    low, high = lower_limit(k, n_claimed, 0.025), upper_limit(k, n_claimed, 0.025)
    return stats.binom.pmf(k, n, p)[(low <= np.log2(p)) & (np.log2(p) <= high)].sum()


@pytest.mark.parametrize("n", [20, 400])
def test_pointwise_coverage_is_never_below_its_claim(n):
    """Exact: the coverage of every p on a grid. Planted: an N that is 10 % too large."""
    grid = np.concatenate([np.geomspace(1e-6, 0.5, 60), [0.9, 0.99, 1 - 1e-9]])
    assert min(exact_coverage(n, p, n) for p in grid) >= 0.95
    assert min(exact_coverage(n, p, n * 11 // 10) for p in grid) < 0.9


@pytest.mark.parametrize("n", [1, 13, 10_000, 10**11])
def test_limits_for_any_choice_solve_chernoffs_bound(n):
    k = sorted({1, min(2, n), max(n // 2, 1), max(n - 1, 1), n})
    tables = TruthTables.from_ints(range(len(k)), 4)
    budget = math.log(2 / 0.05) + 16 * math.log(2)
    for one in k:
        rest = [n - one] if one < n else []
        counts = FunctionCounts.from_unordered(tables[: 1 + len(rest)], [one, *rest])
        prior = estimate_prior(counts, simultaneous=True)
        at = counts.counts.tolist().index(one)
        low, q, high = 2 ** prior.log2_low[at], one / n, 2 ** prior.log2_high[at]
        assert low <= q <= high
        for p in (low, high):
            if p < 1 - 1e-7:
                np.testing.assert_allclose(n * (rel_entr(q, p) + rel_entr(1 - q, 1 - p)), budget, rtol=1e-3)


# Coverage of the whole flow


def covers(prior, at, log2_truth):
    return bool(prior.log2_low[at] <= log2_truth <= prior.log2_high[at])


def test_functions_picked_by_one_half_are_covered_by_the_other(rng):
    """Law: the most frequent function of one half is covered with at least 0.95; 1000 samples of a uniform map.

    Smallest fault: a coverage of 0.89. Planted: judging by the picking half; an N that is 10 % too large.
    """
    n_samples, runs, hits = 200_000, 1000, {"other half": 0, "same half": 0, "wrong size": 0}
    for run in range(runs):
        pick, judge = sample(UNIFORM, n_samples, rng, ALL_FUNCTIONS).split(seed=run)
        top = pick.tables[:1]
        hits["other half"] += covers(estimate_prior(judge, at=top), 0, -8)
        hits["same half"] += covers(estimate_prior(pick, at=top), 0, -8)
        k, wrong_n = judge.at(top), judge.n_samples * 11 // 10
        hits["wrong size"] += bool(lower_limit(k, wrong_n, 0.025)[0] <= -8 <= upper_limit(k, wrong_n, 0.025)[0])
    assert_coverage(hits["other half"], runs, at_least=0.95)
    assert largest_missed_coverage(runs, 0.95) > 0.89
    for fault in ("same half", "wrong size"):
        with pytest.raises(AssertionError, match="p-value"):
            assert_coverage(hits[fault], runs, at_least=0.95)


def test_simultaneous_intervals_hold_all_at_once(rng):
    """Law: all 256 intervals hold with at least 0.95; 400 samples. Smallest fault: 0.84. Planted: pointwise ones."""
    log2_p = np.log2(p := rng.dirichlet(np.ones(256)))
    hits = {True: 0, False: 0}
    for _ in range(400):
        counts = sample(p, 5000, rng, ALL_FUNCTIONS)
        for simultaneous in hits:
            prior = estimate_prior(counts, at=ALL_FUNCTIONS, simultaneous=simultaneous)
            hits[simultaneous] += bool(np.all((prior.log2_low <= log2_p) & (log2_p <= prior.log2_high)))
    assert_coverage(hits[True], 400, at_least=0.95)
    assert largest_missed_coverage(400, 0.95) > 0.84
    with pytest.raises(AssertionError, match="p-value"):
        assert_coverage(hits[False], 400, at_least=0.95)


def test_only_limits_for_any_choice_hold_for_functions_picked_here(rng):
    """Law: on a uniform map of 2^16 functions all intervals of the sample hold with at least 0.95; 200 samples.

    Smallest fault: 0.79. Planted: pointwise intervals, of which not even the 10 most frequent functions' hold once.
    """
    p, hits, pointwise = np.full(2**16, 2.0**-16), 0, 0
    tables = TruthTables.from_ints(range(2**16), 4)
    for _ in range(200):
        counts = sample(p, 4000, rng, tables)
        prior = estimate_prior(counts, simultaneous=True)
        assert prior.caveat is None
        hits += bool(np.all((prior.log2_low <= -16) & (prior.log2_high >= -16)))
        prior = estimate_prior(counts)
        assert "picked by the counts" in prior.caveat
        pointwise += bool(np.any(prior.log2_low[:10] <= -16))
    assert_coverage(hits, 200, at_least=0.95)
    assert largest_missed_coverage(200, 0.95) > 0.79
    assert pointwise == 0


# Unseen mass


def zipf(size, exponent=1.0):
    weights = np.arange(1, size + 1) ** -exponent
    return weights / weights.sum()


MAPS = {
    "uniform": UNIFORM,
    "uniform, nearly all unseen": np.full(10_000, 1e-4),
    "Zipf": zipf(10_000),
    "steep Zipf": zipf(5000, 1.5),
    "one frequent, many rare": np.concatenate([[0.9], np.full(1000, 1e-4)]),
}


def unseen_hits(p, n_samples, runs, rng, interval):
    hits = 0
    for _ in range(runs):
        counts = rng.multinomial(n_samples, p)
        low, high = interval(counts)
        hits += low <= p[counts == 0].sum() <= high
    return hits


def esty(counts):
    tables = TruthTables.from_bits(np.zeros((np.count_nonzero(counts), 1), bool), Points(1))
    unseen = estimate_unseen(FunctionCounts(tables, np.sort(counts[counts > 0])[::-1], int(counts.sum()), {}))
    return 2**unseen.log2_low, 2**unseen.log2_high


@pytest.mark.parametrize("n_samples", [30, 300, 3000])
@pytest.mark.parametrize("name", MAPS)
def test_unseen_mass_is_covered(name, n_samples, rng):
    """Law: nominal 0.95, asymptotic, so at least 0.92 is asked; 500 samples a case. Smallest fault: 0.81."""
    assert_coverage(unseen_hits(MAPS[name], n_samples, 500, rng, esty), 500, at_least=0.92)
    assert largest_missed_coverage(500, 0.92) > 0.81


def test_faulty_intervals_for_unseen_mass_are_caught(rng):
    """Planted: the width of a Poisson count f_1 alone, and a sample size that is 10 % too large."""

    def poisson(counts):
        f1 = np.count_nonzero(counts == 1)
        return (f1 - 1.96 * math.sqrt(f1)) / counts.sum(), (f1 + 1.96 * math.sqrt(f1)) / counts.sum()

    def wrong_size(counts):
        return tuple(end / 1.1 for end in esty(counts))

    with pytest.raises(AssertionError, match="p-value"):
        assert_coverage(unseen_hits(UNIFORM, 700, 500, rng, poisson), 500, at_least=0.92)
    with pytest.raises(AssertionError, match="p-value"):
        assert_coverage(unseen_hits(MAPS["Zipf"], 3000, 500, rng, wrong_size), 500, at_least=0.92)


def test_unseen_mass_at_its_ends():
    all_once = FunctionCounts.from_unordered(TruthTables.from_ints(range(50), 3), np.ones(50, int))
    assert estimate_unseen(all_once).log2_p == estimate_unseen(all_once).log2_high == 0
    none_once = FunctionCounts.from_unordered(TruthTables.from_ints([1, 2], 3), [100, 200])
    unseen = estimate_unseen(none_once, confidence=0.9)
    assert unseen.log2_p == unseen.log2_low == -math.inf
    np.testing.assert_allclose(2**unseen.log2_high * 300, stats.norm.ppf(0.95) ** 2)
    assert unseen.confidence == 0.9


# What comes in and out


def test_an_estimate_keeps_the_order_of_at_and_judges_absent_functions():
    counts = FunctionCounts.from_unordered(TruthTables.from_ints([3, 5], 2), [30, 10])
    prior = estimate_prior(counts, at=TruthTables.from_ints([5, 9, 3], 2))
    assert prior.tables.ints() == [5, 9, 3]
    assert prior.counts.tolist() == [10, 0, 30]
    np.testing.assert_allclose(2**prior.log2_p, [0.25, 0, 0.75])
    assert prior.log2_low[1] == -math.inf
    assert np.isfinite(prior.log2_high).all()
    assert prior.caveat is None
    assert prior.unseen == estimate_unseen(counts)
    assert len(prior) == 3
    assert "3 functions from 40 samples, pointwise 95 % intervals" in repr(prior)


def test_handing_in_the_samples_own_tables_is_picking_here():
    counts = FunctionCounts.from_unordered(TruthTables.from_ints([3, 5], 2), [30, 10])
    assert estimate_prior(counts, at=counts.tables).caveat == estimate_prior(counts).caveat is not None
    assert estimate_prior(counts, at=counts.tables[::-1]).caveat is None


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, math.nan, "0.95", None])
def test_confidence_outside_0_to_1_is_refused(confidence):
    counts = FunctionCounts.from_unordered(TruthTables.from_ints([3], 2), [30])
    for estimate in (estimate_prior, estimate_unseen):
        with pytest.raises(InvalidInput, match=r"between 0 and 1, such as 0\.95"):
            estimate(counts, confidence=confidence)


def test_functions_of_another_domain_or_none_are_refused():
    counts = FunctionCounts.from_unordered(TruthTables.from_ints([3], 2), [30])
    with pytest.raises(IncompatibleTables, match="one domain"):
        estimate_prior(counts, at=TruthTables.from_ints([3], 3))
    with pytest.raises(InvalidInput, match="at least one"):
        estimate_prior(counts, at=TruthTables.from_strings([], Cube(2)))
