"""Rare functions by multilevel splitting: exact laws, bounds, what comes back after a kill, and what is refused."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from pfmap import Cube, Points, TruthTables, estimate_rare, maps
from pfmap.cli import main
from pfmap.errors import CorruptStore, IncompatibleTables, InvalidInput, StoreError
from pfmap.kernels import linear_walks
from pfmap.kernels import rare as kernel
from pfmap.kernels.normals import normals
from pfmap.rare.found import Found
from pfmap.rare.splitting import Schedule, fly_pilot, multiply, run_frozen
from pfmap.rare.walkers import FITS, LinearWalker, NetworkWalker, TorchWalker, start, walker
from pfmap.sampling.fused import FusedSampler
from pfmap.streams import LATENTS
from tests.statistics import LEVEL, assert_binomial, assert_coverage, assert_mean, smallest_shift


def identity(d):
    return maps.GaussianProcess.from_kernel(np.eye(d), Points(d))


def negative(d):
    return -np.ones(d, np.int8)


def by_hand(logits, wanted):
    """The level from its definition, one network and one point after the other."""
    levels = []
    for row in logits:
        used = [(x, w) for x, w in zip(row.tolist(), wanted.tolist(), strict=True) if w]
        rms = math.sqrt(sum(x * x for x, _ in used) / len(used))
        wrong = [1.0 if x == 0.0 else abs(x) / rms for x, w in used if (x > 0.0) != (w > 0)]
        levels.append(-sum(wrong) / len(used))
    return np.array(levels)


NETS = [
    maps.MLP(5, (12,)),
    maps.MLP(3, (6, 5), "tanh"),
    maps.MLP(2, (4,), "relu", sigma_b=0.0),
    maps.MLP(4, (5, 5), "gelu", inputs="pm1", weights="uniform"),
    maps.MLP(3, (7,), "step"),
    maps.Perceptron(4),
]


@pytest.mark.parametrize("net", NETS, ids=str)
def test_both_walkers_know_the_level(net, rng):
    wanted = rng.choice([-1, 0, 1], net.domain.n_points).astype(np.int8)
    wanted[0] = 1
    z = rng.standard_normal((50, net.n_latents))
    expected = by_hand(net.logits(torch.from_numpy(z)).numpy(), wanted)
    np.testing.assert_allclose(NetworkWalker(net, wanted).levels(z), expected, atol=2e-6)
    np.testing.assert_allclose(TorchWalker(net, wanted).levels(z), expected, atol=1e-12)


GAUSSIANS = [
    maps.GaussianProcess(3, 1),
    maps.GaussianProcess(2, 2, "erf", sigma_b=0.0),
    maps.GaussianProcess.from_kernel(np.diag([1.0, 0.0, 2.0]), Points(3)),
]


@pytest.mark.parametrize("gp", GAUSSIANS, ids=str)
def test_the_linear_walker_knows_the_level_and_keeps_it_on_its_way(gp, rng, seed):
    wanted = rng.choice([-1, 1], gp.n_latents).astype(np.int8)
    wanted[0] = 0
    z = rng.standard_normal((51, gp.n_latents))
    ours = walker(gp, wanted)
    assert isinstance(ours, LinearWalker)
    levels = ours.levels(z)
    np.testing.assert_allclose(levels, by_hand(gp.logits(torch.from_numpy(z)).numpy(), wanted), atol=1e-12)
    np.testing.assert_allclose(levels, TorchWalker(gp, wanted).levels(z), atol=1e-6)
    before = z.copy()
    threshold = float(np.median(levels)) - 1e-9
    moved, evaluated = ours.walk(z, levels, threshold=threshold, step=0.3, n_stretches=7, seed=seed, first=5)
    assert 0 < moved < evaluated
    np.testing.assert_allclose(ours.levels(z), levels, atol=1e-12)
    inside = np.flatnonzero(levels > threshold)
    assert len(inside) > 25
    assert (z[inside] != before[inside]).any(axis=1).sum() > 20


def walked_by_hand(A, ones, z, v, threshold, step, moves, left_out=()):
    """One particle's moves with one velocity, and its level at the end, from the definitions."""

    def level(a):
        wrong = a[a < 0].sum() / math.sqrt(a @ a / len(a)) if (a < 0).any() else 0.0
        return (wrong - ones[a == 0].sum()) / len(a)

    c = math.sqrt(1 - step * step)
    for _ in range(moves):
        z1, v1 = c * z + step * v, c * v - step * z
        if level(A @ z1) > threshold:
            z, v = z1, v1
            continue
        g = A[np.setdiff1d(np.flatnonzero((A @ z1 < 0) | ((A @ z1 == 0) & (ones > 0))), left_out)].sum(axis=0)
        v1 = v1 - 2 * (v1 @ g) / (g @ g) * g
        z2, v2 = c * z1 + step * v1, c * v1 - step * z1
        z, v = (z2, v2) if level(A @ z2) > threshold else (z, -v)
    return z, level(A @ z)


