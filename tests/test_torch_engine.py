"""The torch engine's path on devices, on CPU tensors: its words, its normals, its bits, its counts, its laws."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

import pfmap
from pfmap import Cube, FunctionCounts, InvalidInput, Points, TruthTables, maps
from pfmap.kernels.normals import normals
from pfmap.sampling import device_tables, torch_engine
from pfmap.sampling.device_normals import device_normals, philox
from pfmap.sampling.device_tables import count_rows, pack, to_host
from pfmap.sampling.fused import RoundingBands, rounding_bands
from pfmap.sampling.torch_engine import DeviceSampler, full_precision, network_bits
from pfmap.streams import LATENTS
from tests.statistics import LEVEL, assert_binomial, assert_chi_square, assert_mean, assert_multinomial

CPU = torch.device("cpu")
WORD = 0xFFFFFFFF


def drawn(pfm, count, seed, first=0, batch=1000):
    """FunctionCounts of the device path on CPU tensors."""
    words, counts = DeviceSampler(pfm, "cpu", batch)(seed, first, count)
    assert counts.sum() == count
    return FunctionCounts.from_unordered(TruthTables.from_words(words, pfm.domain), counts)


# Words and normals


def test_philox_gives_the_known_answers_of_random123():
    def answer(counter, key):
        return [int(w) for w in philox(tuple(torch.tensor([c]) for c in counter), key)]

    assert answer([0] * 4, (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert answer([WORD] * 4, (WORD, WORD)) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    digits_of_pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0)
    assert answer(*digits_of_pi) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def twin(seed, index, width, stream):
    """A row of normals as the docstring says, number by number."""
    blocks = -(-width // 4)
    rows = [[], [], [], []]
    for block in range(blocks):
        c, k = [block, index & WORD, index >> 32, stream + 2**31], [seed & WORD, seed >> 32]
        for _ in range(10):
            first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [second >> 32 ^ c[1] ^ k[0], second & WORD, first >> 32 ^ c[3] ^ k[1], first & WORD]
            k = [k[0] + 0x9E3779B9 & WORD, k[1] + 0xBB67AE85 & WORD]
        for half in (0, 1):
            u, v = ((w + 0.5) / 2**32 for w in c[2 * half : 2 * half + 2])
            rows[2 * half].append(math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v))
            rows[2 * half + 1].append(math.sqrt(-2 * math.log(u)) * math.sin(2 * math.pi * v))
    return np.concatenate(rows)[:width]


@pytest.mark.parametrize("width", [1, 3, 4, 5, 41])
@pytest.mark.parametrize("index", [0, 7, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_normals_are_the_twins(width, index, seed):
    for stream in (0, 1):
        z = device_normals(seed, index, 1, width, stream, CPU)
        assert z.shape == (1, width)
        assert z.dtype == torch.float32
        np.testing.assert_allclose(z[0].numpy(), twin(seed, index, width, stream), rtol=1e-6, atol=1e-12)


def test_rows_do_not_depend_on_how_they_are_asked_for(seed):
    whole = device_normals(seed, 0, 100, 33, 0, CPU)
    for first, count in ((0, 1), (5, 40), (99, 1), (16, 16)):
        assert torch.equal(device_normals(seed, first, count, 33, 0, CPU), whole[first : first + count])
    assert device_normals(seed, 3, 0, 5, 0, CPU).shape == (0, 5)


def test_seeds_streams_and_rows_all_matter(seed):
    every = [device_normals(s, 0, 64, 4, k, CPU) for s in (seed, seed ^ 1, seed ^ 1 << 40) for k in (0, 1, 2)]
    far = device_normals(seed, 1 << 32, 64, 4, 0, CPU)
    rows = torch.cat([*every, far])
    assert len(torch.unique(rows, dim=0)) == len(rows)


def assert_standard_normal(z):
    """z float[rows, width], shape by chi-square, moments, tails, and products of neighbours in and across rows."""
    flat = np.asarray(z, np.float64).ravel()
    level = LEVEL / 9
    edges = np.linspace(-4, 4, 129)
    cells = np.bincount(np.searchsorted(edges, flat), minlength=130)
    p = np.diff(np.concatenate([[0], stats.norm.cdf(edges), [1]]))
    assert_chi_square(cells, p / p.sum(), level=level)
    for k, (expected, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert_mean(float(np.mean(flat**k)), len(flat), expected=expected, sd=math.sqrt(variance), level=level)
    assert_binomial(int(np.sum(np.abs(flat) > 4)), len(flat), 2 * stats.norm.sf(4), level=level)
    width = z.shape[1]
    for a, b in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1]), (z[:, width // 4 :], z[:, : -(width // 4)])):
        products = np.asarray(a, np.float64) * np.asarray(b, np.float64)
        assert_mean(float(products.mean()), products.size, expected=0, sd=1, level=level, what="z z'")


def test_normals_follow_their_law(seed):
    # 2e6 draws: a variance off by 0.8 % is caught, or a correlation of 0.006.
    assert_standard_normal(device_normals(seed, 0, 10_000, 200, 0, CPU).numpy())


@pytest.mark.parametrize(
    "fault",
    [
        lambda z: z * np.float32(math.sqrt(1.01)),
        lambda z: np.where(np.abs(z) > 4, z / 2, z),
        lambda z: np.concatenate([z[:, :50], z[:, :50] * 0.03 + z[:, 50:100] * math.sqrt(1 - 9e-4), z[:, 100:]], 1),
        lambda z: np.repeat(z[::2], 2, 0),
    ],
    ids=["variance", "tail", "blocks of words related", "rows drawn twice"],
)
def test_a_fault_of_the_normals_is_caught(fault, seed):
    with pytest.raises(AssertionError, match="p-value"):
        assert_standard_normal(fault(device_normals(seed, 0, 10_000, 200, 0, CPU).numpy()))


# Packing and counting


@pytest.mark.parametrize("m", [1, 2, 7, 8, 63, 64, 65, 100, 128, 1024])
def test_packed_bits_are_the_words_of_truth_tables(m, rng):
    bits = rng.integers(0, 2, (2, 5, m)).astype(bool)
    words = to_host(pack(torch.from_numpy(bits)))
    np.testing.assert_array_equal(words[1], TruthTables.from_bits(bits[1], Points(m)).words())


def assert_counted(rows, values):
    keys, times = count_rows(torch.from_numpy(rows))
    again, sums = count_rows(torch.from_numpy(rows), torch.from_numpy(values))
    expected, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    order = np.lexsort(keys.numpy().T[::-1])
    np.testing.assert_array_equal(keys.numpy()[order], expected)
    np.testing.assert_array_equal(times.numpy()[order], counts)
    assert torch.equal(again, keys)
    totals = np.zeros(len(expected), np.int64)
    np.add.at(totals, inverse.ravel(), values)
    np.testing.assert_array_equal(sums.numpy()[order], totals)


@pytest.mark.parametrize("width", [1, 2, 3, 16])
@pytest.mark.parametrize("kinds", [1, 3, 1000, 1 << 62])
def test_rows_are_counted_exactly(width, kinds, rng):
    rows = rng.integers(-kinds, kinds, (500, width))
    assert_counted(rows, rng.integers(0, 1 << 40, 500))
    assert_counted(rows[:1], np.array([3]))


def test_rows_that_share_a_hash_are_counted_exactly(rng, monkeypatch):
    rows, values = rng.integers(0, 3, (500, 3)), rng.integers(0, 9, 500)
    monkeypatch.setattr(device_tables, "_hash", lambda rows: torch.zeros(len(rows), dtype=torch.int64))
    assert_counted(rows, values)
    monkeypatch.setattr(device_tables, "_shares_hash", lambda ordered: False)
    with pytest.raises(AssertionError):  # what sharing would do unseen
        assert_counted(rows, values)


# Bits

NETS = [
    *(maps.MLP(7, (12, 9), activation) for activation in maps.ACTIVATIONS),
    maps.MLP(5, (8,), inputs="pm1"),
    maps.MLP(6, (10, 10), "tanh", sigma_w=3.0, weights="uniform"),
    maps.MLP(4, (6, 6), sigma_b=0.0),
    maps.MLP(4, (6, 6), "sigmoid", sigma_b=0.0),
    maps.MLP(3, (5, 5), "step", sigma_b=0.0, inputs="pm1"),
    maps.MLP(2, (3,), "linear", sigma_w=1e-15, sigma_b=1e-15),
    maps.MLP(9, (8,) * 6, "gelu", sigma_w=1.4, sigma_b=0.1),
    maps.Perceptron(7),
    maps.Perceptron(1, sigma_b=1.0),
]


@pytest.mark.parametrize("net", NETS, ids=str)
def test_bits_are_those_of_the_float64_logits(net, seed):
    z = device_normals(seed, 0, 400_000 // net.domain.n_points // len(net.layers), net.n_latents, 0, CPU)
    assert torch.equal(network_bits(net, rounding_bands(net), z), net.logits(z) > 0)


@pytest.mark.parametrize("net", [maps.MLP(7, (40, 40)), maps.MLP(7, (40, 40), "step")], ids=["relu", "step"])
def test_latents_that_only_float64_can_tell_are_told(net, seed):
    # The read-out bias puts one point's logit some 1e-7 from zero, of either sign: float32 alone errs on many.
    z = device_normals(seed, 0, 400, net.n_latents, 0, CPU)
    z[:, -1] = 0
    z[:, -1] = (-net.logits(z)[torch.arange(400), torch.arange(400) % 128]).float()
    exact = net.logits(z) > 0
    bands = rounding_bands(net)
    assert torch.equal(network_bits(net, bands, z), exact)
    assert not torch.equal(network_bits(net, RoundingBands(0.0, 0.0, 0.0), z), exact)


def test_a_step_that_only_float64_can_tell_is_told(seed):
    net = maps.MLP(7, (40, 40), "step")
    z = device_normals(seed, 0, 400, net.n_latents, 0, CPU)
    z[:, 7 * 40 : 8 * 40] = -(z[:, : 7 * 40].reshape(400, 40, 7) * float(7**-0.5)).sum(2)  # all close to 0 at x = 1
    exact = net.logits(z) > 0
    bands = rounding_bands(net)
    assert torch.equal(network_bits(net, bands, z), exact)
    assert not torch.equal(network_bits(net, RoundingBands(bands.relative, bands.smallest, -1.0), z), exact)


def test_few_networks_are_evaluated_twice(seed, monkeypatch):
    net = maps.MLP(7, (40, 40))
    again = []
    logits = maps.MLP.logits
    monkeypatch.setattr(maps.MLP, "logits", lambda net, z: again.append(len(z)) or logits(net, z))
    network_bits(net, rounding_bands(net), device_normals(seed, 0, 4000, net.n_latents, 0, CPU))
    assert 0 < sum(again) < 40


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_float32_products_are_float32_and_the_setting_is_put_back(precision, seed, monkeypatch):
    seen = []
    float32_logits = torch_engine._float32_logits

    def spy(*arguments):
        seen.append((torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision))
        return float32_logits(*arguments)

    monkeypatch.setattr(torch_engine, "_float32_logits", spy)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        drawn(maps.MLP(3, (4,)), 10, seed)
        assert torch.get_float32_matmul_precision() == precision
        with pytest.raises(KeyError), full_precision():
            raise KeyError
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == [("ieee", "ieee")]


def test_the_last_thread_puts_the_setting_back():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        first, second = full_precision(), full_precision()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_older_torch_has_one_setting(monkeypatch):
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace())
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_bfloat16_weights_would_be_seen(seed):
    net = maps.MLP(7, (40, 40))
    z = device_normals(seed, 0, 1000, net.n_latents, 0, CPU)
    bits = network_bits(net, rounding_bands(net), z)
    assert not torch.equal(network_bits(net, rounding_bands(net), z.bfloat16().float()), bits)


# Counts


@pytest.mark.parametrize("net", [NETS[1], NETS[10], NETS[-1]], ids=str)
def test_counts_are_those_of_the_tables_of_the_samples(net, seed):
    z = device_normals(seed, 5, 1500, net.n_latents, LATENTS, CPU)
    tables = TruthTables.from_bits((net.logits(z) > 0).numpy(), net.domain)
    expected = FunctionCounts.from_unordered(tables, np.ones(1500, np.int64))
    for batch in (1500, 1499, 64, 7):
        assert drawn(net, 1500, seed, 5, batch) == expected
    assert drawn(net, 1500, seed ^ 1, 5) != expected


def test_any_map_is_drawn_from_its_own_logits(seed):
    quadrants = maps.LatentFunction("signs", Points(2), 2, lambda z: z)
    counts = drawn(quadrants, 20_000, seed)
    assert sorted(counts.tables.strings()) == ["00", "01", "10", "11"]
    assert_multinomial(counts.counts, np.full(4, 0.25))
    rows = torch.tensor([[0.0, -0.0, math.inf, -math.inf]], dtype=torch.float64)
    ties = maps.LatentFunction("constants", Points(4), 1, lambda z: rows.expand(len(z), -1))
    assert drawn(ties, 10, seed).tables.strings() == ["0010"]


def test_the_batch_fits_the_device_and_samplers_travel():
    small, large = DeviceSampler(maps.MLP(3, (4,)), "cpu"), DeviceSampler(maps.MLP(12, (200, 200)), "cpu")
    assert small.batch > 1000 > large.batch >= 1
    words, counts = pickle.loads(pickle.dumps(small))(1, 0, 100)
    np.testing.assert_array_equal(words, small(1, 0, 100)[0])
    np.testing.assert_array_equal(counts, small(1, 0, 100)[1])


@pytest.mark.parametrize("device", ["toaster", "cuda:97", "meta", "mps"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(InvalidInput, match=rf"device is '{device}'.*try 'cpu'"):
        DeviceSampler(maps.MLP(3, (4,)), device)


@pytest.mark.parametrize("function", [lambda z: z[:, :3], lambda z: z > 0, torch.log, lambda z: None])
def test_bad_logits_are_refused(function):
    with pytest.raises(InvalidInput, match="logits"):
        drawn(maps.LatentFunction("bad", Points(4), 4, function), 10, 0)


# Laws


def weights_of(counts):
    return np.bincount(
        counts.tables.hamming_weight(), counts.counts, minlength=counts.tables.domain.n_points + 1
    ).astype(np.int64)


def assert_theorem_4_1(n, histogram):
    """P(T = t) = 2^-n for t < 2^n and 0 at 2^n (arXiv 1909.11522)."""
    law = np.append(np.full(1 << n, 0.5**n), 0.0)
    assert_multinomial(histogram, law, level=LEVEL / 2)
    assert_chi_square(histogram, law, level=LEVEL / 2)


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
def test_perceptrons_follow_theorem_4_1(n, weights, seed):
    # 1e5 samples: at n = 5 a cell off by 15 % is caught with power 0.99.
    assert_theorem_4_1(n, weights_of(drawn(maps.Perceptron(n, weights=weights), 100_000, seed, batch=20_000)))


def test_the_theorem_fails_with_a_little_bias(seed):
    with pytest.raises(AssertionError):
        assert_theorem_4_1(5, weights_of(drawn(maps.Perceptron(5, sigma_b=0.02), 200_000, seed, batch=20_000)))


def assert_one_law(one, other):
    """Two independent samples of one law: Pearson's statistic, cells of fewer than 400 in either sample pooled."""
    tables = pfmap.tables.concatenate([one.tables, other.tables])
    tables = FunctionCounts.from_unordered(tables, np.ones(len(tables), np.int64)).tables
    a, b = one.at(tables).astype(float), other.at(tables).astype(float)
    rare = (a < 400) | (b < 400)
    a, b = (np.append(x[~rare], x[rare].sum()) for x in (a, b))
    ratio = math.sqrt(one.n_samples / other.n_samples)
    statistic = float(np.sum((a / ratio - b * ratio) ** 2 / (a + b)))
    value = stats.chi2.sf(statistic, len(a) - 1)
    assert value >= LEVEL, f"chi-square {statistic:.1f} in {len(a)} cells: p-value {value:.2g}"


