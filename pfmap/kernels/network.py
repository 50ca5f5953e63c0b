"""Fully connected networks on all 2^n points at once, from random numbers to packed truth tables, in one loop.

Logits are computed in float32; every point whose logit lies within the rounding band, or behind a step that does, is
computed again in float64, one point at a time. So the bits are those of the float64 logit of the float32 parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, njit, uint64
from numpy.typing import NDArray

from pfmap.kernels import activations, tiles
from pfmap.kernels.lanes import LANES
from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run

RELU, LEAKY_RELU, TANH, ERF, SIGMOID, GELU, SILU, STEP, LINEAR = range(9)
"""Activation codes; maps.mlp names them in this order."""

TILE = tiles.TILE
WIDE = tiles.WIDE


@njit(nogil=True, cache=True)
def activation_at(code, a):
    """The activation of a float64 number."""
    if code == RELU:
        return a if a > 0.0 else 0.0
    if code == LEAKY_RELU:
        return a if a > 0.0 else 0.01 * a
    if code == TANH:
        return math.tanh(a)
    if code == ERF:
        return math.erf(a)
    if code == SIGMOID:
        return 1.0 / (1.0 + math.exp(-a))
    if code == GELU:
        return 0.5 * a * (1.0 + math.erf(a * math.sqrt(0.5)))
    if code == SILU:
        return a / (1.0 + math.exp(-a))
    if code == STEP:
        return 1.0 if a > 0.0 else 0.0
    return a


@njit(nogil=True, cache=True)
def exact_dot(theta, w, fan_in, h):
    """Float64 sum of theta[w + k] h[k]."""
    blocks = fan_in // 8
    total = tiles.dot_blocks(theta, w, h, blocks) if blocks else 0.0
    for k in range(8 * blocks, fan_in):
        total += float64(theta[w + k]) * h[k]
    return total


@njit(nogil=True, cache=True)
def exact_hidden(theta, layers, n, plus_minus, code, point, h, g):
    """Float64 activations of the last of these layers at one point, in one of the two buffers; no layers: inputs.

    Buffers are cut into blocks of 8, the last filled up with zeros, so that no product needs a loop for the rest.
    """
    for i in range(n):
        bit = (point >> (n - 1 - i)) & 1
        h[i] = 2.0 * bit - 1.0 if plus_minus else float64(bit)
    h[n : 8 * _blocks(n)] = 0.0
    for depth in range(len(layers)):
        fan_in, fan_out, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
        for i in range(fan_out):
            a = float64(theta[bias + i]) + tiles.dot_blocks(theta, w + i * fan_in, h, _blocks(fan_in))
            g[i] = activation_at(code, a)
        g[fan_out : 8 * _blocks(fan_out)] = 0.0
        h, g = g, h
    return h


@njit(nogil=True, cache=True, inline="always")
def _blocks(size):
    return (size + 7) // 8


@njit(nogil=True, cache=True)
def exact_logit(theta, layers, n, plus_minus, code, point, h, g):
    """Float64 logit of one point."""
    last = len(layers) - 1
    h = exact_hidden(theta, layers[:last], n, plus_minus, code, point, h, g)
    return float64(theta[layers[last, 3]]) + exact_dot(theta, layers[last, 2], layers[last, 0], h)


@njit(nogil=True, cache=True)
def _fill_bases(theta, layers, n, plus_minus, bits, tile, bases):
    """What is fixed on a tile of 2^bits points: each neuron's bias plus its weights on the higher inputs."""
    width, bias, w = layers[0, 1], layers[0, 3], layers[0, 2]
    for j in range(width):
        bases[j] = theta[bias + j]
    for q in range(bits, n):
        on = (tile >> (q - bits)) & 1
        at = w + n - 1 - q
        if on:
            for j in range(width):
                bases[j] += theta[at + j * n]
        elif plus_minus:
            for j in range(width):
                bases[j] -= theta[at + j * n]


@njit(nogil=True, cache=True)
def _first_layer(theta, layers, n, plus_minus, floor, tile, points, bases, h):
    _fill_bases(theta, layers, n, plus_minus, 6, tile, bases)
    for j in range(layers[0, 1]):
        last = layers[0, 2] + j * n + n - 1  # the weight of bit 0
        base, at = bases[j], j * TILE
        if plus_minus:
            if points == 64:
                tiles.first_layer_64_pm(theta, last, base, floor, h, at)
            elif points == 32:
                tiles.first_layer_32_pm(theta, last, base, floor, h, at)
            else:
                tiles.first_layer_16_pm(theta, last, base, floor, h, at)
        elif points == 64:
            tiles.first_layer_64(theta, last, base, floor, h, at)
        elif points == 32:
            tiles.first_layer_32(theta, last, base, floor, h, at)
        else:
            tiles.first_layer_16(theta, last, base, floor, h, at)


