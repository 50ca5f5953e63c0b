"""FunctionCounts: one canonical form, exact merging and splitting, and no sample counted twice."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pfmap.counts import FunctionCounts, Totals
from pfmap.errors import IncompatibleTables, InvalidInput, TooFewSamples
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, Points, TruthTables
from tests.statistics import assert_binomial, assert_multinomial, smallest_fault

MAP = {"map": "MLP", "n_inputs": 3, "hidden": [4], "sigma_w": 1.0}
EMPTY_RANGE = {"seed": 0, "stream": "z", "start": 3, "stop": 3}


def drawn(seed, start, stop, *, spec=MAP, n_inputs=3):
    """Counts of made-up samples start … stop - 1 of one seed: sample i is a pure function of (seed, i)."""
    ints = [hash((seed, i)) % 7 % (1 << (1 << n_inputs)) for i in range(start, stop)]
    provenance = {"map": spec, "draws": [{"seed": seed, "stream": "z", "start": start, "stop": stop}]}
    return FunctionCounts.from_unordered(
        TruthTables.from_ints(ints, n_inputs), np.ones(len(ints), np.int64), provenance
    )


def by_hand(counts, n_inputs=3):
    return FunctionCounts.from_unordered(TruthTables.from_ints(range(len(counts)), n_inputs), counts)


# One canonical form


@given(
    domain=st.sampled_from([Cube(1), Cube(3), Cube(7), Points(13), Points(70)]),
    rows=st.lists(st.tuples(st.integers(0, 2**70), st.integers(1, 3)), min_size=1, max_size=30),
    random=st.randoms(use_true_random=False),
)
def test_any_order_and_any_repeats_give_one_form(domain, rows, random):
    m = domain.n_points
    expected = {}
    for value, count in rows:
        string = format(value % 2**m, f"0{m}b")
        expected[string] = expected.get(string, 0) + count
    random.shuffle(rows)
    strings = [format(value % 2**m, f"0{m}b") for value, _ in rows]
    counts = FunctionCounts.from_unordered(TruthTables.from_strings(strings, domain), [count for _, count in rows])
    listed = list(zip(counts.tables.strings(), counts.counts.tolist(), strict=True))
    assert listed == sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    assert counts.n_samples == sum(expected.values())


def test_what_is_inside_cannot_be_changed():
    provenance = {"map": dict(MAP)}
    counts = FunctionCounts.from_unordered(TruthTables.from_ints([1, 2], 2), np.array([1, 2]), provenance)
    provenance["map"]["sigma_w"] = 2.0
    assert counts.provenance["map"]["sigma_w"] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        counts.counts[0] = 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], 3), "not sorted"),
        (([2, 1], 4), "sum of counts, 3"),
        (([2, 0], 2), "came at least once"),
        (([2, -1], 1), "came at least once"),
        (([2.0, 1.0], 3), "2 tables need 2 integers"),
        (([2], 2), "2 tables need 2 integers"),
    ],
)
def test_counts_that_are_none_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        FunctionCounts(TruthTables.from_ints([1, 2], 2), np.array(arguments[0]), arguments[1], {})


@pytest.mark.parametrize(
    "provenance",
    [{"draws": [{"seed": 1}]}, {"draws": 5}, {"map": object()}, {"draws": [EMPTY_RANGE]}],
)
def test_provenance_that_is_none_is_refused(provenance):
    with pytest.raises(InvalidInput, match="provenance"):
        FunctionCounts(TruthTables.from_ints([1], 2), np.array([1]), 1, provenance)


def test_no_samples_are_refused():
    with pytest.raises(InvalidInput, match="at least one sample"):
        FunctionCounts.from_unordered(TruthTables.from_ints([], 2), np.zeros(0, np.int64))


def test_repr_is_one_short_line():
    text = repr(by_hand([5, 1, 1]))
    assert "7 samples of 3 functions, 2 of them once" in text
    assert len(text) < 200


def test_at_looks_functions_up_in_any_order():
    counts = by_hand([4, 9, 2])
    assert counts.at(TruthTables.from_ints([2, 200, 0, 2], 3)).tolist() == [2, 0, 4, 2]
    with pytest.raises(IncompatibleTables, match="one domain"):
        counts.at(TruthTables.from_ints([1], 2))


# Merging


def test_merging_is_counting_all_samples_at_once():
    whole = drawn(0, 0, 1000)
    parts = [drawn(0, 0, 300), drawn(0, 300, 301), drawn(0, 301, 1000)]
    for a, b, c in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert parts[a].merge(parts[b], parts[c]) == whole
        assert parts[a] + (parts[b] + parts[c]) == whole
    two_seeds = whole + drawn(1, 0, 500)
    assert two_seeds.n_samples == 1500
    assert [record["seed"] for record in two_seeds.provenance["draws"]] == [0, 1]


def test_counts_of_other_maps_are_refused_by_name_of_the_field():
    with pytest.raises(IncompatibleTables, match=r"map\.sigma_w is 1\.0 in one and 2\.0"):
        drawn(0, 0, 9) + drawn(1, 0, 9, spec={**MAP, "sigma_w": 2.0})
    with pytest.raises(IncompatibleTables, match=r"map\.extra is absent"):
        drawn(0, 0, 9) + drawn(1, 0, 9, spec={**MAP, "extra": 1})
    with pytest.raises(IncompatibleTables, match="one domain"):
        drawn(0, 0, 9) + drawn(1, 0, 9, n_inputs=2)
    with pytest.raises(TypeError):
        drawn(0, 0, 9) + 1


def test_no_sample_is_counted_twice():
    whole = drawn(0, 0, 100)
    first, second = whole.split(seed=1)
    other, _ = whole.split(seed=2)
    again, more = first.split(seed=3)
    part_of_a_longer_draw, _ = drawn(0, 0, 200).split(seed=1)
    for one, two in [
        (whole, whole),
        (whole, drawn(0, 50, 150)),
        (whole, first),
        (first, first),
        (first, other),
        (first, again),
        (first, drawn(0, 99, 200)),
        (second, part_of_a_longer_draw),
    ]:
        for pair in ((one, two), (two, one)):
            with pytest.raises(InvalidInput, match="of seed 0 would be counted twice"):
                pair[0] + pair[1]
    assert (again + second + more) == whole


# Splitting


@pytest.mark.parametrize("n_samples", [2, 3, 101])
def test_halves_are_floor_and_ceil_and_merge_back(n_samples):
    whole = drawn(0, 0, n_samples) + drawn(5, 0, n_samples)
    first, second = whole.split(seed=1)
    assert (first.n_samples, second.n_samples) == (n_samples, n_samples)
    first, second = drawn(0, 0, n_samples).split(seed=1)
    assert (first.n_samples, second.n_samples) == (n_samples // 2, n_samples - n_samples // 2)
    assert first + second == second + first == drawn(0, 0, n_samples)
    assert json.loads(json.dumps(first.provenance)) == first.provenance


def test_one_seed_gives_one_split():
    counts = by_hand([30, 20, 10])
    assert counts.split(seed=4)[0] == counts.split(seed=4)[0]
    assert any(counts.split(seed=4)[0] != counts.split(seed=s)[0] for s in range(5, 15))
    with pytest.raises(TooFewSamples, match="at least 2 samples"):
        by_hand([1]).split()
    with pytest.raises(InvalidInput, match="seed"):
        counts.split(seed=-1)


def coins_without_correction(counts, rng):
    first = rng.binomial(counts.counts, 0.5)
    while first.sum() == 0:
        first = rng.binomial(counts.counts, 0.5)
    return first


def surplus_off_the_most_frequent(counts, rng):
    first = rng.binomial(counts.counts, 0.5)
    first[0] += counts.n_samples // 2 - first.sum()
    return first


def test_split_follows_the_hypergeometric_law(seed, rng):
    """Law: multivariate hypergeometric of (4, 3, 2), every outcome a cell; size 10,000 splits.

    Smallest fault: a cell of probability 0.10 that has 0.125. Planted: fair coins without the correction of the size;
    the correction taken from one function.
    """
    whole, n = by_hand([4, 3, 2]), 10_000
    cells = list(product(range(5), range(4), range(3)))
    law = stats.multivariate_hypergeom([4, 3, 2], 4).pmf(np.array(cells))

    def tally(outcomes):
        at = {cell: i for i, cell in enumerate(cells)}
        return np.bincount([at.get(tuple(o), 0) for o in np.asarray(outcomes).tolist()], minlength=len(cells))

    assert_multinomial(tally([whole.split(seed=seed + i)[0].at(whole.tables) for i in range(n)]), law)
    assert smallest_fault(n, 0.1, level=1e-6 / len(cells))[1] < 0.125
    for fault in (coins_without_correction, surplus_off_the_most_frequent):
        with pytest.raises(AssertionError, match="p-value"):
            assert_multinomial(tally([fault(whole, rng) for _ in range(n)]), law)


def test_split_beyond_the_reach_of_numpys_hypergeometric(seed, rng):
    """Law: k ~ Hypergeometric(1e11, 5e10, 5e10), normal to 1e-5; the sum of 400 squared z is chi-square(400).

    Smallest fault: 1.7 times the right variance. Planted: coins without the correction, with twice the variance.
    """
    n, size = 10**11, 400
    whole = by_hand([n // 2, n // 4, n // 4])

    def assert_hypergeometric(first):
        z = (first - n / 4) / np.sqrt(n / 2 * 0.25 * (n / 2) / (n - 1))
        assert_binomial(int(np.count_nonzero(z > 0)), size, 0.5, level=5e-7, what="more than the mean")
        value = 2 * min(stats.chi2.sf(z @ z, size), stats.chi2.cdf(z @ z, size))
        assert value > 5e-7, f"sum of squares {z @ z} is not chi-square({size}): p-value {value:.2g}"

    assert_hypergeometric(np.array([whole.split(seed=seed + i)[0].counts[0] for i in range(size)]))
    assert stats.chi2.sf(1.7 * stats.chi2.ppf(0.01, size), size) < 2.5e-7
    with pytest.raises(AssertionError, match="sum of squares"):
        assert_hypergeometric(rng.binomial(n // 2, 0.5, size))


def test_halves_are_independent(rng, seed):
    """Law: halves of N ~ iid samples of a 2-function map are independent binomials; 400 splits, their correlation.

    Correlation of independent halves has sd 0.05; planted: a half judged by the whole, correlated 0.7.
    """
    samples = rng.binomial(1000, 0.3, 400)
    pairs = []
    for i, k in enumerate(samples):
        whole = by_hand([int(k), 1000 - int(k)])
        first, second = whole.split(seed=seed + i)
        zero = TruthTables.from_ints([0], 3)
        pairs.append((first.at(zero)[0], second.at(zero)[0], whole.at(zero)[0]))
    first, second, both = np.array(pairs, float).T
    assert abs(np.arctanh(np.corrcoef(first, second)[0, 1])) * np.sqrt(397) < stats.norm.isf(5e-7)
    assert abs(np.arctanh(np.corrcoef(first, both)[0, 1])) * np.sqrt(397) > stats.norm.isf(5e-7)


# Clusters


def clusters_of(rng, n_clusters, size, *, n_functions=9):
    """Made-up clusters: int64[n_clusters, size] of functions, few to a cluster."""
    few = rng.integers(0, n_functions, (n_clusters, 3))
    return np.take_along_axis(few, rng.integers(0, 3, (n_clusters, size)), axis=1)


def counted(clusters, first=0, provenance=None, **settings):
    """Counts of clusters, one part for each cluster, as a sampler hands them over."""
    parts = [np.unique(cluster, return_counts=True) for cluster in clusters]
    functions, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    n_clusters, size = clusters.shape
    draws = [{"seed": 0, "stream": "z", "start": first * size, "stop": (first + n_clusters) * size}]
    return FunctionCounts.from_unordered(
        TruthTables.from_ints(functions, 3),
        counts,
        {"map": MAP, "reuse": {"groups": 2}, "draws": draws} if provenance is None else provenance,
        squares=counts**2,
        n_clusters=n_clusters,
        **settings,
    )


def test_squares_are_sums_over_clusters(rng):
    clusters = clusters_of(rng, 50, 8)
    counts = counted(clusters)
    within = np.array([np.bincount(cluster, minlength=9) for cluster in clusters])
    listed = TruthTables.from_ints(range(9), 3)
    k, squares = counts.columns_at(listed)
    np.testing.assert_array_equal(k, within.sum(axis=0))
    np.testing.assert_array_equal(squares, (within**2).sum(axis=0))
    assert (counts.n_samples, counts.n_clusters, counts.cluster_size) == (400, 50, 8)
    assert "400 samples in 50 clusters of 9 functions" in repr(counts)


def test_clusters_merge_and_do_not_split(rng):
    clusters = clusters_of(rng, 60, 4)
    whole = counted(clusters)
    assert counted(clusters[:20]) + counted(clusters[20:], first=20) == whole
    assert counted(clusters[:20], provenance={}) != FunctionCounts.from_unordered(
        counted(clusters[:20]).tables, counted(clusters[:20]).counts
    )
    with pytest.raises(
        InvalidInput, match=r"not independent.* draw with one seed and judge them by a draw with another"
    ):
        whole.split(seed=1)
    with pytest.raises(InvalidInput, match="clusters of 4 samples meet clusters of 8"):
        counted(clusters, provenance={}) + counted(clusters.reshape(30, 8), provenance={})
    with pytest.raises(IncompatibleTables, match="reuse is absent in one"):
        drawn(0, 0, 9) + whole


def test_clusters_of_one_are_independent_samples(rng):
    functions = rng.integers(0, 5, 200)
    plain = FunctionCounts.from_unordered(TruthTables.from_ints(functions, 3), np.ones(200, np.int64))
    assert counted(functions[:, None], provenance={}) == plain
    assert plain.squares is plain.counts
    assert counted(functions[:, None]).squares.flags.writeable is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"squares": [4, 4], "n_clusters": 4}, "clusters have one size"),
        ({"n_clusters": 2}, "clusters need squares"),
        ({"squares": [6, 1], "n_clusters": 2}, "squares do not fit"),  # at least 2
        ({"squares": [13, 2], "n_clusters": 2}, "squares do not fit"),  # at most 3 * 4
        ({"squares": [4.0, 2.0], "n_clusters": 2}, "2 tables need 2 integers"),
        ({"squares": [4, 2], "n_clusters": 0}, "n_clusters is 0"),
        ({"squares": [4, 3]}, "squares do not fit"),
    ],
)
def test_clusters_that_are_none_are_refused(settings, message):
    with pytest.raises(InvalidInput, match=message):
        FunctionCounts.from_unordered(TruthTables.from_ints([1, 2], 2), [4, 2], **settings)


def test_totals_tell_functions_of_one_and_of_two_clusters(rng):
    clusters = clusters_of(rng, 12, 4, n_functions=60)
    within = np.array([np.bincount(cluster, minlength=60) for cluster in clusters])
    came_in = np.count_nonzero(within, axis=0)
    totals = counted(clusters).totals()
    assert totals.functions == np.count_nonzero(came_in)
    assert totals.samples == 48
    assert totals.in_one_cluster == within[:, came_in == 1].sum() > 0
    assert totals.in_two_clusters >= within[:, came_in == 2].sum() > 0
    assert by_hand([5, 2, 2, 1, 1, 1]).totals() == Totals(6, 12, 3, 4)


def test_totals_of_counts_whose_squares_pass_int64():
    counts = by_hand([5 * 10**9, 2, 1])
    assert counts.totals() == Totals(3, 5 * 10**9 + 3, 1, 2)


# Lists that do not hold all


def test_a_truncated_list_keeps_exact_totals(rng):
    whole = counted(clusters_of(rng, 12, 4, n_functions=60))
    for at_least in (2, 3, 10, 49):
        some = whole.truncated(at_least)
        assert some.totals() == whole.totals()
        assert some.counts.tolist() == [k for k in whole.counts.tolist() if k >= at_least]
        assert (some.n_samples, some.n_clusters, some.at_least) == (48, 12, at_least)
        assert some.n_unlisted == some.unlisted.samples == 48 - some.counts.sum()
        assert some.truncated(at_least + 1) == whole.truncated(at_least + 1)
        np.testing.assert_array_equal(some.at(whole.tables), np.where(whole.counts >= at_least, whole.counts, 0))
        assert f"of {whole.totals().functions} functions, {len(some)} of them at least {at_least} times" in repr(some)
        with pytest.raises(InvalidInput, match="truncated lists cannot be merged"):
            some.merge(counted(clusters_of(rng, 1, 4), first=99))
        with pytest.raises(InvalidInput, match="not independent"):
            some.split()
    with pytest.raises(InvalidInput, match="not all that came is listed"):
        by_hand([3, 2, 1]).truncated(2).split()
    assert len(whole.truncated(49)) == 0
    with pytest.raises(InvalidInput, match="at least 3 times"):
        whole.truncated(3).truncated(2)
    with pytest.raises(InvalidInput, match="from 2 up"):
        whole.truncated(1)


def test_a_truncated_list_by_hand():
    made = FunctionCounts.from_unordered(
        TruthTables.from_ints([7, 3, 7], 2), [1, 2, 1], n_samples=9, at_least=2, unlisted=Totals(5, 5, 5, 0)
    )
    assert made == by_hand_of([7, 3, 0, 1, 2, 4, 5], [2, 2, 1, 1, 1, 1, 1]).truncated(2)
    nothing = FunctionCounts.from_unordered(
        TruthTables.from_ints([], 2), np.zeros(0, int), n_samples=5, at_least=2, unlisted=Totals(5, 5, 5, 0)
    )
    assert nothing == by_hand_of(range(5), [1] * 5).truncated(2)
    right = {"n_samples": 9, "at_least": 2, "unlisted": Totals(5, 5, 5, 0)}
    for wrong in ({"n_samples": 8}, {"unlisted": Totals(4, 4, 4, 0)}, {"at_least": 3}, {"at_least": 1}):
        with pytest.raises(InvalidInput):
            FunctionCounts.from_unordered(made.tables, made.counts, **{**right, **wrong})


def by_hand_of(ints, counts, **settings):
    return FunctionCounts.from_unordered(TruthTables.from_ints(list(ints), 2), np.array(counts, np.int64), **settings)


def test_a_fixed_set_keeps_its_zeros():
    one = by_hand_of([1, 2, 3], [0, 5, 2], n_samples=100, at_least=0)
    assert one.at(TruthTables.from_ints([3, 1], 2)).tolist() == [2, 0]
    assert (one.n_unlisted, one.unlisted) == (93, None)
    assert "100 samples in which 7 are of 3 functions chosen before" in repr(one)
    with pytest.raises(InvalidInput, match=r"1 of the 2 functions were not counted.* `only`"):
        one.at(TruthTables.from_ints([3, 9], 2))
    with pytest.raises(InvalidInput, match="only a set chosen before"):
        one.totals()
    with pytest.raises(InvalidInput, match="fixed set"):
        one.truncated(2)
    with pytest.raises(InvalidInput, match="another: draw"):
        one.split()
    other = by_hand_of([3, 2, 1], [4, 0, 0], n_samples=50, at_least=0)
    assert one + other == by_hand_of([1, 2, 3], [0, 5, 6], n_samples=150, at_least=0)
    for stranger in (by_hand_of([1, 2], [1, 1], n_samples=9, at_least=0), by_hand_of([1, 2, 3], [1, 1, 1])):
        for pair in ((one, stranger), (stranger, one)):
            with pytest.raises(InvalidInput, match="same set"):
                pair[0] + pair[1]
    for wrong in ({"n_samples": 6}, {"unlisted": Totals(1, 93, 1, 0)}):
        with pytest.raises(InvalidInput, match="fixed set"):
            by_hand_of([1, 2, 3], [0, 5, 2], **{"n_samples": 100, "at_least": 0, **wrong})


# Orbits


def test_pooling_counts_orbits():
    group = {"input_permutations", "complement"}
    counts = drawn(0, 0, 2000)
    pooled = counts.pooled(group)
    representatives = canonicalize(counts.tables, group=group).representatives.strings()
    expected = {}
    for string, k in zip(representatives, counts.counts.tolist(), strict=True):
        expected[string] = expected.get(string, 0) + k
    assert dict(zip(pooled.tables.strings(), pooled.counts.tolist(), strict=True)) == expected
    assert pooled.orbits == group
    assert pooled.provenance["orbits"] == ["complement", "input_permutations"]
    assert counts.orbits is None
    assert pooled.pooled(group) is pooled
    assert "orbits" in repr(pooled)
    halves = counts.split(seed=3)
    assert halves[0].pooled(group) + halves[1].pooled(group) == pooled


def test_what_cannot_be_pooled_is_refused(rng):
    permutations = {"input_permutations"}
    with pytest.raises(InvalidInput, match=r'clusters cannot be pooled.*pool="orbits"'):
        counted(clusters_of(rng, 4, 4)).pooled(permutations)
    with pytest.raises(InvalidInput, match="parts of orbits are missing"):
        by_hand([3, 2]).truncated(2).pooled(permutations)
    with pytest.raises(InvalidInput, match="orbits under input_permutations, not under complement"):
        by_hand([3, 2]).pooled(permutations).pooled({"complement"})
    with pytest.raises(IncompatibleTables, match="orbits"):
        drawn(0, 0, 9) + drawn(1, 0, 9).pooled(permutations)
    with pytest.raises(IncompatibleTables):
        FunctionCounts.from_unordered(TruthTables.from_strings(["010"], Points(3)), [1]).pooled(permutations)
    with pytest.raises(InvalidInput, match="any of"):
        by_hand([3, 2]).pooled({"mirror"})
