"""Fully connected networks on all 2^n points at once, from random numbers to packed truth tables, in one loop.

Logits are computed in float32; every point whose logit lies within the rounding band, or behind a step that does, is
computed again in float64, one point at a time. So the bits are those of the float64 logit of the float32 parameters.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float32, float64, njit, uint64

from pfmap.kernels import vectors as v
from pfmap.kernels.normals import SHARERS, next_stretch, start_run

RELU, LEAKY_RELU, TANH, ERF, SIGMOID, GELU, SILU, STEP, LINEAR = range(9)
"""Activation codes; maps.mlp names them in this order."""

TILE = v.TILE
LEAD = 8
"""Floats before the parameters: a tile has at least sixteen points, so n < 4 reads weights of inputs that are not
there."""

_WIDE = v.WIDE


@njit(nogil=True, cache=True)
def _phi(code, a):
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
def _exact_logit(theta, layers, n, plus_minus, code, point, h, g):
    """Float64 logit of one point."""
    for i in range(n):
        bit = (point >> (n - 1 - i)) & 1
        h[i] = 2.0 * bit - 1.0 if plus_minus else float64(bit)
    last = len(layers) - 1
    for depth in range(last + 1):
        fan_in, fan_out, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
        for i in range(fan_out):
            a = float64(theta[bias + i])
            for k in range(fan_in):
                a += float64(theta[w + i * fan_in + k]) * h[k]
            g[i] = _phi(code, a) if depth < last else a
        h, g = g, h
    return h[0]


@njit(nogil=True, cache=True)
def _first_layer(theta, layer, n, plus_minus, floor, tile, points, h):
    width, w, bias = layer[1], layer[2], layer[3]
    for j in range(width):
        last = w + j * n + n - 1  # the weight of bit 0
        base = theta[bias + j]
        for q in range(6, n):
            if plus_minus:
                base += theta[last - q] if (tile >> (q - 6)) & 1 else -theta[last - q]
            elif (tile >> (q - 6)) & 1:
                base += theta[last - q]
        at = j * TILE
        if plus_minus:
            if points == 64:
                v.first_layer_64_pm(theta, last, base, floor, h, at)
            elif points == 32:
                v.first_layer_32_pm(theta, last, base, floor, h, at)
            else:
                v.first_layer_16_pm(theta, last, base, floor, h, at)
        elif points == 64:
            v.first_layer_64(theta, last, base, floor, h, at)
        elif points == 32:
            v.first_layer_32(theta, last, base, floor, h, at)
        else:
            v.first_layer_16(theta, last, base, floor, h, at)


@njit(nogil=True, cache=True)
def _dense(theta, layer, floor, live, n_live, h, column, g, wide):
    """One block of columns of a dense layer, its rows in near-equal groups."""
    fan_in, width, w, bias = layer[0], layer[1], layer[2], layer[3]
    row = 0
    for groups in range((width + v.MAX_ROWS - 1) // v.MAX_ROWS, 0, -1):
        rows = (width - row + groups - 1) // groups
        at_w, at_b, at = w + row * fan_in, bias + row, row * TILE + column
        if wide:
            if rows == 5:
                v.wide_5(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
            elif rows == 4:
                v.wide_4(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
            elif rows == 3:
                v.wide_3(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
            elif rows == 2:
                v.wide_2(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
            else:
                v.wide_1(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        elif rows == 5:
            v.dense_5(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        elif rows == 4:
            v.dense_4(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        elif rows == 3:
            v.dense_3(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        elif rows == 2:
            v.dense_2(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        else:
            v.dense_1(theta, at_w, at_b, fan_in, live, n_live, h, column, floor, g, at)
        row += rows


@njit(nogil=True, cache=True)
def _activate(code, h, width, points):
    vectors = points // v.LANES
    for j in range(width):
        at = j * TILE
        if code == TANH:
            v.tanh_pass(h, at, vectors)
        elif code == ERF:
            v.erf_pass(h, at, vectors)
        elif code == SIGMOID:
            v.sigmoid_pass(h, at, vectors)
        elif code == GELU:
            v.gelu_pass(h, at, vectors)
        elif code == SILU:
            v.silu_pass(h, at, vectors)
        elif code == LEAKY_RELU:
            for p in range(at, at + points):
                h[p] = max(h[p], float32(0.01) * h[p])


@njit(nogil=True, cache=True)
def _step(h, width, points, nearest, at_point):
    """Step in place; nearest[p] keeps the smallest size of a pre-activation met at point p."""
    for j in range(width):
        for p in range(points):
            a = h[j * TILE + p]
            nearest[at_point + p] = min(nearest[at_point + p], abs(a))
            h[j * TILE + p] = float32(1.0) if a > 0 else float32(0.0)


@njit(nogil=True, cache=True)
def _forward(theta, layers, n, plus_minus, code, h, g, live, nearest, logits):
    """Float32 logits of all points, tile by tile."""
    points = min(TILE, len(logits))
    floor = float32(0.0) if code == RELU else float32(-np.inf)
    wide = points % _WIDE == 0
    step = _WIDE if wide else 16
    sparse = code == RELU or code == STEP  # activations that are often 0 on a whole block of points
    last = len(layers) - 1
    for tile in range(len(logits) // points):
        first_floor = floor if last > 0 else float32(-np.inf)
        _first_layer(theta, layers[0], n, plus_minus, first_floor, tile, points, h)
        for depth in range(1, last + 1):
            fan_in = layers[depth, 0]
            if code == STEP:
                _step(h, fan_in, points, nearest, tile * points)
            elif code != RELU and code != LINEAR:
                _activate(code, h, fan_in, points)
            if depth == last:
                break
            for column in range(0, points, step):
                n_live = 0
                for k in range(fan_in):
                    live[n_live] = k
                    if not sparse:
                        n_live += 1
                    elif wide:
                        n_live += v.alive_wide(h, k * TILE + column)
                    else:
                        n_live += v.alive_16(h, k * TILE + column)
                _dense(theta, layers[depth], floor, live, max(n_live, 1), h, column, g, wide)
            h, g = g, h
        if last > 0:
            fan_in, w, bias = layers[last, 0], layers[last, 2], layers[last, 3]
            for k in range(fan_in * TILE, (fan_in + v.OUTPUT_SPLIT - 1) // v.OUTPUT_SPLIT * v.OUTPUT_SPLIT * TILE):
                h[k] = float32(0.0)
            if points == 64:
                v.output_64(theta, w, bias, fan_in, h, logits, tile * points)
            elif points == 32:
                v.output_32(theta, w, bias, fan_in, h, logits, tile * points)
            else:
                v.output_16(theta, w, bias, fan_in, h, logits, tile * points)
        else:
            for p in range(points):
                logits[tile * points + p] = h[p]


@njit(nogil=True, cache=True)
def _parameters(z, scales, uniform, theta):
    """theta[LEAD : LEAD + d] from z; the zeros around it stay zero."""
    width = len(scales)
    if uniform:
        for j in range(width):
            theta[LEAD + j] = z[j]
        v.normal_odds_pass(theta, LEAD, (width + v.LANES - 1) // v.LANES)
        for j in range(width):
            theta[LEAD + j] *= scales[j]
    else:
        for j in range(width):
            theta[LEAD + j] = z[j] * scales[j]


@njit(nogil=True, cache=True)
def _settle(theta, layers, n, plus_minus, code, origin, bands, nearest, logits, h64, g64):
    """Replace every logit that float32 cannot sign by the sign of its float64 value; returns how many."""
    relative, smallest_band, step_band = bands
    if origin:  # without biases the logit at x = 0 is exactly 0, which is no near miss
        logits[0] = logits[1]
    n_vectors = len(logits) // v.LANES
    band = max(smallest_band, relative * v.largest_size(logits, n_vectors))
    settled = 0
    if code == STEP or not v.all_beyond(logits, n_vectors, band):
        for p in range(1 if origin else 0, 1 << n):
            if not abs(logits[p]) > band or (code == STEP and not nearest[p] > step_band):
                exact = _exact_logit(theta, layers, n, plus_minus, code, p, h64, g64)
                logits[p] = float32(1.0) if exact > 0.0 else float32(-1.0)
                settled += 1
    if origin:
        logits[0] = float32(-1.0)
    return settled


@njit(nogil=True, cache=True)
def _pack(logits, n, row):
    n_points = 1 << n
    for w in range(len(row)):
        bits = uint64(0)
        for p in range(0, min(64, len(logits)), 16):
            bits |= v.signs(logits, 64 * w + p) << uint64(p)
        row[w] = bits
    if n_points < 64:
        row[0] &= (uint64(1) << uint64(n_points)) - uint64(1)


@njit(nogil=True, cache=True)
def sample_networks(seed, first, stream, layers, scales, settings, bands, keys):
    """Truth tables of the networks at indices first, first + 1, … of a stream of a seed.

    Args:
        seed: uint64.
        first: uint64, index of the first network.
        stream: int64, the stream of the seed that holds latents.
        layers: int64[L, 4], each layer's fan_in, fan_out and the places of its weights and biases among the parameters;
            -1 for no biases.
        scales: float32[d], a parameter's factor.
        settings: n_inputs, inputs in {-1, +1}, activation code, uniform weights, logit at the origin always 0; ints.
        bands: rounding band of a logit relative to the network's largest, its smallest value, band of a step; float32.
        keys: uint64[count, ceil(2^n / 64)], written.

    Returns:
        The number of logits evaluated again in float64.
    """
    n, plus_minus, code, uniform, origin = settings
    width = len(scales)
    widest = max(8, n)
    for depth in range(len(layers)):
        widest = max(widest, layers[depth, 1])
    # Zeros behind the parameters: the biases of layers that have none, and weights beyond the last.
    theta = np.zeros(LEAD + width + widest + 8, np.float32)
    places = layers.copy()
    for depth in range(len(layers)):
        places[depth, 2] += LEAD
        places[depth, 3] = LEAD + (places[depth, 3] if places[depth, 3] >= 0 else width)
    h = np.zeros((widest + 8) * TILE, np.float32)
    g = np.zeros((widest + 8) * TILE, np.float32)
    live = np.zeros(widest + 1, np.int64)
    logits = np.zeros(max(16, 1 << n), np.float32)
    nearest = np.zeros(len(logits) if code == STEP else 0, np.float32)
    h64, g64 = np.zeros(widest), np.zeros(widest)
    z = np.zeros(width + 128, np.float32)
    state = np.zeros(64, np.int32)
    left = 0
    settled = 0
    for i in range(len(keys)):
        index = first + uint64(i)
        if i == 0 or index % uint64(SHARERS) == 0:
            left = start_run(z, state, seed, index, stream, width)
        left = next_stretch(z, state, left, width)
        _parameters(z, scales, uniform, theta)
        nearest[:] = np.inf
        _forward(theta, places, n, plus_minus, code, h, g, live, nearest, logits)
        settled += _settle(theta, places, n, plus_minus, code, origin, bands, nearest, logits, h64, g64)
        _pack(logits, n, keys[i])
    return settled