@njit(nogil=True, cache=True)
def shallow_logits(theta, layers, n, plus_minus, code, bases, logits):
    """Float32 logits of a network of one hidden layer, ReLU or linear, without a stop in memory."""
    floor = float32(0.0) if code == RELU else float32(-np.inf)
    bits = 5 if n >= 5 else 4
    width, stride, last = layers[0, 1], n, layers[0, 2] + n - 1
    w, bias = layers[1, 2], layers[1, 3]
    for tile in range(len(logits) >> bits):
        _fill_bases(theta, layers, n, plus_minus, bits, tile, bases)
        at = tile << bits
        if plus_minus:
            if bits == 5:
                tiles.shallow_32_pm(theta, last, stride, bases, width, floor, w, bias, logits, at)
            else:
                tiles.shallow_16_pm(theta, last, stride, bases, width, floor, w, bias, logits, at)
        elif bits == 5:
            tiles.shallow_32(theta, last, stride, bases, width, floor, w, bias, logits, at)
        else:
            tiles.shallow_16(theta, last, stride, bases, width, floor, w, bias, logits, at)


@njit(nogil=True, cache=True)
def dense(theta, layers, depth, floor, live, n_live, h, source, out, target, wide):
    """One block of columns of a dense layer from h[source:] to out[target:], its rows in near-equal groups."""
    fan_in, width, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
    row = 0
    for groups in range((width + tiles.MAX_ROWS - 1) // tiles.MAX_ROWS, 0, -1):
        rows = (width - row + groups - 1) // groups
        at_w, at_b, at = w + row * fan_in, bias + row, target + row * TILE
        if wide:
            if rows == 5:
                tiles.wide_5(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
            elif rows == 4:
                tiles.wide_4(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
            elif rows == 3:
                tiles.wide_3(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
            elif rows == 2:
                tiles.wide_2(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
            else:
                tiles.wide_1(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        elif rows == 5:
            tiles.dense_5(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        elif rows == 4:
            tiles.dense_4(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        elif rows == 3:
            tiles.dense_3(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        elif rows == 2:
            tiles.dense_2(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        else:
            tiles.dense_1(theta, at_w, at_b, fan_in, live, n_live, h, source, floor, out, at)
        row += rows


@njit(nogil=True, cache=True)
def _activate(code, h, start, width, points):
    vectors = points // LANES
    for at in range(start, start + width * TILE, TILE):
        if code == TANH:
            activations.tanh_pass(h, at, vectors)
        elif code == ERF:
            activations.erf_pass(h, at, vectors)
        elif code == SIGMOID:
            activations.sigmoid_pass(h, at, vectors)
        elif code == GELU:
            activations.gelu_pass(h, at, vectors)
        elif code == SILU:
            activations.silu_pass(h, at, vectors)
        elif code == LEAKY_RELU:
            for p in range(at, at + points):
                h[p] = max(h[p], float32(0.01) * h[p])


@njit(nogil=True, cache=True)
def _step(h, start, width, points, nearest, at_point):
    """Step in place; nearest[p] keeps the smallest size of a pre-activation met at point p."""
    for at in range(start, start + width * TILE, TILE):
        for p in range(points):
            a = h[at + p]
            nearest[at_point + p] = min(nearest[at_point + p], abs(a))
            h[at + p] = float32(1.0) if a > 0 else float32(0.0)


@njit(nogil=True, cache=True)
def is_sparse(code):
    """Whether activations are often 0 on a whole block of points."""
    return code in (RELU, STEP)


@njit(nogil=True, cache=True)
def list_live(sparse, wide, h, source, fan_in, live):
    """List the rows of a block of columns that are not all zero, or all rows; returns how many, at least one.

    Where none is live, the one that stands in live[0] is zero on the block.
    """
    n_live = 0
    for k in range(fan_in):
        live[n_live] = k
        if not sparse:
            n_live += 1
        elif wide:
            n_live += tiles.alive_wide(h, source + k * TILE)
        else:
            n_live += tiles.alive_16(h, source + k * TILE)
    return max(n_live, 1)


@njit(nogil=True, cache=True)
def hidden_tile(theta, layers, n_hidden, n, plus_minus, code, tile, points, h, bases, live, nearest):
    """Activations of the last of n_hidden >= 1 layers on a tile; returns where in h they start.

    The halves of h take turns as a layer's inputs and outputs.
    """
    floor = float32(0.0) if code == RELU else float32(-np.inf)
    wide = points % WIDE == 0
    source, target = 0, len(h) // 2
    _first_layer(theta, layers, n, plus_minus, floor, tile, points, bases, h)
    for depth in range(1, n_hidden + 1):
        fan_in = layers[depth - 1, 1]
        if code == STEP:
            _step(h, source, fan_in, points, nearest, tile * points)
        elif code not in (RELU, LINEAR):
            _activate(code, h, source, fan_in, points)
        if depth == n_hidden:
            break
        for column in range(0, points, WIDE if wide else 16):
            n_live = list_live(is_sparse(code), wide, h, source + column, fan_in, live)
            dense(theta, layers, depth, floor, live, n_live, h, source + column, h, target + column, wide)
        source, target = target, source
    return source


@njit(nogil=True, cache=True)
def float32_logits(theta, layers, n, plus_minus, code, h, bases, live, nearest, logits):
    """Float32 logits of all points, tile by tile."""
    points = min(TILE, len(logits))
    last = len(layers) - 1
    for tile in range(len(logits) // points):
        if last > 0:
            source = hidden_tile(theta, layers, last, n, plus_minus, code, tile, points, h, bases, live, nearest)
            fan_in, w, bias = layers[last, 0], layers[last, 2], layers[last, 3]
            rows = (fan_in + tiles.OUTPUT_SPLIT - 1) // tiles.OUTPUT_SPLIT * tiles.OUTPUT_SPLIT
            for k in range(source + fan_in * TILE, source + rows * TILE):
                h[k] = float32(0.0)
            if points == 64:
                tiles.output_64(theta, w, bias, fan_in, h, source, logits, tile * points)
            elif points == 32:
                tiles.output_32(theta, w, bias, fan_in, h, source, logits, tile * points)
            else:
                tiles.output_16(theta, w, bias, fan_in, h, source, logits, tile * points)
        else:
            _first_layer(theta, layers, n, plus_minus, float32(-np.inf), tile, points, bases, h)
            for p in range(points):
                logits[tile * points + p] = h[p]


@njit(nogil=True, cache=True)
def parameters(z, scales, uniform, n, first_width, theta):
    """theta[:d] from z. A tile has sixteen points or more: for n < 4 a first layer of four inputs stands at the end."""
    width = len(scales)
    if uniform:
        for j in range(width):
            theta[j] = z[j]
        activations.normal_odds_pass(theta, 0, (width + LANES - 1) // LANES)
        for j in range(width):
            theta[j] *= scales[j]
    else:
        for j in range(width):
            theta[j] = z[j] * scales[j]
    if n < 4:
        rows = len(theta) - 4 * first_width
        for j in range(first_width):
            for k in range(n):
                theta[rows + 4 * j + 4 - n + k] = theta[j * n + k]


@njit(nogil=True, cache=True)
def _settle(theta, layers, n, plus_minus, code, origin, bands, nearest, logits, h64, g64):
    """Replace every logit that float32 cannot sign by the sign of its float64 value; returns how many."""
    relative, smallest_band, step_band = bands
    if origin:  # without biases the logit at x = 0 is exactly 0, which is no near miss
        logits[0] = logits[1]
    n_vectors = len(logits) // LANES
    band = max(smallest_band, relative * tiles.largest_size(logits, n_vectors))
    settled = 0
    if code == STEP or not tiles.all_beyond(logits, n_vectors, band):
        for p in range(1 if origin else 0, 1 << n):
            if not abs(logits[p]) > band or (code == STEP and not nearest[p] > step_band):
                exact = exact_logit(theta, layers, n, plus_minus, code, p, h64, g64)
                logits[p] = float32(1.0) if exact > 0.0 else float32(-1.0)
                settled += 1
    if origin:
        logits[0] = float32(-1.0)
    return settled


@njit(nogil=True, cache=True)
def _pack(logits, n, keys, i):
    n_points = 1 << n
    for w in range(keys.shape[1]):
        bits = uint64(0)
        for p in range(0, min(64, len(logits)), 16):
            bits |= tiles.signs(logits, 64 * w + p) << uint64(p)
        keys[i, w] = bits
    if n_points < 64:
        keys[i, 0] &= (uint64(1) << uint64(n_points)) - uint64(1)


@njit(nogil=True, cache=True)
def _sample(
    seed,
    first,
    stream,
    layers,
    tiled,
    scales,
    settings,
    bands,
    keys,
    theta,
    h,
    bases,
    live,
    logits,
    nearest,
    z,
    state,
    h64,
    g64,
):
    n, plus_minus, code, uniform, origin = settings
    width, first_width = len(scales), layers[0, 1]
    shallow = len(layers) == 2 and code in (RELU, LINEAR)
    left = 0
    settled = 0
    for i in range(len(keys)):
        index = first + uint64(i)
        if i == 0 or index % uint64(SHARERS) == 0:
            left = start_run(z, state, seed, index, stream, width)
        left = next_stretch(z, state, left, width)
        parameters(z, scales, uniform, n, first_width, theta)
        if shallow:
            shallow_logits(theta, tiled, max(n, 4), plus_minus, code, bases, logits)
        else:
            nearest[:] = np.inf
            float32_logits(theta, tiled, max(n, 4), plus_minus, code, h, bases, live, nearest, logits)
        settled += _settle(theta, layers, n, plus_minus, code, origin, bands, nearest, logits, h64, g64)
        _pack(logits, n, keys, i)
    return settled


def sample_networks(
    seed: int,
    first: int,
    stream: int,
    layers: NDArray[np.int64],
    scales: NDArray[np.float32],
    settings: tuple[int, int, int, int, int],
    bands: tuple[float, float, float],
    keys: NDArray[np.uint64],
) -> int:
    """Truth tables of the networks at indices first, first + 1, … of a stream of a seed.

    Args:
        seed: 0 to 2^64 - 1.
        first: index of the first network.
        stream: the stream of the seed that holds latents.
        layers: int64[L, 4], each layer's fan_in, fan_out and the places of its weights and biases among the parameters;
            -1 for no biases.
        scales: float32[d], a parameter's factor.
        settings: n_inputs; inputs in {-1, +1}; activation code; uniform weights; logit at the origin always 0.
        bands: rounding band of a logit relative to the network's largest, its smallest value, band of a step.
        keys: uint64[count, ceil(2^n / 64)], written.

    Returns:
        The number of logits evaluated again in float64.
    """
    layers, tiled, scratch, exact = workspace(layers, len(scales), settings)
    float_bands = tuple(np.float32(band) for band in bands)
    seed_and_first = np.uint64(seed), np.uint64(first)
    scratches = *scratch, *buffers(len(scales)), *exact
    return int(_sample(*seed_and_first, stream, layers, tiled, scales, settings, float_bands, keys, *scratches))


def workspace(
    layers: NDArray[np.int64], width: int, settings: tuple[int, int, int, int, int]
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], tuple[NDArray[Any], ...], tuple[NDArray[np.float64], NDArray[np.float64]]
]:
    """The layers as the kernels read them, and what one network at a time is evaluated in.

    Returns:
        layers with the place of zeros where a layer has no biases; the same for tiles of four inputs or more;
        (theta, h, bases, live, logits, nearest) of the float32 pass; and (h64, g64) of the float64 one.
    """
    n, code, first_width = settings[0], settings[2], layers[0, 1]
    widest = max(8, n, int(layers[:, 1].max()))
    # Zeros behind the parameters: the biases of layers that have none, and weights beyond the last.
    theta = np.zeros(width + widest + 8 + 4 * first_width, np.float32)
    layers = layers.copy()
    layers[layers[:, 3] < 0, 3] = width
    tiled = layers.copy()
    if n < 4:
        tiled[0, 2] = len(theta) - 4 * first_width
    logits = np.zeros(max(16, 1 << n), np.float32)
    scratch = (
        theta,
        np.zeros(2 * (widest + 8) * TILE, np.float32),
        np.zeros(widest, np.float32),
        np.zeros(widest + 1, np.int64),
        logits,
        np.zeros(len(logits) if code == STEP else 0, np.float32),
    )
    return layers, tiled, scratch, (np.zeros(8 * -(-widest // 8)), np.zeros(8 * -(-widest // 8)))
