"""Gaussian processes as maps: kernels by numerical integrals and by wide networks, samples by exact laws."""

import json
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import special

from pfmap import Cube, Points, draw, maps
from pfmap.errors import InvalidInput
from pfmap.rare import orthant_probability
from pfmap.streams import generator
from pfmap.tables import TruthTables
from tests.statistics import assert_mean, assert_multinomial, smallest_shift

GaussianProcess = maps.GaussianProcess

PHI = {
    "relu": lambda a: np.maximum(a, 0),
    "erf": special.erf,
    "step": lambda a: (a > 0).astype(float),
    "linear": lambda a: a,
}


def mean_product(phi, k11, k12, k22):
    """E[phi(u) phi(v)] in polar coordinates, angles cut where u or v changes sign."""
    low = np.linalg.cholesky(np.array([[k11, k12], [k12, k22]]))
    zero_of_v = math.atan2(-low[1, 0], low[1, 1])
    cuts = np.sort(np.mod([math.pi / 2, 3 * math.pi / 2, zero_of_v, zero_of_v + math.pi], 2 * math.pi))
    nodes, weights = np.polynomial.legendre.leggauss(80)
    r, r_weights = 6 * (nodes + 1), 6 * weights
    total = 0.0
    for start, end in zip(cuts, [*cuts[1:], cuts[0] + 2 * math.pi], strict=True):
        angle = start + (end - start) * (nodes + 1) / 2
        a, b = np.outer(r, np.cos(angle)), np.outer(r, np.sin(angle))
        u, v = low[0, 0] * a, low[1, 0] * a + low[1, 1] * b
        values = phi(u) * phi(v) * (r * np.exp(-r * r / 2))[:, None]
        total += (end - start) / 2 * (r_weights @ values @ weights)
    return total / (2 * math.pi)


def recursion(gp):
    """The kernel, entry by entry, from integrals; u and v of one point are one variable."""
    x = gp.domain.points().astype(float)
    x = 2 * x - 1 if gp.inputs == "pm1" else x
    K = gp.sigma_b**2 + gp.sigma_w**2 * (x @ x.T) / gp.n_inputs
    phi = PHI[gp.activation]
    nodes, weights = np.polynomial.legendre.leggauss(200)
    half, w = 6 * (nodes + 1), 6 * weights * np.exp(-18 * (nodes + 1) ** 2) / math.sqrt(2 * math.pi)
    for _ in range(gp.depth):
        new = np.empty_like(K)
        for i, j in np.ndindex(*K.shape):
            if i == j:
                new[i, i] = sum(w @ phi(sign * math.sqrt(K[i, i]) * half) ** 2 for sign in (1, -1))
            else:
                new[i, j] = mean_product(phi, K[i, i], K[i, j], K[j, j])
        K = gp.sigma_b**2 + gp.sigma_w**2 * new
    return K


@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize("inputs", ["01", "pm1"])
@pytest.mark.parametrize(("depth", "sigma_w", "sigma_b"), [(0, 1.5, 0.7), (1, 1.0, 1.0), (3, 1.4, 0.3)])
def test_kernels_are_the_integrals_that_define_them(activation, inputs, depth, sigma_w, sigma_b):
    gp = GaussianProcess(2, depth, activation, sigma_w=sigma_w, sigma_b=sigma_b, inputs=inputs)
    np.testing.assert_allclose(gp.kernel(), recursion(gp), rtol=1e-12, atol=1e-13)


def test_kernels_at_the_origin_without_bias():
    for activation in PHI:
        K = GaussianProcess(2, 2, activation, sigma_b=0.0).kernel()
        assert not K[0].any()
        assert (K.diagonal()[1:] > 0).all()


@pytest.mark.parametrize("activation", PHI)
def test_one_hidden_layer_has_the_kernel_at_any_width(activation, seed):
    """E[logit logit'] of one hidden layer is K at every width: means over 40,000 networks, all 10 entries."""
    net = maps.MLP(2, (5,), activation, sigma_w=1.3, sigma_b=0.4, inputs="pm1")
    logits = logits_of(net, 40_000, seed)
    assert_covariance(logits, GaussianProcess.limit_of(net).kernel())
    # Smallest fault at these sizes: about 0.06 of an entry near 1. A variance where a deviation belongs is seen.
    wrong = GaussianProcess(2, 1, activation, sigma_w=1.3**0.5, sigma_b=0.4, inputs="pm1").kernel()
    with pytest.raises(AssertionError):
        assert_covariance(logits, wrong)
    assert smallest_shift(40_000, 1.5) < 0.06


