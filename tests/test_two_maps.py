"""Tests of two maps' priors against each other: levels, power, and intervals against laws that are known."""

import math

import numpy as np
import pytest
from scipy import stats

import pfmap
from pfmap import (
    FunctionCounts,
    IncompatibleTables,
    InvalidInput,
    Points,
    TooFewSamples,
    TruthTables,
    complexity,
    correlation_at_fixed_complexity_test,
    estimate_divergences,
    estimate_entropy,
    estimate_prior,
    maps,
    paired_priors,
    same_prior_test,
)
from pfmap.hypotheses import divergences
from pfmap.symmetry import canonicalize
from tests.statistics import (
    LEVEL,
    assert_binomial,
    assert_coverage,
    assert_mean,
    largest_missed_coverage,
    smallest_fault,
    smallest_shift,
)

EVERY = TruthTables.from_ints(range(1 << 16), 4)
ORBIT = canonicalize(EVERY).representatives.words()[:, 0].astype(np.int64)
WEIGHT = EVERY.hamming_weight()
CIRCUITS = complexity.circuit_size(EVERY)


def normalized(p):
    return np.asarray(p, np.float64) / np.sum(p)


UNIFORM = normalized(np.ones(1 << 16))
ZIPF = normalized(1 / (1.0 + np.arange(1 << 16)))
OF_WEIGHT = normalized(1 / np.bincount(WEIGHT)[WEIGHT])
LAWS = {"uniform": UNIFORM, "Zipf": ZIPF, "T alone": OF_WEIGHT}


def tables_of(p):
    n = round(math.log2(math.log2(len(p))))
    return EVERY if n == 4 else TruthTables.from_ints(range(len(p)), n)


def sampled(rng, p, n_samples):
    """Counts of functions 0, 1, … of their n with probabilities p."""
    counts = rng.multinomial(n_samples, p)
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(tables_of(p)[came], counts[came])


def rejections(rng, p, q, n_runs, n_samples, other_samples, **options):
    return sum(
        same_prior_test(sampled(rng, p, n_samples), sampled(rng, q, other_samples), seed=seed, **options).p_value
        <= 0.05
        for seed in range(n_runs)
    )