@pytest.mark.parametrize(("m", "d", "band"), [(12, 5, 5), (3, 7, 7), (17, 16, 17), (40, 40, 0), (40, 38, 2)])
def test_the_linear_kernel_walks_as_by_hand(m, d, band, rng, seed):
    """21 particles, more than go side by side, of five velocities; the last point has a logit of 0, which is wrong.

    A is 0 further than a band from its diagonal; blocks of its rows, and of A A^T, have 0 in most columns then.
    """
    A, ones, z = rng.standard_normal((m, d)), np.arange(m) % 2 * 1.0, rng.standard_normal((21, d))
    A = np.triu(np.tril(A, band), -band)
    A[-1], ones[-1] = 0.0, 1.0
    matrices = linear_walks.matrices_of(A)
    levels = linear_walks.linear_levels(matrices, ones, z)
    threshold, before = float(np.sort(levels)[5]), z.copy()
    settings = {"threshold": threshold, "step": 0.5, "stretch": 3, "seed": seed, "stream": 2}
    linear_walks.walk_linear(matrices, ones, z, levels, n_stretches=5, first=7, **settings)
    v = normals(seed, 7, 21 * 5, d, 2).astype(np.float64).reshape(21, 5, d)

    def by_hand(i, **fault):
        at = before[i]
        for velocity in v[i]:
            at, level = walked_by_hand(A, ones, at, velocity, threshold, 0.5, 3, **fault)
        return np.append(at, level)

    ours = np.column_stack([z, levels])
    inside = np.flatnonzero(linear_walks.linear_levels(matrices, ones, before) > threshold)
    for i in inside:
        np.testing.assert_allclose(ours[i], by_hand(i), atol=1e-10)
    assert any(np.abs(ours[i] - by_hand(i, left_out=[0])).max() > 1e-3 for i in inside)  # a wrong point left out
    alone = before.copy()
    for i in range(21):
        linear_walks.walk_linear(
            matrices, ones, alone[i : i + 1], levels[i : i + 1], n_stretches=5, first=7 + 5 * i, **settings
        )
    np.testing.assert_array_equal(alone, z)  # whoever walks beside it


@pytest.mark.parametrize("net", NETS, ids=str)
def test_level_zero_is_the_function_itself(net, seed):
    """What the sampler calls a function and what splitting calls one are the same, sample by sample."""
    count, first = 200, seed % (1 << 60)
    words = FusedSampler(net)(seed, first, count)
    z = normals(seed, first, count, net.n_latents, LATENTS).astype(np.float64)
    tables = TruthTables.from_words(words, net.domain)
    for target in (0, 1, 2):
        wanted = np.where(tables[target].bits()[0], 1, -1).astype(np.int8)
        same = (words == words[target]).all(axis=1)
        np.testing.assert_array_equal(NetworkWalker(net, wanted).levels(z) == 0.0, same)
        np.testing.assert_array_equal(TorchWalker(net, wanted).levels(z) == 0.0, same)


