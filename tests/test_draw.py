"""draw(): the same counts however the work is cut, and the laws that are known exactly."""

import math

import numpy as np
import pytest
import torch

import pfmap
from pfmap import Cube, FunctionCounts, InvalidInput, Points, TruthTables, maps
from pfmap.kernels.normals import normals
from pfmap.streams import LATENTS
from tests.statistics import LEVEL, assert_binomial, assert_chi_square, assert_multinomial, binomial_p_value

NETS = {
    "5-8 relu": maps.MLP(5, (8,)),
    "7-10-10 tanh": maps.MLP(7, (10, 10), "tanh", inputs="pm1"),
    "2 perceptron": maps.Perceptron(2),
    "8-6 gelu uniform": maps.MLP(8, (6,), "gelu", weights="uniform"),
    "3-5-5 step": maps.MLP(3, (5, 5), "step"),
}


def assert_same(one, other):
    assert one.tables == other.tables
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.n_samples == other.n_samples


# How the work is cut


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_counts_are_those_of_the_tables_of_the_samples(net, seed):
    z = torch.from_numpy(normals(seed, 0, 3000, net.n_latents, LATENTS))
    tables = TruthTables.from_bits((net.logits(z) > 0).numpy(), net.domain)
    expected = FunctionCounts.from_unordered(tables, np.ones(3000, np.int64), {})
    assert_same(pfmap.draw(net, 3000, seed=seed), expected)
    assert_same(pfmap.draw(net, 3000, seed=seed, engine="torch"), expected)


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@pytest.mark.parametrize("engine", ["fused", "torch"])
def test_counts_do_not_depend_on_workers_or_batch(net, engine, seed):
    whole = pfmap.draw(net, 2001, seed=seed, workers=1)
    for workers, batch in ((1, 1000), (2, 7), (5, 7), (5, 1000), *((w, 1) for w in (1, 2) if engine == "fused")):
        assert_same(pfmap.draw(net, 2001, seed=seed, workers=workers, batch=batch, engine=engine), whole)


def test_counts_are_the_same_in_batches_of_one_through_torch(seed):
    net = NETS["7-10-10 tanh"]
    assert_same(pfmap.draw(net, 300, seed=seed, engine="torch", batch=1), pfmap.draw(net, 300, seed=seed))


@pytest.mark.parametrize("n_samples", [1, 2, 15, 16, 17, 63, 64, 65, 1000, 1025])
def test_every_number_of_samples_is_drawn_whole(n_samples, seed):
    counts = pfmap.draw(NETS["5-8 relu"], n_samples, seed=seed)
    assert counts.n_samples == counts.counts.sum() == n_samples


def test_a_longer_draw_begins_with_the_shorter_one(seed):
    net = NETS["5-8 relu"]
    short, long = (pfmap.draw(net, n, seed=seed) for n in (1000, 50_000))
    at = short.tables.positions_in(long.tables)
    assert np.all(at >= 0)
    assert np.all(long.counts[at] >= short.counts)


def test_seeds_differ_and_numpy_ints_are_ints(seed):
    net = NETS["5-8 relu"]
    one = pfmap.draw(net, 1000, seed=seed)
    assert one.tables != pfmap.draw(net, 1000, seed=seed ^ 1).tables
    assert_same(one, pfmap.draw(net, np.int64(1000), seed=np.uint64(seed), workers=np.int32(2), batch=np.int64(10)))
    assert pfmap.draw(net, 10, seed=2**64 - 1).n_samples == 10


def test_provenance_says_what_was_drawn(seed):
    net = NETS["5-8 relu"]
    provenance = pfmap.draw(net, 1000, seed=seed).provenance
    (record,) = provenance["draws"]
    assert provenance["map"] == net.spec
    assert (record["seed"], record["start"], record["stop"], record["engine"], record["device"]) == (
        seed, 0, 1000, "fused", "cpu",
    )  # fmt: skip
    assert set(record["versions"]) == {"pfmap", "numpy", "numba", "torch"}
    assert pfmap.draw(net, 10, engine="torch").provenance["draws"][0]["engine"] == "torch"


