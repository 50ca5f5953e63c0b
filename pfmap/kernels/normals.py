"""Standard normals as a pure function of (seed, index): Philox seeds lanes of xoshiro128++, Box and Muller bend them.

Sixteen consecutive indices share a run of normals: the run of indices 16 g … 16 g + 15 comes from sixteen xoshiro128++
lanes whose states are Philox4x32-10 of (lane, g, stream) under the seed, and index 16 g + r takes its r-th stretch.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from pfmap.kernels.vectors import normal_groups, seed_lanes

SHARERS = 16
"""Indices that share one run of normals."""


@njit(nogil=True, cache=True)
def start_run(buffer, state, seed, index, stream, width):
    """Seed the run of `index` and pass over the stretches before it; returns what `next_stretch` takes as `left`."""
    seed_lanes(state, seed, uint64(index) // uint64(SHARERS), stream)
    left = 0
    for _ in range(uint64(index) % uint64(SHARERS)):
        left = next_stretch(buffer, state, left, width)
    return left


@njit(nogil=True, cache=True)
def next_stretch(buffer, state, left, width):
    """Make buffer[:width] the next stretch of the run; `left` floats of the group begun stand behind the last one."""
    for j in range(left):
        buffer[j] = buffer[width + j]
    groups = (width - left + 63) // 64
    if groups > 0:
        normal_groups(state, groups, buffer, left)
    return left + 64 * groups - width


@njit(nogil=True, cache=True)
def _fill(out, buffer, state, seed, first, stream):
    count, width = out.shape
    left = 0
    for i in range(count):
        index = first + uint64(i)
        if i == 0 or index % uint64(SHARERS) == 0:
            left = start_run(buffer, state, seed, index, stream, width)
        left = next_stretch(buffer, state, left, width)
        for j in range(width):
            out[i, j] = buffer[j]


def normals(seed: int, first: int, count: int, width: int, stream: int) -> NDArray[np.float32]:
    """float32[count, width]: row i is the stretch of `width` normals at index first + i of one stream of a seed.

    Values are never 0 and never beyond 6.66. Streams of different seeds, stream numbers or widths are unrelated.

    Error: each value to 1e-6 of the exact Box-Muller transform of its words. Cost: about 1 ns a normal.
    Source: Salmon et al. 2011 (Philox4x32-10), Blackman and Vigna 2021 (xoshiro128++), Box and Muller 1958.
    """
    out = np.empty((count, width), np.float32)
    buffer, state = buffers(width)
    _fill(out, buffer, state, np.uint64(seed), np.uint64(first), stream)
    return out


def buffers(width: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scratch for stretches of `width` normals, and the lanes' state."""
    return np.zeros(width + 128, np.float32), np.zeros(64, np.int32)
