"""Tests of claims: their levels under priors without simplicity bias, their power, their intervals and their words."""

import numpy as np
import pytest
from scipy import stats

from pfmap import (
    FunctionCounts,
    HypothesisTest,
    IncompatibleTables,
    InvalidInput,
    Points,
    TooFewSamples,
    TruthTables,
    complexity,
    correct_family,
    estimate_prior,
    simplicity_bias_test,
)
from pfmap.symmetry import canonicalize
from tests.statistics import LEVEL, assert_binomial, assert_coverage, smallest_fault

EVERY = TruthTables.from_ints(range(1 << 16), 4)
CIRCUITS = complexity.circuit_size(EVERY)
WEIGHT = EVERY.hamming_weight()
ORBIT = canonicalize(EVERY).representatives.words()[:, 0].astype(np.int64)


def drawn(rng, p, n_samples):
    """Two halves of a sample of functions of four inputs with these probabilities, which need not sum to 1."""
    counts = rng.multinomial(2 * n_samples, p / p.sum())
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(EVERY[came], counts[came]).split(seed=1)


def judged(rng, p, n_samples):
    """The prior at the functions of one half by the other, and their circuit sizes."""
    pick, judge = drawn(rng, p, n_samples)
    prior = estimate_prior(judge, at=pick.tables)
    return prior, CIRCUITS[prior.tables.words()[:, 0].astype(np.int64)]


def uniform(rng):
    return np.ones(1 << 16)


def zipf(rng):
    """1 / rank, ranks dealt out to functions at random."""
    return 1 / (1.0 + rng.permutation(1 << 16))


def zipf_of_orbits(rng):
    return zipf(rng)[ORBIT]


def of_weight(rng):
    """P depends on T alone: equal probabilities of all T, so that constants are frequent."""
    return 1 / np.bincount(WEIGHT)[WEIGHT]


class TestSimplicityBias:
    @pytest.mark.parametrize(
        ("law", "within"),
        [
            (uniform, ()),
            (zipf, ()),
            (zipf_of_orbits, "orbit_size"),
            (of_weight, "hamming_weight"),
            (of_weight, ("entropy",)),
        ],
    )
    def test_level(self, law, within, rng, monkeypatch):
        """Law: Binomial(400, 0.05) rejections at 0.05. Smallest fault caught: a level of 0.16."""
        monkeypatch.setattr("pfmap.hypotheses.simplicity_bias._RESAMPLES", 2)  # intervals are not asked for here
        n = 400
        rejected = 0
        for seed in range(n):
            prior, K = judged(rng, law(rng), 3_000)
            test = simplicity_bias_test(prior, K, within=within, permutations=19, seed=seed)
            rejected += test.p_value <= 0.05
        assert_binomial(rejected, n, 0.05, level=LEVEL / 5)
        assert smallest_fault(n, 0.05, level=LEVEL / 5)[1] < 0.16

    def test_class_balance_is_taken_for_simplicity_bias_without_strata(self, rng):
        """P depends on T alone: the plain test rejects, as simple functions are unbalanced."""
        prior, K = judged(rng, of_weight(rng), 30_000)
        assert simplicity_bias_test(prior, K, group={"input_permutations"}).p_value == 1e-4

    def test_functions_of_an_orbit_are_no_independent_evidence(self, rng, monkeypatch):
        """P dealt out to orbits: taking every function for evidence rejects far too often, on either side."""
        monkeypatch.setattr("pfmap.hypotheses.simplicity_bias._RESAMPLES", 2)
        rejected = 0
        for seed in range(20):
            prior, K = judged(rng, zipf_of_orbits(rng), 30_000)
            p = simplicity_bias_test(prior, K, group=(), permutations=99, seed=seed).p_value
            rejected += min(p, 1 - p) < 0.025
        assert stats.binom.sf(rejected - 1, 20, 0.05) < LEVEL

    @pytest.mark.parametrize("within", [(), "hamming_weight", "entropy", "orbit_size"])
    def test_planted_simplicity_bias_is_found(self, within, rng):
        """P proportional to 2^-K: every one of 5 samples is rejected, whatever the strata."""
        for seed in range(5):
            test = simplicity_bias_test(*judged(rng, 2.0**-CIRCUITS, 30_000), within=within, seed=seed)
            assert test.p_value < 0.01
            assert test.effect_interval[0] <= test.effect <= test.effect_interval[1] < 0

    def test_power_grows_with_the_strength(self, rng):
        found = []
        for a in (0.05, 0.2, 0.8):
            p = [
                simplicity_bias_test(*judged(rng, 2.0 ** (-a * CIRCUITS), 10_000), permutations=99).p_value
                for _ in range(10)
            ]
            found.append(np.mean(np.array(p) <= 0.05))
        assert found == sorted(found)
        assert found[-1] == 1

    def test_one_stratum_is_spearman(self, rng):
        prior, K = judged(rng, 2.0**-CIRCUITS, 3_000)
        test = simplicity_bias_test(prior, K, group=(), permutations=19)
        assert test.effect == pytest.approx(stats.spearmanr(prior.log2_p, K).statistic)

    def test_interval_covers(self, rng):
        """Law: at least Binomial(100, 0.9) of 95 % intervals hold the effect of all functions, 200 functions each.

        P is known exactly here, so that functions alone are drawn at random.
        """
        exact = estimate_prior(
            FunctionCounts.from_unordered(EVERY, 1 + (2.0 ** (12 - CIRCUITS + 2 * rng.random(1 << 16))).astype(int))
        )
        at = EVERY.positions_in(exact.tables)
        truth = stats.spearmanr(exact.log2_p[at], CIRCUITS).statistic
        hits = 0
        for seed in range(100):
            rows = rng.choice(1 << 16, 200, replace=False)
            counts = FunctionCounts.from_unordered(EVERY[rows], exact.counts[at][rows])
            prior = estimate_prior(counts, at=EVERY[rows])
            low, high = simplicity_bias_test(
                prior, CIRCUITS[rows], group=(), permutations=19, seed=seed
            ).effect_interval
            hits += low <= truth <= high
        assert_coverage(hits, 100, at_least=0.9)

    def test_same_seed_same_result(self, rng):
        prior, K = judged(rng, 2.0**-CIRCUITS, 1_000)
        assert simplicity_bias_test(prior, K, seed=5) == simplicity_bias_test(prior, K, seed=5)

    def test_mistakes_are_explained(self):
        tables = TruthTables.from_strings(["0001", "0111", "0110", "0000"])
        prior = estimate_prior(FunctionCounts.from_unordered(tables, [4, 3, 2, 1]), at=tables)
        with pytest.raises(InvalidInput, match="4 functions need 4 numbers"):
            simplicity_bias_test(prior, [1.0])
        with pytest.raises(InvalidInput, match="finite complexity"):
            simplicity_bias_test(prior, [1.0, np.nan, 2.0, 3.0])
        with pytest.raises(InvalidInput, match="any of hamming_weight"):
            simplicity_bias_test(prior, [1, 2, 3, 4], within="weight")
        with pytest.raises(InvalidInput, match="from 19 up"):
            simplicity_bias_test(prior, [1, 2, 3, 4], permutations=10)
        with pytest.raises(InvalidInput, match=r"such as 0\.95"):
            simplicity_bias_test(prior, [1, 2, 3, 4], confidence=95)
        with pytest.raises(TooFewSamples, match="differ in P and in K"):
            simplicity_bias_test(prior, [1, 1, 1, 1], group=())
        points = TruthTables.from_strings(["010", "110"], Points(3))
        listed = estimate_prior(FunctionCounts.from_unordered(points, [2, 1]), at=points)
        with pytest.raises(IncompatibleTables):
            simplicity_bias_test(listed, [1, 2])
        assert simplicity_bias_test(listed, [2, 1], group=()).effect == 1

    def test_what_weakens_it_is_its_caveat(self):
        tables = TruthTables.from_strings(["0001", "0111", "0110", "0000"])
        K = [1, 2, 3, 0]
        counts = FunctionCounts.from_unordered(tables, [8, 6, 4, 2], squares=[16, 12, 8, 4], n_clusters=10)
        assert "share hidden layers" in simplicity_bias_test(estimate_prior(counts, at=tables), K, group=()).caveat
        plain = FunctionCounts.from_unordered(tables, [8, 6, 4, 2])
        assert "picked by the counts" in simplicity_bias_test(estimate_prior(plain), K, group=()).caveat