def test_a_logit_of_zero_is_a_zero():
    zero = maps.LatentFunction("zero", Points(2), 1, lambda z: z * torch.tensor([[0.0, 1.0]]))
    z = np.array([[1.0], [-1.0]])
    assert TorchWalker(zero, np.array([-1, 1], np.int8)).levels(z).tolist() == pytest.approx([0.0, -0.5 * math.sqrt(2)])
    assert TorchWalker(zero, np.array([1, 1], np.int8)).levels(z)[0] == -0.5


SHAPES = [(3, (6, 5)), (6, (70, 9)), (5, (64,)), (4, ())]
"""Points to fill a tile and few of them; layers wider than a tile, as wide, and none."""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "erf", "sigmoid", "gelu", "silu", "linear"])
def test_the_kernel_reflects_about_the_gradient(activation, shape, rng):
    net = maps.MLP(*shape, activation, sigma_b=0.0 if shape[1] == (64,) else 1.0)
    wanted = rng.choice([-1, 1], net.domain.n_points).astype(np.int8)
    z, v = rng.standard_normal(net.n_latents), rng.standard_normal(net.n_latents)
    at = torch.from_numpy(z.astype(np.float32)).to(torch.float64)[None].requires_grad_(True)
    ours = NetworkWalker(net, wanted)
    # A walk of one move that must leave: what comes out of the reflection is checked through the kernel's own pieces.
    network, scratch = kernel._prepare(ours._plan)
    kernel._evaluate(z, network, wanted, scratch)
    turned = np.pad(v, (0, -len(v) % 16))
    assert kernel._reflect(z, turned, network, wanted, scratch, kernel._trail(ours._plan, len(scratch[0])))
    (net.logits(at) * torch.from_numpy(wanted)).clamp(max=0.0).sum().backward()
    g = at.grad[0].numpy()
    np.testing.assert_allclose(turned[: len(v)], v - 2 * (v @ g) / (g @ g) * g, atol=1e-4)
    assert not turned[len(v) :].any()


WALKS = {
    "torch": (maps.Perceptron(3), TorchWalker),
    "network": (maps.Perceptron(3), NetworkWalker),
    "linear": (maps.GaussianProcess.from_kernel(np.eye(3), Points(3)), LinearWalker),
}


@pytest.mark.parametrize("kind", WALKS)
def test_walks_keep_the_law(kind, seed):
    """Law: exact samples of w | all negative stay so: |w_i| half-normal, mean sqrt(2 / pi), after 40 moves.

    3,000 particles. A walk that forgets to turn v back, or to compare with the threshold, is caught below.
    """
    net, make = WALKS[kind]
    moves = make(net, negative(net.domain.n_points))
    z = -np.abs(start(3000, 3, seed))
    levels = moves.levels(z)
    before = z.copy()
    moved, evaluated = moves.walk(z, levels, threshold=FITS, step=0.6, n_stretches=20, seed=seed, first=3000)
    assert (z <= 0).all()
    assert (levels == 0).all()
    assert 0 < moved < 3000 * 40 < evaluated
    sd = math.sqrt(1 - 2 / math.pi)
    for i in range(3):
        assert_mean(np.abs(z[:, i]).mean(), 3000, expected=math.sqrt(2 / math.pi), sd=sd, level=LEVEL / 12)
        correlation = stats.spearmanr(before[:, i], z[:, i]).statistic
        assert_mean(correlation, 3000, expected=0.0, sd=1.0, level=LEVEL / 12)


LANES = """
from hashlib import blake2b
import numpy as np
from pfmap import maps
from pfmap.kernels import lanes
from pfmap.rare.walkers import start, walker
hasher = blake2b()
for pfm in (maps.MLP(5, (70, 9), "tanh"), maps.MLP(3, (6,)), maps.GaussianProcess(4, 1)):
    wanted = np.where(np.arange(pfm.domain.n_points) % 3 == 0, 1, -1).astype(np.int8)
    moves, z = walker(pfm, wanted), start(21, pfm.n_latents, 7)
    levels = moves.levels(z)
    moves.walk(z, levels, threshold=np.median(levels), step=0.6, n_stretches=6, seed=1, first=0)
    hasher.update(z.tobytes() + levels.tobytes())
found = lanes.LANES, hasher.hexdigest()
"""


