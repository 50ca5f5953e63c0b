"""Length of compressed truth tables."""

from __future__ import annotations

import numpy as np
import zstandard

from pfmap.complexity.protocol import Values, measure
from pfmap.tables import TruthTables

_LEVEL = 19


@measure(
    unit="bytes",
    invariance=set(),
    is_code_length=False,
    min_inputs=8,
    instead="complexity.lempel_ziv: compressed to whole bytes, shorter tables are hardly told apart",
)
def zstd_length(tables: TruthTables) -> Values:
    """Bytes that Zstandard needs for the packed table, beyond those that it needs for a constant.

        K(f) = |zstd(table of f)| - |zstd(table of 0)|

    The packed table holds f(8 i) … f(8 i + 7) in byte i; level 19, no dictionary, neither checksum nor size in the
    frame. Coarse at 8 inputs, where a table has 32 bytes and random ones all come to 24 bytes; below, it resolves
    nothing. Depends on the order of the inputs, and strongly: the last three act within a byte, and a function of these
    alone is as short as a constant. No code length, as a constant takes 17 or 18 bytes and counts as 0.

    Args:
        tables: functions of 8 to 16 inputs.

    Returns:
        float64[size], in bytes.

    Raises:
        InvalidInput: fewer than 8 inputs.
        IncompatibleTables: tables on a list of points.

    Error: exact for the zstandard library installed; another version may differ by a few bytes. Cost: 4 us a function
    at n = 8, 10 to 60 us at n = 10, 0.6 ms at n = 16 on one core. Source: RFC 8878 for the format; Cilibrasi and
    Vitányi 2005, IEEE Trans. Inf. Theory 51:1523, for compression as complexity.

    Example:
        >>> functions = [lambda x: 0, lambda x: x[0], lambda x: x.sum() % 2]
        >>> zstd_length(TruthTables.from_callables(functions, 8))
        array([ 0.,  3., 10.])
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=False)
    constant = len(compressor.compress(bytes(1 << tables.n_inputs - 3)))
    return np.array([len(compressor.compress(row)) - constant for row in tables.packed], np.float64)