class TestSamePrior:
    @pytest.mark.parametrize(
        ("law", "other_samples"), [("uniform", 3_000), ("Zipf", 3_000), ("Zipf", 600), ("T alone", 3_000)]
    )
    def test_level(self, law, other_samples, rng, without_effect):
        """Law: Binomial(300, 0.05) rejections at 0.05. Smallest fault caught: a level of 0.18."""
        n = 300
        k = rejections(rng, LAWS[law], LAWS[law], n, 3_000, other_samples, permutations=19)
        assert_binomial(k, n, 0.05, level=LEVEL / 4)
        assert smallest_fault(n, 0.05, level=LEVEL / 4)[1] < 0.18

    @pytest.fixture
    def without_effect(self, monkeypatch):
        """The effect is not asked for here."""
        nothing = pfmap.Estimate(0.0, 0.0, 1.0, 0.95)
        monkeypatch.setattr("pfmap.hypotheses.two_maps.estimate_total_variation", lambda *_, **__: nothing)

    def test_level_of_one_map_drawn_twice(self, seed, without_effect):
        """Law: Binomial(60, 0.05) rejections at 0.05; most of the functions came once. Smallest fault: 0.41."""
        net, n = maps.MLP(5, (16,)), 60
        k = 0
        for i in range(n):
            one, other = (pfmap.draw(net, 1_000, seed=(seed + 2 * i + j) % 2**64, workers=1) for j in (0, 1))
            assert np.mean(one.counts == 1) > 0.5
            k += same_prior_test(one, other, permutations=19, seed=i).p_value <= 0.05
        assert_binomial(k, n, 0.05)
        assert smallest_fault(n, 0.05)[1] < 0.41

    def test_samples_that_are_not_independent_are_told_by_the_level(self, rng, without_effect):
        """Every sample listed twice: the same assertion of the level fails."""
        twice = 0
        for seed in range(50):
            one, other = (sampled(rng, ZIPF, 1_500) for _ in range(2))
            one, other = (FunctionCounts.from_unordered(c.tables, 2 * c.counts) for c in (one, other))
            twice += same_prior_test(one, other, permutations=19, seed=seed).p_value <= 0.05
        with pytest.raises(AssertionError, match="p-value"):
            assert_binomial(twice, 50, 0.05)

    def test_power_grows_with_the_strength(self, rng, without_effect):
        """P2 proportional to P1 2^(-a C), 30 runs each: hardly any, some, and all are told apart."""
        found = [
            rejections(rng, ZIPF, normalized(ZIPF * 2.0 ** (-a * CIRCUITS)), 30, 3_000, 3_000, permutations=99)
            for a in (0.0, 0.1, 0.5)
        ]
        assert found == sorted(found)
        assert found[-1] == 30

    def test_frequent_functions_do_not_drown_among_rare_ones(self, rng, without_effect):
        """One P of 0.36 becomes 0.38, amid 64 % of mass on 65,535 others: 10 of 10 samples of 30,000 tell."""
        p, q = (normalized(np.append(top, np.full((1 << 16) - 1, (1 - top) / ((1 << 16) - 1)))) for top in (0.36, 0.38))
        assert rejections(rng, p, q, 10, 30_000, 30_000, permutations=99) == 10

    def test_rare_functions_tell_though_the_frequent_ones_agree(self, rng, without_effect):
        """Half of the mass on 4,096 functions, which are others for the second map."""
        p, q = (np.full(1 << 16, 0.0) for _ in range(2))
        p[0] = q[0] = 0.5
        p[1:4097] = q[4097:8193] = 0.5 / 4096
        assert rejections(rng, p, q, 10, 5_000, 5_000, permutations=99) == 10

    def test_effect_is_the_total_variation(self, rng):
        p, q = normalized([4, 2, 1, 1]), normalized([1, 2, 1, 4])
        test = same_prior_test(sampled(rng, p, 40_000), sampled(rng, q, 40_000))
        assert test.p_value == 0.001
        assert test.effect == pytest.approx(3 / 8, abs=0.03)
        assert "That both maps have one prior is rejected" in str(test)

    def test_same_seed_same_result(self, rng):
        one, other = sampled(rng, ZIPF, 1_000), sampled(rng, ZIPF, 1_000)
        assert same_prior_test(one, other, seed=3) == same_prior_test(one, other, seed=3)

    def test_counts_of_orbits_tell_more(self, rng):
        """Priors even within orbits that differ in two orbits of 384 functions: functions do not tell, orbits do."""
        size = np.bincount(ORBIT, minlength=1 << 16)[ORBIT]
        more, less = np.unique(ORBIT[size == 384])[:2]
        p = UNIFORM.copy()
        p[more == ORBIT] *= 1.5
        p[less == ORBIT] *= 0.5
        one, other = sampled(rng, p, 40_000), sampled(rng, UNIFORM, 40_000)
        group = {"input_permutations", "input_flips", "complement"}
        assert same_prior_test(one.pooled(group), other.pooled(group)).is_rejected

    def test_mistakes_are_explained(self, rng):
        counts = sampled(rng, ZIPF, 1_000)
        clustered = FunctionCounts.from_unordered(counts.tables, counts.counts, squares=counts.counts**2, n_clusters=1)
        for compare in (same_prior_test, estimate_divergences, paired_priors):
            with pytest.raises(InvalidInput, match="draw without reuse"):
                compare(counts, clustered)
            with pytest.raises(InvalidInput, match="at_least=1"):
                compare(counts.truncated(2), counts)
            with pytest.raises(IncompatibleTables, match="pool both under one group"):
                compare(counts, counts.pooled({"complement"}))
            with pytest.raises(IncompatibleTables):
                compare(counts, FunctionCounts.from_unordered(TruthTables.from_strings(["01"]), [5]))
            with pytest.raises(InvalidInput, match=r"0\.95"):
                compare(counts, sampled(rng, ZIPF, 10), confidence=95)
        with pytest.raises(InvalidInput, match="from 19 up"):
            same_prior_test(counts, counts, permutations=5)
        different = (
            FunctionCounts.from_unordered(EVERY[:4], [1] * 4),
            FunctionCounts.from_unordered(EVERY[4:8], [1] * 4),
        )
        with pytest.raises(TooFewSamples, match="all 8 samples are different functions"):
            same_prior_test(*different)
        huge = FunctionCounts.from_unordered(EVERY[:1], [10**9])
        with pytest.raises(InvalidInput, match="reach to 1e9"):
            same_prior_test(huge, counts)

    def test_samples_of_the_same_latents_are_refused(self):
        relu, tanh = (maps.MLP(3, (8,), activation) for activation in ("relu", "tanh"))
        one = pfmap.draw(relu, 1_000, seed=4)
        for other in (one, pfmap.draw(tanh, 500, seed=4), pfmap.draw(tanh, 500, seed=4).split(seed=1)[1]):
            with pytest.raises(InvalidInput, match="draw one of the maps with another seed"):
                same_prior_test(one.split(seed=1)[0] if other is not one else one, other)
        assert same_prior_test(*one.split(seed=1)).p_value > LEVEL  # halves are distinct samples


