"""Walks of networks' latents inside {z : level(z) > threshold}, from normals to levels in one loop.

    level(z) = -mean over constrained points x of [f_z(x) wrong] (|logit(x)| / rms(logit), or 1 where logit(x) = 0)

It is 0 exactly where the network computes the function and below 0 elsewhere. A move turns (z, v) by a fixed angle;
where it would leave the set, v is reflected there about the gradient of the wrong logits and the turn made once more,
and where that fails too, the particle stays and v turns back. Each of the three undoes itself with v reversed, so the
normal law of (z, v) inside the set is left invariant whatever vector is taken for the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, float64, njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

from pfmap.kernels import activations, tiles
from pfmap.kernels.lanes import FLOAT, INT32, LANES, Builder, Value, load, loop, place, pointer_to
from pfmap.kernels.network import (
    ERF,
    GELU,
    LEAKY_RELU,
    LINEAR,
    RELU,
    SIGMOID,
    SILU,
    STEP,
    TANH,
    TILE,
    activation_at,
    dense,
    exact_logit,
    float32_logits,
    parameters,
    shallow_logits,
    workspace,
)
from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run

MOST_WRONG = TILE
"""Wrong points that enter a gradient; of more, every second, third, … is taken."""

_SMALLEST = np.float32(1e-45)


@dataclass(frozen=True)
class NetworkPlan:
    """A network as its kernels take it; `kernels.network.sample_networks` says what each entry means."""

    layers: NDArray[np.int64]
    scales: NDArray[np.float32]
    settings: tuple[int, int, int, int, int]
    bands: tuple[float, float, float]


@intrinsic
def _dot(typing: Any, x: Any, y: Any, n_blocks: Any) -> Any:
    """The float64 sum of products of n_blocks >= 1 blocks of 16 entries."""
    signature = types.float64(x, y, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointers = [pointer_to(context, b, sig.args[k], args[k], place(0)) for k in (0, 1)]
        doubles = ir.VectorType(ir.DoubleType(), 8)

        def entries(k: int, start: Value) -> Value:
            if sig.args[k].dtype == types.float64:
                return load(b, pointers[k], start, doubles)
            return b.fpext(load(b, pointers[k], start, ir.VectorType(FLOAT, 8)), doubles)

        def body(i: Value, sums: list[Value]) -> list[Value]:
            starts = [b.add(b.mul(i, place(16)), place(half)) for half in (0, 8)]
            products = [b.fmul(entries(0, start), entries(1, start)) for start in starts]
            return [b.fadd(total, product) for total, product in zip(sums, products, strict=True)]

        first, second = loop(b, args[2], [ir.Constant(doubles, [0.0] * 8)] * 2, body)
        lanes = [b.extract_element(b.fadd(first, second), ir.Constant(INT32, k)) for k in range(8)]
        while len(lanes) > 1:
            lanes = [b.fadd(x, y) for x, y in zip(lanes[::2], lanes[1::2], strict=True)]
        return lanes[0]

    return signature, generate


@njit(nogil=True, cache=True)
def _slope(code, a):
    if code == ERF:
        return float32(2.0 / math.sqrt(math.pi) * math.exp(-a * a))
    if code == SILU:
        s = 1.0 / (1.0 + math.exp(-a))
        return float32(s * (1.0 + a * (1.0 - s)))
    if code == GELU:
        return float32(0.5 * (1.0 + math.erf(a * math.sqrt(0.5))) + a * math.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))
    return float32(0.0)


@njit(nogil=True, cache=True)
def _settle(theta, layers, n, plus_minus, code, origin, bands, wanted, nearest, logits, h64, g64):
    """Replace every logit that float32 cannot sign by its float64 value, unless another is wrong beyond doubt."""
    relative, smallest_band, step_band = bands
    if origin:  # without biases the logit at x = 0 is exactly 0, which is no near miss
        logits[0] = logits[1]
    n_vectors = len(logits) // LANES
    band = max(smallest_band, relative * tiles.largest_size(logits, n_vectors))
    first = 1 if origin else 0
    if code == STEP or not (tiles.all_beyond(logits, n_vectors, band) or _is_wrong(logits, wanted, first, band)):
        for p in range(first, 1 << n):
            if wanted[p] != 0 and (not abs(logits[p]) > band or (code == STEP and not nearest[p] > step_band)):
                exact = exact_logit(theta, layers, n, plus_minus, code, p, h64, g64)
                logits[p] = float32(exact)
                if exact != 0.0 and logits[p] == 0.0:  # float32 has no number so small
                    logits[p] = _SMALLEST if exact > 0.0 else -_SMALLEST
    if origin:
        logits[0] = float32(0.0)


@njit(nogil=True, cache=True)
def _is_wrong(logits, wanted, first, band):
    found = False
    for p in range(first, len(wanted)):
        found |= wanted[p] * logits[p] < -band
    return found


@njit(nogil=True, cache=True)
def _level_of(logits, wanted):
    """The level of logits; wanted[x] is 1, -1 or 0 for a one, a zero or anything."""
    n_constrained, n_zero = 0, 0
    square, distance = 0.0, 0.0
    for p in range(len(wanted)):
        if wanted[p] != 0:
            logit = float64(logits[p])
            n_constrained += 1
            square += logit * logit
            if wanted[p] * logit < 0.0:
                distance += abs(logit)
            elif wanted[p] > 0 and logit == 0.0:
                n_zero += 1
    level = -float64(n_zero)
    if distance > 0.0:
        level -= max(distance / math.sqrt(square / n_constrained), 1e-300)
    return level / n_constrained


@njit(nogil=True, cache=True)
def _list_wrong(logits, wanted, listed):
    """Write wrong points to `listed`, evenly chosen where there are too many; returns how many."""
    n_wrong = 0
    for p in range(len(wanted)):
        if wanted[p] * logits[p] < 0.0 or (wanted[p] > 0 and logits[p] == 0.0):
            n_wrong += 1
    every = (n_wrong + len(listed) - 1) // len(listed)
    n_wrong, n_listed = 0, 0
    for p in range(len(wanted)):
        if wanted[p] * logits[p] < 0.0 or (wanted[p] > 0 and logits[p] == 0.0):
            if n_wrong % every == 0:
                listed[n_listed] = p
                n_listed += 1
            n_wrong += 1
    return n_listed


@njit(nogil=True, cache=True)
def _activate(code, values, slopes, start, n_rows, points):
    """Activations in place, and their slopes where they do not follow from them; those of ReLU come cut off at 0."""
    if code in (RELU, LINEAR):
        return
    for at in range(uint64(start), uint64(start + n_rows * TILE), uint64(TILE)):  # unsigned: none counts from the end
        if code == TANH:
            activations.tanh_pass(values, at, points // LANES)
        elif code == SIGMOID:
            activations.sigmoid_pass(values, at, points // LANES)
        elif code == LEAKY_RELU:
            for q in range(at, at + uint64(points)):
                values[q] = max(values[q], float32(0.01) * values[q])
        else:
            for q in range(at, at + uint64(points)):
                slopes[q] = _slope(code, values[q])
                values[q] = activation_at(code, values[q])


@njit(nogil=True, cache=True)
def _times_slopes(code, deltas, values, slopes, start, n_rows, points):
    """Multiply deltas by the slopes of the activations."""
    if code == LINEAR:
        return
    low = float32(0.0) if code == RELU else float32(0.01)
    for at in range(uint64(start), uint64(start + n_rows * TILE), uint64(TILE)):
        last = at + uint64(points)
        if code == TANH:
            for q in range(at, last):
                deltas[q] *= float32(1.0) - values[q] * values[q]
        elif code == SIGMOID:
            for q in range(at, last):
                deltas[q] *= values[q] * (float32(1.0) - values[q])
        elif code in (RELU, LEAKY_RELU):
            for q in range(at, last):
                deltas[q] *= float32(1.0) if values[q] > 0.0 else low
        else:
            for q in range(at, last):
                deltas[q] *= slopes[q]


@njit(nogil=True, cache=True)
def _transpose(x, at, n_rows, row, n_columns, out, to, out_row):
    """Put x[at + r row + c] at out[to + c out_row + r]."""
    for c in range(uint64(n_columns)):
        source, target = uint64(at) + c, uint64(to) + c * uint64(out_row)
        for r in range(uint64(n_rows)):
            out[target + r] = x[source + r * uint64(row)]


@njit(nogil=True, cache=True)
def _spread(products, n_rows, width, gradient, w, row, bias):
    """Rows of products to rows of weights, and what stands behind them to biases where those have a place."""
    for i in range(uint64(n_rows)):
        source, target = i * uint64(TILE), uint64(w) + i * uint64(row)
        for k in range(uint64(width)):
            gradient[target + k] = products[source + k]
        if bias >= 0:
            gradient[uint64(bias) + i] = products[source + uint64(width)]


@njit(nogil=True, cache=True)
def _dense(theta, layers, depth, floor, live, n_live, h, source, out, target, points):
    """A dense layer on `points` points of a tile, 16, 32 or 64."""
    wide = points % tiles.WIDE == 0
    for column in range(0, points, tiles.WIDE if wide else 16):
        dense(theta, layers, depth, floor, live, n_live, h, source + column, out, target + column, wide)


@njit(nogil=True, cache=True)
def _gradient(theta, layers, n, plus_minus, code, wanted, listed, n_listed, trail):
    """The gradient of the sum of wanted logits over the listed points, with respect to theta.

    Values and deltas, the slopes of that sum in the pre-activations, have rows of TILE points: the inputs, every
    neuron, the logit. Behind them deltas are 0.
    """
    _, values, slopes, deltas, gradient, turned, layer, live, columns, products = trail
    last, no_floor = len(layers) - 1, float32(-np.inf)
    points = _tile_part(n_listed)
    for q in range(points):
        point = listed[min(q, n_listed - 1)]
        for i in range(n):
            bit = (point >> (n - 1 - i)) & 1
            values[i * TILE + q] = float32(2 * bit - 1 if plus_minus else bit)
    source = 0
    for depth in range(last):
        fan_in, fan_out = layers[depth, 0], layers[depth, 1]
        target = source + fan_in * TILE
        floor = float32(0.0) if code == RELU else no_floor
        _dense(theta, layers, depth, floor, live, fan_in, values, source, values, target, points)
        _activate(code, values, slopes, target, fan_out, points)
        source = target
    target = source + layers[last, 0] * TILE
    zeros = target + TILE
    for q in range(points):
        deltas[target + q] = float32(wanted[listed[q]]) if q < n_listed else float32(0.0)
    for depth in range(last, -1, -1):
        fan_in, fan_out, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
        # Deltas times values, and times 1 for biases, summed over points: a layer whose inputs stand turned round.
        layer[0, 0], layer[0, 1], layer[0, 2], layer[0, 3] = TILE, fan_out, target, zeros
        for first in range(0, fan_in + 1, TILE):
            width = min(TILE, fan_in - first)
            _transpose(values, source + first * TILE, width, TILE, n_listed, columns, 0, TILE)
            if width < TILE:
                for q in range(n_listed):
                    columns[q * TILE + width] = float32(1.0)
            _dense(deltas, layer, 0, no_floor, live, n_listed, columns, 0, products, 0, _tile_part(width + 1))
            _spread(products, fan_out, width, gradient, w + first, fan_in, bias if width < TILE else -1)
        if depth > 0:
            _transpose(theta, w, fan_out, fan_in, fan_in, turned, 0, fan_out)
            layer[0, 0], layer[0, 1], layer[0, 2], layer[0, 3] = fan_out, fan_in, 0, len(turned) - fan_in
            _dense(turned, layer, 0, no_floor, live, fan_out, deltas, target, deltas, source, points)
            _times_slopes(code, deltas, values, slopes, source, fan_in, points)
            target, source = source, source - layers[depth - 1, 0] * TILE


@njit(nogil=True, cache=True)
def _tile_part(points):
    """The least of 16, 32 and 64 points that holds so many."""
    return 16 if points <= 16 else 32 if points <= 32 else TILE


@njit(nogil=True, cache=True)
def _evaluate(z, network, wanted, scratch):
    """The level of one z; leaves its parameters and logits in the scratch."""
    layers, tiled, scales, settings, bands = network
    theta, h, bases, live, logits, nearest, rounded, h64, g64 = scratch
    n, plus_minus, code, uniform, origin = settings
    for j in range(len(scales)):
        rounded[j] = z[j]
    parameters(rounded, scales, uniform, n, layers[0, 1], theta)
    if len(layers) == 2 and code in (RELU, LINEAR):
        shallow_logits(theta, tiled, max(n, 4), plus_minus, code, bases, logits)
    else:
        nearest[:] = np.inf
        float32_logits(theta, tiled, max(n, 4), plus_minus, code, h, bases, live, nearest, logits)
    _settle(theta, layers, n, plus_minus, code, origin, bands, wanted, nearest, logits, h64, g64)
    return _level_of(logits, wanted)


@njit(nogil=True, cache=True)
def _reflect(z, v, network, wanted, scratch, trail):
    """Turn v round about the gradient at z, where `_evaluate` has just been; whether there is any gradient.

    v is filled up with zeros to a multiple of 16.
    """
    layers, _, scales, settings, _ = network
    theta, logits = scratch[0], scratch[4]
    listed, gradient = trail[0], trail[4]
    n, plus_minus, code, uniform, _ = settings
    n_listed = _list_wrong(logits, wanted, listed)
    _gradient(theta, layers, n, plus_minus, code, wanted, listed, n_listed, trail)
    if uniform:
        for j in range(len(scales)):
            gradient[j] *= scales[j] * float32(math.exp(-0.5 * z[j] * z[j]))
    else:
        for j in range(len(scales)):
            gradient[j] *= scales[j]
    gradient[len(scales) : len(v)] = float32(0.0)
    square = _dot(gradient, gradient, len(v) // 16)
    if not 0.0 < square < np.inf:
        return False
    factor = 2.0 * _dot(gradient, v, len(v) // 16) / square
    for j in range(len(scales)):
        v[j] -= factor * gradient[j]
    return True


@njit(nogil=True, cache=True)
def _turn(z, v, cosine, sine, new_z, new_v):
    for j in range(len(z)):
        new_z[j] = cosine * z[j] + sine * v[j]
        new_v[j] = cosine * v[j] - sine * z[j]


@njit(nogil=True, cache=True)
def _walk(
    z,
    levels,
    threshold,
    step,
    n_stretches,
    stretch,
    seed,
    first,
    stream,
    network,
    wanted,
    scratch,
    trail,
    noise,
    state,
    vectors,
):
    cosine, sine = math.sqrt(1.0 - step * step), step
    v, z1, v1, z2, v2 = vectors
    width = z.shape[1]
    moved, evaluated, left = 0, 0, 0
    for i in range(len(z)):
        for s in range(n_stretches):
            index = first + uint64(i * n_stretches + s)
            if (i == 0 and s == 0) or index % uint64(SHARERS) == 0:
                left = start_run(noise, state, seed, index, stream, width)
            left = next_stretch(noise, state, left, width)
            for j in range(width):
                v[j] = noise[j]
            for _ in range(stretch):
                _turn(z[i], v, cosine, sine, z1, v1)
                level = _evaluate(z1, network, wanted, scratch)
                evaluated += 1
                if level > threshold:
                    z[i, :], v[:] = z1, v1
                    levels[i] = level
                    moved += 1
                    continue
                if _reflect(z1, v1, network, wanted, scratch, trail):
                    _turn(z1, v1, cosine, sine, z2, v2)
                    level = _evaluate(z2, network, wanted, scratch)
                    evaluated += 1
                    if level > threshold:
                        z[i, :], v[:] = z2, v2
                        levels[i] = level
                        moved += 1
                        continue
                for j in range(width):
                    v[j] = -v[j]
    return moved, evaluated


@njit(nogil=True, cache=True)
def _levels(z, levels, network, wanted, scratch):
    for i in range(len(z)):
        levels[i] = _evaluate(z[i], network, wanted, scratch)


def network_levels(plan: NetworkPlan, wanted: NDArray[np.int8], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[N], the levels of z float64[N, d]; the network's parameters are those of z rounded to float32."""
    network, scratch = _prepare(plan)
    levels = np.empty(len(z))
    _levels(z, levels, network, wanted, scratch)
    return levels


