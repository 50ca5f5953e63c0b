"""What a measure adds to others: against brute force, its level, planted laws of two measures, and its errors."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pfmap import Cube, FunctionCounts, InvalidInput, TruthTables, added_complexity_test, complexity
from pfmap.hypotheses.laws import levels_of
from pfmap.symmetry import NPN, canonicalize
from tests.statistics import LEVEL, assert_binomial, assert_coverage, smallest_fault

OF_THREE = TruthTables.from_ints(range(256), 3)
C = complexity.circuit_size
LZ = complexity.lempel_ziv
T = complexity.type_code


def sampled(rng, p, n_samples):
    counts = rng.multinomial(n_samples, p / p.sum())
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(OF_THREE[came], counts[came])


def divergence(p, measures):
    """The least KL(P || P_a) over a, in bits, summing over all functions."""
    K = np.column_stack([measure(OF_THREE) for measure in measures])

    def of(a):
        log2_law = -K @ a - np.logaddexp2.reduce(-K @ a)
        return float(p @ (np.log2(p) - log2_law))

    return minimize(of, np.zeros(K.shape[1]), method="BFGS", options={"gtol": 1e-9}).fun


def rough(rng):
    """P near no law of any of the measures."""
    p = 2.0 ** (-0.3 * C(OF_THREE) - 0.1 * LZ(OF_THREE)) / (1.0 + rng.permutation(256))
    return p / p.sum()


@pytest.mark.parametrize("base", [[C], [C, LZ]], ids=["one", "two"])
@pytest.mark.parametrize("average", [(), NPN], ids=["as it is", "averaged"])
def test_bits_are_those_of_brute_force(base, average, rng):
    """A million samples within 6 of their own standard errors, and the error told is no more than 0.02 bits."""
    p = rough(rng)
    counts = sampled(rng, p, 1_000_000)
    if average:
        where = canonicalize(OF_THREE, group=average).representatives.words()[:, 0].astype(np.int64)
        p = (np.bincount(where, p, 256) / np.maximum(np.bincount(where, minlength=256), 1))[where]
    test = added_complexity_test(counts, base, T, average=average)
    error = (test.effect_interval[1] - test.effect) / 1.96
    assert error < 0.02
    assert abs(test.effect - (divergence(p, base) - divergence(p, [*base, T]))) < 6 * error + 1e-6


@pytest.mark.parametrize(("base", "added"), [(T, C), (C, LZ), (LZ, C)], ids=lambda m: m.name)
def test_level_where_the_base_says_it_all(base, added, rng):
    """Law: Binomial(600, 0.05) rejections. Smallest fault caught: a level of 0.14. P is the law of the base."""
    n, p = 600, 2.0 ** (-0.7 * base(OF_THREE))
    tests = [added_complexity_test(sampled(rng, p, 3_000), base, added) for _ in range(n)]
    assert_binomial(sum(test.is_rejected for test in tests), n, 0.05, level=LEVEL / 3)
    assert smallest_fault(n, 0.05, level=LEVEL / 3)[1] < 0.14
    assert all(test.effect_interval[0] <= 0 <= test.effect_interval[1] for test in tests if not test.is_rejected)
    assert np.mean([test.effect for test in tests]) < 0


def test_interval_covers(rng):
    """Law: at least Binomial(400, 0.93) of 95 % intervals hold what is added, of 5,000 samples."""
    p = rough(rng)
    truth = divergence(p, [C]) - divergence(p, [C, T])
    tests = [added_complexity_test(sampled(rng, p, 5_000), C, T) for _ in range(400)]
    assert_coverage(sum(t.effect_interval[0] <= truth <= t.effect_interval[1] for t in tests), 400, at_least=0.93)


def test_a_law_of_two_measures_is_found(rng):
    p = 2.0 ** (-0.5 * C(OF_THREE) - 0.3 * T(OF_THREE))
    counts = sampled(rng, p, 30_000)
    for base, added in ((C, T), (T, C)):
        test = added_complexity_test(counts, base, added)
        assert test.p_value < LEVEL
        assert test.effect_interval[0] > 0
    assert added_complexity_test(counts, [C, T], LZ).p_value > LEVEL


def test_proportional_measures_add_nothing(rng):
    test = added_complexity_test(
        sampled(rng, rough(rng), 3_000), complexity.average_sensitivity, complexity.total_influence
    )
    assert test.p_value == 1
    assert test.effect == pytest.approx(0, abs=1e-9)


def test_joint_laws_have_the_means_they_were_given():
    levels = levels_of([C, LZ, T], Cube(4))
    assert np.exp2(levels.log2_functions).sum() == pytest.approx(1 << 16)
    assert levels.rank() == 3
    for a in ([0.2, 0.1, -0.3], [2.0, 0.0, 0.5], [-1.0, 0.4, 0.0]):
        assert levels.fitted(levels.moments(a)[0]) == pytest.approx(a, abs=1e-6)
    assert levels_of([complexity.average_sensitivity, C, complexity.total_influence], Cube(4)).rank() == 2


def test_five_inputs_by_class(rng):
    measures = [complexity.circuit_size_bound, complexity.distance_to_constant]
    both, one = levels_of(measures, Cube(5)), levels_of(measures[:1], Cube(5))
    assert both.log2_z([0.7, 0.0]) == pytest.approx(one.log2_z([0.7]))
    assert both.rank() == 2


def test_mistakes_are_explained(rng):
    counts = sampled(rng, rough(rng), 100)
    with pytest.raises(InvalidInput, match="at least one"):
        added_complexity_test(counts, [], C)
    with pytest.raises(InvalidInput, match="each once"):
        added_complexity_test(counts, [C, T], C)
    with pytest.raises(InvalidInput, match="no complexity measure"):
        added_complexity_test(counts, C, len)
    with pytest.raises(InvalidInput, match=r"such as 0\.95"):
        added_complexity_test(counts, C, T, confidence=95)
    with pytest.raises(InvalidInput, match="counts of orbits"):
        added_complexity_test(counts.pooled(NPN), C, T)
    five = FunctionCounts.from_unordered(TruthTables.from_ints([0, 1, 2], 5), [3, 2, 1])
    with pytest.raises(InvalidInput, match="lempel_ziv is not known"):
        added_complexity_test(five, complexity.entropy, LZ)