def a_test(p):
    return HypothesisTest("P is fair", 1.0, p, 0.2, (0.1, 0.3), "the effect", 0.95, "a sample")


class TestFamily:
    def test_holm_by_hand(self):
        adjusted = [t.adjusted_p_value for t in correct_family([a_test(p) for p in (0.03, 0.01, 0.5, 0.02)])]
        assert adjusted == pytest.approx([0.06, 0.04, 0.5, 0.06])

    def test_benjamini_hochberg_is_scipy_s(self, rng):
        p = rng.random(20)
        corrected = correct_family([a_test(x) for x in p], method="benjamini_hochberg")
        assert [t.adjusted_p_value for t in corrected] == pytest.approx(stats.false_discovery_control(p).tolist())

    def test_holm_rejects_a_true_null_seldom(self, rng):
        """Law: at most Binomial(2000, 0.05) families of 10 true nulls have any rejection; uncorrected, 40 % do."""
        families = rng.random((2_000, 10))
        some = sum(any(t.is_rejected for t in correct_family([a_test(p) for p in row])) for row in families)
        assert stats.binom.sf(some - 1, 2_000, 0.05) >= LEVEL
        uncorrected = int((families.min(axis=1) <= 0.05).sum())
        assert stats.binom.sf(uncorrected - 1, 2_000, 0.05) < LEVEL

    def test_it_reads_as_one_sentence(self):
        assert str(a_test(0.2)) == (
            "That P is fair is not rejected (p = 0.2; a sample): the effect is 0.2 (95 % interval 0.1 to 0.3)."
        )

    def test_mistakes_are_explained(self):
        with pytest.raises(InvalidInput, match="at least one"):
            correct_family([])
        with pytest.raises(InvalidInput, match="holm, benjamini_hochberg"):
            correct_family([a_test(0.1)], method="bonferroni")
        with pytest.raises(InvalidInput, match="between 0 and 1"):
            a_test(1.5)
        with pytest.raises(InvalidInput, match="hold the effect"):
            HypothesisTest("x", 1.0, 0.5, 2.0, (0.0, 1.0), "y", 0.95, "z")
