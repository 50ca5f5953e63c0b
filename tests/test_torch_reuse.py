"""Reuse through torch: every member of a cluster is a function of the map, and all come as often as they should."""

import math
import pickle
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import torch

import pfmap
from pfmap import Cube, InvalidInput, Points, TruthTables, maps
from pfmap.kernels.normals import normals
from pfmap.sampling.device_normals import device_normals
from pfmap.sampling.reuse import Reuse, ReuseSampler, choose_reuse
from pfmap.sampling.torch_reuse import TorchReuseSampler, choose_torch_reuse
from pfmap.streams import CLUSTERS
from pfmap.symmetry import canonicalize
from tests.statistics import LEVEL, assert_mean

INPUTS = torch.tensor([[0.0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]])


def waves(z):
    """Three random cosines of three inputs, in float64."""
    return torch.cos(z[:, :9].reshape(-1, 3, 3).double() @ INPUTS.double() + z[:, 9:, None])


WAVES = maps.FeatureFunction("waves", Cube(3), 12, waves, maps.Readout(3, 0.8, 0.5))
MAPS = {
    "relu": maps.MLP(4, (5, 6)),
    "step uniform": maps.MLP(3, (5,), "step", weights="uniform", inputs="pm1"),
    "no bias": maps.MLP(3, (4, 4), "tanh", sigma_b=0.0),
    "eight inputs": maps.MLP(8, (6,), "gelu"),
    "perceptron": maps.Perceptron(3, sigma_b=1.0),
    "waves": WAVES,
    "wide dense": maps.FeatureFunction(
        "wide", Points(70), 0, lambda z: torch.linspace(-1, 1, 350).reshape(5, 70).expand(len(z), -1, -1),
        maps.Readout(5, 1.0, weights="uniform"),
    ),
}  # fmt: skip
REUSES = [Reuse(1, 2), Reuse(1, 7), Reuse(2, 3), Reuse(3, 2)]


def members(pfm, reuse, z):
    """Latents of every function of a cluster, from the cluster's own: features first, then group by group."""
    readout = pfm.readout
    at = pfm.n_latents - readout.n_latents
    features, groups, biases = z[:at], [], [[]] * reuse.draws
    for g in range(reuse.groups):
        size = readout.width * (g + 1) // reuse.groups - readout.width * g // reuse.groups
        groups.append([z[at + a * size : at + (a + 1) * size] for a in range(reuse.draws)])
        at += reuse.draws * size
        if g == 0 and readout.bias_std:
            biases = [z[at + a : at + a + 1] for a in range(reuse.draws)]
            at += reuse.draws
    assert at == len(z)
    for choice in product(range(reuse.draws), repeat=reuse.groups):
        weights = [groups[g][a] for g, a in enumerate(choice)]
        yield np.concatenate([features, *weights, biases[choice[0]]])


def expected_clusters(pfm, reuse, seed, first, count, latents=normals):
    """A Counter of tables for each cluster, every member through pfm.logits."""
    width = pfm.n_latents + (reuse.draws - 1) * pfm.readout.n_latents
    for z in latents(seed, first, count, width, CLUSTERS):
        logits = pfm.logits(torch.from_numpy(np.array(list(members(pfm, reuse, z)), np.float32)))
        yield Counter(tuple(row) for row in TruthTables.from_bits((logits > 0).numpy(), pfm.domain).words().tolist())


def totals(clusters):
    summed = defaultdict(lambda: (0, 0))
    for cluster in clusters:
        for table, k in cluster.items():
            summed[table] = (summed[table][0] + k, summed[table][1] + k * k)
    return dict(summed)


def as_totals(words, counts, squares):
    assert words.dtype == np.uint64
    assert counts.dtype == squares.dtype == np.int64
    result = {tuple(w): (int(k), int(s)) for w, k, s in zip(words.tolist(), counts, squares, strict=True)}
    assert len(result) == len(words)
    return result


@pytest.mark.parametrize("reuse", REUSES, ids=str)
@pytest.mark.parametrize("pfm", MAPS.values(), ids=MAPS)
def test_every_member_is_a_function_of_the_map(pfm, reuse, seed):
    expected = list(expected_clusters(pfm, reuse, seed, 5, 20))
    sampler = TorchReuseSampler(pfm, reuse)
    assert as_totals(*sampler(seed, 5, 20)) == totals(expected)
    assert sum(k for k, _ in totals(expected).values()) == 20 * reuse.cluster_size
    seen = []
    for words, counts, clusters in TorchReuseSampler(pfm, reuse, batch=8).by_cluster(seed, 5, 20):
        assert np.all(np.diff(clusters) >= 0)
        batch = [Counter() for _ in range(1 + clusters[-1])]
        for table, k, c in zip(words.tolist(), counts, clusters, strict=True):
            assert tuple(table) not in batch[c]
            batch[c][tuple(table)] = int(k)
        seen += batch
    assert seen == expected