TAIL_OTHER = normalized(1 / (1.0 + np.arange(1 << 16)[::-1]))
PAIRS = {
    "4 functions": (normalized([4, 3, 2, 1]), normalized([1, 2, 3, 4]), 300),
    "16 functions": (normalized(np.arange(1, 17)), normalized(np.ones(16)), 1_000),
    "256 functions": (normalized(1 / np.arange(1, 257)), normalized(2.0 ** -np.arange(256)), 3_000),
    "256 functions, equal": (normalized(1 / np.arange(1, 257)), normalized(1 / np.arange(1, 257)), 500),
    "long tail, equal": (ZIPF, ZIPF, 3_000),
    "long tail, reversed": (ZIPF, TAIL_OTHER, 3_000),
    "uniform and Zipf": (UNIFORM, ZIPF, 3_000),
}


def true_divergences(p, q):
    with np.errstate(divide="ignore", invalid="ignore"):
        kl, reverse = (np.where(a > 0, a * np.log2(a / b), 0.0).sum() for a, b in ((p, q), (q, p)))
    return np.abs(p - q).sum() / 2, kl, reverse


def hits(rng, pair, n_runs):
    """How many of n_runs intervals hold total variation, KL and reverse KL."""
    p, q, n_samples = PAIRS[pair]
    truths = true_divergences(p, q)
    held = np.zeros(3, int)
    for seed in range(n_runs):
        found = estimate_divergences(sampled(rng, p, n_samples), sampled(rng, q, n_samples), seed=seed)
        three = (found.total_variation, found.kl, found.reverse_kl)
        held += [each.low - 1e-12 <= truth <= each.high for each, truth in zip(three, truths, strict=True)]
    return held


