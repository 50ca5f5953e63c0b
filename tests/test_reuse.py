"""Reuse of hidden layers against a float64 twin on the same latents, against itself, and against plain draws.

The twin forms every sum of partial read-outs in float64; counts by cluster must agree with it to the last function.
"""

import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pfmap import TruthTables, maps
from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.kernels.cluster_counts import count_clusters
from pfmap.kernels.counting import ClusterCountTable
from pfmap.kernels.normals import normals
from pfmap.kernels.reuse import ClusterPlan
from pfmap.sampling.fused import FusedSampler
from pfmap.sampling.reuse import (
    FixedSetSampler,
    Reuse,
    ReuseSampler,
    choose_reuse,
    cluster_plan,
)
from pfmap.streams import CLUSTERS
from pfmap.symmetry import canonicalize
from tests.statistics import LEVEL
from tests.test_network import PHI, twin_parameters

GROUP = ("input_permutations", "complement")


def hidden_parameters(net):
    return net.layers[-1].weights_at


def twin_tables(net, reuse, seed, first, count):
    """Truth tables [count, R, 2^n] of clusters, the first group's draw counting slowest."""
    d, last = hidden_parameters(net), net.layers[-1]
    has_bias, m = int(last.biases_at >= 0), reuse.draws
    z = normals(seed, first, count, d + m * (last.fan_in + has_bias), CLUSTERS)
    # Read-outs one by one in the places that the network has for its only one.
    hidden = twin_parameters(net, np.pad(z[:, :d], ((0, 0), (0, net.n_latents - d)))).astype(np.float64)
    x = np.ascontiguousarray(net.domain.points().T, np.float64)
    h = 2 * x - 1 if net.inputs == "pm1" else x
    for layer in net.layers[:-1]:
        w = hidden[:, layer.weights_at : layer.weights_at + layer.fan_in * layer.fan_out]
        a = np.matmul(w.reshape(count, layer.fan_out, layer.fan_in), h)
        if layer.biases_at >= 0:
            a += hidden[:, layer.biases_at : layer.biases_at + layer.fan_out, None]
        h = PHI[net.activation](a)
    total, at = np.zeros((count, 1, net.domain.n_points)), d
    for g, (start, stop) in enumerate(pairwise(last.fan_in * g // reuse.groups for g in range(reuse.groups + 1))):
        n_weights = m * (stop - start)
        read_outs = np.zeros((count, m, net.n_latents), np.float32)
        columns = slice(d + start, d + stop)
        read_outs[:, :, columns] = z[:, at : at + n_weights].reshape(count, m, stop - start)
        at += n_weights
        if g == 0 and has_bias:
            read_outs[:, :, last.biases_at] = z[:, at : at + m]
            at += m
        theta = twin_parameters(net, read_outs.reshape(count * m, -1)).reshape(count, m, -1).astype(np.float64)
        part = np.matmul(theta[:, :, columns], h[:, start:stop])
        if g == 0 and has_bias:
            part += theta[:, :, last.biases_at, None]
        total = (total[:, :, None] + part[:, None]).reshape(count, -1, net.domain.n_points)
    assert at == z.shape[1]
    return total > 0


def words_of(tables, net):
    return TruthTables.from_bits(tables.reshape(-1, net.domain.n_points).astype(np.uint8), net.domain).words()


def by_cluster(words, cluster_size):
    """A Counter of (cluster, key) of functions listed cluster by cluster."""
    return Counter((i // cluster_size, *key) for i, key in enumerate(words.tolist()))


def kernel_by_cluster(plan, seed, first, count):
    found = {}
    for cluster in range(count):
        table = ClusterCountTable(plan.n_words)
        count_clusters(plan, seed, first + cluster, 1, CLUSTERS, table)
        keys, counts, squares = table.items()
        assert np.array_equal(squares, counts**2)
        found |= {(cluster, *key): k for key, k in zip(keys.tolist(), counts.tolist(), strict=True)}
    return found


def differences(net, reuse, seed, count):
    """Functions of clusters that the kernel and the twin disagree on."""
    truth = by_cluster(words_of(twin_tables(net, reuse, seed, 0, count), net), reuse.cluster_size)
    kernel = Counter(kernel_by_cluster(cluster_plan(net, reuse), seed, 0, count))
    return sum((truth - kernel).values()) + sum((kernel - truth).values())


SHAPES = [(1, (3,)), (2, (4, 4)), (3, (5,)), (4, (2, 4)), (5, (33,)), (6, (17, 9)), (7, (40, 40)), (10, (12, 12))]
CUTS = [Reuse(1, 7), Reuse(2, 5), Reuse(3, 3), Reuse(4, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", maps.ACTIVATIONS)
def test_the_kernel_gives_the_functions_of_the_float64_logits(activation, shape, seed):
    n, hidden = shape
    for inputs, weights, sigma_w, sigma_b in (
        ("01", "gaussian", 1.0, 1.0),
        ("01", "gaussian", 1.4, 0.0),
        ("pm1", "uniform", 2.0, 0.3),
        ("pm1", "gaussian", 1.0, 0.0),
    ):
        net = maps.MLP(n, hidden, activation, sigma_w, sigma_b, weights, inputs)
        for reuse in CUTS:
            if reuse.groups <= hidden[-1]:
                assert differences(net, reuse, seed, 3) == 0, (net, reuse)


SPECIAL = {
    "standard": (maps.MLP(7), Reuse(2, 32), 20),
    "deep chaotic tanh": (maps.MLP(7, (40,) * 10, "tanh", 8.0, 0.2), Reuse(2, 16), 8),
    "deep chaotic erf": (maps.MLP(5, (16,) * 6, "erf", 8.0, 0.0, inputs="pm1"), Reuse(2, 16), 20),
    "deep step": (maps.MLP(6, (12,) * 4, "step", inputs="pm1"), Reuse(2, 16), 40),
    "13 inputs": (maps.MLP(13, (10, 10)), Reuse(2, 4), 3),
    "as 2304.06670": (maps.MLP(7, (40,) * 10, "relu", 1.0, 0.025, bias_scaling="fan_out"), Reuse(2, 16), 8),
    "one unit": (maps.MLP(7, (1,), "relu", 1.0, 0.0), Reuse(1, 50), 50),
    "dead units": (maps.MLP(7, (2, 2), "relu", 1.0, 0.0), Reuse(2, 8), 100),
    "one saturated gelu": (maps.MLP(7, (1,), "gelu", 8.0, 0.0, inputs="pm1"), Reuse(1, 50), 100),
    "float32 cannot hold it": (maps.MLP(5, (8, 8), "relu", 1e18, 1.0), Reuse(2, 8), 10),
    "huge weights": (maps.MLP(5, (8, 8), "relu", 1e10, 1.0), Reuse(2, 16), 40),
    "tiny weights": (maps.MLP(5, (8, 8), "tanh", 1e-10, 1e-10), Reuse(2, 16), 40),
    "biases far above weights": (maps.MLP(5, (8, 8), "silu", 1e-3, 1.0), Reuse(2, 16), 40),
    "many groups": (maps.MLP(5, (8,)), Reuse(8, 3), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_the_kernel_gives_the_functions_of_extreme_networks(name, seed):
    assert differences(*SPECIAL[name][:2], seed, SPECIAL[name][2]) == 0


def test_functions_that_need_the_band_are_settled(seed):
    # The fault planted is bare float32: chaotic networks then differ in many functions.
    net, reuse, count = maps.MLP(6, (24,) * 12, "tanh", 8.0, 0.2), Reuse(2, 32), 100
    plan = cluster_plan(net, reuse)
    bare = plan._replace(bands=(1e-30, 1e-30, 0.0))
    settled, unsettled = (Counter(kernel_by_cluster(p, seed, 0, count)) for p in (plan, bare))
    assert settled != unsettled
    assert sum((settled - unsettled).values()) < 0.01 * count * reuse.cluster_size


# Clusters


def as_dict(counted):
    words, counts, squares = counted
    rows = zip(words.tolist(), counts.tolist(), squares.tolist(), strict=True)
    result = {tuple(key): (k, square) for key, k, square in rows}
    assert len(result) == len(words), "a function is listed twice"
    return result


def added(*parts):
    total = Counter(), Counter()
    for part in parts:
        for key, (k, square) in part.items():
            total[0][key] += k
            total[1][key] += square
    return {key: (total[0][key], total[1][key]) for key in total[0]}


def samplers(net, reuse, tables):
    return {
        "all": ReuseSampler(net, reuse),
        "orbits": ReuseSampler(net, reuse, GROUP),
        "fixed": FixedSetSampler(net, reuse, tables),
        "fixed orbits": FixedSetSampler(net, reuse, tables, GROUP),
    }


NET, REUSE = maps.MLP(5, (12, 12)), Reuse(2, 12)


def pilot(net, size=200):
    return TruthTables.from_words(np.unique(FusedSampler(net)(99, 0, 4000), axis=0)[:size], net.domain)


@pytest.mark.parametrize("kind", ["all", "orbits", "fixed", "fixed orbits"])
def test_counts_do_not_depend_on_how_clusters_are_asked_for(kind, seed):
    sampler = samplers(NET, REUSE, pilot(NET))[kind]
    whole = as_dict(sampler(seed, 3, 300))
    cuts = [3, 4, 16, 40, 150, 303]
    assert added(*(as_dict(sampler(seed, a, b - a)) for a, b in pairwise(cuts))) == whole
    assert as_dict(pickle.loads(pickle.dumps(sampler))(seed, 3, 300)) == whole
    assert len(sampler(seed, 0, 0)[0]) == 0


def test_counts_and_squares_are_those_of_the_clusters(seed):
    listed = kernel_by_cluster(cluster_plan(NET, REUSE), seed, 0, 200)
    assert sum(listed.values()) == 200 * REUSE.cluster_size
    functions = added(*({key: (k, k * k)} for (_, *key), k in listed.items() for key in [tuple(key)]))
    assert as_dict(ReuseSampler(NET, REUSE)(seed, 0, 200)) == functions

    tables = pilot(NET)
    wanted = {tuple(key) for key in tables.words().tolist()}
    fixed = as_dict(FixedSetSampler(NET, REUSE, tables)(seed, 0, 200))
    assert fixed == {key: value for key, value in functions.items() if key in wanted}
    assert len(fixed) > 50

    keys = TruthTables.from_words(np.array([key for _, *key in listed], np.uint64), NET.domain)
    orbits = canonicalize(keys, group=GROUP).representatives.words().tolist()
    in_clusters = Counter()
    for (cluster, *_), orbit, k in zip(listed, orbits, listed.values(), strict=True):
        in_clusters[(cluster, *orbit)] += k
    pooled = added(*({key: (k, k * k)} for (_, *key), k in in_clusters.items() for key in [tuple(key)]))
    assert as_dict(ReuseSampler(NET, REUSE, GROUP)(seed, 0, 200)) == pooled
    members = {tuple(key) for key in canonicalize(tables, group=GROUP).representatives.words().tolist()}
    fixed = as_dict(FixedSetSampler(NET, REUSE, tables, GROUP)(seed, 0, 200))
    assert fixed == {key: value for key, value in pooled.items() if key in members}


@pytest.mark.parametrize(
    "group",
    [
        ("input_permutations",), ("input_flips",), ("reversal",), ("complement",), ("reversal", "complement"),
        ("input_permutations", "reversal"), ("input_permutations", "input_flips", "complement"),
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("n", [3, 6, 7])
def test_fixed_orbits_are_whole_by_either_way(n, group, seed, monkeypatch):
    net = maps.MLP(n, (6,), inputs="pm1")
    tables = pilot(net, 10)
    listed = FixedSetSampler(net, REUSE, tables, group)
    monkeypatch.setattr("pfmap.sampling.reuse._MOST_IMAGES", 1)
    canonicalised = FixedSetSampler(net, REUSE, tables, group)
    found = as_dict(listed(seed, 0, 100))
    assert found == as_dict(canonicalised(seed, 0, 100))
    assert len(found) > 0


@pytest.mark.parametrize("n", [1, 5, 6, 7, 8])
def test_constants_can_be_in_the_fixed_set_or_not(n, seed):
    net = maps.MLP(n, (4,))
    constants = TruthTables.from_bits(np.repeat([[0], [1]], net.domain.n_points, axis=1), net.domain)
    everything = as_dict(ReuseSampler(net, REUSE)(seed, 0, 50))
    for only in (constants, constants[:1], constants[1:]):
        found = as_dict(FixedSetSampler(net, REUSE, only)(seed, 0, 50))
        assert found == {tuple(key): everything[tuple(key)] for key in only.words().tolist()}


def test_an_empty_set_counts_nothing(seed):
    empty = TruthTables.from_ints([], 5)
    for group in ((), GROUP):
        assert len(FixedSetSampler(NET, REUSE, empty, group)(seed, 0, 20)[0]) == 0


# The prior


def z_scores(net, reuse, seed, n_clusters, n_reference, *, scale=1.0):
    """Reuse less an independent plain draw, in standard errors, of each function that came 50 times in the latter.

    `scale` is of the second group's read-outs: other than 1 it is a fault.
    """
    sampler = ReuseSampler(net, reuse)
    plan: ClusterPlan = sampler._plan
    scales = plan.scales.copy()
    scales[plan.layers[-1, 2] :] *= np.float32(scale)
    sampler._plan = plan._replace(scales=scales)
    counts = as_dict(sampler(seed, 0, n_clusters))
    reference = Counter(map(tuple, FusedSampler(net)(seed, 0, n_reference).tolist()))
    R, scores = reuse.cluster_size, []
    for key, k in reference.items():
        if k < 50:
            continue
        got, square = counts.get(key, (0, 0))
        p, q = got / (n_clusters * R), k / n_reference
        pooled = (got + k) / (n_clusters * R + n_reference)
        # Between clusters as seen, never below that of independent samples.
        variance = max((square / R**2 / n_clusters - p * p) / n_clusters, pooled * (1 - pooled) / (n_clusters * R))
        scores.append((p - q) / math.sqrt(variance + pooled * (1 - pooled) / n_reference))
    return np.array(scores)


# Scores are standard normal but for the skewness of 50 counts, which leaves 1e-9 of each beyond 7.
def test_reuse_draws_from_the_prior(seed):
    scores = z_scores(maps.MLP(4, (10, 10)), Reuse(2, 16), seed, 20_000, 1_000_000)
    assert len(scores) > 100
    assert np.abs(scores).max() < 7


def test_a_group_of_the_wrong_scale_is_caught(seed):
    # As if its weights had the scale of a layer of its own, half as wide: some scores are then 10 and more.
    scores = z_scores(maps.MLP(4, (10, 10)), Reuse(2, 16), seed, 20_000, 1_000_000, scale=math.sqrt(2.0))
    assert np.abs(scores).max() > 7


def test_cluster_variance_is_what_replicates_show(seed):
    # Counts of the zero function over 400 runs of 40 clusters: their variance against the squares of one long run.
    net, reuse, runs, clusters = maps.MLP(4, (8,)), Reuse(2, 8), 400, 40
    sampler = FixedSetSampler(net, reuse, TruthTables.from_ints([0], 4))
    parts = [sampler(seed, i * clusters, clusters) for i in range(runs)]
    counts = np.array([part[1][0] for part in parts], float)
    squares = sum(int(part[2][0]) for part in parts)
    within = squares / (runs * clusters) - (counts.sum() / (runs * clusters)) ** 2
    statistic = (runs - 1) * counts.var(ddof=1) / (clusters * within)
    assert stats.chi2.sf(statistic, runs - 1) > LEVEL / 2
    assert stats.chi2.cdf(statistic, runs - 1) > LEVEL / 2
    assert within > 2 * reuse.cluster_size * 0.25  # far from independent, so a plain variance would be caught


# What is asked for


def test_reuse_is_checked():
    for bad in (
        {"groups": 0},
        {"groups": True},
        {"draws": 1},
        {"draws": 2.0},
        {"groups": 17},
        {"groups": 4, "draws": 20},
    ):
        with pytest.raises(InvalidInput):
            Reuse(**bad)
    with pytest.raises(InvalidInput, match="no hidden layer to reuse"):
        ReuseSampler(maps.Perceptron(4), Reuse())
    with pytest.raises(InvalidInput, match="no hidden layer to reuse"):
        choose_reuse(maps.Perceptron(4))
    with pytest.raises(InvalidInput, match="draws MLPs"):
        ReuseSampler(object(), Reuse())
    with pytest.raises(InvalidInput, match="at most 3 groups"):
        ReuseSampler(maps.MLP(4, (9, 3)), Reuse(4, 2))
    with pytest.raises(InvalidInput, match="partial sums"):
        ReuseSampler(maps.MLP(16, (9,)), Reuse(1, 1 << 16))
    with pytest.raises(InvalidInput, match="at most 7"):
        ReuseSampler(maps.MLP(8), Reuse(), GROUP)
    with pytest.raises(IncompatibleTables):
        FixedSetSampler(maps.MLP(5), Reuse(), TruthTables.from_ints([1], 4))


def test_the_choice_fits_the_network():
    for net in (maps.MLP(1, (1,)), maps.MLP(7), maps.MLP(7, (40,) * 10, "tanh"), maps.MLP(16, (1000, 1000))):
        reuse = choose_reuse(net)
        assert reuse.groups <= net.hidden[-1]
        cluster_plan(net, reuse)
    assert choose_reuse(maps.MLP(7)) == Reuse(2, 32)


# Lane counts

KEYS = """
from hashlib import blake2b
import numpy as np
from pfmap import maps
from pfmap.kernels import lanes
from pfmap.sampling.reuse import Reuse, ReuseSampler
hasher = blake2b()
for net, reuse in [(maps.MLP(7), Reuse(2, 16)), (maps.MLP(2, (5, 5), "gelu", inputs="pm1"), Reuse(3, 4)),
                   (maps.MLP(5, (12,), "step"), Reuse(4, 3))]:
    words, counts, squares = ReuseSampler(net, reuse)(7, 5, 50)
    hasher.update(np.unique(np.column_stack([words, counts, squares]), axis=0).tobytes())
found = lanes.LANES, hasher.hexdigest()
"""


def test_the_lane_count_changes_no_bit(tmp_path):
    here = {}
    exec(KEYS, here)
    other = 24 - here["found"][0]  # 8 or 16
    # Its own cache: numba's does not know about PFMAP_LANES.
    environment = {**os.environ, "PFMAP_LANES": str(other), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", KEYS + "print(*found)"]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert there == [str(other), here["found"][1]]