@pytest.mark.parametrize("name", ["relu", "step uniform", "no bias", "eight inputs"])
@pytest.mark.parametrize("reuse", [*REUSES, Reuse(2, 16)], ids=str)
def test_the_kernel_has_the_same_clusters(name, reuse, seed):
    one, other = (sampler(MAPS[name], reuse)(seed, 3, 60) for sampler in (TorchReuseSampler, ReuseSampler))
    assert as_totals(*one) == as_totals(*other)


def test_clusters_do_not_depend_on_how_they_are_asked_for(seed):
    reuse = Reuse(2, 4)
    whole = as_totals(*TorchReuseSampler(WAVES, reuse)(seed, 0, 100))
    for batch in (1, 7, 99):
        assert as_totals(*TorchReuseSampler(WAVES, reuse, batch=batch)(seed, 0, 100)) == whole
    parts = [as_totals(*TorchReuseSampler(WAVES, reuse)(seed, at, 25)) for at in (0, 25, 50, 75)]
    summed = Counter(), Counter()
    for part in parts:
        for table, (k, square) in part.items():
            summed[0][table] += k
            summed[1][table] += square
    assert {table: (k, summed[1][table]) for table, k in summed[0].items()} == whole
    assert as_totals(*TorchReuseSampler(WAVES, reuse)(seed ^ 1, 0, 100)) != whole


def test_points_are_read_in_stretches(seed, monkeypatch):
    whole = as_totals(*TorchReuseSampler(MAPS["eight inputs"], Reuse(2, 3))(seed, 0, 30))
    monkeypatch.setattr(TorchReuseSampler, "_points_at_once", lambda self: 64)
    assert as_totals(*TorchReuseSampler(MAPS["eight inputs"], Reuse(2, 3))(seed, 0, 30)) == whole


def test_a_device_draws_its_own_latents(seed):
    def latents(*arguments):
        return device_normals(*arguments, torch.device("cpu")).numpy()

    expected = totals(expected_clusters(WAVES, Reuse(2, 3), seed, 0, 20, latents))
    assert as_totals(*TorchReuseSampler(WAVES, Reuse(2, 3), "cpu:0")(seed, 0, 20)) == expected
    assert as_totals(*TorchReuseSampler(WAVES, Reuse(2, 3), "cpu")(seed, 0, 20)) != expected


@pytest.mark.parametrize(
    "group", [{"input_permutations"}, {"input_permutations", "input_flips", "complement"}], ids=len
)
@pytest.mark.parametrize("name", ["relu", "waves"])
def test_orbits_are_pooled_within_clusters(name, group, seed):
    pfm, reuse = MAPS[name], Reuse(2, 4)

    def pooled(cluster):
        words = np.array(list(cluster), np.uint64)
        tables = canonicalize(TruthTables.from_words(words, pfm.domain), group=group).representatives
        orbits = Counter()
        for table, k in zip(tables.words().tolist(), cluster.values(), strict=True):
            orbits[tuple(table)] += k
        return orbits

    expected = totals(pooled(cluster) for cluster in expected_clusters(pfm, reuse, seed, 3, 20))
    assert as_totals(*TorchReuseSampler(pfm, reuse, group=group, batch=8)(seed, 3, 20)) == expected
    assert len(expected) < len(totals(expected_clusters(pfm, reuse, seed, 3, 20)))
    chosen = TruthTables.from_ints([0, 1, 6, 128, 254], pfm.n_inputs if name == "relu" else 3)
    kept = {tuple(w) for w in canonicalize(chosen, group=group).representatives.words().tolist()}
    fixed = as_totals(*TorchReuseSampler(pfm, reuse, group=group, only=chosen)(seed, 3, 20))
    assert fixed == {table: both for table, both in expected.items() if table in kept}
    assert fixed


def test_a_fixed_set_is_counted_as_among_all(seed):
    pfm, reuse = MAPS["relu"], Reuse(2, 4)
    chosen = TruthTables.from_ints([0, 65535, 12345], 4)
    whole = as_totals(*TorchReuseSampler(pfm, reuse)(seed, 0, 50))
    kept = {tuple(w) for w in chosen.words().tolist()}
    fixed = as_totals(*TorchReuseSampler(pfm, reuse, only=chosen)(seed, 0, 50))
    assert fixed == {table: both for table, both in whole.items() if table in kept}
    assert len(fixed) >= 2


def test_two_groups_where_there_are_two_features():
    assert choose_torch_reuse(WAVES) == Reuse(2, 32)
    assert choose_torch_reuse(maps.MLP(7, (40, 40))) == choose_reuse(maps.MLP(7, (40, 40)))
    assert choose_torch_reuse(maps.Perceptron(1)) == Reuse(1, 32)


