"""Truth tables as machine words: counting ones, and where each input is 1.

Index bits: bit k of an entry's number is the input x_{n-1-k}. Bits 0 to 5 move entries within a 64-bit word, the
others move whole words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)

SET = np.array(
    [
        0xAAAAAAAAAAAAAAAA,
        0xCCCCCCCCCCCCCCCC,
        0xF0F0F0F0F0F0F0F0,
        0xFF00FF00FF00FF00,
        0xFFFF0000FFFF0000,
        0xFFFFFFFF00000000,
    ],
    np.uint64,
)
"""The entries of a word whose index bit k is set, k = 0 … 5."""


@intrinsic
def popcount(typing: Any, word: Any) -> Any:
    """The number of ones of a uint64, as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate
