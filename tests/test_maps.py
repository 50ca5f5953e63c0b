"""Maps: which parameters a latent vector becomes, and the logits of those parameters by a slow float64 loop."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import special, stats

import pfmap
from pfmap import Cube, InvalidInput, Points, maps
from pfmap.kernels.normals import normals
from tests.statistics import assert_chi_square, assert_mean

TEXTBOOK = {
    "relu": lambda a: max(a, 0.0),
    "leaky_relu": lambda a: a if a > 0 else 0.01 * a,
    "tanh": math.tanh,
    "erf": math.erf,
    "sigmoid": special.expit,
    "gelu": lambda a: a * stats.norm.cdf(a),
    "silu": lambda a: a * special.expit(a),
    "step": lambda a: 1.0 if a > 0 else 0.0,
    "linear": lambda a: a,
}


def slow_logits(net, theta):
    """The logits of one parameter vector: sums written out, parameters read in the order W_1 b_1 W_2 b_2 …"""
    logits = []
    for x in product((0, 1), repeat=net.n_inputs):
        h = [2.0 * v - 1.0 if net.inputs == "pm1" else float(v) for v in x]
        at = 0
        widths = [*net.hidden, 1]
        for depth, width in enumerate(widths):
            a = []
            for i in range(width):
                a.append(sum(float(theta[at + i * len(h) + k]) * h[k] for k in range(len(h))))
            at += width * len(h)
            if net.sigma_b:
                a = [value + float(theta[at + i]) for i, value in enumerate(a)]
                at += width
            h = a if depth == len(widths) - 1 else [TEXTBOOK[net.activation](value) for value in a]
        assert len(h) == 1
        logits.append(h[0])
    assert at == net.n_latents == len(theta)
    return logits


def latents(net, count, seed):
    return torch.from_numpy(normals(seed, 0, count, net.n_latents, 0))


# Logits


def test_every_activation_has_a_textbook_form():
    assert set(TEXTBOOK) == set(maps.ACTIVATIONS)


@pytest.mark.parametrize("activation", maps.ACTIVATIONS)
@pytest.mark.parametrize("inputs", ["01", "pm1"])
@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
@pytest.mark.parametrize("sigma_b", [0.7, 0.0])
def test_logits_are_those_of_a_slow_loop(activation, inputs, weights, sigma_b, seed):
    net = maps.MLP(3, (4, 3), activation, 1.3, sigma_b, weights, inputs)
    z = latents(net, 6, seed)
    theta = net.parameters(z).numpy()
    logits = net.logits(z).numpy()
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, [slow_logits(net, row) for row in theta], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("hidden", [(), (1,), (2, 1), (1, 5), (9,), (3, 3, 3, 3)])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_logits_of_every_shape(hidden, n, seed):
    net = maps.MLP(n, hidden, "gelu")
    z = latents(net, 4, seed)
    expected = [slow_logits(net, row) for row in net.parameters(z).numpy()]
    np.testing.assert_allclose(net.logits(z).numpy(), expected, rtol=1e-12, atol=1e-13)


def test_logits_use_parameters_rounded_to_float32(seed):
    net = maps.MLP(4, (5,))
    z = latents(net, 20, seed)
    nudged = z.double() * (1 + 2.0**-28)  # lost on the way to float32
    assert torch.equal(net.logits(nudged), net.logits(z))
    theta = net.parameters(z)
    assert theta.dtype == torch.float32
    np.testing.assert_array_equal(theta.numpy(), z.numpy() * net.scales())


def test_a_batch_is_its_rows(seed):
    net = maps.MLP(5, (8, 8), "tanh")
    z = latents(net, 30, seed)
    one_by_one = torch.cat([net.logits(row[None]) for row in z])
    np.testing.assert_allclose(net.logits(z), one_by_one, rtol=1e-12, atol=1e-13)
    assert net.logits(z[:0]).shape == (0, 32)


def test_a_relu_network_without_bias_has_logit_exactly_0_at_the_origin(seed):
    net = maps.MLP(4, (6, 6), sigma_b=0.0)
    assert torch.all(net.logits(latents(net, 50, seed))[:, 0] == 0)


@pytest.mark.parametrize("shape", [(2001,), (3, 2000), (3, 2002), (1, 3, 2001), ()])
def test_latents_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(InvalidInput, match=r"needs \[batch, 2001\]"):
        maps.MLP(7).logits(torch.zeros(shape))


# Parameters


@pytest.mark.parametrize(
    ("net", "n_latents"),
    [
        (maps.MLP(7), 7 * 40 + 40 + 40 * 40 + 40 + 40 + 1),
        (maps.MLP(7, sigma_b=0.0), 7 * 40 + 40 * 40 + 40),
        (maps.MLP(16, ()), 17),
        (maps.MLP(1, (1,)), 4),
        (maps.Perceptron(5), 5),
        (maps.Perceptron(5, sigma_b=2.0), 6),
    ],
    ids=str,
)
def test_n_latents_counts_weights_and_biases(net, n_latents):
    assert net.n_latents == n_latents == len(net.scales())
    assert net.domain == Cube(net.n_inputs)


BIAS_STD = {
    "constant": lambda sigma_w, sigma_b, fan_in, fan_out: sigma_b,
    "fan_in": lambda sigma_w, sigma_b, fan_in, fan_out: sigma_b / math.sqrt(fan_in),
    "fan_out": lambda sigma_w, sigma_b, fan_in, fan_out: sigma_b * sigma_w / fan_out,  # arXiv 2304.06670, as released
}


@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
@pytest.mark.parametrize("bias_scaling", BIAS_STD)
def test_standard_deviations_of_every_layer(weights, bias_scaling):
    sigma_w, sigma_b = 1.7, 0.3
    net = maps.MLP(7, (40, 25, 3), "tanh", sigma_w, sigma_b, weights, bias_scaling=bias_scaling)
    expected = []
    for fan_in, fan_out in ((7, 40), (40, 25), (25, 3), (3, 1)):
        expected += [sigma_w / math.sqrt(fan_in)] * (fan_in * fan_out)
        expected += [BIAS_STD[bias_scaling](sigma_w, sigma_b, fan_in, fan_out)] * fan_out
    # A uniform variable on (-c, c) has standard deviation c / sqrt(3).
    c = math.sqrt(3) if weights == "uniform" else 1.0
    np.testing.assert_allclose(net.scales(), np.array(expected) * c, rtol=1e-7)
    assert net.scales().dtype == np.float32


def test_uniform_weights_of_1805_08522():
    # Hidden W and b uniform in +-sqrt(6) / sqrt(fan_in) are sigma_w = sigma_b = sqrt(2).
    net = maps.MLP(7, (40, 40), "relu", math.sqrt(2), math.sqrt(2), "uniform", bias_scaling="fan_in")
    ends = [math.sqrt(6 / fan_in) for fan_in in (7, 40, 40)]
    np.testing.assert_allclose(net.scales()[[0, 280, 320, 1920, 1960, 2000]], np.repeat(ends, 2), rtol=1e-7)
    largest = net.parameters(torch.full((1, 2001), 6.7))[0].numpy()
    assert np.all(largest <= net.scales() * (1 + 1e-6))
    np.testing.assert_allclose(largest, net.scales(), rtol=1e-6)


def test_uniform_parameters_are_2_phi_minus_1_of_z():
    net = maps.MLP(9, (), sigma_w=math.sqrt(3.0), sigma_b=0.0, weights="uniform")
    z = np.linspace(-7, 7, 9 * 20_000, dtype=np.float32).reshape(-1, 9)
    u = net.parameters(torch.from_numpy(z)).numpy() / net.scales()
    np.testing.assert_allclose(u, 2 * stats.norm.cdf(z.astype(np.float64)) - 1, rtol=0, atol=4e-7)
    np.testing.assert_array_equal(net.parameters(torch.from_numpy(-z)).numpy(), -net.parameters(torch.from_numpy(z)))


def weights_drawn(net, seed, count=40_000):
    theta = net.parameters(latents(net, count, seed)).numpy().astype(np.float64)
    return theta[:, : net.n_inputs]


def assert_gaussian(w, std):
    edges = stats.norm.ppf(np.linspace(0, 1, 101)) * std
    assert_chi_square(np.histogram(w, edges)[0], np.full(100, 0.01), level=5e-7)
    assert_mean(float(np.mean(w**2)), w.size, expected=std**2, sd=std**2 * math.sqrt(2), level=5e-7)


def assert_uniform(w, std):
    end = math.sqrt(3) * std
    assert np.all(np.abs(w) <= end * (1 + 1e-6)), "p-value 0: a weight beyond the end"
    assert_chi_square(np.histogram(np.clip(w, -end, end), np.linspace(-end, end, 101))[0], np.full(100, 0.01))


LAWS = {"gaussian": assert_gaussian, "uniform": assert_uniform}


@pytest.mark.parametrize("weights", LAWS)
def test_weights_follow_their_law(weights, seed):
    # 2e5 weights: a standard deviation off by 2 % is caught with power 0.99, which the next test plants.
    LAWS[weights](weights_drawn(maps.MLP(5, (), sigma_w=2.0, weights=weights), seed), 2.0 / math.sqrt(5))


@pytest.mark.parametrize(
    ("sigma_w", "weights", "law"),
    [
        (2.04, "gaussian", "gaussian"),
        (1.96, "uniform", "uniform"),
        (math.sqrt(2.0), "gaussian", "gaussian"),
        (2.0, "uniform", "gaussian"),
        (2.0, "gaussian", "uniform"),
    ],
)
def test_a_wrong_law_of_weights_is_caught(sigma_w, weights, law, seed):
    w = weights_drawn(maps.MLP(5, (), sigma_w=sigma_w, weights=weights), seed)
    with pytest.raises(AssertionError, match="p-value"):
        LAWS[law](w, 2.0 / math.sqrt(5))


# The spec


def test_the_spec_holds_every_field_in_json_types():
    net = maps.MLP(np.int64(7), [np.int32(40), 40], sigma_w=2.0)
    assert json.loads(json.dumps(net.spec)) == net.spec
    assert net.spec == {
        "map": "MLP", "n_inputs": 7, "hidden": [40, 40], "activation": "relu", "sigma_w": 2.0, "sigma_b": 1.0,
        "weights": "gaussian", "inputs": "01", "bias_scaling": "constant",
    }  # fmt: skip
    assert net == maps.MLP(7, (40, 40), sigma_w=2.0)
    assert hash(net) == hash(maps.MLP(7, (40, 40), sigma_w=2.0))


def test_one_map_has_one_spec_however_its_numbers_were_written():
    one, other = maps.MLP(7, sigma_w=1, sigma_b=np.float64(1)), maps.MLP(7, sigma_w=1.0, sigma_b=1.0)
    assert json.dumps(one.spec) == json.dumps(other.spec)


# Bad input


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_inputs": 0}, "n_inputs is 0.*1 to 16"),
        ({"n_inputs": 40}, "n_inputs is 40.*1 to 16"),
        ({"n_inputs": 7.0}, "n_inputs is 7.0"),
        ({"n_inputs": True}, "n_inputs is True"),
        ({"hidden": (0,)}, "at least 1"),
        ({"hidden": (40, -1)}, "at least 1"),
        ({"hidden": (40, 4.0)}, "at least 1"),
        ({"hidden": (True,)}, "at least 1"),
        ({"hidden": 40}, r"sequence of widths such as \(40, 40\)"),
        ({"hidden": None}, "sequence of widths"),
        ({"hidden": "40"}, "at least 1"),
        ({"sigma_w": -1.0}, "sigma_w is -1.0.*above 0"),
        ({"sigma_w": 0.0}, "sigma_w is 0.0.*above 0"),
        ({"sigma_w": math.nan}, "sigma_w is nan"),
        ({"sigma_w": math.inf}, "sigma_w is inf"),
        ({"sigma_b": -0.1}, "sigma_b is -0.1.*from 0 up"),
        ({"sigma_b": math.nan}, "sigma_b is nan"),
        ({"sigma_b": math.inf}, "sigma_b is inf"),
        ({"sigma_w": 1e39}, r"sigma_w is 1e\+39"),  # float32 cannot hold these parameters
        ({"sigma_b": 1e39}, r"sigma_b is 1e\+39"),
        ({"sigma_w": 1e-50}, "sigma_w is 1e-50"),
        ({"sigma_b": 1e-50}, "sigma_b is 1e-50"),
        ({"sigma_w": "1"}, "sigma_w is '1'"),
        ({"sigma_b": None}, "sigma_b is None"),
        ({"activation": "ReLU"}, "activation is 'ReLU'; choose one of relu, leaky_relu, tanh, erf, sigmoid, gelu"),
        ({"activation": None}, "activation is None; choose one of relu"),
        ({"weights": "normal"}, "weights is 'normal'; choose one of gaussian, uniform"),
        ({"inputs": "+-1"}, r"inputs is '\+-1'; choose one of 01, pm1"),
        ({"bias_scaling": "none"}, "bias_scaling is 'none'; choose one of constant, fan_in, fan_out"),
        ({"activation": ["relu"]}, "activation is"),
    ],
    ids=str,
)
def test_bad_networks_say_what_is_allowed(fields, message):
    with pytest.raises(InvalidInput, match=message):
        maps.MLP(**{"n_inputs": 7, **fields})


@pytest.mark.parametrize("fields", [{"n_inputs": 0}, {"n_inputs": 40}, {"sigma_w": -1.0}, {"inputs": "0"}], ids=str)
def test_bad_perceptrons_too(fields):
    with pytest.raises(InvalidInput):
        maps.Perceptron(**{"n_inputs": 7, **fields})


# Any function of z


def test_a_latent_function_is_its_function():
    pfm = maps.LatentFunction("sum", Points(3), 2, lambda z: z @ torch.tensor([[1.0, 0, 1], [0, 1, 1]]))
    z = torch.tensor([[1.0, 2.0]])
    assert pfm.logits(z).tolist() == [[1, 2, 3]]
    assert pfm.spec == {"map": "LatentFunction", "name": "sum", "domain": "Points(n_points=3)", "n_latents": 2}


@pytest.mark.parametrize("n_latents", [0, -1, 2.5, True, "3"])
def test_a_latent_function_needs_latents(n_latents):
    with pytest.raises(InvalidInput, match="n_latents is"):
        maps.LatentFunction("none", Cube(1), n_latents, lambda z: z)


# Symmetry


def first_layer(net, z):
    return z[:, : net.n_inputs * net.layers[0].fan_out].reshape(len(z), -1, net.n_inputs)


def swapped_inputs(net, z):
    """Latents of the network that reads inputs 0 and 1 the other way round."""
    z = z.clone()
    first_layer(net, z)[:, :, [0, 1]] = first_layer(net, z)[:, :, [1, 0]]
    return (
        z,
        [int(f"{j:0{net.n_inputs}b}"[1::-1] + f"{j:0{net.n_inputs}b}"[2:], 2) for j in range(1 << net.n_inputs)],
        1,
    )


def flipped_input(net, z):
    """Latents of the network that reads the negative of input 0."""
    z = z.clone()
    first_layer(net, z)[:, :, 0] *= -1
    return z, [j ^ (1 << (net.n_inputs - 1)) for j in range(1 << net.n_inputs)], 1


def negated_read_out(net, z):
    z = z.clone()
    z[:, net.layers[-1].weights_at :] *= -1
    return z, list(range(1 << net.n_inputs)), -1


MOVES = {"input_permutations": swapped_inputs, "input_flips": flipped_input, "complement": negated_read_out}


@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
@pytest.mark.parametrize("inputs", ["01", "pm1"])
@pytest.mark.parametrize("sigma_b", [0.7, 0.0])
@pytest.mark.parametrize("hidden", [(), (3,), (4, 3)])
@pytest.mark.parametrize("activation", maps.ACTIVATIONS)
def test_each_symmetry_is_one_of_the_latents(activation, hidden, sigma_b, inputs, weights, seed):
    """Exact: for every declared symmetry a move of z that keeps N(0, I_d) moves the logits, none of which is 0."""
    net = maps.MLP(3, hidden, activation, 1.3, sigma_b, weights, inputs)
    z = latents(net, 50, seed)
    logits = net.logits(z)
    for symmetry in net.symmetry:
        moved, source, sign = MOVES[symmetry](net, z)
        np.testing.assert_allclose(net.logits(moved), sign * logits[:, source], rtol=1e-12, atol=1e-13)
    if "complement" in net.symmetry:
        assert torch.all(logits != 0)


TIES = {
    "perceptron at the origin": maps.Perceptron(3),
    "relu at the origin": maps.MLP(3, (4,), sigma_b=0.0),
    "tanh at the origin": maps.MLP(3, (4,), "tanh", sigma_b=0.0),
    "dead relu": maps.MLP(3, (2,), sigma_b=0.0, inputs="pm1"),
    "dead relu of two layers": maps.MLP(3, (8, 2), sigma_b=0.0, inputs="pm1"),
    "dead step": maps.MLP(3, (2,), "step", sigma_b=0.0, inputs="pm1"),
    "dead gelu of wide weights": maps.MLP(3, (1,), "gelu", sigma_w=9.0, sigma_b=0.0, inputs="pm1"),
    "dead sigmoid of wide weights": maps.MLP(3, (1,), "sigmoid", sigma_w=2e3, sigma_b=0.0, inputs="pm1"),
    "dead silu of wide weights": maps.MLP(3, (1,), "silu", sigma_w=2e3, sigma_b=0.0, inputs="pm1"),
    "underflow": maps.MLP(3, (2,) * 18, "tanh", sigma_w=1e-17, sigma_b=0.0, inputs="pm1"),
}


@pytest.mark.parametrize("net", TIES.values(), ids=TIES)
def test_ties_take_the_complement_away(net, seed):
    """Ties come, the map does not declare what they break, and a draw shows it broken while the rest holds.

    Law: p-values of a true symmetry are at most uniform (see test_invariance.py); size 4,000 networks.
    """
    assert torch.any(net.logits(latents(net, 400, seed)) == 0)
    assert "complement" not in net.symmetry
    counts = pfmap.draw(net, 4000, seed=seed)
    assert pfmap.invariance_test(counts, {"complement"}).p_value < 1e-6
    if len(counts) > 1:
        assert pfmap.invariance_test(counts, net.symmetry).p_value > 5e-7


def test_what_mlps_declare():
    assert maps.MLP(7).symmetry == {"input_permutations", "complement"}
    assert maps.MLP(7, inputs="pm1").symmetry == {"input_permutations", "complement", "input_flips"}
    assert maps.Perceptron(5, inputs="pm1").symmetry == {"input_permutations", "complement", "input_flips"}
    assert maps.MLP(7, activation="sigmoid", sigma_b=0.0).symmetry == {"input_permutations", "complement"}
    assert maps.MLP(7, (), "sigmoid", sigma_b=0.0).symmetry == {"input_permutations"}


def test_a_latent_function_declares_what_its_user_knows():
    def logits(z):
        return z @ torch.tensor([[1.0, 0, 1], [0, 1, 1]])

    assert maps.LatentFunction("sum", Points(3), 2, logits).symmetry == frozenset()
    assert maps.LatentFunction("sum", Points(3), 2, logits, {"complement"}).symmetry == {"complement"}
    with pytest.raises(InvalidInput, match="no inputs"):
        maps.LatentFunction("sum", Points(3), 2, logits, {"input_flips"})
    with pytest.raises(InvalidInput, match="any of complement"):
        maps.LatentFunction("sum", Points(3), 2, logits, {"mirror"})