def test_samplers_travel(seed):
    sampler = TorchReuseSampler(WAVES, Reuse(2, 4))
    again = pickle.loads(pickle.dumps(sampler))
    assert as_totals(*again(seed, 0, 9)) == as_totals(*sampler(seed, 0, 9))
    assert sampler.batch > 100


# Laws

CONSTANT_OR_DICTATOR = math.acos(-1 / 3) / math.pi - 1 / 2
AND_OR = (1 - 6 * CONSTANT_OR_DICTATOR) / 8
# Perceptrons with all parameters N(0, 1) on {-1,+1}^2, exactly.
TWO_INPUTS = {
    **dict.fromkeys(["0000", "1111", "0011", "1100", "0101", "1010"], CONSTANT_OR_DICTATOR),
    **dict.fromkeys(["0001", "0010", "0100", "1000", "0111", "1011", "1101", "1110"], AND_OR),
}


def assert_clustered(sample, n_clusters, reuse, law):
    """Each function's mean count a cluster, by the variance between clusters: n_clusters is large, so it is normal."""
    tables = TruthTables.from_strings(list(law))
    at = {tuple(w): p for w, p in zip(tables.words().tolist(), law.values(), strict=True)}
    for table, p in at.items():
        k, square = sample.get(table, (0, 0))
        mean = k / n_clusters
        sd = math.sqrt(square / n_clusters - mean**2)
        assert_mean(mean, n_clusters, expected=p * reuse.cluster_size, sd=sd, level=LEVEL / len(at), what=str(table))


@pytest.mark.parametrize("reuse", [Reuse(1, 4), Reuse(2, 4)], ids=str)
def test_perceptrons_follow_their_exact_law(reuse, seed):
    # A cluster of perceptrons shares weights of single inputs. 4e4 clusters know each function to 2 %.
    net = maps.Perceptron(2, sigma_w=math.sqrt(2), sigma_b=1.0, inputs="pm1")
    assert_clustered(as_totals(*TorchReuseSampler(net, reuse)(seed, 0, 40_000)), 40_000, reuse, TWO_INPUTS)


def random_inputs(law):
    """The same perceptrons as features without latents, under a read-out of this law."""
    points = torch.tensor([[-1.0, -1, 1, 1], [-1, 1, -1, 1]])
    return maps.FeatureFunction("inputs", Cube(2), 0, lambda z: points.expand(len(z), -1, -1), law)


def test_declared_features_follow_the_same_law_and_a_wrong_scale_does_not(seed):
    reuse = Reuse(2, 4)
    right, wrong = (
        as_totals(*TorchReuseSampler(random_inputs(maps.Readout(2, std, 1.0)), reuse)(seed, 0, 40_000))
        for std in (1.0, 1.05)
    )
    assert_clustered(right, 40_000, reuse, TWO_INPUTS)
    with pytest.raises(AssertionError, match="p-value"):
        assert_clustered(wrong, 40_000, reuse, TWO_INPUTS)


def test_independent_variances_would_be_too_small(seed):
    # Why squares are kept: the constants vary some 7 times as much as independent samples would; 3 is far from both.
    reuse = Reuse(2, 8)
    sample = as_totals(*TorchReuseSampler(maps.MLP(2, (4,)), reuse)(seed, 0, 4000))
    k, square = sample[(0,)]
    p = k / (4000 * reuse.cluster_size)
    between = square / 4000 - (p * reuse.cluster_size) ** 2
    assert between > 3 * reuse.cluster_size * p * (1 - p)


def assert_same_prior(pfm, other, n_clusters, n_samples, seed):
    """Counts of clusters against independent samples, function by function where 100 of those came."""
    reuse = Reuse(2, 8)
    sample = as_totals(*TorchReuseSampler(pfm, reuse)(seed, 0, n_clusters))
    counts = pfmap.draw(other, n_samples, seed=seed)
    often = counts.counts >= 100
    z = []
    for table, k in zip(counts.tables[often].words().tolist(), counts.counts[often], strict=True):
        p = k / n_samples
        seen, square = sample.get(tuple(table), (0, 0))
        mean = seen / n_clusters
        variance = (square / n_clusters - mean**2) / n_clusters / reuse.cluster_size**2 + p * (1 - p) / n_samples
        z.append((mean / reuse.cluster_size - p) / math.sqrt(variance))
    worst = int(np.argmax(np.abs(z)))
    assert_mean(z[worst], 1, expected=0, sd=1, level=LEVEL / len(z), what=f"the worst z-score of {len(z)}")


@pytest.mark.parametrize("pfm", [maps.MLP(4, (8, 8)), WAVES], ids=["network", "waves"])
def test_functions_come_as_often_as_from_plain_draws(pfm, seed):
    assert_same_prior(pfm, pfm, 4000, 100_000, seed)


