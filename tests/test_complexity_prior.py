"""P(K): what a sample says of all functions of one complexity, in memory and from disk."""

import numpy as np
import pytest
from scipy import stats

import pfmap
from pfmap import Cube, FunctionCounts, InvalidInput, TruthTables, complexity, maps
from pfmap.store import save_counts
from tests.statistics import LEVEL, assert_binomial, smallest_fault

NET = maps.MLP(4, (8,))


@pytest.fixture(scope="module")
def counts():
    return pfmap.draw(NET, 20_000, seed=3)


def test_it_is_a_histogram_of_all_samples(counts):
    found = pfmap.estimate_complexity_prior(counts, complexity.circuit_size)
    K = complexity.circuit_size(counts.tables)
    assert found.levels.tolist() == sorted(set(K.tolist()))
    for level, functions, k, log2_p in zip(found.levels, found.functions, found.counts, found.log2_p, strict=True):
        assert functions == np.count_nonzero(level == K)
        assert k == counts.counts[level == K].sum()
        assert log2_p == pytest.approx(np.log2(k / 20_000))
    assert found.counts.sum() == found.n_samples == 20_000
    assert found.n_unlisted == 0


@pytest.mark.parametrize("rows", [1, 7, 1 << 18])
def test_a_table_on_disk_says_the_same_whatever_is_read_at_once(rows, tmp_path):
    counts = pfmap.draw(maps.MLP(3, (4,)), 300, seed=2)
    save_counts(counts, tmp_path / "counts.parquet")
    from_disk = pfmap.estimate_complexity_prior(tmp_path / "counts.parquet", complexity.lempel_ziv, rows=rows)
    in_memory = pfmap.estimate_complexity_prior(counts, complexity.lempel_ziv)
    for name in ("levels", "functions", "counts", "log2_p", "log2_low", "log2_high"):
        np.testing.assert_array_equal(getattr(from_disk, name), getattr(in_memory, name))


def test_what_is_not_listed_may_be_of_any_complexity(counts):
    whole = pfmap.estimate_complexity_prior(counts, complexity.circuit_size)
    cut = pfmap.estimate_complexity_prior(counts.truncated(50), complexity.circuit_size)
    assert cut.n_unlisted == counts.truncated(50).n_unlisted > 0
    at = np.searchsorted(whole.levels, cut.levels)
    assert np.all(cut.log2_low <= whole.log2_low[at])
    assert np.all(cut.log2_high >= whole.log2_high[at])


def test_orbits_have_one_complexity_if_the_measure_says_so(counts):
    pooled = counts.pooled({"input_permutations"})
    found = pfmap.estimate_complexity_prior(pooled, complexity.circuit_size)
    np.testing.assert_array_equal(found.counts, pfmap.estimate_complexity_prior(counts, complexity.circuit_size).counts)
    with pytest.raises(InvalidInput, match="lempel_ziv tells functions of one orbit apart under input_permutations"):
        pfmap.estimate_complexity_prior(pooled, complexity.lempel_ziv)


@pytest.mark.parametrize("cluster_size", [1, 8])
def test_intervals_cover(cluster_size, rng):
    """Law: at least Binomial(300, 0.95) intervals hold for each K, in clusters that hold one function each, too.

    The fault planted: clusters taken for as many independent samples.
    """
    tables = TruthTables.from_ints(range(256), 3)
    K = complexity.distance_to_constant(tables)
    P = rng.dirichlet(np.full(256, 0.1))
    truth = np.array([P[level == K].sum() for level in range(5)])
    held, believed = np.zeros(5), np.zeros(5)
    for _ in range(300):
        k = cluster_size * rng.multinomial(400, P)
        came = np.flatnonzero(k)
        sample = FunctionCounts.from_unordered(
            tables[came], k[came], squares=cluster_size * k[came], n_clusters=400, n_samples=400 * cluster_size
        )
        plain = FunctionCounts.from_unordered(tables[came], k[came])
        for estimate, total in ((sample, held), (plain, believed)):
            found = pfmap.estimate_complexity_prior(estimate, complexity.distance_to_constant)
            at = found.levels.astype(int)
            total[at] += (2**found.log2_low <= truth[at]) & (truth[at] <= 2**found.log2_high)
            missing = np.setdiff1d(np.arange(5), at)
            total[missing] += truth[missing] < 1e-2
    tail = stats.binom.cdf(held, 300, 0.95)
    assert (tail >= LEVEL / 5).all(), held
    if cluster_size > 1:
        assert (stats.binom.cdf(believed, 300, 0.95) < LEVEL / 5).any(), believed


def test_deep_relu_networks_as_published():
    """Law: Binomial(N, 0.53668) samples of K = 7 (arXiv 2304.06670, its released sampler at 1e8 samples).

    Smallest fault caught at N = 4,000: P(K = 7) = 0.59, or 0.48.
    """
    net = maps.MLP(7, (128,) * 10, "relu", 1.0, 0.025, bias_scaling="fan_out")
    n = 4_000
    found = pfmap.estimate_complexity_prior(pfmap.draw(net, n, seed=5), complexity.lempel_ziv_truncated)
    at = found.levels.tolist().index(7.0)
    assert_binomial(int(found.counts[at]), n, 0.53668)
    below, above = smallest_fault(n, 0.53668)
    assert below > 0.47
    assert above < 0.60
    mean = float(found.counts @ found.levels) / n
    error = np.sqrt(found.counts @ (found.levels - mean) ** 2) / n
    assert abs(mean - 36.18) < stats.norm.isf(LEVEL / 2) * error


def test_mistakes_are_explained(counts, tmp_path):
    fixed = pfmap.draw(NET, 1_000, only=TruthTables.from_ints([0], 4))
    with pytest.raises(InvalidInput, match="only a set chosen before"):
        pfmap.estimate_complexity_prior(fixed, complexity.entropy)
    with pytest.raises(InvalidInput, match=r"K is float64\[2\]; it needs a number for each"):
        pfmap.estimate_complexity_prior(counts, complexity.entropy, K=[1.0, 2.0])
    with pytest.raises(InvalidInput, match="confidence"):
        pfmap.estimate_complexity_prior(counts, complexity.entropy, confidence=1.0)
    with pytest.raises(pfmap.StoreError):
        pfmap.estimate_complexity_prior(tmp_path / "nothing", complexity.entropy)
    assert "circuit_size (gates)" in repr(pfmap.estimate_complexity_prior(counts, complexity.circuit_size))
    assert Cube(4) == counts.tables.domain