def assert_covariance(logits, K):
    for i, j in zip(*np.triu_indices(len(K)), strict=True):
        products = logits[:, i] * logits[:, j]
        assert_mean(products.mean(), len(products), expected=K[i, j], sd=products.std(), what=f"K[{i}, {j}]")


def logits_of(pfm, count, seed):
    z = generator(seed, "latents of a test").standard_normal((count, pfm.n_latents))
    return pfm.logits(torch.from_numpy(z)).numpy()


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_wider_networks_come_nearer(activation, seed):
    """Total variation between 16 frequencies of 200,000 networks and P: noise alone gives some 0.003."""
    gp = GaussianProcess(2, 2, activation, sigma_w=1.4, sigma_b=0.3)
    p = np.exp2(orthant_probability(gp, everything(2), seed=1).log2_p)
    far = {
        w: distance(draw(maps.MLP(2, (w, w), activation, sigma_w=1.4, sigma_b=0.3), 200_000, seed=seed), p)
        for w in (1, 8, 64)
    }
    assert far[64] < 0.012 < far[1] / 3
    assert far[64] < far[8] < far[1]
    assert distance(draw(gp, 200_000, seed=seed, engine="torch"), p) < 0.008


def distance(counts, p):
    return abs(counts.at(everything(2)) / counts.n_samples - p).sum() / 2


def everything(n):
    """All functions of n inputs."""
    m = 1 << n
    return TruthTables.from_bits((np.arange(1 << m)[:, None] >> np.arange(m)) & 1)


def test_samples_have_the_law_of_their_covariance(seed):
    """Three points: P = 1/8 + (±asin r01 ± asin r02 ± asin r12) / (4 pi); a fault of 0.1 in r is seen."""
    K = np.array([[4.0, 1.0, -0.5], [1.0, 1.0, 0.2], [-0.5, 0.2, 0.25]])
    counts = draw(GaussianProcess.from_kernel(K, Points(3)), 200_000, seed=seed)
    tables = TruthTables.from_bits((np.arange(8)[:, None] >> np.arange(3)) & 1, Points(3))
    observed = counts.at(tables)
    assert_multinomial(observed, trivariate(K, tables))
    K[0, 1] = K[1, 0] = 0.8
    with pytest.raises(AssertionError):
        assert_multinomial(observed, trivariate(K, tables))


def trivariate(K, tables):
    d = np.sqrt(np.diag(K))
    angles = np.arcsin(K / np.outer(d, d))
    signs = np.where(tables.bits(), 1, -1)
    return np.array(
        [1 / 8 + sum(s[i] * s[j] * angles[i, j] for i, j in ((0, 1), (0, 2), (1, 2))) / (4 * math.pi) for s in signs]
    )


def test_identity_is_the_uniform_prior(seed):
    counts = draw(GaussianProcess.from_kernel(np.eye(4), Cube(2)), 50_000, seed=seed)
    assert_multinomial(counts.at(everything(2)), np.full(16, 1 / 16))


def test_no_hidden_layer_is_the_perceptron(seed):
    """A singular kernel: 14 threshold functions, with the P of facts on {-1,+1}^2, and XOR never."""
    gp = GaussianProcess.limit_of(maps.Perceptron(2, sigma_w=2**0.5, sigma_b=1.0, inputs="pm1"))
    counts = draw(gp, 100_000, seed=seed)
    dictator, and_type = math.acos(-1 / 3) / math.pi - 1 / 2, 0.0438699
    expected = np.full(16, and_type)
    bits = everything(2).bits()
    expected[[int(i) for i in np.flatnonzero(bits.sum(axis=1) % 2 == 0)]] = dictator
    expected[[6, 9]] = 0.0
    assert_multinomial(counts.at(everything(2)), expected / expected.sum())


@pytest.mark.parametrize("n", [4, 7])
def test_singular_kernels_keep_their_support(n, seed):
    """Without bias, f(0) = 0, and a linear logit at the sum of two unit vectors is the sum, whatever the rounding."""
    gp = GaussianProcess(n, 0, sigma_b=0.0)
    logits = logits_of(gp, 2_000, seed)
    assert not logits[:, 0].any()
    np.testing.assert_allclose(logits[:, 3], logits[:, 1] + logits[:, 2], atol=1e-13)
    bits = logits > 0
    assert not (bits[:, 3] & ~bits[:, 1] & ~bits[:, 2]).any()


