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
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import float32, njit, uint64
from numpy.typing import NDArray

from pfmap.kernels import tiles
from pfmap.kernels.bits import ONES
from pfmap.kernels.canonical import (
    CHANGES,
    N_CHANGES,
    canonical_scratch,
    canonicalize_rows,
    flip_bit,
    swap_bits,
)
from pfmap.kernels.counting import ClusterCountTable, Marks, find_slot, hash_key, keep_repeated, mark_keys, prefetch
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


class _Scratch(NamedTuple):
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


def _scratch(plan: ClusterPlan) -> _Scratch:
    width, last_width = len(plan.scales), int(plan.layers[plan.n_hidden - 1, 1])
    layers, tiled, (theta, h, bases, live, logits, nearest), exact = workspace(plan.layers, width, plan.settings)
    tile_floats = -(-len(logits) // TILE) * TILE
    rows_left, rows_right = plan.draws ** (plan.groups // 2), plan.draws ** (plan.groups - plan.groups // 2)
    R = plan.cluster_size
    fan_in = plan.layers[plan.n_hidden :, 0]
    return _Scratch(
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


# Arrays are passed one by one: handing on a whole _Scratch costs more than the work of the small functions.


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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def _set_constants_apart(keys, full, others):
    """List the rows that are no constant; returns how many, the zeros and the ones.

    Constants are the most frequent functions by far, so there is no branch on them.
    """
    ones, n_others = uint64(0), 0
    for r in range(len(keys)):
        word = keys[r, 0]
        is_other = (word != uint64(0)) & (word != full)
        for w in range(1, keys.shape[1]):
            is_other |= keys[r, w] != word
        others[n_others] = r
        n_others += is_other
        ones += word & uint64(not is_other)
    return n_others, len(keys) - n_others - np.int64(ones), np.int64(ones)


@njit(nogil=True, cache=True)
def _next_cluster(plan, s, seed, index, stream, number, left):
    """Fill cluster `index`, the one of this number >= 1 in a walk; `left` as in next_stretch."""
    if number == 1 or index % uint64(SHARERS) == 0:
        left = start_run(s.z, s.state, seed, index, stream, len(plan.scales))
    left = next_stretch(s.z, s.state, left, len(plan.scales))
    _fill_cluster(plan, s, number)
    return left


@njit(nogil=True, cache=True)
def _mark_clusters(plan, s, seed, first, count, stream, full, cells, shift):
    left = 0
    for drawn in range(count):
        left = _next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others = _set_constants_apart(s.keys, full, s.rows)[0]
        mark_keys(cells, shift, s.keys, s.rows[:others])


def mark_clusters(plan: ClusterPlan, seed: int, first: int, count: int, stream: int, marks: Marks) -> None:
    """Mark the functions of clusters, but for the constants; arguments as of count_clusters."""
    where = np.uint64(seed), np.uint64(first), count, stream, _full_word(plan)
    _mark_clusters(plan, _scratch(plan), *where, marks.cells, marks.shift)


@njit(nogil=True, cache=True)
def _to_orbits(keys, n_rows, n, symmetries, rows, low, high, automorphisms, scratch):
    """Replace the listed keys by their canonical ones, from the first row of keys on."""
    for e in range(n_rows):
        low[e], high[e] = keys[rows[e], 0], keys[rows[e], 1] if n == 7 else uint64(0)
    canonicalize_rows(low[:n_rows], high[:n_rows], n, symmetries, automorphisms[:n_rows], scratch)
    for e in range(n_rows):
        rows[e], keys[e, 0] = e, low[e]
        if n == 7:
            keys[e, 1] = high[e]


@njit(nogil=True, cache=True)
def _merge(keys, n_rows, rows, counts, hashes, local, flat, stride, mask):
    """Distinct ones among the listed keys, in place of the list, with counts and hashes; returns their number.

    Asks for the slot of each in the table that comes next. `local` is all 0 before and after.
    """
    seen, local_mask = 0, uint64(len(local) - 1)
    for e in range(n_rows):
        r = rows[e]
        x = hash_key(keys, r)
        prefetch(flat, np.int64(x & mask) * stride)
        slot = (x >> uint64(40)) & local_mask
        while True:
            known = local[slot] - 1
            if known < 0:
                rows[seen], counts[seen], hashes[seen] = r, 1, x
                seen += 1
                local[slot] = seen
                break
            same = True
            for w in range(keys.shape[1]):
                same &= keys[r, w] == keys[rows[known], w]
            if same:
                counts[known] += 1
                break
            slot = (slot + uint64(1)) & local_mask
    local[:] = 0
    return seen


@njit(nogil=True, cache=True)
def _count_clusters(
    plan, s, seed, first, count, stream, full, symmetries, orbits, cells, shift, slots, room, constants
):
    """Clusters into a table, until all are drawn or no room is left; returns clusters and keys new to the table.

    Row 0 of `constants` takes counts and squares of 0, row 1 those of 1; with complement in the group row 0 takes both.
    """
    R, stride = len(s.keys), slots.shape[1]
    flat, mask, width = slots.reshape(-1), uint64(len(slots) - 1), stride - 2
    pooled, complement = symmetries[0] or symmetries[1] or symmetries[2] or symmetries[3], symmetries[3]
    low, high, automorphisms, scratch = orbits
    left, drawn, new = 0, 0, 0
    while drawn < count and new + R <= room:
        left = _next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others, zeros, ones = _set_constants_apart(s.keys, full, s.rows)
        if complement:
            zeros, ones = zeros + ones, 0
        for constant, times in ((0, zeros), (1, ones)):
            constants[constant, 0] += times
            constants[constant, 1] += times * times
        if len(cells):
            others = keep_repeated(cells, shift, s.keys, s.rows[:others])
        if pooled:
            _to_orbits(s.keys, others, plan.settings[0], symmetries, s.rows, low, high, automorphisms, scratch)
        seen = _merge(s.keys, others, s.rows, s.counts, s.hashes, s.slots, flat, stride, mask)
        for e in range(seen):
            base, is_new = find_slot(flat, stride, np.int64(mask), s.keys, s.rows[e], np.int64(s.hashes[e] & mask))
            new += is_new
            k = s.counts[e]
            flat[base + width] += k
            flat[base + width + 1] += k * k
        drawn += 1
    return drawn, new


def count_clusters(
    plan: ClusterPlan, seed: int, first: int, count: int, stream: int, table: ClusterCountTable,
    symmetries: tuple[bool, bool, bool, bool] = (False,) * 4, marks: Marks | None = None,
) -> None:  # fmt: skip
    """Add the functions of clusters first … first + count - 1 of a stream of a seed to a table, or their orbits.

    Args:
        plan: the network and its reuse.
        seed: 0 to 2^64 - 1.
        first: index of the first cluster.
        count: clusters.
        stream: the stream of the seed that holds their latents.
        table: of the plan's n_words.
        symmetries: permutations, flips, reversal and complement, as of canonical_tables; with any, at most 7 inputs.
        marks: of the same clusters and more; functions that came but once in all of them are passed over.
    """
    scratch, full = _scratch(plan), _full_word(plan)
    R = plan.cluster_size if any(symmetries) else 0
    orbits = np.empty(R, np.uint64), np.empty(R, np.uint64), np.empty(R, np.int64), canonical_scratch()
    constants = np.zeros((2, 2), np.int64)
    cells, shift = (np.empty(0, np.uint64), np.uint64(0)) if marks is None else (marks.cells, marks.shift)
    done = 0
    while done < count:
        room = table.make_room(plan.cluster_size)
        scratch.held[:] = 0
        where = np.uint64(seed), np.uint64(first + done), count - done, stream, full
        into = symmetries, orbits, cells, shift, table.slots, room, constants
        drawn, new = _count_clusters(plan, scratch, *where, *into)
        table.size += new
        done += drawn
    came = constants[:, 0] > 0
    keys = np.repeat(np.array([[0], [full]], np.uint64), plan.n_words, axis=1)
    table.add(keys[came], constants[came, 0], constants[came, 1])


def _full_word(plan: ClusterPlan) -> np.uint64:
    return np.uint64((1 << min(64, 1 << plan.settings[0])) - 1)


# Counting a fixed set


class MemberIndex(NamedTuple):
    """Keys of a fixed set, each with the number of the member it stands for.

    Attributes:
        bitmap: uint64[2^k], a bit for each key's hash, so that most other keys are passed over at once.
        slots: int64[2^j, n_words + 1], open addressing: a key and its member's number plus one, 0 where free.
        constants: the members that the constants 0 and 1 stand for, -1 where none.
        n_members: members of the set.
    """

    bitmap: NDArray[np.uint64]
    slots: NDArray[np.int64]
    constants: tuple[int, int]
    n_members: int


def index_members(
    batches: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]], n_keys: int, n_members: int, n_points: int
) -> MemberIndex:
    """An index of keys uint64[k, n_words] and the members int64[k] that they stand for, batch by batch.

    Keys may repeat; `n_keys` differ at most. Cost: 26 to 52 (n_words = 2) bytes a key.
    """
    n_words = -(-n_points // 64)
    capacity = 1 << max(6, (2 * n_keys).bit_length())
    bitmap = np.zeros(capacity // 8, np.uint64)  # eight bits a slot: some 3 to 6 % of other keys pass
    slots = np.zeros((capacity, n_words + 1), np.int64)
    for keys, members in batches:
        _insert(np.ascontiguousarray(keys).view(np.int64), members, bitmap, slots)
    full = np.uint64((1 << min(64, n_points)) - 1)
    constants = np.repeat(np.array([[0], [full]], np.uint64), n_words, axis=1).view(np.int64)
    zero, one = (int(_look_up(constants, r, slots)) for r in range(2))
    return MemberIndex(bitmap, slots, (zero, one), n_members)


@njit(nogil=True, cache=True)
def _insert(keys, members, bitmap, slots):
    width, mask = keys.shape[1], len(slots) - 1
    for i in range(len(keys)):
        if _look_up(keys, i, slots) >= 0:
            continue
        x = hash_key(keys, i)
        bit = (x >> uint64(32)) & uint64(64 * len(bitmap) - 1)
        bitmap[bit >> uint64(6)] |= uint64(1) << (bit & uint64(63))
        slot = np.int64(x & uint64(mask))
        while slots[slot, width]:
            slot = (slot + 1) & mask
        for w in range(width):
            slots[slot, w] = keys[i, w]
        slots[slot, width] = members[i] + 1


@njit(nogil=True, cache=True)
def _look_up(keys, i, slots):
    """The member that row i stands for, or -1."""
    width, mask = keys.shape[1], len(slots) - 1
    slot = np.int64(hash_key(keys, i) & uint64(mask))
    while slots[slot, width]:
        same = True
        for w in range(width):
            same &= slots[slot, w] == np.int64(keys[i, w])
        if same:
            return slots[slot, width] - 1
        slot = (slot + 1) & mask
    return -1


@njit(nogil=True, cache=True)
def find_members(keys, slots):
    """The member that each row of keys stands for in the slots of a MemberIndex, -1 where none: int64[k]."""
    members = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        members[i] = _look_up(keys, i, slots)
    return members


@njit(nogil=True, cache=True)
def _count_members(plan, s, seed, first, count, stream, full, bitmap, slots, constants, tally, touched, totals):
    """Add each cluster's counts of members to totals[:, 0] and their squares to totals[:, 1]."""
    bits, mask, width = uint64(64 * len(bitmap) - 1), uint64(len(slots) - 1), slots.shape[1]
    flat = slots.reshape(-1)
    left = 0
    for drawn in range(count):
        left = _next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others, zeros, ones = _set_constants_apart(s.keys, full, s.rows)
        likely = 0
        for e in range(others):
            r = s.rows[e]
            x = hash_key(s.keys, r)
            bit = (x >> uint64(32)) & bits
            prefetch(flat, np.int64(x & mask) * width)
            s.rows[likely] = r
            likely += (bitmap[bit >> uint64(6)] >> (bit & uint64(63))) & uint64(1) != uint64(0)
        n_touched = 0
        for e in range(likely):
            member = _look_up(s.keys, s.rows[e], slots)
            if member >= 0:
                if tally[member] == 0:
                    touched[n_touched] = member
                    n_touched += 1
                tally[member] += 1
        for member, times in ((constants[0], zeros), (constants[1], ones)):
            if member >= 0 and times:
                if tally[member] == 0:
                    touched[n_touched] = member
                    n_touched += 1
                tally[member] += times
        for member in touched[:n_touched]:
            k = np.int64(tally[member])
            totals[member, 0] += k
            totals[member, 1] += k * k
            tally[member] = 0


def count_members(
    plan: ClusterPlan, seed: int, first: int, count: int, stream: int, index: MemberIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often members of a fixed set come in some clusters, and their counts within clusters, squared and summed.

    Both are int64[n_members]; arguments as in count_clusters.
    """
    scratch = _scratch(plan)
    tally, touched = np.zeros(index.n_members, np.int32), np.empty(plan.cluster_size + 2, np.int64)
    totals = np.zeros((index.n_members, 2), np.int64)
    where = (np.uint64(seed), np.uint64(first), count, stream, _full_word(plan))
    _count_members(plan, scratch, *where, index.bitmap, index.slots, index.constants, tally, touched, totals)
    return np.ascontiguousarray(totals[:, 0]), np.ascontiguousarray(totals[:, 1])


# Orbits


def orbit_members(
    keys: NDArray[np.uint64], n_inputs: int, symmetries: tuple[bool, bool, bool, bool]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Every image of each function under a group: uint64[size |G|, n_words], and the function's number int64[size |G|].

    Symmetries as of canonical_tables. A function that some group elements leave as it is comes once for each.
    """
    permutations, flips, reversal, complement = symmetries
    order = (math.factorial(n_inputs) if permutations else 1) * (1 + complement)
    order *= 1 << n_inputs if flips else 1 + reversal
    low = np.ascontiguousarray(keys[:, 0])
    high = np.ascontiguousarray(keys[:, 1]) if n_inputs == 7 else np.zeros_like(low)
    images = np.empty((len(keys) * order, 2), np.uint64)
    _images(low, high, n_inputs, permutations, flips, reversal and not flips, complement, images)
    return np.ascontiguousarray(images[:, : keys.shape[1]]), np.repeat(np.arange(len(keys)), order)


@njit(nogil=True, cache=True)
def _images(low, high, n, permutations, flips, reversal, complement, images):
    full_low = ONES if n >= 6 else (uint64(1) << uint64(1 << n)) - uint64(1)
    full_high = ONES if n == 7 else uint64(0)
    n_flips = 1 << n if flips else 2 if reversal else 1
    n_changes = N_CHANGES[n] if permutations else 0
    at = 0
    for row in range(len(low)):
        flipped_low, flipped_high = low[row], high[row]
        for code in range(1, n_flips + 1):
            a, b = flipped_low, flipped_high
            for step in range(n_changes + 1):
                images[at, 0], images[at, 1] = a, b
                at += 1
                if complement:
                    images[at, 0], images[at, 1] = a ^ full_low, b ^ full_high
                    at += 1
                if step < n_changes:
                    k = CHANGES[n, step]
                    a, b = swap_bits(a, b, k, k + 1)
            for k in range(n):  # the next of a Gray code over the flips
                if reversal or code >> k & 1:
                    flipped_low, flipped_high = flip_bit(flipped_low, flipped_high, k)
                    if not reversal:
                        break