def test_the_same_samples_are_not_merged_twice(seed):
    one, again, other = (pfmap.draw(NETS["5-8 relu"], 100, seed=s) for s in (seed, seed, seed ^ 1))
    assert (one + other).n_samples == 200
    with pytest.raises(InvalidInput, match="counted twice"):
        one + again


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_is_shown_when_asked_for(progress, capsys):
    pfmap.draw(NETS["5-8 relu"], 1000, progress=progress)
    shown = capsys.readouterr()
    assert ("1.00k/1.00k" in shown.err) == progress
    assert shown.out == ""


def test_no_bar_where_nobody_watches(capsys):
    pfmap.draw(NETS["5-8 relu"], 1000)
    assert capsys.readouterr().err == ""


# Other maps


def test_any_function_of_z_is_drawn():
    quadrants = maps.LatentFunction("signs", Points(2), 2, lambda z: z)
    counts = pfmap.draw(quadrants, 20_000, seed=3)
    assert counts.tables.domain == Points(2)
    assert sorted(counts.tables.strings()) == ["00", "01", "10", "11"]
    assert_multinomial(counts.counts, np.full(4, 0.25))
    assert_same(counts, pfmap.draw(quadrants, 20_000, seed=3, workers=3, batch=11))


def test_a_class_of_ones_own_is_a_map():
    class Sign:
        domain, n_latents, spec = Cube(1), 1, {"map": "Sign"}

        def logits(self, z):
            return torch.cat([z, -z], 1)

    assert sorted(pfmap.draw(Sign(), 100).tables.strings()) == ["01", "10"]


def test_a_logit_of_exactly_0_is_a_0_and_infinite_ones_have_signs():
    rows = torch.tensor([[0.0, -0.0, math.inf, -math.inf]])
    pfm = maps.LatentFunction("constants", Points(4), 1, lambda z: rows.expand(len(z), -1))
    assert pfmap.draw(pfm, 10).tables.strings() == ["0010"]


def test_a_latent_that_needs_gradients_is_drawn_without(recwarn):
    weight = torch.ones(2, requires_grad=True)
    pfm = maps.LatentFunction("parameter", Points(2), 2, lambda z: z * weight)
    assert pfmap.draw(pfm, 10).n_samples == 10


# Exact laws


def weights_of(counts):
    """How often each Hamming weight came: int64[m + 1]."""
    return np.bincount(
        counts.tables.hamming_weight(), counts.counts, minlength=counts.tables.domain.n_points + 1
    ).astype(np.int64)


def assert_theorem_4_1(n, histogram):
    """P(T = t) = 2^-n for t < 2^n and 0 at 2^n (arXiv 1909.11522), T of a perceptron without bias on {0,1}^n."""
    assert_multinomial(histogram, np.append(np.full(1 << n, 0.5**n), 0.0), level=LEVEL / 2)
    if n < 7:
        assert_chi_square(histogram, np.append(np.full(1 << n, 0.5**n), 0.0), level=LEVEL / 2)


@pytest.mark.parametrize("n", [3, 5, 7])
@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
def test_perceptrons_follow_theorem_4_1(n, weights, seed):
    # 4e5 samples, any symmetric law of weights. At n = 7 a cell off by 11 % is caught with power 0.99.
    assert_theorem_4_1(n, weights_of(pfmap.draw(maps.Perceptron(n, weights=weights), 400_000, seed=seed)))


@pytest.mark.parametrize("n", [3, 5, 7])
@pytest.mark.parametrize(
    "fault",
    [
        lambda n: {"sigma_b": 0.02},  # then T = 2^n comes
        lambda n: {"inputs": "pm1"},
    ],
    ids=["a little bias", "other inputs"],
)
def test_the_theorem_fails_for_other_perceptrons(n, fault, seed):
    with pytest.raises(AssertionError):
        assert_theorem_4_1(n, weights_of(pfmap.draw(maps.Perceptron(n, **fault(n)), 400_000, seed=seed)))


@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_theorem_needs_a_strict_sign(n, seed):
    counts = pfmap.draw(maps.Perceptron(n), 400_000, seed=seed)
    bits = counts.tables.bits()
    bits[:, 0] = 1  # [logit >= 0] at the origin
    loose = FunctionCounts.from_unordered(TruthTables.from_bits(bits), counts.counts, {})
    with pytest.raises(AssertionError):
        assert_theorem_4_1(n, weights_of(loose))