def test_the_lane_count_changes_no_walk(tmp_path):
    here = {}
    exec(LANES, here)
    other = 24 - here["found"][0]  # 8 or 16
    # Its own cache: numba's does not know about PFMAP_LANES.
    environment = {**os.environ, "PFMAP_LANES": str(other), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", LANES + "print(*found)"]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert there == [str(other), here["found"][1]]


def test_a_walk_that_is_no_rotation_is_caught(seed):
    """The planted fault: z' = z + s v without the cosine spreads the particles."""
    z = -np.abs(start(3000, 3, seed))
    for t in range(20):
        proposal = z + 0.6 * normals(seed, 3000 * (t + 1), 3000, 3, 2)
        inside = (proposal < 0).all(axis=1)
        z[inside] = proposal[inside]
    with pytest.raises(AssertionError):
        assert_mean(
            np.abs(z[:, 0]).mean(), 3000, expected=math.sqrt(2 / math.pi), sd=math.sqrt(1 - 2 / math.pi), level=LEVEL
        )


def test_survivors_multiply_evenly(rng):
    parents = multiply(np.array([2, 5, 7]), 10, rng)
    assert len(parents) == 10
    assert sorted(np.bincount(parents)[[2, 5, 7]]) == [3, 3, 4]
    assert parents.tolist().count(2) in (3, 4)


def test_the_pinned_particle_gets_its_share(rng):
    """Law: seen from a random child, its parent among 3 of 10 has 4 copies with probability 4/10, not 1/3."""
    trials = 20_000
    four = sum(int((multiply(np.array([0, 5, 7]), 10, rng, pinned=True) == 0).sum() == 4) for _ in range(trials))
    assert_binomial(four, trials, 0.4)
    with pytest.raises(AssertionError):
        assert_binomial(round(trials / 3), trials, 0.4)


SCHEDULE = Schedule(np.array([-0.5, -0.3, -0.15]), np.array([0.9, 0.8, 0.7]), 4, math.nan, True, 0)


def frozen_runs(seed, runs, particles, moves, pinned=None):
    """P of many frozen runs at P = 2^-6, few particles each; pinned ones start from exact samples."""
    moves_of = walker(identity(6), negative(6))
    exact = -np.abs(normals(seed, 0, runs, 6, 5).astype(np.float64)) if pinned else [None] * runs
    seeds = np.random.SeedSequence(seed).generate_state(runs, np.uint64).tolist()
    return np.array(
        [
            math.exp(run_frozen(moves_of, SCHEDULE, particles, seed=s, moves=moves, pinned=z).log_p)
            for s, z in zip(seeds, exact, strict=True)
        ]
    )


@pytest.mark.parametrize("moves", [0, 4])
def test_a_frozen_run_is_unbiased_even_without_moves(moves, seed):
    """Law: the mean of 600 runs of 20 particles is 2^-6, whether particles walk or not."""
    p = frozen_runs(seed, 600, 20, moves)
    assert_mean(p.mean(), 600, expected=2**-6, sd=p.std(ddof=1))
    assert p.std(ddof=1) < 0.05


def test_a_pinned_run_bounds_from_above(seed):
    """Law: E[1 / P] <= 2^6 over 400 pinned runs, and within what extinction takes away; free runs overshoot it."""
    p = frozen_runs(seed, 400, 20, 4, pinned=True)
    inverse = 1 / p
    died = np.mean(frozen_runs(seed ^ 1, 400, 20, 4) == 0.0)
    assert_mean(inverse.mean(), 1500, expected=2**6 * (1 - died), sd=inverse.std(ddof=1), level=LEVEL)
    free = frozen_runs(seed ^ 2, 400, 20, 4)
    assert np.mean(1 / free[free > 0]) > 2**6 * 1.05  # what skipping the pin would give


# The whole verb


def test_rare_orthants_are_covered(seed):
    """Law: 12 intervals for 2^-10, seeds of their own: a 95 % interval covers or says it has not converged."""
    pfm, tables = identity(10), TruthTables.from_bits(np.zeros((1, 10), np.uint8), Points(10))
    results = [estimate_rare(pfm, tables, seed=(seed + i) % 2**64) for i in range(12)]
    hits = sum(bool(e.log2_low[0] <= -10 <= e.log2_high[0]) for e in results)
    assert_coverage(hits, 12, at_least=0.95)
    assert all(e.log2_floor[0] <= e.log2_low[0] <= e.log2_p[0] <= e.log2_high[0] <= e.log2_ceiling[0] for e in results)
    assert all(e.converged[0] and e.log2_high[0] - e.log2_low[0] < 1.2 for e in results)
    with pytest.raises(AssertionError):  # intervals a bit off
        assert_coverage(sum(bool(e.log2_low[0] <= -11 <= e.log2_high[0]) for e in results), 12, at_least=0.95)


@pytest.fixture(scope="module")
def two_functions():
    net = maps.MLP(3, (8,))
    tables = TruthTables.from_strings(["01101001", "00010111"])
    return net, tables, estimate_rare(net, tables, seed=3, workers=1, keep=20)


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        for name in ("log2_p", "log2_low", "log2_high", "log2_floor", "log2_ceiling", "ancestors", "samples")
    )