class TestDivergences:
    @pytest.mark.parametrize("pair", PAIRS)
    def test_intervals_cover(self, pair, rng):
        """Law: at least Binomial(150, 0.95) of each. Largest true coverage that is refused: 0.75."""
        for k in hits(rng, pair, 150):
            assert_coverage(k, 150, at_least=0.95, level=LEVEL / 3)
        assert largest_missed_coverage(150, 0.95, level=LEVEL / 3) > 0.75

    @pytest.mark.parametrize(
        ("fault", "replaced", "which"),
        [
            ("_bernstein", lambda values, counts, *_: (divergences.mean_and_error(values, counts)[0], 0.0), 1),
            ("upper_limit", lambda counts, n, _: np.log2(counts / n), 0),
        ],
    )
    def test_ends_without_their_reach_are_caught(self, fault, replaced, which, rng, monkeypatch):
        """Equal laws: a lower end that is the estimate itself lies above 0 about half of the time."""
        monkeypatch.setattr(divergences, fault, replaced)
        if fault == "upper_limit":
            monkeypatch.setattr(divergences, "lower_limit", replaced)
        k = hits(rng, "long tail, equal", 150)[which]
        with pytest.raises(AssertionError, match="intervals held"):
            assert_coverage(k, 150, at_least=0.95, level=LEVEL / 3)

    def advantages(self, rng, n_runs):
        """P1(A) - P2(A) of the chosen set A by the halves that judge, for one law drawn twice."""
        p, _, n_samples = PAIRS["256 functions, equal"]
        found = np.empty(n_runs)
        for seed in range(n_runs):
            pair = divergences._Pair.of(sampled(rng, p, n_samples), sampled(rng, p, n_samples), seed)
            chosen = pair.ratios(1e-15)[0] > 1
            b1, b2 = pair.k1 - pair.a1, pair.k2 - pair.a2
            found[seed] = b1[chosen].sum() / b1.sum() - b2[chosen].sum() / b2.sum()
        return found

    def test_the_half_that_judges_knows_nothing_of_the_choice(self, rng, monkeypatch):
        """Law: mean 0, sd at most sqrt(2 / 4 / 250). Planted: both samples split by one seed, which is off by 0.02.

        Smallest shift caught in 400 runs: 0.017.
        """
        sd = math.sqrt(2 / 4 / 250)
        assert smallest_shift(400, sd) < 0.017
        assert_mean(self.advantages(rng, 400).mean(), 400, expected=0, sd=sd)
        monkeypatch.setattr(divergences, "independent_splits", lambda a, b, seed: (a.split(seed=1), b.split(seed=1)))
        with pytest.raises(AssertionError, match="sd away"):
            assert_mean(self.advantages(rng, 400).mean(), 400, expected=0, sd=sd)

    def test_frequencies_differ_where_priors_do_not(self, rng):
        """Two samples of one long-tailed law: the sum over frequencies is far from 0, and the interval holds 0."""
        one, other = sampled(rng, ZIPF, 3_000), sampled(rng, ZIPF, 3_000)
        apart = np.abs(one.at(EVERY) / 3_000 - other.at(EVERY) / 3_000).sum() / 2
        found = estimate_divergences(one, other).total_variation
        assert apart > 0.3
        assert found.low == 0
        assert apart < found.high

    def test_intervals_close_on_the_truth(self, rng):
        p, q, _ = PAIRS["16 functions"]
        tv, kl, _ = true_divergences(p, q)
        found = estimate_divergences(sampled(rng, p, 1_000_000), sampled(rng, q, 1_000_000))
        assert found.total_variation.high - found.total_variation.low < 0.01
        assert found.kl.high - found.kl.low < 0.06
        assert found.total_variation.value == pytest.approx(tv, abs=0.01)
        assert found.kl.value == pytest.approx(kl, abs=0.02)

    def test_kl_has_no_upper_end_where_a_function_did_not_come(self, rng):
        p = normalized([4, 3, 2, 1])
        lacks_one = FunctionCounts.from_unordered(TruthTables.from_strings(["00", "01", "10"]), [50, 30, 20])
        found = estimate_divergences(sampled(rng, p, 1_000), lacks_one)
        assert found.kl.high == math.inf
        assert found.reverse_kl.high < math.inf

    def test_disjoint_supports(self):
        """TV 1; KL is infinite, and the lower end grows as the logarithm of the number of samples."""
        halves = TruthTables.from_ints(range(4), 2), TruthTables.from_ints(range(8, 12), 2)
        low = []
        for n in (1_000, 100_000):
            found = estimate_divergences(*(FunctionCounts.from_unordered(tables, [n] * 4) for tables in halves))
            assert found.total_variation.low > 1 - 25 / n
            assert found.total_variation.high == 1
            assert found.kl.high == math.inf
            low.append(found.kl.low)
        assert low[0] > 5
        assert low[1] > low[0] + 5

    def test_orbits_bring_the_ends_together(self, rng):
        p = normalized(ZIPF[ORBIT])
        one, other = sampled(rng, p, 5_000), sampled(rng, p, 5_000)
        group = {"input_permutations", "input_flips", "complement"}
        functions = estimate_divergences(one, other).total_variation
        orbits = estimate_divergences(one.pooled(group), other.pooled(group)).total_variation
        assert orbits.high < 0.6 * functions.high

    def test_it_reads_as_a_sentence(self, rng):
        text = str(estimate_divergences(sampled(rng, ZIPF, 100), sampled(rng, ZIPF, 100)))
        assert text.startswith("Total variation 0")
        assert "bits" in text

    def test_an_interval_holds_its_value(self):
        with pytest.raises(InvalidInput, match="hold the value"):
            pfmap.Estimate(2.0, 0.0, 1.0, 0.95)


def entropy_of(p):
    return -float(p[p > 0] @ np.log2(p[p > 0]))


ENTROPIES = {
    "16 functions": (normalized(np.arange(1, 17)), 200),
    "256 functions": (normalized(1 / np.arange(1, 257)), 200),
    "long tail": (ZIPF, 3_000),
    "uniform": (UNIFORM, 3_000),
    "T alone": (OF_WEIGHT, 3_000),
}


