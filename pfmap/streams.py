"""From a seed to randomness: counter-based streams, each a pure function of (seed, purpose, index).

The latents z of sample i are words of Philox4x32-10 (Salmon et al. 2011) under the key `seed` at the counters
(position, i mod 2^32, i div 2^32, LATENTS), so they do not depend on blocks, batches or workers; kernels/normals.py draws
them. Everything else that is random takes a numpy Generator from here, and nowhere else in pfmap is one made.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from pfmap.errors import InvalidInput

LATENTS = 0
"""Fourth counter word of the stream that holds latent vectors z."""


def check_seed(seed: int) -> int:
    """The seed as an int in [0, 2^64), or InvalidInput."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 64:
        raise InvalidInput(f"seed is {seed!r}; it needs an int from 0 to 2^64 - 1")
    return int(seed)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy Generator of its own for each (seed, purpose): Philox keyed by the seed and the purpose's name."""
    return np.random.Generator(np.random.Philox(key=check_seed(seed) | crc32(purpose.encode()) << 64))