def test_a_network_agrees_with_its_direct_frequency(two_functions):
    """Law: 3-bit majority came k times in 2e5 draws; both intervals, at 1 - 1e-6 and 95 %, must meet."""
    from pfmap import draw

    net, tables, estimate = two_functions
    counts = draw(net, 200_000, seed=11)
    k = int(counts.at(tables)[1])
    low, high = stats.beta.ppf(LEVEL / 2, k, 200_001 - k), stats.beta.isf(LEVEL / 2, k + 1, 200_000 - k)
    width = estimate.log2_high[1] - estimate.log2_low[1]
    assert estimate.log2_low[1] - width <= math.log2(high)
    assert math.log2(low) <= estimate.log2_high[1] + width


def test_samples_compute_the_function(two_functions):
    net, tables, estimate = two_functions
    for i in range(2):
        logits = net.logits(torch.from_numpy(estimate.samples[i]))
        assert set(TruthTables.from_bits((logits > 0).numpy()).strings()) == {tables.strings()[i]}


def test_samples_follow_the_prior_given_the_function(seed):
    """Law: 200 runs' samples of z | all of 6 signs negative: 1,200 half-normal values, mean sqrt(2 / pi), sd 0.603.

    Smallest fault: a shift of 0.13. Planted: particles of the last threshold, whether they fit or not.
    """
    tables, sd = TruthTables.from_bits(np.zeros((1, 6), np.uint8), Points(6)), math.sqrt(1 - 2 / math.pi)
    few = {"particles": 50, "replicates": 4, "max_moves": 16, "keep": 1, "workers": 1}
    z = np.array([estimate_rare(identity(6), tables, seed=(seed + i) % 2**64, **few).samples[0, 0] for i in range(200)])
    assert smallest_shift(1200, sd) < 0.13
    assert_mean(-z.mean(), 1200, expected=math.sqrt(2 / math.pi), sd=sd)
    late = [run_frozen(walker(identity(6), negative(6)), SCHEDULE, 20, seed=i).z[0] for i in range(200)]
    with pytest.raises(AssertionError):
        assert_mean(-np.mean(late), 1200, expected=math.sqrt(2 / math.pi), sd=sd)


def test_samples_of_a_gaussian_process_compute_the_function_too(seed):
    gp, tables = maps.GaussianProcess(3, 1), TruthTables.from_strings(["01101001"])
    z = estimate_rare(gp, tables, seed=seed, keep=200).samples[0]
    bits = (gp.logits(torch.from_numpy(z)) > 0).numpy()
    assert set(TruthTables.from_bits(bits).strings()) == set(tables.strings())
    assert len(np.unique(z, axis=0)) > 100


