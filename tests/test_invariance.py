"""The test of invariance: its level where counts are many and where nearly all are 1, and lies that it must catch."""

import numpy as np
import pytest
import torch
from scipy import stats

from pfmap import Cube, FunctionCounts, InvalidInput, Points, TooFewSamples, TruthTables, draw, invariance_test, maps
from pfmap.invariance import _moments_of_equal_pairs
from pfmap.symmetry import NPN, canonicalize

PERMUTATIONS = frozenset({"input_permutations"})


def sampled(rng, probabilities, n_samples, n_inputs):
    counts = rng.multinomial(n_samples, probabilities)
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(TruthTables.from_ints(came.tolist(), n_inputs), counts[came])


def invariant_prior(rng, n_inputs, group, spread):
    """Probabilities of all functions, equal within orbits; from one orbit to the next log-normal."""
    every = TruthTables.from_ints(range(1 << (1 << n_inputs)), n_inputs)
    _, where = np.unique(canonicalize(every, group=group).representatives.packed, axis=0, return_inverse=True)
    p = np.exp(spread * rng.standard_normal(where.max() + 1))[where.ravel()]
    return p / p.sum()


@pytest.mark.parametrize("group", [PERMUTATIONS, NPN, {"complement"}], ids=sorted)
@pytest.mark.parametrize(("n_inputs", "n_samples", "spread"), [(4, 500, 1.0), (3, 3_000, 3.0), (3, 100_000, 3.0)])
def test_level(group, n_inputs, n_samples, spread, rng):
    """Law: at most Binomial(300, 1.25 alpha) rejections, for counts nearly all 1 up to counts of thousands.

    Smallest fault: at alpha = 0.1 a level of 0.3; the lies below are larger ones.
    """
    p, n = invariant_prior(rng, n_inputs, group, spread), 300
    values = [invariance_test(sampled(rng, p, n_samples, n_inputs), group).p_value for _ in range(n)]
    for alpha in (0.1, 0.01, 1e-3):
        rejected = int(np.count_nonzero(np.array(values) <= alpha))
        assert stats.binom.sf(rejected - 1, n, 1.25 * alpha) > 3e-7
    assert stats.binom.sf(stats.binom.ppf(0.01, n, 0.3) - 1, n, 0.125) < 3e-7


@pytest.mark.parametrize(("total", "size"), [(2, 2), (3, 2), (4, 3), (6, 2)])
def test_moments_are_those_of_every_outcome(total, size):
    outcomes = np.stack(np.meshgrid(*[np.arange(size)] * total), axis=-1).reshape(-1, total)
    equal = sum((outcomes[:, i] == outcomes[:, j]).astype(float) for i in range(total) for j in range(i))
    mean, variance, third = _moments_of_equal_pairs(np.array([float(total)]), np.array([float(size)]))
    centred = equal - equal.mean()
    np.testing.assert_allclose([mean, variance, third], [equal.mean(), (centred**2).mean(), (centred**3).mean()])


def unequal_scales(n):
    """A perceptron of unequal weights that claims to be symmetric in its inputs."""
    points = torch.from_numpy(Cube(n).points().astype(np.float32)).T
    scales = torch.linspace(1.0, 1.5, n)

    def logits(z):
        return (z[:, :-1] * scales) @ points + z[:, -1:]

    return maps.LatentFunction("unequal", Cube(n), n + 1, logits, PERMUTATIONS)


def without_output_bias(n):
    """A ReLU network with hidden biases and no output bias that claims to be symmetric under complement."""
    points = torch.from_numpy(Cube(n).points().astype(np.float32)).T

    def logits(z):
        hidden = torch.relu(torch.einsum("bhi,ip->bhp", z[:, : 3 * n].reshape(-1, 3, n), points) + z[:, -6:-3, None])
        return torch.einsum("bh,bhp->bp", z[:, -3:], hidden)

    return maps.LatentFunction("no output bias", Cube(n), 3 * n + 6, logits, {"complement"})


@pytest.mark.parametrize("lie", [unequal_scales(4), unequal_scales(7), without_output_bias(4), without_output_bias(7)])
def test_lies_are_caught(lie, seed):
    """20,000 samples; what the map declares is refused at 1e-6, and what it does not claim but has is not."""
    counts = draw(lie, 20_000, seed=seed)
    assert invariance_test(counts, lie.symmetry).p_value < 1e-6
    truth = PERMUTATIONS if "complement" in lie.symmetry else {"complement"}
    assert invariance_test(counts, truth).p_value > 5e-7


def test_a_lie_is_caught_where_nearly_every_count_is_1(rng):
    """Half of each orbit's functions have twice the probability of the others; 9 of 10 functions came once."""
    p = invariant_prior(rng, 4, PERMUTATIONS, 0.0)
    lie = p * np.where(rng.random(len(p)) < 0.1, 20.0, 1.0)
    counts = sampled(rng, lie / lie.sum(), 6_000, 4)
    assert np.count_nonzero(counts.counts == 1) > 0.75 * len(counts)
    assert invariance_test(counts, PERMUTATIONS).p_value < 1e-6
    assert invariance_test(sampled(rng, p, 6_000, 4), PERMUTATIONS).p_value > 5e-7


@pytest.mark.parametrize("net", [maps.MLP(7), maps.MLP(5, (8,), "tanh", inputs="pm1", sigma_b=0.0)], ids=str)
def test_networks_have_the_symmetry_they_declare(net, seed):
    result = invariance_test(draw(net, 50_000, seed=seed), net.symmetry)
    assert result.p_value > 1e-6
    assert result.group == net.symmetry


def test_it_reads_as_one_sentence():
    counts = FunctionCounts.from_unordered(TruthTables.from_strings(["0010", "0100"]), [90, 30])
    text = str(invariance_test(counts, PERMUTATIONS))
    assert text.startswith(
        "Invariance under input_permutations: 4440 equal pairs in 1 orbits that came 120 to 120 times"
    )
    assert ", 3570 expected; p = " in text


def test_counts_that_cannot_tell_are_refused():
    few = FunctionCounts.from_unordered(TruthTables.from_strings(["0010", "0000"]), [1, 5])
    constants = FunctionCounts.from_unordered(TruthTables.from_strings(["1111", "0000"]), [1, 5])
    with pytest.raises(TooFewSamples, match="in 6 samples"):
        invariance_test(constants, PERMUTATIONS)
    clusters = FunctionCounts.from_unordered(few.tables, [3, 3], squares=[5, 5], n_clusters=2)
    for counts in (clusters, few.pooled(PERMUTATIONS), few.truncated(2)):
        with pytest.raises(InvalidInput, match="plain draw of the map"):
            invariance_test(counts, PERMUTATIONS)
    with pytest.raises(InvalidInput, match="any of"):
        invariance_test(few, {"mirror"})
    with pytest.raises(InvalidInput):
        invariance_test(FunctionCounts.from_unordered(TruthTables.from_strings(["010"], Points(3)), [2]), PERMUTATIONS)
