"""Seeds and the generators made of them."""

import subprocess
import sys
from itertools import combinations
from zlib import crc32

import numpy as np
import pytest
from scipy import stats

from pfmap import InvalidInput
from pfmap.streams import UNIFORM_CLIP, UNIFORM_P, UNIFORM_Q, check_seed, generator
from tests.statistics import assert_binomial


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, np.uint64(2**64 - 1), np.int32(5)])
def test_seeds_are_ints_of_64_bits(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 2**64, 0.0, 1.5, True, None, "1", np.float64(2), np.int64(-1), [1]])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InvalidInput, match=r"seed is .*0 to 2\^64 - 1"):
        check_seed(seed)
    with pytest.raises(InvalidInput, match="seed is"):
        generator(seed, "test")


def test_one_seed_and_purpose_is_one_stream():
    np.testing.assert_array_equal(generator(7, "split").random(100), generator(7, "split").random(100))


def test_the_stream_of_a_seed_is_the_same_for_ever():
    # Philox keyed by the seed (low word) and the CRC-32 of the purpose (high word).
    expected = np.random.Philox(key=[7, crc32(b"split")]).random_raw(4)
    np.testing.assert_array_equal(generator(7, "split").bit_generator.random_raw(4), expected)
    assert expected.tolist() == generator_in_another_process()


def generator_in_another_process():
    code = "from pfmap.streams import generator; print(*generator(7, 'split').bit_generator.random_raw(4))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_neighbouring_seeds_and_purposes_share_nothing():
    keys = [(seed, purpose) for seed in (0, 1, 2**32, 2**63) for purpose in ("split", "bootstrap", "Split", "")]
    words = {key: generator(*key).bit_generator.random_raw(20_000) for key in keys}
    assert len(np.unique(np.concatenate(list(words.values())))) == 20_000 * len(keys)
    pairs = list(combinations(keys, 2))
    for one, other in pairs:
        equal = int(np.bitwise_count(~(words[one] ^ words[other])).sum())
        assert_binomial(equal, 64 * 20_000, 0.5, level=1e-6 / len(pairs), what=f"equal bits of {one} and {other}")


def test_the_uniform_of_a_normal_is_2_phi_minus_1():
    z = np.linspace(-UNIFORM_CLIP, UNIFORM_CLIP, 100_001)
    ratio = z * np.polyval(UNIFORM_P[::-1], z * z) / np.polyval(UNIFORM_Q[::-1], z * z)
    np.testing.assert_allclose(ratio, 2 * stats.norm.cdf(z) - 1, rtol=0, atol=2e-7)
    np.testing.assert_array_less(-1e-9, np.diff(ratio))