@pytest.mark.parametrize("net", [maps.MLP(3, (6, 6)), maps.MLP(3, (5,), "erf", weights="uniform")], ids=["relu", "erf"])
def test_functions_come_as_often_as_from_the_kernel(net, seed):
    one = drawn(net, 100_000, seed, batch=10_000)
    assert_one_law(one, pfmap.draw(net, 400_000, seed=seed))
    fault = maps.MLP(**{**{k: v for k, v in net.spec.items() if k != "map"}, "sigma_b": 1.2})
    with pytest.raises(AssertionError, match="p-value"):
        assert_one_law(one, pfmap.draw(fault, 400_000, seed=seed))


def test_the_device_has_a_stream_of_its_own(seed):
    z = device_normals(seed, 0, 200, 50, LATENTS, CPU).numpy().ravel()
    kernel = normals(seed, 0, 200, 50, LATENTS).ravel()
    assert_mean(float(np.mean(z * kernel)), len(z), expected=0, sd=1)
    with pytest.raises(AssertionError, match="p-value"):
        assert_mean(float(np.mean(kernel * kernel)), len(z), expected=0, sd=1)


def test_cubes_come_back_as_cubes(seed):
    assert drawn(maps.MLP(2, (3,)), 10, seed).tables.domain == Cube(2)
