"""Compressed length: decompresses to the table, matches the library called by hand, and knows where it resolves."""

import numpy as np
import pytest
import zstandard

from pfmap import Cube, IncompatibleTables, InvalidInput, Points, TruthTables, complexity
from pfmap.streams import generator


def some_functions(n, size=40):
    rng = generator(0, f"zstd-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


@pytest.mark.parametrize("n", [8, 9, 10, 12])
def test_length_is_that_of_a_frame_that_gives_the_table_back(n):
    tables = some_functions(n)
    parameters = zstandard.ZstdCompressionParameters.from_level(19, write_content_size=0)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    zero = len(compressor.compress(bytes(2**n // 8)))
    for value, row in zip(complexity.zstd_length(tables), tables.packed, strict=True):
        frame = compressor.compress(row.tobytes())
        assert zstandard.ZstdDecompressor().decompress(frame, max_output_size=2**n) == row.tobytes()
        assert value == len(frame) - zero


@pytest.mark.parametrize("n", [8, 10, 13, 16])
def test_nothing_is_shorter_than_a_constant(n):
    x = Cube(n).points()
    rows = [*x.T, x.all(1), x.any(1), x.sum(1) % 2, x.sum(1) > n // 2, x[:, 0] & x[:, -1], x[:, 0] ^ x[:, -1]]
    values = complexity.zstd_length(TruthTables.from_bits(np.array(rows).astype(bool)))
    assert values.min() >= 0
    constants = TruthTables.from_ints([0, 2 ** (2**n) - 1], n)
    np.testing.assert_array_equal(complexity.zstd_length(constants), 0)
    np.testing.assert_array_equal(values[n - 3 : n], 0)  # inputs that act within a byte


def test_random_tables_are_stored_and_structured_ones_shrink():
    rng = generator(0, "zstd-random")
    random = complexity.zstd_length(TruthTables.from_bits(rng.random((50, 1024)) < 0.5))
    assert np.all(random == 1024 // 8 - 8)
    sparse = complexity.zstd_length(TruthTables.from_bits(rng.random((50, 1024)) < 0.01))
    assert sparse.max() < random.min()


def test_seven_inputs_and_points_name_an_alternative():
    with pytest.raises(InvalidInput, match=r"7 inputs; it answers for at least 8; use complexity\.lempel_ziv"):
        complexity.zstd_length(some_functions(7))
    with pytest.raises(IncompatibleTables, match="cube"):
        complexity.zstd_length(TruthTables.from_bits(np.zeros((1, 1000), bool), Points(1000)))