def walk_networks(
    plan: NetworkPlan,
    wanted: NDArray[np.int8],
    z: NDArray[np.float64],
    levels: NDArray[np.float64],
    *,
    threshold: float,
    step: float,
    n_stretches: int,
    stretch: int,
    seed: int,
    first: int,
    stream: int,
) -> tuple[int, int]:
    """Move every row of z by n_stretches stretches of `stretch` moves, each stretch with a new velocity.

    Args:
        plan: the network.
        wanted: int8[2^n], 1, -1 or 0 for a one, a zero or anything at each point.
        z: float64[N, d], moved in place.
        levels: float64[N], the levels of z, kept up to date.
        threshold: only places above it are entered.
        step: sine of the angle a move turns by, from 0 to 1.
        n_stretches: new velocities a row.
        stretch: moves a velocity.
        seed: of the velocities.
        first: index in the stream of the first velocity; N n_stretches are used.
        stream: number of the stream.

    Returns:
        How many of the N n_stretches stretch moves went anywhere, and how many networks were evaluated.
    """
    network, scratch = _prepare(plan)
    d, trail = len(plan.scales), _trail(plan, len(scratch[0]))
    vectors = tuple(np.zeros(length) for length in (d + -d % 16, d, d + -d % 16, d, d + -d % 16))
    start = np.uint64(seed), np.uint64(first)
    scratches = network, wanted, scratch, trail, *buffers(d), vectors
    moved, evaluated = _walk(z, levels, threshold, step, n_stretches, stretch, *start, stream, *scratches)
    return int(moved), int(evaluated)


def _trail(plan: NetworkPlan, width: int) -> tuple[NDArray[Any], ...]:
    """Scratch of a gradient with respect to `width` parameters."""
    rows, widest = int(plan.layers[:, 0].sum()) + 1, int(plan.layers[:, :2].max())
    values, slopes, deltas = (np.zeros(rows * TILE + widest, np.float32) for _ in range(3))
    turned = np.zeros(int((plan.layers[:, 0] * plan.layers[:, 1]).max()) + widest, np.float32)
    layer, live = np.zeros((1, 4), np.int64), np.arange(max(widest, TILE))
    columns, products = np.zeros(TILE * TILE, np.float32), np.zeros(widest * TILE, np.float32)
    listed, gradient = np.zeros(MOST_WRONG, np.int64), np.zeros(width, np.float32)
    return listed, values, slopes, deltas, gradient, turned, layer, live, columns, products


def _prepare(plan: NetworkPlan) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    layers, tiled, scratch, exact = workspace(plan.layers, len(plan.scales), plan.settings)
    bands = tuple(np.float32(band) for band in plan.bands)
    rounded = np.zeros(len(plan.scales), np.float32)
    return (layers, tiled, plan.scales, plan.settings, bands), (*scratch, rounded, *exact)
