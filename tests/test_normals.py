"""The normals in the kernel: every word by plain-Python twins, every value by float64, and the law at many draws.

PFMAP_DRAWS sets the draws of the laws, 2e8 by default.
"""

import math
import os
from dataclasses import dataclass

import numpy as np
import pytest
from numba import njit
from scipy import stats

from pfmap.kernels.normals import SHARERS, normal_groups, normals, seed_lanes
from tests.statistics import assert_binomial, assert_chi_square, assert_mean, seed_of

DRAWS = int(float(os.environ.get("PFMAP_DRAWS", "2e8")))
WIDTH, ROWS = 2001, 2048  # 7-40-40-1; no multiple of 64, so stretches begin anywhere in a group
MASK = 0xFFFFFFFF


# Twins


def philox(counter, key):
    """Philox4x32-10 as Salmon et al. 2011 write it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [second >> 32 ^ c[1] ^ k[0], second & MASK, first >> 32 ^ c[3] ^ k[1], first & MASK]
        k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
    return c


def rotate(x, left):
    return (x << left | x >> 32 - left) & MASK


def xoshiro(s):
    """The word of a xoshiro128++ state (Blackman and Vigna 2021), and the next state."""
    word = rotate(s[0] + s[3] & MASK, 7) + s[0] & MASK
    s0, s1, s2, s3 = s
    shifted = s1 << 9 & MASK
    s2, s3 = s2 ^ s0, s3 ^ s1
    s1, s0 = s1 ^ s2, s0 ^ s3
    return word, [s0, s1, s2 ^ shifted, rotate(s3, 11)]


def box_muller(r1, r2):
    """The two normals of two words, in float64."""
    radius = math.sqrt(-2 * math.log((r1 // 2 + 0.5) * 2.0**-31))
    step = (r2 + 2**29) % 2**30 - 2**29  # 30 bits with a sign
    angle = math.pi / 2 * (step + 0.5) * 2.0**-30
    first, second = math.cos(angle), math.sin(angle)
    if r2 >> 30 & 1:
        first, second = second, first
    return radius * first * (-1) ** (r2 >> 31), radius * second * (-1) ** (r1 & 1)


class Lanes:
    """The sixteen lanes of a run, in plain Python."""

    def __init__(self, seed, run, stream):
        key = [seed & MASK, seed >> 32]
        self.states = [philox([lane, run & MASK, run >> 32, stream], key) for lane in range(16)]

    def word(self, lane):
        word, self.states[lane] = xoshiro(self.states[lane])
        return word

    def group(self):
        z = np.empty(64)
        for lane in range(16):
            for k in (0, 32):
                z[k + lane], z[k + 16 + lane] = box_muller(self.word(lane), self.word(lane))
        return z


@njit
def seeded(state, seed, run, stream):
    seed_lanes(state, seed, run, stream)


@njit
def advanced(state, groups, out, at):
    normal_groups(state, groups, out, at)


def kernel_lanes(seed, run, stream):
    state = np.zeros(64, np.int32)
    seeded(state, np.uint64(seed), np.uint64(run), stream)
    return state


def as_lanes(state):
    return state.view(np.uint32).reshape(4, 16).T.tolist()


def test_the_twin_of_philox_passes_the_known_answers_of_random123():
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([MASK] * 4, [MASK] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    digits_of_pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    assert philox(*digits_of_pi) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def test_the_twin_of_xoshiro_passes_the_known_answers():
    # State 1, 2, 3, 4: the reference C code, as in the tests of rand_xoshiro.
    state, words = [1, 2, 3, 4], []
    for _ in range(10):
        word, state = xoshiro(state)
        words.append(word)
    assert words == [
        641, 1573767, 3222811527, 3517856514, 836907274, 4247214768, 3867114732, 1355841295, 495546011, 621204420,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 0x299F31D0A4093822])
@pytest.mark.parametrize("run", [0, 1, 2**32 - 1, 2**32, 2**60 - 1, 0x0370734413198A2E])
@pytest.mark.parametrize("stream", [0, 1, 2**31 - 1, 0x85A308D3])
def test_lanes_start_from_philox(seed, run, stream):
    assert as_lanes(kernel_lanes(seed, run, stream)) == Lanes(seed, run, stream).states


def test_lane_0_of_index_0_starts_from_the_known_answer():
    assert as_lanes(kernel_lanes(0, 0, 0))[0] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_every_word_and_every_normal_is_the_twins(seed):
    for run in range(12):
        twin, state, out = Lanes(seed, run, 3), kernel_lanes(seed, run, 3), np.empty(200, np.float32)
        for _ in range(30):
            advanced(state, 1, out, 5)
            np.testing.assert_allclose(out[5:69], twin.group(), rtol=1e-6, atol=1e-6)
            assert as_lanes(state) == twin.states  # the state is a bijection of the words so far
        advanced(state, 3, out, 0)
        np.testing.assert_allclose(out[:192], np.concatenate([twin.group() for _ in range(3)]), rtol=1e-6, atol=1e-6)
        assert as_lanes(state) == twin.states


@pytest.mark.parametrize("row", [0, 1, 7, 15, 16, 40])
@pytest.mark.parametrize("width", [1, 63, 64, 65, 200])
def test_rows_are_stretches_of_their_run(seed, row, width):
    twin = Lanes(seed, row // SHARERS, 0)
    run = np.concatenate([twin.group() for _ in range(-(-SHARERS * width // 64))])
    at = row % SHARERS * width
    np.testing.assert_allclose(normals(seed, row, 1, width, 0)[0], run[at : at + width], rtol=1e-6, atol=1e-6)


def state_with_first_word(word, rng):
    """Lanes whose first words are `word`: word = rotl(s0 + s3, 7) + s0 is solved for s3."""
    s0, s1, s2 = (rng.integers(0, 1 << 32, 16).tolist() for _ in range(3))
    s3 = [(rotate(word - x & MASK, 25) - x) & MASK for x in s0]
    return np.array([s0, s1, s2, s3], np.uint32)


@pytest.mark.parametrize(
    "word", [0, 1, 2, 3, 4, 5, 6, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 2, 2**32 - 3, 2**32 - 4, 2**32 - 2**20, 2**10,
             0xB504F333, 0xB504F334, 0xB504F335, 2**24, 2**25 - 1, 2**32 - 2**8, 2**32 - 2**9]
)  # fmt: skip
def test_extreme_radii_are_exact(rng, word):
    state = state_with_first_word(word, rng)
    lanes = state.T.tolist()
    out = np.empty(64, np.float32)
    advanced(state.reshape(-1).view(np.int32), 1, out, 0)
    for lane in range(16):
        first, following = xoshiro(lanes[lane])
        assert first == word
        expected = box_muller(first, xoshiro(following)[0])
        np.testing.assert_allclose(out[[lane, 16 + lane]], expected, rtol=2e-6, atol=1e-9)
        assert np.all(out[[lane, 16 + lane]] != 0)
        assert np.all(np.abs(out[[lane, 16 + lane]]) <= math.sqrt(64 * math.log(2)) * (1 + 1e-7))


# How rows are asked for


@pytest.mark.parametrize("width", [1, 5, 64, 333])
def test_rows_do_not_depend_on_how_they_are_asked_for(seed, width):
    whole = normals(seed, 0, 100, width, 0)
    for first, count in ((0, 1), (1, 1), (15, 2), (16, 16), (17, 50), (99, 1), (0, 99), (31, 33)):
        np.testing.assert_array_equal(normals(seed, first, count, width, 0), whole[first : first + count])
    assert normals(seed, 3, 0, width, 0).shape == (0, width)


def test_rows_far_out_exist_and_differ(seed):
    far = normals(seed, 2**64 - 40, 40, 8, 0)
    np.testing.assert_array_equal(normals(seed, 2**64 - 1, 1, 8, 0)[0], far[-1])
    near = normals(seed, 0, 40, 8, 0)
    assert len(np.unique(np.concatenate([near, far]), axis=0)) == 80


def test_seeds_streams_and_rows_all_matter(seed):
    every = [normals(s, 0, 64, 4, stream) for s in (seed, seed ^ 1, seed ^ 1 << 40) for stream in (0, 1, 2)]
    rows = np.concatenate(every)
    assert len(np.unique(rows, axis=0)) == len(rows)


# The law of one number


@dataclass
class Tally:
    """What is kept of the draws: sums of z, z^2, z^3, z^4; counts in bins of 1/64; how many beyond 3 … 6, by sign."""

    n: int
    sums: np.ndarray
    bins: np.ndarray
    beyond: np.ndarray


@njit(nogil=True)
def add_to_tally(z, sums, bins, beyond):
    s1 = s2 = s3 = s4 = 0.0
    for x in z.ravel():
        y = np.float64(x)
        square = y * y
        s1 += y
        s2 += square
        s3 += square * y
        s4 += square * square
        bins[int(y * 64.0 + 512.0)] += 1
        if square > 9.0:
            for i in range(4):
                if square > (3.0 + i) ** 2:
                    beyond[i, int(y > 0)] += 1
    sums += np.array([s1, s2, s3, s4])


def tally(seed, draws, *, fault=lambda z: z):
    result = Tally(0, np.zeros(4), np.zeros(1024, np.int64), np.zeros((4, 2), np.int64))
    while result.n < draws:
        z = fault(normals(seed, result.n // WIDTH, ROWS, WIDTH, 0))
        add_to_tally(z, result.sums, result.bins, result.beyond)
        result.n += z.size
    return result


def assert_moments(t):
    # Var z^k = E z^2k - (E z^k)^2. A fault of the variance by 2^-10 stands 9.8 sd out at 2e8 draws.
    for k, (expected, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert_mean(t.sums[k - 1] / t.n, t.n, expected=expected, sd=math.sqrt(variance), level=1e-6 / 4, what=f"z^{k}")


def assert_tails(t):
    for i, (below, above) in enumerate(t.beyond):
        p = stats.norm.sf(3.0 + i)
        for what, k in (("z < -", below), ("z > ", above)):
            assert_binomial(int(k), t.n, p, level=1e-6 / 8, what=f"{what}{3 + i}")


def assert_shape(t):
    edges = np.arange(-512, 513) / 64.0
    p = np.diff(stats.norm.cdf(edges))
    p[0] += stats.norm.cdf(edges[0])
    p[512:] = p[511::-1]  # Phi rounds towards 1 on the right
    assert_chi_square(t.bins, p / p.sum())


def assert_sign_balance(t):
    assert_binomial(int(t.bins[512:].sum()), t.n, 0.5, what="z > 0")


CHECKS = {"moments": assert_moments, "tails": assert_tails, "shape": assert_shape, "signs": assert_sign_balance}


@pytest.fixture(scope="module")
def many(request):
    return tally(seed_of(request.node.nodeid), DRAWS)


@pytest.mark.parametrize("name", CHECKS)
def test_the_draws_are_standard_normal(many, name):
    CHECKS[name](many)


FAULTS = {
    "variance off by 2^-10": (lambda z: z * np.float32(math.sqrt(1 + 2.0**-10)), "moments"),
    "tail beyond 5 dropped": (lambda z: np.where(np.abs(z) > 5, z / 2, z), "tails"),
    "right tail beyond 4.5 turned left": (lambda z: np.where(z > 4.5, -z, z), "tails"),
    "sign of one in 1000 lost": (lambda z: np.where(z.view(np.uint32) % 1024 == 5, np.abs(z), z), "signs"),
    "rounded to 1/128 towards zero": (lambda z: np.trunc(z * 128) / 128, "shape"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_law_is_caught(fault, seed):
    change, name = FAULTS[fault]
    with pytest.raises(AssertionError, match="p-value"):
        CHECKS[name](tally(seed, 2e8 if name in ("moments", "tails") else 4e7, fault=change))


# Independence


@njit(nogil=True)
def add_products(a, b, sums):
    """Sums of a b, (a^2 - 1)(b^2 - 1), and how often signs and low bits agree."""
    odd = even = 0.0
    signs = bits = 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            x, y = np.float64(a[i, j]), np.float64(b[i, j])
            odd += x * y
            even += (x * x - 1.0) * (y * y - 1.0)
            signs += int((x > 0.0) == (y > 0.0))
            # The low bits of a float's mantissa: those of the sine's and the logarithm's rounding.
            bits += int(int(abs(x) * 65536.0) & 1 == int(abs(y) * 65536.0) & 1)
    sums += np.array([odd, even, signs, bits])


def assert_unrelated(sums, n):
    """Sizes: a correlation of 5.5 / sqrt(n) is caught with power 1/2, in each of four ways."""
    level = 1e-6 / 4
    assert_mean(sums[0] / n, n, expected=0, sd=1, level=level, what="z z'")
    assert_mean(sums[1] / n, n, expected=0, sd=2, level=level, what="(z^2 - 1)(z'^2 - 1)")
    assert_binomial(int(sums[2]), n, 0.5, level=level, what="equal signs")
    assert_binomial(int(sums[3]), n, 0.5, level=level, what="equal low bits")


def shifted(lag):
    return lambda seed, first: ((z := normals(seed, first, 256, WIDTH, 0))[:, :-lag], z[:, lag:])


def rows_apart(lag):
    return lambda seed, first: ((z := normals(seed, first, 256 + lag, WIDTH, 0))[:-lag], z[lag:])


def against(seed_change=0, stream=0, jump=0):
    def pair(seed, first):
        return normals(seed, first, 256, WIDTH, 0), normals(seed ^ seed_change, first + jump, 256, WIDTH, stream)

    return pair


PAIRS = {
    "neighbouring lanes": shifted(1),
    "lanes eight apart": shifted(8),
    "the two normals of a pair": shifted(16),
    "the two pairs of a group": shifted(32),
    "neighbouring groups": shifted(64),
    "groups four apart": shifted(256),
    "neighbouring indices": rows_apart(1),
    "neighbouring runs": rows_apart(16),
    "runs a power of two apart": against(jump=1 << 20),
    "indices 2^36 apart, equal low words": against(jump=1 << 36),
    "neighbouring streams": against(stream=1),
    "neighbouring seeds": against(seed_change=1),
    "seeds of equal low words": against(seed_change=1 << 32),
}


def assert_independent(pair, seed, draws):
    sums, n, first = np.zeros(4), 0, 0
    while n < draws:
        a, b = pair(seed, first)
        add_products(a, b, sums)
        n, first = n + a.size, first + 256
    assert_unrelated(sums, n)


@pytest.mark.parametrize("name", PAIRS)
def test_neighbours_are_independent(name, seed):
    assert_independent(PAIRS[name], seed, DRAWS / 4)


def with_shared_lane(seed, first):
    a, b = (normals(seed, first + shift, 256, 2000, 0).copy() for shift in (0, 256))
    a[:, 3::16] = b[:, 3::16]
    return a, b


def with_equal_radii(seed, first):
    a, b = (normals(seed, first + shift, 256, 2000, 0) for shift in (0, 256))
    return a, np.sign(b) * np.sqrt(0.99 * b * b + 0.01 * a * a)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda seed, first: (z := normals(seed, first, 256, WIDTH, 0), z), "z z'"),
        (with_shared_lane, "z z'"),
        (with_equal_radii, r"\(z\^2 - 1\)"),
    ],
    ids=["lanes shared by two indices", "one lane in sixteen shared", "a hundredth of the radius shared"],
)
def test_a_fault_of_independence_is_caught(fault, message, seed):
    with pytest.raises(AssertionError, match=message):
        assert_independent(fault, seed, 1e7)
