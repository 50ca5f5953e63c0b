"""From a seed to randomness: counter-based streams, each a pure function of (seed, purpose, index).

The latents z of sample i depend on (seed, i) alone, not on blocks, batches or workers; kernels/normals.py draws them.
Everything else that is random takes a numpy Generator from here, and nowhere else in pfmap is one made.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from pfmap.errors import InvalidInput

LATENTS = 0
"""Number of the stream that holds latent vectors z."""

CLUSTERS = 1
"""Number of the stream that holds hidden layers and the read-outs that share them."""

# 2 Phi(z) - 1 = z P(z^2) / Q(z^2) for |z| <= UNIFORM_CLIP, to 4e-7 in float32: a uniform number on (-1, 1) from a
# normal. Only multiplications, additions and one division, each rounded by itself, so that every device and kernel
# reaches the same bits.
UNIFORM_CLIP = 5.4
UNIFORM_P = (
    0.7978844908572332,
    0.06674332676771576,
    0.00930163059772974,
    0.00032863136153858815,
    1.2719907708222535e-05,
    4.6774079867032945e-08,
)
UNIFORM_Q = (
    1.0,
    0.25031644479273757,
    0.02837836029432111,
    0.0018589480916305881,
    7.239811183978985e-05,
    1.2165949223339005e-06,
)


def check_seed(seed: int) -> int:
    """The seed as an int in [0, 2^64), or InvalidInput."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 64:
        raise InvalidInput(f"seed is {seed!r}; it needs an int from 0 to 2^64 - 1")
    return int(seed)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy Generator of its own for each (seed, purpose): Philox keyed by the seed and the purpose's name."""
    return np.random.Generator(np.random.Philox(key=check_seed(seed) | crc32(purpose.encode()) << 64))