def frequencies(counts, strings):
    at = TruthTables.from_strings(strings).positions_in(counts.tables)
    return np.where(at >= 0, counts.counts[at], 0)


ONE_INPUT = {"00": 3 / 8, "11": 3 / 8, "01": 1 / 8, "10": 1 / 8}
CONSTANT_OR_DICTATOR = math.acos(-1 / 3) / math.pi - 1 / 2
AND_OR = (1 - 6 * CONSTANT_OR_DICTATOR) / 8
# All N(0, 1) on {-1,+1}^2: six constants and dictators, eight AND and OR types, two XOR types.
TWO_INPUTS = {
    **dict.fromkeys(["0000", "1111", "0011", "1100", "0101", "1010"], CONSTANT_OR_DICTATOR),
    **dict.fromkeys(["0001", "0010", "0100", "1000", "0111", "1011", "1101", "1110"], AND_OR),
    **dict.fromkeys(["0110", "1001"], 0.0),
}  # fmt: skip


def test_the_law_of_two_inputs_is_that_of_facts():
    assert sum(TWO_INPUTS.values()) == pytest.approx(1)
    assert TWO_INPUTS["0011"] == pytest.approx(0.1081734, abs=1e-7)
    assert TWO_INPUTS["0001"] == pytest.approx(0.0438699, abs=1e-7)


def assert_law(counts, law):
    assert_multinomial(frequencies(counts, list(law)), list(law.values()))


@pytest.mark.parametrize("weights_std", [1.0, 2.5])
def test_perceptrons_of_one_input(weights_std, seed):
    # 1e6 samples: the rarer functions' 1/8 is known to 1.4 %.
    assert_law(
        pfmap.draw(maps.Perceptron(1, sigma_w=weights_std, sigma_b=weights_std), 1_000_000, seed=seed), ONE_INPUT
    )


def test_perceptrons_of_two_inputs(seed):
    # W ~ N(0, sigma_w^2 / fan_in), so weights N(0, 1) are sigma_w = sqrt(2).
    net = maps.Perceptron(2, sigma_w=math.sqrt(2), sigma_b=1.0, inputs="pm1")
    assert_law(pfmap.draw(net, 1_000_000, seed=seed), TWO_INPUTS)


@pytest.mark.parametrize(
    ("net", "law"),
    [
        (maps.Perceptron(1, sigma_w=1.0, sigma_b=0.97), ONE_INPUT),
        (maps.Perceptron(1, sigma_b=1.0, weights="uniform", inputs="pm1"), ONE_INPUT),
        (maps.Perceptron(2, sigma_w=1.0, sigma_b=1.0, inputs="pm1"), TWO_INPUTS),
        (maps.Perceptron(2, sigma_w=1.45, sigma_b=1.0, inputs="pm1"), TWO_INPUTS),
        (maps.Perceptron(2, sigma_w=math.sqrt(2), sigma_b=1.0), TWO_INPUTS),
        (maps.MLP(2, (4,), sigma_w=math.sqrt(2), inputs="pm1"), TWO_INPUTS),
    ],
    ids=["sigma_b 3 % low", "other inputs", "sigma_w as a weight's", "sigma_w 2.5 % high", "01", "a hidden layer"],
)
def test_the_laws_of_perceptrons_fail_for_other_maps(net, law, seed):
    with pytest.raises(AssertionError):
        assert_law(pfmap.draw(net, 1_000_000, seed=seed), law)


# Linear threshold functions: OEIS A000609 with bias; without one on {0,1}^n, facts section 3. Their least likely
# function came at the rate `rarest` in 2e6 samples; at half that rate `size` functions in n_samples miss one with
# probability below size exp(-n_samples rarest / 2).
SUPPORTS = [
    (maps.Perceptron(1, sigma_b=1.0), 4, 0.12, 1_000),
    (maps.Perceptron(2, sigma_w=2**0.5, sigma_b=1.0, inputs="pm1"), 14, 0.043, 5_000),
    (maps.Perceptron(3, sigma_w=3**0.5, sigma_b=1.0, inputs="pm1"), 104, 0.005, 20_000),
    (maps.Perceptron(4, sigma_w=2.0, sigma_b=1.0, inputs="pm1"), 1882, 1.9e-4, 400_000),
    (maps.Perceptron(4, sigma_b=1.0), 1882, 3e-5, 2_000_000),
    (maps.Perceptron(3), 32, 0.014, 10_000),
    (maps.Perceptron(4), 370, 7e-4, 200_000),
]