def test_results_depend_on_function_and_seed_alone(two_functions):
    net, tables, estimate = two_functions
    turned = estimate_rare(net, tables[[1, 0]], seed=3, workers=2, keep=20)
    assert turned.log2_p[::-1].tolist() == estimate.log2_p.tolist()
    np.testing.assert_array_equal(turned.samples[::-1], estimate.samples)
    assert estimate_rare(net, tables[1], seed=4).log2_p[0] != estimate.log2_p[1]


def test_a_partial_table_has_the_mass_of_all_that_agree(seed):
    """Law: 12 of 20 signs constrained have P = 2^-12; a constraint on all points would give 2^-20."""
    where = np.arange(20) < 12
    tables = TruthTables.from_bits(np.ones((1, 20), np.uint8), Points(20))
    pfm = maps.LatentFunction("identity", Points(20), 20, lambda z: z)
    estimate = estimate_rare(pfm, tables, where=where, seed=seed, confidence=1 - 1e-6, keep=64)
    assert estimate.log2_low[0] <= -12 <= estimate.log2_high[0]
    assert (estimate.samples[0][:, where] > 0).all()
    assert (estimate.samples[0][:, ~where] < 0).any()


def test_frequent_functions_are_plain_sampling():
    sure = maps.LatentFunction("sure", Points(2), 1, lambda z: z * 0 + torch.ones(1, 2))
    estimate = estimate_rare(sure, TruthTables.from_strings(["11"], Points(2)))
    assert estimate.log2_p[0] == estimate.log2_high[0] == 0.0
    assert -0.01 < estimate.log2_low[0] < 0.0
    assert "plain draws" in estimate.verdicts[0]


def test_a_function_outside_the_support_gets_an_honest_bound():
    """XOR of a perceptron, and f(0) = 1 of a network without biases: P = 0, and what is claimed is what was seen."""
    for net in (maps.Perceptron(2, sigma_b=1.0), maps.MLP(2, (3,), sigma_b=0.0)):
        xor = ["0110"] if net.sigma_b else ["1110"]
        estimate = estimate_rare(net, TruthTables.from_strings(xor), max_moves=16)
        assert estimate.log2_p[0] == estimate.log2_low[0] == -np.inf
        assert -14.2 < estimate.log2_high[0] < -14  # 3.7 / 65,536
        assert not estimate.converged[0]
        assert "no particle ever reached it: P < 2^-14" in estimate.verdicts[0]
        assert "1 not converged" in repr(estimate)
        assert estimate.caveat
        assert np.isnan(estimate_rare(net, TruthTables.from_strings(xor), max_moves=16, keep=2).samples).all()


def test_a_pinned_ceiling_holds(seed):
    """Law: functions of 6 draws, each pinned to its own z: a bound at 97.5 % lies above P in all but few cases."""
    tables = TruthTables.from_bits((z := normals(seed, 0, 6, 8, LATENTS)) > 0, Points(8))
    estimate = estimate_rare(identity(8), tables, latents=z, seed=seed)
    assert_coverage(int(np.count_nonzero(estimate.log2_ceiling >= -8)), 6, at_least=0.975)
    assert (estimate.log2_ceiling < -8 + 7).all()
    with pytest.raises(InvalidInput, match="another function"):
        estimate_rare(identity(8), tables[:1], latents=-z[:1])


def found(log_p, half, **changes):
    steady = Found(
        log_p=tuple(log_p),
        log_p_half=tuple(half),
        log_p_reverse=(),
        ideal_variance=0.04,
        ancestors=20.0,
        reached=-30.0,
        n_levels=30,
        n_particles=600,
        moves=16,
        evaluations=1,
    )
    return replace(steady, **changes)


STEADY = [-30.0, -30.1, -29.9, -30.2]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (found([-30, -33, -36, -31], STEADY), "varies by"),
        (found([*STEADY, -math.inf], STEADY), "1 of 9 runs died out"),
        (found(STEADY, [-34.0, -34.1, -33.9, -34.2]), "twice the moves shift"),
        (found(STEADY, STEADY, ancestors=2.0), "descend from 2"),
        (found(STEADY, STEADY, ideal_variance=1e-4), "times the ideal"),
        (found([-math.inf] * 4, STEADY), "no particle ever"),
    ],
)
def test_every_check_speaks_up(runs, words):
    assert any(words in complaint for complaint in runs.complaints())
    assert not found(STEADY, STEADY).complaints()


def test_the_relative_error_is_that_of_the_mean():
    p = np.array([1.0, 2.0, 0.0, 5.0])
    with np.errstate(divide="ignore"):
        log_p = np.log(p) - 700
    assert found(log_p, STEADY).relative_error == pytest.approx(p.std(ddof=1) / 2 / 2.0)
    assert math.isnan(found([-math.inf] * 4, STEADY).relative_error)


def test_the_interval_covers_log_normal_means(rng):
    """Law: 4,000 intervals from 8 log-normal replicates of spread 0.4 cover the mean in 95 % or more of them."""
    hits = 0
    for log_p in rng.normal(-30 - 0.08, 0.4, (4000, 8)):
        low, high = found(log_p, STEADY, ideal_variance=0.05).interval(0.95)
        hits += low <= -30 <= high
    assert_coverage(hits, 4000, at_least=0.945)
    with pytest.raises(AssertionError):
        assert_coverage(round(0.9 * 4000), 4000, at_least=0.945)


def test_the_floor_holds_whatever_the_law(rng):
    """Law: P = 0 or 10 times the mean, one in ten: at 97.5 % the floor exceeds the mean in at most 2.5 % of cases."""
    hits = 0
    for hit in rng.random((4000, 8)) < 0.1:
        if hit.any():
            one = found(np.where(hit, math.log(10.0), -math.inf), STEADY)
            hits += one.floor(0.975) <= 0.0
        else:
            hits += 1
    assert_coverage(hits, 4000, at_least=0.975)


# Folders


def test_a_folder_goes_on_and_gives_the_same(two_functions, tmp_path):
    net, tables, estimate = two_functions
    first = estimate_rare(net, tables, seed=3, keep=20, out=tmp_path / "run")
    assert same(first, estimate)
    (tmp_path / "run" / "function-000000000").unlink()
    assert same(estimate_rare(net, tables, seed=3, keep=20, out=tmp_path / "run"), estimate)
    with pytest.raises(InvalidInput, match="seed is 3 there, 4 here"):
        estimate_rare(net, tables, seed=4, keep=20, out=tmp_path / "run")
    path = tmp_path / "run" / "function-000000001"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptStore, match="function-000000001"):
        estimate_rare(net, tables, seed=3, keep=20, out=tmp_path / "run")
    with pytest.raises(StoreError):
        estimate_rare(net, tables, out=tmp_path / "none" / "run")