def test_a_wrong_scale_is_seen_against_plain_draws(seed):
    wrong = maps.FeatureFunction("waves", Cube(3), 12, waves, maps.Readout(3, 0.8, 0.8))
    with pytest.raises(AssertionError, match="p-value"):
        assert_same_prior(wrong, WAVES, 4000, 100_000, seed)


# Declaring a read-out


def test_networks_have_the_read_out_of_their_last_layer(seed):
    for net in (maps.MLP(3, (4, 5)), maps.MLP(3, (4,), sigma_b=0.0, weights="uniform"), maps.Perceptron(3)):
        assert isinstance(net, maps.ReadoutMap)
        last = net.layers[-1]
        assert net.readout == maps.Readout(last.fan_in, last.weight_std, net.sigma_b, net.weights)
        z = torch.from_numpy(normals(seed, 0, 7, net.n_latents, 0))
        k = net.n_latents - net.readout.n_latents
        h = net.features(z[:, :k])
        assert h.shape == (7, last.fan_in, 8)
        assert torch.equal(net.readout.logits(h, z[:, k:]), net.logits(z))
        weights = slice(k, k + last.fan_in)
        np.testing.assert_array_equal(net.readout.weights_of(z[:, weights]), net.parameters(z)[:, weights])


def test_declared_features_are_drawn_as_a_map(seed):
    counts = pfmap.draw(WAVES, 5000, seed=seed)
    z = torch.from_numpy(normals(seed, 0, 5000, WAVES.n_latents, 0))
    h, w, b = waves(z[:, :12]), (z[:, 12:15] * np.float32(0.8)).double(), (z[:, 15:] * np.float32(0.5)).double()
    tables = TruthTables.from_bits(((w[:, :, None] * h).sum(1) + b > 0).numpy(), Cube(3))
    assert Counter(tables.ints()) == dict(zip(counts.tables.ints(), counts.counts, strict=True))
    assert counts.provenance["map"]["readout"] == {
        "width": 3, "weight_std": 0.8, "bias_std": 0.5, "weights": "gaussian",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: maps.Readout(0, 1.0), "width is 0.*int from 1 up"),
        (lambda: maps.Readout(2.5, 1.0), "width is 2.5"),
        (lambda: maps.Readout(2, 0.0), "weight_std is 0.0.*above 0"),
        (lambda: maps.Readout(2, math.nan), "weight_std is nan"),
        (lambda: maps.Readout(2, "1"), "weight_std is '1'"),
        (lambda: maps.Readout(2, 1.0, -1), "bias_std is -1.*from 0 up"),
        (lambda: maps.Readout(2, 1.0, weights="cauchy"), "weights is 'cauchy'.*gaussian, uniform"),
        (lambda: maps.FeatureFunction("f", Cube(1), -1, waves, maps.Readout(2, 1.0)), "n_feature_latents is -1"),
        (lambda: maps.FeatureFunction("f", 3, 1, waves, maps.Readout(2, 1.0)), "domain is 3"),
        (lambda: maps.FeatureFunction("f", Cube(1), 1, None, maps.Readout(2, 1.0)), "function is None"),
        (lambda: maps.FeatureFunction("f", Cube(1), 1, waves, 1.0), r"readout is 1.0.*maps.Readout\("),
        (
            lambda: maps.FeatureFunction("f", Points(2), 1, waves, maps.Readout(2, 1.0), {"input_flips"}),
            r"symmetry is \['input_flips'\], but Points",
        ),
    ],
)
def test_bad_declarations_say_what_is_allowed(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z, r"float32\[4, 2\].*\[batch, width, m\] = \[4, 3, 2\]"),
        (lambda z: None, "NoneType"),
        (lambda z: torch.ones(len(z), 3, 2, dtype=torch.int64), "int64"),
        (lambda z: torch.full((len(z), 3, 2), math.nan), "NaN"),
    ],
)
def test_bad_features_are_refused(function, message):
    pfm = maps.FeatureFunction("bad", Cube(1), 2, function, maps.Readout(3, 1.0))
    with pytest.raises(InvalidInput, match=message):
        TorchReuseSampler(pfm, Reuse(1, 2))(0, 0, 4)


def test_reuse_needs_a_read_out_with_enough_features():
    plain = maps.LatentFunction("plain", Cube(1), 2, lambda z: z)
    with pytest.raises(InvalidInput, match=r"LatentFunction declares no linear read-out.*maps\.FeatureFunction"):
        TorchReuseSampler(plain, Reuse(2, 2))
    with pytest.raises(InvalidInput, match=r"have 8 inputs.*at most 7"):
        TorchReuseSampler(MAPS["eight inputs"], Reuse(2, 2), group={"input_permutations"})
    with pytest.raises(InvalidInput, match="groups is 4; the read-out has 3 features"):
        TorchReuseSampler(WAVES, Reuse(4, 2))