@pytest.mark.parametrize(("net", "size", "rarest", "n_samples"), SUPPORTS, ids=str)
def test_perceptrons_reach_every_threshold_function_and_no_other(net, size, rarest, n_samples, seed):
    assert size * math.exp(-n_samples * rarest / 2) < LEVEL
    tables = pfmap.draw(net, n_samples, seed=seed).tables
    assert len(tables) == size
    # Threshold functions stay threshold functions under these.
    moved = tables.permute_inputs([*range(1, net.n_inputs), 0])
    assert np.all(moved.positions_in(tables) >= 0)
    if net.sigma_b:
        assert np.all(tables.complement().positions_in(tables) >= 0)
        assert np.all(tables.flip_inputs([0]).positions_in(tables) >= 0)


@pytest.mark.parametrize("sigma_b", [0.0, 1.0])
@pytest.mark.parametrize("inputs", ["01", "pm1"])
def test_no_perceptron_is_xor(sigma_b, inputs, seed):
    counts = pfmap.draw(maps.Perceptron(2, sigma_b=sigma_b, inputs=inputs), 1_000_000, seed=seed)
    assert frequencies(counts, ["0110", "1001"]).tolist() == [0, 0]


def test_a_hidden_layer_of_two_is_xor_at_times(seed):
    # The fault planted for both tests above: one layer more.
    counts = pfmap.draw(maps.MLP(2, (2,), "tanh"), 1_000_000, seed=seed)
    assert np.all(frequencies(counts, ["0110", "1001"]) > 0)
    assert len(counts.tables) == 16


# Published frequencies of each constant, with the half-width of what was read off


def assert_near(k, n, p, within, level=LEVEL):
    """k of n, where the probability lies in p (1 +- within): the exact tail beyond the nearer end."""
    nearest = min(max(k / n, p * (1 - within)), p * (1 + within))
    value = binomial_p_value(k, n, nearest)
    assert value >= level, f"{k} of {n} is {k / n:.4g}; published {p} to {100 * within:g} %: p-value {value:.2g}"


PUBLISHED = {
    # Hidden W and b uniform in +-sqrt(6) / sqrt(fan_in): standard deviations sqrt(2) / sqrt(fan_in). Read off a figure.
    "1805.08522": (maps.MLP(7, (40, 40), "relu", 2**0.5, 2**0.5, "uniform", bias_scaling="fan_in"), 0.105, 0.035),
    "Gaussian": (maps.MLP(7, (40, 40), "relu", 1.0, 1.0), 0.364, 0.0014),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_constants_come_as_often_as_published(name, seed):
    net, p, within = PUBLISHED[name]
    counts = pfmap.draw(net, 100_000, seed=seed)
    zeros, ones = frequencies(counts, ["0" * 128, "1" * 128])
    for k in (zeros, ones):
        assert_near(int(k), 100_000, p, within, LEVEL / 2)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("1805.08522", {"bias_scaling": "constant"}),
        ("1805.08522", {"sigma_b": 1.0}),
        ("1805.08522", {"sigma_b": 2.0}),
        ("1805.08522", {"inputs": "pm1"}),
        ("Gaussian", {"bias_scaling": "fan_in"}),
        ("Gaussian", {"sigma_b": 0.9}),
        ("Gaussian", {"hidden": (40,)}),
        ("Gaussian", {"weights": "uniform", "sigma_w": 3**-0.5, "sigma_b": 3**-0.5}),
    ],
    ids=str,
)
def test_other_networks_have_other_constants(name, fault, seed):
    net, p, within = PUBLISHED[name]
    counts = pfmap.draw(maps.MLP(**{**{k: v for k, v in net.spec.items() if k != "map"}, **fault}), 100_000, seed=seed)
    with pytest.raises(AssertionError, match="p-value"):
        assert_near(int(frequencies(counts, ["0" * 128])[0]), 100_000, p, within)