class TestEntropy:
    @pytest.mark.parametrize("law", ENTROPIES)
    def test_interval_covers(self, law, rng):
        """Law: at least Binomial(150, 0.95). Largest true coverage that is refused: 0.76."""
        p, n_samples = ENTROPIES[law]
        found = [estimate_entropy(sampled(rng, p, n_samples), seed=seed) for seed in range(150)]
        assert_coverage(sum(e.low <= entropy_of(p) <= e.high for e in found), 150, at_least=0.95)
        assert largest_missed_coverage(150, 0.95) > 0.76

    def test_the_frequencies_own_entropy_does_not(self, rng):
        """The same assertion of an interval around the frequencies' own entropy fails, three bits below the truth."""
        hits = 0
        for _ in range(150):
            k = sampled(rng, ZIPF, 3_000).counts
            own = pfmap.hypotheses.estimates.mean_estimate(-np.log2(k / 3_000), k, 0.95)
            hits += own.low <= entropy_of(ZIPF) <= own.high
        with pytest.raises(AssertionError, match="intervals held"):
            assert_coverage(hits, 150, at_least=0.95)

    def test_orbits_tell_the_entropy_of_functions_better(self, rng):
        """P even within orbits; at least Binomial(100, 0.95) intervals hold it."""
        p = normalized(ZIPF[ORBIT])
        hits, widths = 0, []
        for seed in range(100):
            counts = sampled(rng, p, 3_000)
            whole, pooled = (
                estimate_entropy(c, seed=seed)
                for c in (counts, counts.pooled(["input_permutations", "input_flips", "complement"]))
            )
            hits += pooled.low <= entropy_of(p) <= pooled.high
            widths.append((pooled.high - pooled.low) / (whole.high - whole.low))
        assert_coverage(hits, 100, at_least=0.95)
        assert max(widths) < 0.5

    def test_the_upper_end_knows_simple_functions(self):
        """Of networks of seven inputs, what was not seen costs less than 80 of the 128 bits of any function."""
        counts = pfmap.draw(maps.MLP(7, (40, 40)), 20_000, seed=0)
        unseen = 2.0 ** estimate_prior(counts).unseen.log2_p
        found = estimate_entropy(counts)
        assert found.high < found.low + 80 * unseen

    def test_one_function_has_none(self):
        found = estimate_entropy(FunctionCounts.from_unordered(TruthTables.from_strings(["0110"]), [1_000]))
        assert found.low == found.value == 0
        assert found.high < 0.1

    def test_on_points(self):
        points = TruthTables.from_strings(["010", "110"], Points(3))
        found = estimate_entropy(FunctionCounts.from_unordered(points, [500, 500]))
        assert found.low <= 1 <= found.high <= 1.1

    def test_mistakes_are_explained(self, rng):
        counts = sampled(rng, ZIPF, 100)
        with pytest.raises(InvalidInput, match="at_least=1"):
            estimate_entropy(counts.truncated(2))
        with pytest.raises(TooFewSamples, match="no two halves"):
            estimate_entropy(FunctionCounts.from_unordered(EVERY[:1], [1]))


def priors_of(p, q, n_samples=10**7):
    """Exact priors of the functions, as good as known."""
    tables = tables_of(p)
    return tuple(
        estimate_prior(FunctionCounts.from_unordered(tables, 1 + (n_samples * law).astype(int)), at=tables)
        for law in (p, q)
    )


