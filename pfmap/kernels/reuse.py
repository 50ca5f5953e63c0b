"""Many functions from one draw of the hidden layers: partial read-outs, all their sums, the sums' signs.

The neurons of the last hidden layer fall into G groups. Each group is read out m times with weights of its own, and
every choice of one partial read-out a group adds up to the logits of a network, so m^G networks share the hidden
layers: a cluster. The groups form two halves; sums within a half are stored, sums across are formed in registers and
only their signs leave them. Read-outs are negated throughout, so that the sign bit of a sum is the bit of the table.

A sum that comes near zero at some point is settled there in float64, from activations that each cluster computes once
a point, so the bits are those of the float64 logits of the float32 parameters.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import float32, njit, uint64
from numpy.typing import NDArray

from pfmap.kernels import tiles
from pfmap.kernels.lanes import LANES
from pfmap.kernels.network import (
    STEP,
    TILE,
    WIDE,
    dense,
    exact_dot,
    exact_hidden,
    hidden_tile,
    is_sparse,
    list_live,
    parameters,
    workspace,
)
from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run

_EXACT_POINTS = 256
_MOST_UNSURE = 16  # units of int16; with more, most functions would be summed twice


class ClusterPlan(NamedTuple):
    """A network whose hidden layers are reused.

    Attributes:
        layers: int64[n_hidden + groups, 4]: fan_in, fan_out and the places of weights and biases among the parameters
            of each hidden layer, then of each group's read-outs (its neurons, draws, …); -1 for no biases.
        n_hidden: hidden layers, at least 1.
        groups: G.
        draws: m.
        scales: float32[width], the factor of each parameter; those of read-outs are negative.
        settings: n_inputs; inputs in {-1, +1}; activation code; uniform weights; logit at the origin always 0.
        bands: rounding band of a logit relative to the sizes of its summands, its smallest value, band of a step.
    """

    layers: NDArray[np.int64]
    n_hidden: int
    groups: int
    draws: int
    scales: NDArray[np.float32]
    settings: tuple[int, int, int, int, int]
    bands: tuple[float, float, float]

    @property
    def cluster_size(self) -> int:
        """R = m^G."""
        return int(self.draws**self.groups)

    @property
    def n_words(self) -> int:
        """64-bit words of a table."""
        return -(-(1 << self.settings[0]) // 64)


class ClusterScratch(NamedTuple):
    """What one thread works in; h, sums and limits hold rows of TILE floats, one after the other."""

    layers: NDArray[np.int64]  # as planned, with zeros in place of biases that are none
    tiled: NDArray[np.int64]  # the same with a first layer of four inputs where there are fewer
    first_neuron: NDArray[np.int64]  # of each group
    theta: NDArray[np.float32]
    h: NDArray[np.float32]
    bases: NDArray[np.float32]
    live: NDArray[np.int64]
    nearest: NDArray[np.float32]
    z: NDArray[np.float32]
    state: NDArray[np.int32]
    left: NDArray[np.float32]  # sums of the first groups on each tile
    right: NDArray[np.float32]
    partial: NDArray[np.float32]
    sizes: NDArray[np.float32]  # largest size of each partial read-out
    short_left: NDArray[np.int16]  # the same in units of the largest
    short_right: NDArray[np.int16]
    left_limits: NDArray[np.float32]
    right_limits: NDArray[np.float32]
    near: NDArray[np.int64]
    unsure: NDArray[np.int64]
    exact: NDArray[np.float64]  # float64 activations of the points in `held`
    held: NDArray[np.int64]
    h64: NDArray[np.float64]
    g64: NDArray[np.float64]
    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]  # of keys that are no constants, then of distinct ones
    counts: NDArray[np.int64]  # of these within the cluster
    hashes: NDArray[np.uint64]
    slots: NDArray[np.int32]  # 0, or the number of a distinct row and 1


def cluster_scratch(plan: ClusterPlan) -> ClusterScratch:
    """What a thread that walks through clusters works in."""
    width, last_width = len(plan.scales), int(plan.layers[plan.n_hidden - 1, 1])
    layers, tiled, (theta, h, bases, live, logits, nearest), exact = workspace(plan.layers, width, plan.settings)
    tile_floats = -(-len(logits) // TILE) * TILE
    rows_left, rows_right = plan.draws ** (plan.groups // 2), plan.draws ** (plan.groups - plan.groups // 2)
    R = plan.cluster_size
    fan_in = plan.layers[plan.n_hidden :, 0]
    return ClusterScratch(
        layers,
        tiled,
        np.cumsum(fan_in) - fan_in,
        theta,
        h,
        bases,
        live,
        nearest,
        *buffers(width),
        np.zeros(rows_left * tile_floats, np.float32),
        np.zeros(rows_right * tile_floats, np.float32),
        np.zeros(plan.draws * TILE, np.float32),
        np.zeros(plan.groups * plan.draws, np.float32),
        np.zeros(rows_left * tile_floats, np.int16),
        np.zeros(rows_right * tile_floats, np.int16),
        np.zeros(rows_left, np.float32),
        np.zeros(rows_right, np.float32),
        np.zeros(rows_right + 1, np.int64),
        np.zeros(rows_right + 1, np.int64),
        np.zeros((_EXACT_POINTS, last_width)),
        np.zeros(_EXACT_POINTS, np.int64),
        *exact,
        np.zeros((R, plan.n_words), np.uint64),
        np.zeros(R, np.int64),
        np.zeros(R, np.int64),
        np.zeros(R, np.uint64),
        np.zeros(1 << (2 * R - 1).bit_length(), np.int32),
    )


# Arrays are passed one by one: handing on a whole ClusterScratch costs more than the work of the small functions, and a
# tenth of a cluster's time once a cluster; so what takes one is part of the loop over clusters.


@njit(nogil=True, cache=True)
def _settle_steps(theta, hidden, settings, band, h, source, tile, points, nearest, h64, g64):
    """Hidden units of the points that a rounding could have pushed over a step, again in float64."""
    n, plus_minus, code, _, _ = settings
    for p in range(points):
        point = tile * points + p
        if not nearest[point] > band and point < 1 << n:
            exact = exact_hidden(theta, hidden, n, plus_minus, code, point, h64, g64)
            for k in range(hidden[-1, 1]):
                h[source + k * TILE + p] = exact[k]


@njit(nogil=True, cache=True)
def _read_out(theta, layers, layer, code, h, start, live, points, out, at, sizes):
    """Partial read-outs of one group, whose activations start at h[start:], to rows of out[at:]."""
    fan_in, draws, floor = layers[layer, 0], layers[layer, 1], float32(-np.inf)
    wide = points % WIDE == 0
    for column in range(0, points, WIDE if wide else 16):
        n_live = list_live(is_sparse(code), wide, h, start + column, fan_in, live)
        dense(theta, layers, layer, floor, live, n_live, h, start + column, out, at + column, wide)
    for a in range(draws):
        size = tiles.peak(out, at + a * TILE, points // LANES)
        if size > sizes[a] or size != size:
            sizes[a] = size


@njit(nogil=True, cache=True)
def _add_group(out, at, rows, partial, draws):
    """All sums of one of `rows` rows of out[at:] and one of `draws` others, in place of the former."""
    for r in range(rows - 1, -1, -1):  # from the end, where no row yet needed is overwritten
        for a in range(draws - 1, -1, -1):
            tiles.add_tiles(out, at + r * TILE, partial, a * TILE, out, at + (r * draws + a) * TILE)


@njit(nogil=True, cache=True)
def _limits(relative, sizes, first, stop, draws, limits):
    """Squared rounding bands of the sums of some groups, whose errors are as independent as their weights."""
    for r in range(len(limits)):
        total, digits = float32(0.0), r
        for group in range(stop - 1, first - 1, -1):
            total += (float32(relative) * sizes[group * draws + digits % draws]) ** 2
            digits //= draws
        limits[r] = total if total < np.inf else float32(np.inf)  # also where it is NaN


@njit(nogil=True, cache=True)
def _shorten(left, right, sizes, groups, limit, short_left, short_right):
    """Sums as int16 on a common scale; returns the largest sum of two that may be near zero, 0 if too many may.

    Two roundings err by one unit together, so beyond 1 + limit / unit the sign of a sum is sure.
    """
    draws, half = len(sizes) // groups, groups // 2
    largest_left, largest = 0.0, 0.0
    for group in range(groups):
        if group == half:
            largest_left, largest = largest, 0.0
        largest += sizes[group * draws : (group + 1) * draws].max()
    largest = max(largest_left, largest)
    if not 1e-30 < largest < 1e30 or not limit * tiles.MOST_SHORT < _MOST_UNSURE * largest:
        return 0
    factor = float32(tiles.MOST_SHORT / largest)
    for at in range(0, len(left), TILE):
        tiles.shorten(left, at, factor, short_left, at)
    for at in range(0, len(right), TILE):
        tiles.shorten(right, at, factor, short_right, at)
    return int(1.01 + limit * tiles.MOST_SHORT / largest)  # a product is rounded too, by 0.002


@njit(nogil=True, cache=True)
def _sign_sums(points, x, x_at, limit, y, y_at, limits, count, smallest, words, at, n_words, near):
    if points == 64:
        return tiles.sign_sums_64(x, x_at, limit, y, y_at, limits, count, smallest, words, at, n_words, near, 0)
    if points == 32:
        return tiles.sign_sums_32(x, x_at, limit, y, y_at, limits, count, smallest, words, at, n_words, near, 0)
    return tiles.sign_sums_16(x, x_at, limit, y, y_at, limits, count, smallest, words, at, n_words, near, 0)


@njit(nogil=True, cache=True)
def _short_sums(points, x, x_at, y, y_at, count, limit, words, at, n_words, near):
    if points == 64:
        return tiles.short_sums_64(x, x_at, y, y_at, count, limit, words, at, n_words, near, 0)
    if points == 32:
        return tiles.short_sums_32(x, x_at, y, y_at, count, limit, words, at, n_words, near, 0)
    return tiles.short_sums_16(x, x_at, y, y_at, count, limit, words, at, n_words, near, 0)


@njit(nogil=True, cache=True)
def _settle(
    theta, layers, n_hidden, draws, settings, first_neuron, left, x, right, y, limit, points, number, exact, held, h64,
    g64, keys, r, tile,
):  # fmt: skip
    """Set those bits of function r on a tile that float32 cannot: where |left + right| is not beyond the limit."""
    n, plus_minus, code, _, origin = settings
    hidden = layers[:n_hidden]
    for p in range(points):
        point = tile * points + p
        if abs(left[x + p] + right[y + p]) > limit or point >= 1 << n or (origin and point == 0):
            continue
        place = point % _EXACT_POINTS
        if held[place] != number << 16 | point:
            held[place] = number << 16 | point
            activations = exact_hidden(theta, hidden, n, plus_minus, code, point, h64, g64)
            for k in range(exact.shape[1]):
                exact[place, k] = activations[k]
        total, digits = 0.0, r
        for layer in range(len(layers) - 1, n_hidden - 1, -1):
            a, fan_in = digits % draws, layers[layer, 0]
            digits //= draws
            group = exact[place, first_neuron[layer - n_hidden] :]
            total += theta[layers[layer, 3] + a] + exact_dot(theta, layers[layer, 2] + a * fan_in, fan_in, group)
        bit = uint64(1) << uint64(p)
        if total < 0.0:
            keys[r, tile] |= bit
        else:
            keys[r, tile] &= ~bit


@njit(nogil=True, cache=True, inline="always")
def _fill_cluster(plan, s, number):
    """Packed tables of a cluster's functions in s.keys, from its latents in s.z; `number` >= 1 tells clusters apart."""
    layers, n_hidden, groups, draws, scales, settings, bands = plan
    n, plus_minus, code, uniform, origin = settings
    theta, h, live, nearest, keys = s.theta, s.h, s.live, s.nearest, s.keys
    left, right, sizes, left_limits, right_limits = s.left, s.right, s.sizes, s.left_limits, s.right_limits
    layers, tiled, first_neuron = s.layers, s.tiled, s.first_neuron
    parameters(s.z, scales, uniform, n, layers[0, 1], theta)
    tiled_n = max(n, 4)
    points = min(TILE, 1 << tiled_n)
    n_tiles = (1 << tiled_n) // points
    half = groups // 2
    rows_left, rows_right = len(left_limits), len(right_limits)
    sizes[:] = 0.0
    nearest[:] = np.inf
    for tile in range(n_tiles):
        source = hidden_tile(theta, tiled, n_hidden, tiled_n, plus_minus, code, tile, points, h, s.bases, live, nearest)
        if code == STEP:
            hidden = layers[:n_hidden]
            _settle_steps(theta, hidden, settings, bands[2], h, source, tile, points, nearest, s.h64, s.g64)
        rows = 1
        for group in range(groups):
            layer, start, own_sizes = n_hidden + group, source + first_neuron[group] * TILE, sizes[group * draws :]
            out, at = (left, tile * rows_left * TILE) if group < half else (right, tile * rows_right * TILE)
            if group == 0 or group == half:
                _read_out(theta, layers, layer, code, h, start, live, points, out, at, own_sizes)
                rows = draws
            else:
                _read_out(theta, layers, layer, code, h, start, live, points, s.partial, 0, own_sizes)
                _add_group(out, at, rows, s.partial, draws)
                rows *= draws
    _limits(bands[0], sizes, 0, half, draws, left_limits)
    _limits(bands[0], sizes, half, groups, draws, right_limits)
    smallest = float32(bands[1])
    limit = max(bands[1], math.sqrt(left_limits.max() + right_limits.max()))
    unsure = np.int16(_shorten(left, right, sizes, groups, limit, s.short_left, s.short_right))
    if origin:  # without biases these logits are exactly 0, which is no near miss
        for i in range(rows_left):
            for p in range(0, points, 1 << n):
                left[i * TILE + p] = np.inf
                s.short_left[i * TILE + p] = tiles.MOST_SHORT
    words, n_words, near, far = keys.reshape(-1), keys.shape[1], s.near, s.unsure
    for tile in range(n_tiles):
        for i in range(rows_left):
            x, y, r, limit = (tile * rows_left + i) * TILE, tile * rows_right * TILE, i * rows_right, left_limits[i]
            at = r * n_words + tile
            if unsure:
                count = _short_sums(
                    points, s.short_left, x, s.short_right, y, rows_right, unsure, words, at, n_words, far
                )
            else:
                count = _sign_sums(
                    points, left, x, limit, right, y, right_limits, rows_right, smallest, words, at, n_words, near
                )
            for k in range(count):
                if unsure:
                    j = far[k]
                    at = (r + j) * n_words + tile
                    if not _sign_sums(
                        points, left, x, limit, right, y + j * TILE, right_limits[j:], 1, smallest, words, at, n_words,
                        near,
                    ):  # fmt: skip
                        continue
                else:
                    j = near[k]
                bound = max(smallest, math.sqrt(limit + right_limits[j]))
                _settle(
                    theta, layers, n_hidden, draws, settings, first_neuron, left, x, right, y + j * TILE, bound, points,
                    number, s.exact, s.held, s.h64, s.g64, keys, r + j, tile,
                )  # fmt: skip
    if n < 4:
        for r in range(len(keys)):
            keys[r, 0] &= (uint64(1) << uint64(1 << n)) - uint64(1)


@njit(nogil=True, cache=True, inline="always")
def next_cluster(plan, s, seed, index, stream, number, left):
    """Fill cluster `index`, the one of this number >= 1 in a walk; `left` as in next_stretch."""
    if number == 1 or index % uint64(SHARERS) == 0:
        left = start_run(s.z, s.state, seed, index, stream, len(plan.scales))
    left = next_stretch(s.z, s.state, left, len(plan.scales))
    _fill_cluster(plan, s, number)
    return left