def test_zeros_and_ones_come_equally_often(seed):
    counts = pfmap.draw(maps.MLP(5, (10,), "tanh", sigma_b=0.5), 200_000, seed=seed)
    zeros, ones = (int(k) for k in frequencies(counts, ["0" * 32, "1" * 32]))
    assert_binomial(zeros, zeros + ones, 0.5)


# Bad input

NET = maps.MLP(3, (4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples is 0.*at least 1"),
        ({"n_samples": -1}, "n_samples is -1.*at least 1"),
        ({"n_samples": 1.5}, "n_samples is 1.5.*int"),
        ({"n_samples": 1e6}, "n_samples is 1000000.0.*int"),
        ({"n_samples": True}, "n_samples is True.*int"),
        ({"n_samples": "10"}, "n_samples is '10'.*int"),
        ({"n_samples": None}, "n_samples is None"),
        ({"seed": -1}, r"seed is -1.*0 to 2\^64 - 1"),
        ({"seed": 1 << 64}, r"seed is 18446744073709551616.*0 to 2\^64 - 1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": None}, "seed is None"),
        ({"seed": True}, "seed is True"),
        ({"workers": 0}, "workers is 0.*at least 1"),
        ({"workers": 1.0}, "workers is 1.0"),
        ({"batch": 0}, "batch is 0.*at least 1"),
        ({"batch": -3}, "batch is -3"),
        ({"engine": "cuda"}, "engine is 'cuda'; choose 'auto', 'fused'.*'torch'"),
        ({"engine": None}, "engine is None"),
        ({"device": None}, "device is None"),
        ({"device": "toaster"}, "device is 'toaster'.*try 'cpu'"),
        ({"device": "cuda:97"}, "device is 'cuda:97'.*try 'cpu'"),
        ({"device": "meta", "engine": "fused"}, "draws MLPs on the CPU, not MLP on 'meta'.*engine='torch'"),
        ({"pfm": maps.LatentFunction("f", Cube(1), 2, lambda z: z), "engine": "fused"}, "not LatentFunction on 'cpu'"),
        ({"pfm": object()}, "object is no parameter-function map: it has no 'domain'.*LatentFunction"),
        ({"pfm": None}, "NoneType is no parameter-function map"),
        ({"pfm": maps.MLP}, "no parameter-function map"),
        ({"pfm": lambda z: z}, "function is no parameter-function map"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_arguments_say_what_is_allowed(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        pfmap.draw(**{"pfm": NET, "n_samples": 10, **arguments})


def test_a_torch_device_is_a_device():
    assert pfmap.draw(NET, 10, device=torch.device("cpu")).provenance["draws"][0]["device"] == "cpu"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z[:, :3], r"float32\[10, 3\].*Points\(n_points=4\) needs floats \[batch, m\] = \[10, 4\]"),
        (lambda z: z[0], r"float32\[4\]"),
        (lambda z: z[:5], r"float32\[5, 4\]"),
        (lambda z: z[:, :, None], r"float32\[10, 4, 1\]"),
        (lambda z: z > 0, r"bool\[10, 4\]"),
        (lambda z: z.long(), r"int64\[10, 4\]"),
        (lambda z: torch.log(z), "NaN"),
        (lambda z: z.numpy(), "logits came as"),
        (lambda z: None, "logits came as"),
    ],
    ids=["columns", "vector", "rows", "rank", "bool", "int", "nan", "numpy", "None"],
)
def test_bad_logits_are_refused(function, message):
    with pytest.raises(InvalidInput, match=message):
        pfmap.draw(maps.LatentFunction("bad", Points(4), 4, function), 10)


def test_counts_of_different_maps_do_not_merge():
    with pytest.raises(InvalidInput, match="map"):
        pfmap.draw(NET, 10) + pfmap.draw(maps.MLP(3, (5,)), 10)


def test_a_map_without_latents_is_refused():
    class Constant:
        domain, n_latents, spec = Cube(1), 0, {"map": "Constant"}

        def logits(self, z):
            return torch.ones(len(z), 2)

    with pytest.raises(InvalidInput, match="n_latents"):
        pfmap.draw(Constant(), 10)