@pytest.mark.parametrize("inputs", ["01", "pm1"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.5])
@pytest.mark.parametrize("activation", PHI)
def test_declared_symmetries_leave_the_kernel_as_it_is(inputs, sigma_b, activation):
    gp = GaussianProcess(3, 2, activation, sigma_b=sigma_b, inputs=inputs)
    K, index = gp.kernel(), np.arange(8)
    swapped = (index & 1) << 2 | index & 2 | index >> 2
    np.testing.assert_allclose(K[np.ix_(swapped, swapped)], K, rtol=1e-14)
    flipped = index ^ 4
    flips = np.allclose(K[np.ix_(flipped, flipped)], K, rtol=1e-12)
    assert flips == (inputs == "pm1") == ("input_flips" in gp.symmetry)
    assert ("complement" in gp.symmetry) == (inputs == "pm1" or sigma_b > 0)
    assert "input_permutations" in gp.symmetry
    assert draw(gp, 500, seed=0, pool="orbits").n_samples == 500


def test_limits_are_recognised():
    net = maps.MLP(5, (3, 9, 2), "erf", sigma_w=2.0, sigma_b=0.5, inputs="pm1")
    assert GaussianProcess.limit_of(net) == GaussianProcess(5, 3, "erf", sigma_w=2, sigma_b=0.5, inputs="pm1")
    assert GaussianProcess.limit_of(maps.Perceptron(3)) == GaussianProcess(3, 0, "linear", sigma_b=0)
    assert GaussianProcess.limit_of(maps.MLP(3, (), "tanh")).depth == 0


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (maps.MLP(3, (4,), "tanh"), "closed form"),
        (maps.MLP(3, (4,), weights="uniform"), "gaussian"),
        (maps.MLP(3, (4,), bias_scaling="fan_out"), "constant"),
        (GaussianProcess(3), "maps.MLP"),
    ],
)
def test_networks_without_such_a_limit(net, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianProcess.limit_of(net)


def test_specs_identify_maps_and_travel():
    gp = GaussianProcess(2, 1, "erf")
    assert json.loads(json.dumps(gp.spec)) == gp.spec
    vectors = [GaussianProcess.from_kernel(K, Points(2)) for K in (np.eye(2), np.eye(2) * 2, [[1, 0], [0, 1]])]
    assert vectors[0].spec == vectors[2].spec != vectors[1].spec
    for pfm in (gp, vectors[0]):
        gp.logits(torch.ones(1, 4))
        copy = pickle.loads(pickle.dumps(pfm))
        assert copy.spec == pfm.spec
        assert copy.n_latents == pfm.domain.n_points
    with pytest.raises(ValueError, match="read-only"):
        vectors[0].kernel()[0, 0] = 3.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_inputs": 0}, "1 to 16"),
        ({"n_inputs": 13}, "at most 12"),
        ({"depth": -1}, "number of hidden layers"),
        ({"depth": 1.0}, "number of hidden layers"),
        ({"depth": True}, "number of hidden layers"),
        ({"depth": (40, 40)}, "number of hidden layers"),
        ({"activation": "tanh"}, "from_kernel"),
        ({"activation": None}, "relu, erf, step, linear"),
        ({"sigma_w": 0.0}, "above 0"),
        ({"sigma_w": math.nan}, "finite"),
        ({"sigma_b": -1.0}, "from 0 up"),
        ({"inputs": "0"}, "01, pm1"),
        ({"sigma_w": 1e6, "depth": 60}, "fewer layers"),
        ({"sigma_w": 1e-6, "sigma_b": 0.0, "depth": 60}, "fewer layers"),
    ],
    ids=str,
)
def test_bad_processes_say_what_is_allowed(fields, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianProcess(**{"n_inputs": 2, **fields})


@pytest.mark.parametrize(
    ("K", "message"),
    [
        (np.eye(3), "4, 4"),
        (np.zeros((4, 4)), "not 0"),
        (np.full((4, 4), math.nan), "finite"),
        (np.eye(4) + np.triu(np.ones((4, 4))), "symmetric"),
        (np.eye(4) - 0.5 * np.ones((4, 4)), "positive semidefinite"),
        ("kernel", "real numbers"),
        ([[1, 2], [3]], "real numbers"),
        (np.eye(4) * 1j, "real numbers"),
    ],
    ids=str,
)
def test_bad_covariances_say_what_is_allowed(K, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianProcess.from_kernel(K, Cube(2))


def test_other_domains_and_latents_are_refused():
    with pytest.raises(InvalidInput, match="Points"):
        GaussianProcess.from_kernel(np.eye(4), 4)
    with pytest.raises(InvalidInput, match=r"\[batch, 4\]"):
        GaussianProcess(2).logits(torch.ones(4))
