"""Levin bounds: the line is the linear program's, its intervals cover, and a map without bias term shows no slope."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog

from pfmap import estimate_rare, maps
from pfmap.bounds import LevinBound, a_priori_levin_bound, above, fit_levin_bound
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput, TooFewSamples
from pfmap.prior import estimate_prior
from pfmap.rare import orthant_probability
from pfmap.streams import generator
from pfmap.tables import Cube, Points, TruthTables
from tests.statistics import assert_binomial, assert_coverage, largest_missed_coverage

# Levels of 2, 6, 28, 80 and 140 functions: the more complex, the more there are.
ALL_FUNCTIONS = TruthTables.from_ints(range(256), 3)
K_OF_ALL = np.repeat([3.0, 6.0, 9.0, 12.0, 15.0], [2, 6, 28, 80, 140])
UNIFORM = np.full(256, 1 / 256)


def sample(p, n_samples, rng, tables=ALL_FUNCTIONS):
    counts = rng.multinomial(n_samples, p)
    return FunctionCounts.from_unordered(tables[counts > 0], counts[counts > 0])


def prior_from(counts, **options):
    tables = ALL_FUNCTIONS[: len(counts)]
    present = np.array(counts) > 0
    observed = FunctionCounts.from_unordered(tables[present], np.array(counts)[present])
    return estimate_prior(observed, at=tables, **options)


def line_above(levels, heights):
    """(a, b) of a tightest line above the points: the linear program, independent of pfmap."""
    rows = np.column_stack([levels, np.ones(len(levels))])
    solution = linprog([-np.sum(levels), -len(levels)], A_ub=rows, b_ub=-heights, bounds=[(None, None)] * 2)
    assert solution.success
    return solution.x


def true_line(K, log2_p):
    levels = np.unique(K)
    return line_above(levels, np.array([log2_p[np.equal(K, level)].max() for level in levels]))


# The a priori bound


def test_a_priori_bound():
    bound = a_priori_levin_bound(Cube(7), 147)
    assert (bound.a, bound.b, bound.kind, bound.confidence) == (128 / 147, 0, "a priori", 1)
    assert (bound.a_low, bound.a_high, bound.b_low, bound.b_high) == (bound.a, bound.a, 0, 0)
    assert bound == a_priori_levin_bound(TruthTables.from_ints([1], 7), 147.0) == a_priori_levin_bound(Points(128), 147)
    np.testing.assert_allclose(bound.log2_p([147, 0]), [-128, 0])
    np.testing.assert_allclose(bound.log2_p(14.7), -12.8)


@pytest.mark.parametrize("max_complexity", [0, -1, math.inf, math.nan, "7", None])
def test_a_priori_bound_refuses(max_complexity):
    with pytest.raises(InvalidInput, match="finite number above 0"):
        a_priori_levin_bound(Cube(3), max_complexity)


# The fitted line


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2000)), min_size=2, max_size=40))
def test_the_line_is_the_linear_programs(rows):
    K, counts = np.array(rows, float).T[0] * 3.5, np.array(rows)[:, 1]
    if len(np.unique(K[counts > 0])) < 2:
        return
    prior = prior_from(counts)
    bound = fit_levin_bound(prior, K)
    seen = np.isfinite(prior.log2_low)
    levels = np.unique(K[seen])
    heights = np.array([prior.log2_low[seen & np.equal(K, level)].max() for level in levels])
    a, b = line_above(levels, heights)
    assert np.all(bound.log2_p(levels) >= heights - 1e-9)
    np.testing.assert_allclose(bound.log2_p(levels).sum(), -a * levels.sum() - b * len(levels), atol=1e-6)
    assert bound.a_low <= bound.a <= bound.a_high
    assert bound.b_low <= bound.b <= bound.b_high
    assert above(bound, prior, K).functions_low == 0


def test_equally_tight_lines_are_all_in_the_interval():
    """A corner at the mean level: every slope between its two edges is optimal; a lies midway."""
    prior, K = prior_from([6000, 3900, 100]), [1.0, 2.0, 3.0]
    steps = -np.diff(prior.log2_low)
    assert steps[0] < steps[1]
    bound = fit_levin_bound(prior, K)
    assert bound.a == pytest.approx(steps.mean())
    assert bound.log2_p(2.0) == pytest.approx(prior.log2_low[1])
    assert bound.a_low < steps[0]
    assert bound.a_high > steps[1]


def test_continuous_complexities_of_many_functions(rng):
    """10^5 levels of one function each; the linear program agrees."""
    K = rng.uniform(0, 100, 100_000)
    weights = 2 ** (-0.1 * K) * rng.uniform(0, 1, len(K))
    tables = TruthTables.from_words(np.arange(len(K), dtype=np.uint64)[:, None], Cube(6))
    counts = sample(weights / weights.sum(), 10**6, rng, tables)
    prior = estimate_prior(counts, at=tables)
    bound = fit_levin_bound(prior, K)
    seen = np.isfinite(prior.log2_low)
    a, b = line_above(K[seen], prior.log2_low[seen])
    np.testing.assert_allclose((bound.a, bound.b), (a, b), rtol=1e-5)


def test_too_few_levels():
    with pytest.raises(TooFewSamples, match="1 levels of complexity") as caught:
        fit_levin_bound(prior_from([50, 50, 0]), [1.0, 1.0, 2.0])
    flat = caught.value.estimate
    assert flat.a == 0
    assert flat.a_low == -math.inf
    assert -flat.b == prior_from([50, 50, 0]).log2_low[0]
    observed = FunctionCounts.from_unordered(ALL_FUNCTIONS[:1], [9])
    with pytest.raises(TooFewSamples) as caught:
        fit_levin_bound(estimate_prior(observed, at=ALL_FUNCTIONS[1:3]), [1.0, 2.0])
    assert caught.value.estimate is None


@pytest.mark.parametrize(
    ("complexity", "message"),
    [
        ([1.0], "2 functions need 2 numbers"),
        ([[1.0, 2.0]], "2 functions need 2 numbers"),
        (["a", "b"], "2 functions need 2 numbers"),
        ([1.0, math.nan], "holds nan"),
        ([1.0, math.inf], "holds inf"),
        ([1.0, -2.0], "holds -2"),
    ],
)
def test_complexities_that_do_not_fit_are_refused(complexity, message):
    prior = prior_from([5, 5])
    for call in (fit_levin_bound, lambda p, k: above(a_priori_levin_bound(Cube(3), 1), p, k)):
        with pytest.raises(InvalidInput, match=message):
            call(prior, complexity)


def test_integers_will_do():
    prior = prior_from([50, 10, 5])
    assert fit_levin_bound(prior, [1, 2, 2]) == fit_levin_bound(prior, [1.0, 2.0, 2.0])


def test_the_priors_caveat_travels():
    counts = FunctionCounts.from_unordered(ALL_FUNCTIONS[:2], [90, 10])
    prior = estimate_prior(counts)
    assert (
        fit_levin_bound(prior, [1.0, 2.0]).caveat == above(a_priori_levin_bound(Cube(3), 9), prior, [1.0, 2.0]).caveat
    )
    assert fit_levin_bound(prior, [1.0, 2.0]).caveat is not None
    assert fit_levin_bound(estimate_prior(counts, simultaneous=True), [1.0, 2.0]).caveat is None


# Intervals of a and b


def holds(bound, a, b):
    return bound.a_low <= a <= bound.a_high and bound.b_low <= b <= bound.b_high


def biased(rng):
    weights = 2 ** (-0.5 * K_OF_ALL) * rng.uniform(0, 1, 256) ** 2
    return weights / weights.sum()


@pytest.mark.parametrize("options", [{}, {"simultaneous": True}, {"confidence": 0.5}])
@pytest.mark.parametrize("n_samples", [600, 100_000])
def test_intervals_of_a_and_b_hold_together(n_samples, options, rng):
    """Law: at least `confidence`; 300 samples of maps with and without a bias term, functions picked by the other half.

    Smallest fault at 0.95: a coverage of 0.82.
    """
    hits, runs, confidence = 0, 300, options.get("confidence", 0.95)
    for run in range(runs):
        p = biased(rng) if run % 2 else UNIFORM
        pick, judge = sample(p, n_samples, rng).split(seed=run)
        prior = estimate_prior(judge, at=pick.tables, **options)
        at = prior.tables.positions_in(ALL_FUNCTIONS)
        bound = fit_levin_bound(prior, K_OF_ALL[at])
        seen = np.isin(K_OF_ALL[at], np.unique(K_OF_ALL[at][prior.counts > 0]))
        hits += holds(bound, *true_line(K_OF_ALL[at][seen], np.log2(p[at][seen])))
        assert bound.confidence == confidence
    assert_coverage(hits, runs, at_least=confidence)
    assert largest_missed_coverage(runs, 0.95) > 0.82


def highest_frequencies(counts, K):
    """The fault: the line over the highest frequency of each level, of the very counts that picked it."""
    levels = np.unique(K)
    return line_above(levels, np.log2([counts[np.equal(K, level)].max() / counts.sum() for level in levels]))


def test_a_map_without_bias_term_shows_no_slope(rng):
    """Negative control. Law: a = 0 lies in its interval with at least 0.95; 300 samples of a uniform map.

    Smallest fault: a coverage of 0.82. Planted: the line over the highest frequency of each level, which leans the same
    way in nine samples of ten.
    """
    runs, hits, naive_negative = 300, 0, 0
    for run in range(runs):
        counts = sample(UNIFORM, 8000, rng)
        pick, judge = counts.split(seed=run)
        prior = estimate_prior(judge, at=pick.tables)
        bound = fit_levin_bound(prior, K_OF_ALL[prior.tables.positions_in(ALL_FUNCTIONS)])
        hits += bound.a_low <= 0 <= bound.a_high
        naive_negative += bool(highest_frequencies(counts.at(ALL_FUNCTIONS), K_OF_ALL)[0] < 0)
    assert_coverage(hits, runs, at_least=0.95)
    assert largest_missed_coverage(runs, 0.95) > 0.82
    with pytest.raises(AssertionError, match="p-value"):
        assert_binomial(naive_negative, runs, 0.5)


def test_levels_full_of_rare_functions_do_not_mislead(rng):
    """Law: a lies in its interval with at least 0.95; 100 samples of a map with log2 P = -0.3 K - c below a ceiling.

    Levels hold up to 3000 functions, most of which come once or never. Planted: a bootstrap of the judge's own counts.
    """
    sizes = np.minimum(2 ** np.arange(33), 3000)
    K = np.repeat(7 + 3.5 * np.arange(33), sizes)
    weights = 2 ** (-0.3 * K) * rng.uniform(0, 1, len(K))
    p = weights / weights.sum()
    tables = TruthTables.from_words(np.arange(len(K), dtype=np.uint64)[:, None], Cube(6))
    hits = bootstrap_hits = 0
    for run in range(100):
        pick, judge = sample(p, 100_000, rng, tables).split(seed=run)
        prior = estimate_prior(judge, at=pick.tables)
        at = prior.tables.positions_in(tables)
        bound = fit_levin_bound(prior, K[at])
        seen = np.isin(K[at], np.unique(K[at][prior.counts > 0]))
        a, _ = true_line(K[at][seen], np.log2(p[at][seen]))
        hits += bound.a_low <= a <= bound.a_high
        if run < 20:
            resampled = [rng.poisson(prior.counts) for _ in range(20)]
            slopes = [refitted(k, prior, K[at]).a for k in resampled]
            bootstrap_hits += min(slopes) <= a <= max(slopes)
    assert_coverage(hits, 100, at_least=0.95)
    with pytest.raises(AssertionError, match="p-value"):
        assert_coverage(bootstrap_hits, 20, at_least=0.9)


def refitted(counts, prior, K):
    observed = FunctionCounts.from_unordered(prior.tables[counts > 0], counts[counts > 0])
    return fit_levin_bound(estimate_prior(observed, at=prior.tables), K)


# What lies above


def test_above_counts_functions_and_mass():
    prior = prior_from([800, 100, 90, 10, 0])
    line = LevinBound(0.0, math.log2(1 / 0.095), 0, 0, 0, 0, 1.0, "a priori")
    beyond = above(line, prior, np.ones(5))
    assert (beyond.functions_low, beyond.functions, beyond.functions_high) == (1 / 5, 2 / 5, 3 / 5)
    assert beyond.log2_mass == pytest.approx(math.log2(0.9))
    assert beyond.log2_mass_low == pytest.approx(prior.log2_low[0])
    assert beyond.log2_mass_high > math.log2(0.99)
    nothing = above(a_priori_levin_bound(Points(1), 1.0), prior, np.zeros(5))
    assert (nothing.functions_high, nothing.log2_mass_high, nothing.log2_mass) == (0, -math.inf, -math.inf)
    everything = above(LevinBound(0.0, 50.0, 0, 0, 0, 0, 1.0, "a priori"), prior, np.zeros(5))
    assert (everything.functions, everything.functions_high) == (4 / 5, 1)
    assert everything.log2_mass_high == 0


def test_limits_of_the_mass_above_cover(rng):
    """Law: the mass above a fixed line lies within its limits with about 0.95, 0.9 asked; 500 samples.

    Smallest fault: 0.78. Planted: an N that is 10 % too large.
    """
    p = biased(generator(0, "test-map"))  # one map, so that the planted fault is one fault
    line = LevinBound(0.5, 2.2, 0.5, 0.5, 2.2, 2.2, 1.0, "a priori")
    truth = math.log2(p[np.log2(p) > line.log2_p(K_OF_ALL)].sum())
    assert -4 < truth < -0.1
    hits = faulty_hits = 0
    for _ in range(500):
        prior = estimate_prior(sample(p, 10**6, rng), at=ALL_FUNCTIONS)
        beyond = above(line, prior, K_OF_ALL)
        hits += beyond.log2_mass_low <= truth <= beyond.log2_mass_high
        shift = math.log2(1.1)
        faulty_hits += beyond.log2_mass_low - shift <= truth <= beyond.log2_mass_high - shift
    assert_coverage(hits, 500, at_least=0.9)
    assert largest_missed_coverage(500, 0.9) > 0.78
    with pytest.raises(AssertionError, match="p-value"):
        assert_coverage(faulty_hits, 500, at_least=0.9)


def test_clusters_and_orbits_widen_and_narrow_what_counts_say():
    """Clusters of 4 samples of one function are worth a quarter of them; orbits leave the mass as it is."""
    tables = TruthTables.from_ints(range(16), 2)
    k = 4 * np.round(1600 * 0.4 * 0.6 ** np.arange(16)).astype(np.int64) + 4
    K = np.arange(16.0) // 2
    counts = FunctionCounts.from_unordered(tables, k)
    plain = estimate_prior(counts, at=tables)
    clusters = FunctionCounts.from_unordered(tables, k, squares=4 * k, n_clusters=int(k.sum()) // 4)
    clustered = estimate_prior(clusters, at=tables)
    t, z = stats.t.ppf(0.975, k / 4 - 1), stats.norm.ppf(0.975)
    n = clusters.n_clusters
    np.testing.assert_allclose(clustered.design_effects[:8], 4 * n / (n - 1) * (t[:8] / z) ** 2, rtol=1e-9)
    quarter = estimate_prior(FunctionCounts.from_unordered(tables, k // 4), at=tables)
    fits = [fit_levin_bound(prior, K) for prior in (plain, quarter, clustered)]
    widths = [fit.a_high - fit.a_low for fit in fits]
    assert widths[0] < widths[1] <= widths[2] < 1.3 * widths[1]
    line = LevinBound(0.0, 5.0, 0.0, 0.0, 5.0, 5.0, 0.95, "fitted")
    masses = [above(line, prior, K) for prior in (plain, quarter, clustered)]
    assert masses[0].log2_mass == masses[2].log2_mass
    np.testing.assert_allclose(masses[2].log2_mass_high, masses[1].log2_mass_high, atol=0.02)

    pooled = estimate_prior(counts, at=tables, pool={"complement"})
    line = LevinBound(0.0, 60.0, 0.0, 0.0, 60.0, 60.0, 0.95, "fitted")
    np.testing.assert_allclose(above(line, pooled, K).log2_mass, 0.0, atol=1e-12)
    fitted = fit_levin_bound(pooled, K)
    assert fitted.a_low <= fitted.a <= fitted.a_high


# Functions measured one by one


INDEPENDENT = maps.GaussianProcess.from_kernel(np.diag([1.0, 1.0, 4.0, 9.0]), Cube(2))


def test_of_functions_measured_one_by_one_their_own_limits_are_taken():
    """Splitting: the line touches lower limits, and claims what all intervals together do."""
    tables = TruthTables.from_strings(["00000000", "00110011", "01101001"])
    rare = estimate_rare(maps.MLP(3, (8,)), tables, seed=0, confidence=0.99, replicates=4)
    assert rare.converged.all()
    K = np.array([1.0, 2.0, 3.0])
    bound = fit_levin_bound(rare, K)
    assert bound.confidence == pytest.approx(0.97)
    np.testing.assert_allclose(np.min(bound.log2_p(K) - rare.log2_low), 0.0, atol=1e-12)
    assert holds(bound, *true_line(K, rare.log2_p))
    far = replace(rare, log2_low=rare.log2_high - 0.01)  # planted: limits that lie too high
    assert not holds(fit_levin_bound(replace(far, log2_high=far.log2_low + 0.01), K), *true_line(K, rare.log2_low))


def test_orthants_give_the_line_too():
    tables = TruthTables.from_strings(["0000", "0110", "0010"])
    found = orthant_probability(INDEPENDENT, tables, confidence=0.999)
    bound = fit_levin_bound(found, [1.0, 2.0, 3.0])
    assert (bound.a, bound.b) == pytest.approx((0.0, 4.0), abs=1e-9)
    assert bound.caveat is None


def test_many_pointwise_intervals_say_nothing_together():
    found = orthant_probability(INDEPENDENT, TruthTables.from_ints(range(16), 2))
    assert fit_levin_bound(found, np.arange(16.0)).confidence == pytest.approx(0.2)
    twenty = replace(found, confidence=0.9)
    with pytest.raises(InvalidInput, match=r"confidence=0\.996875"):
        fit_levin_bound(twenty, np.arange(16.0))


def test_partial_tables_have_no_complexity():
    part = orthant_probability(INDEPENDENT, TruthTables.from_strings(["0110"]), where=[True, True, False, False])
    with pytest.raises(InvalidInput, match="leave out where"):
        fit_levin_bound(part, [1.0])


def test_mass_above_needs_samples():
    found = orthant_probability(INDEPENDENT, TruthTables.from_strings(["0110"]))
    with pytest.raises(InvalidInput, match="blind_spots"):
        above(a_priori_levin_bound(Cube(2), 4.0), found, [1.0])