class TestCorrelation:
    ROWS = slice(0, 1 << 16, 331)

    def noisy(self, rng, a=1.0):
        """Laws of K and noise of their own, at 199 functions."""
        K = CIRCUITS[self.ROWS]
        laws = [normalized(2.0 ** (-a * K + rng.normal(size=len(K)))) for _ in range(2)]
        tables = EVERY[self.ROWS]
        return K, tuple(
            estimate_prior(FunctionCounts.from_unordered(tables, 1 + (1e6 * p).astype(int)), at=tables) for p in laws
        )

    def test_level(self, rng, monkeypatch):
        """Law: Binomial(400, 0.05) rejections at 0.05 where K is all they share. Smallest fault caught: 0.15."""
        monkeypatch.setattr("pfmap.hypotheses.two_maps._RESAMPLES", 2)
        k = 0
        for seed in range(400):
            K, priors = self.noisy(rng)
            k += correlation_at_fixed_complexity_test(*priors, K, group=(), permutations=19, seed=seed).p_value <= 0.05
        assert_binomial(k, 400, 0.05)
        assert smallest_fault(400, 0.05)[1] < 0.16

    def test_without_levels_k_alone_would_correlate_them(self, rng):
        K, priors = self.noisy(rng)
        plain = correlation_at_fixed_complexity_test(*priors, np.zeros(len(K)), group=())
        assert plain.p_value == 0.001
        assert plain.effect_interval[0] > 0.2

    def test_what_they_share_is_found(self, rng):
        K, (one, _) = self.noisy(rng)
        near = normalized(np.exp2(one.log2_p + 0.3 * rng.normal(size=len(K))))
        other = estimate_prior(FunctionCounts.from_unordered(one.tables, 1 + (1e6 * near).astype(int)), at=one.tables)
        test = correlation_at_fixed_complexity_test(one, other, K, group=())
        assert test.p_value == 0.001
        assert test.effect > 0.8
        assert correlation_at_fixed_complexity_test(one, one, K, group=()).effect == 1

    def test_interval_covers(self, rng):
        """Law: at least Binomial(100, 0.88) of 95 % intervals hold the value of 20,000 functions, 300 at a time."""
        K = rng.integers(3, size=20_000).astype(float)
        shared = rng.normal(size=20_000)
        log2_p = [-K + shared + rng.normal(size=20_000) for _ in range(2)]
        tables = EVERY[:20_000]
        exact = [
            estimate_prior(FunctionCounts.from_unordered(tables, (100 * 2.0**v).astype(int) + 1), at=tables)
            for v in log2_p
        ]
        truth = correlation_at_fixed_complexity_test(*exact, K, group=(), permutations=19).effect
        hits = 0
        for seed in range(100):
            rows = rng.choice(20_000, 300, replace=False)
            few = [
                estimate_prior(FunctionCounts.from_unordered(tables[rows], e.counts[rows]), at=tables[rows])
                for e in exact
            ]
            low, high = correlation_at_fixed_complexity_test(
                *few, K[rows], group=(), permutations=19, seed=seed
            ).effect_interval
            hits += low <= truth <= high
        assert_coverage(hits, 100, at_least=0.88)

    def test_one_function_an_orbit(self, rng):
        one, other = priors_of(normalized(ZIPF[ORBIT]), normalized(UNIFORM + 0 * ZIPF))
        with pytest.raises(TooFewSamples, match="differ in both"):
            correlation_at_fixed_complexity_test(one, other, CIRCUITS)
        test = correlation_at_fixed_complexity_test(one, one, CIRCUITS, permutations=19)
        assert "222 orbits" in test.evidence

    def test_paired_priors_are_judged_by_those_that_did_not_choose(self, rng):
        """Law: at least Binomial(400, 0.95) intervals hold, of functions that either map's half had twice or more."""
        p, q = ZIPF, TAIL_OTHER
        hits = total = 0
        while total < 400:
            one, other = paired_priors(
                sampled(rng, p, 2_000), sampled(rng, q, 2_000), at_least=2, seed=int(rng.integers(1 << 32))
            )
            assert one.tables == other.tables
            rows = one.tables.words()[:, 0].astype(np.int64)
            assert one.caveat is None
            take = rng.integers(len(rows), size=10)
            for prior, law in ((one, p), (other, q)):
                truth = np.log2(law[rows[take]])
                hits += int(((prior.log2_low[take] <= truth) & (truth <= prior.log2_high[take])).sum())
            total += 20
        assert_coverage(hits, total, at_least=0.95)

    def test_most_frequent_first(self, rng):
        one = paired_priors(sampled(rng, ZIPF, 10_000), sampled(rng, ZIPF, 10_000))[0]
        assert one.tables[0].ints() == [0]
        assert len(paired_priors(sampled(rng, ZIPF, 10_000), sampled(rng, ZIPF, 10_000), at_least=5)[0]) < len(one)
        with pytest.raises(TooFewSamples, match="lower at_least"):
            paired_priors(sampled(rng, UNIFORM, 100), sampled(rng, UNIFORM, 100), at_least=50)

    def test_mistakes_are_explained(self, rng):
        one, other = priors_of(normalized([4, 3, 2, 1]), normalized([1, 2, 3, 4]))
        shorter = estimate_prior(FunctionCounts.from_unordered(one.tables[:2], [3, 1]), at=one.tables[:2])
        with pytest.raises(IncompatibleTables, match="paired_priors"):
            correlation_at_fixed_complexity_test(one, shorter, [1, 2, 3, 4])
        with pytest.raises(InvalidInput, match="4 functions need 4 numbers"):
            correlation_at_fixed_complexity_test(one, other, [1, 2])
        with pytest.raises(InvalidInput, match="from 19 up"):
            correlation_at_fixed_complexity_test(one, other, [1, 1, 1, 1], group=(), permutations=1)
        assert stats.spearmanr(one.log2_p, other.log2_p).statistic == pytest.approx(
            correlation_at_fixed_complexity_test(one, other, [1, 1, 1, 1], group=()).effect
        )