def test_a_kill_loses_what_is_in_flight_alone(two_functions, tmp_path):
    net, tables, estimate = two_functions
    code = (
        "from pfmap import *; from pfmap import maps; estimate_rare(maps.MLP(3, (8,)), "
        "TruthTables.from_strings(['00010111', '01101001']), seed=3, keep=20, workers=1, out='run')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not (tmp_path / "run" / "function-000000000").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = estimate_rare(net, tables[[1, 0]], seed=3, keep=20, out=tmp_path / "run")
    assert resumed.log2_p[::-1].tolist() == estimate.log2_p.tolist()


def test_progress_goes_to_standard_error_where_it_is_wanted(capsys):
    arguments = maps.Perceptron(2), TruthTables.from_strings(["0101", "0011"])
    estimate_rare(*arguments, progress=False)
    assert not capsys.readouterr().err
    estimate_rare(*arguments, progress=True)
    assert "splitting: 100%" in capsys.readouterr().err


# Bad input


class NoMap:
    domain = Cube(2)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pfm": NoMap()}, InvalidInput, "latent form"),
        ({"pfm": torch.nn.Linear(2, 1)}, InvalidInput, "latent form"),
        ({"pfm": maps.MLP}, InvalidInput, "latent form"),
        ({"pfm": maps.Perceptron(3)}, IncompatibleTables, "one domain"),
        ({"tables": ["0110"]}, InvalidInput, "TruthTables"),
        ({"tables": TruthTables.from_strings([], Cube(2))}, InvalidInput, "no function"),
        ({"particles": 10}, InvalidInput, "at least 50"),
        ({"replicates": 1}, InvalidInput, "at least 4"),
        ({"max_moves": 4}, InvalidInput, "max_moves"),
        ({"seed": -1}, InvalidInput, "seed"),
        ({"confidence": 95}, InvalidInput, "confidence"),
        ({"where": [True] * 3}, InvalidInput, r"bool\[4\]"),
        ({"where": [0, 1, 1, 1]}, InvalidInput, r"bool\[4\]"),
        ({"where": [False] * 4}, InvalidInput, "without any point"),
        ({"latents": [[1.0]]}, InvalidInput, "latents"),
        ({"workers": 0}, InvalidInput, "workers"),
    ],
)
def test_bad_input_is_refused_in_words(change, error, words):
    arguments = {"pfm": maps.Perceptron(2), "tables": TruthTables.from_strings(["0110"]), **change}
    with pytest.raises(error, match=words):
        estimate_rare(arguments.pop("pfm"), arguments.pop("tables"), **arguments)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: z[:, :1], "floats"),
        (lambda z: z > 0, "floats"),
        (lambda z: z / 0, "NaN or infinity"),
        (lambda z: z.numpy(), "ndarray"),
    ],
)
def test_logits_of_another_kind_are_refused(function, words):
    with pytest.raises(InvalidInput, match=words):
        estimate_rare(maps.LatentFunction("odd", Points(2), 2, function), TruthTables.from_strings(["01"], Points(2)))


def test_a_map_without_gradient_walks_all_the_same(seed):
    """Law: signs of 8 latents through a threshold, P = 2^-8, level in steps of 1/8."""
    steps = maps.LatentFunction("steps", Points(8), 8, lambda z: torch.where(z > 0, 1.0, -1.0).detach())
    tables = TruthTables.from_bits(np.zeros((1, 8), np.uint8), Points(8))
    estimate = estimate_rare(steps, tables, seed=seed, confidence=1 - 1e-6)
    assert estimate.log2_low[0] <= -8 <= estimate.log2_high[0]


def test_pilots_give_up(rng):
    """Thresholds of a target that is out of reach end where P falls below the limit."""
    net = maps.Perceptron(2, sigma_b=1.0)
    schedule = fly_pilot(walker(net, np.array([-1, 1, 1, -1], np.int8)), 200, moves=16, smallest=-10.0, seed=1)
    assert not schedule.complete
    assert -12 < schedule.log_p < -9
    assert (np.diff(schedule.thresholds) > 0).all()


def test_the_command_lists_functions_and_partial_tables(tmp_path, capsys):
    (tmp_path / "list").write_text("0001\n0???\n")
    arguments = ["rare", "0110", "--file", str(tmp_path / "list"), "--perceptron", "--n-inputs", "2", "--sigma-b", "1"]
    assert main([*arguments, "--csv", str(tmp_path / "out.csv"), "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "0110: not converged: no particle ever reached it: P < 2^-14" in shown
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[0].startswith("table,log2_p,log2_low,log2_high,")
    assert [row.split(",")[0] for row in rows[1:]] == ["0110", "0001", "0???"]
    assert -1.2 < float(rows[3].split(",")[1]) < -0.8  # half of all perceptrons have f(00) = 0
    assert main(["rare"]) == 2
    assert "no function came" in capsys.readouterr().err
    assert main(["rare", "0110", "--n-inputs", "3"]) == 2
    assert "one domain" in capsys.readouterr().err
    assert main(["rare", "--file", str(tmp_path / "none")]) == 2
    assert "none cannot be read" in capsys.readouterr().err
