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
from numba import float32, float64, njit, uint64
from numpy.typing import NDArray

from pfmap.kernels import tiles
from pfmap.kernels.lanes import LANES
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
    activation_at,
    exact_logit,
    float32_logits,
    parameters,
    shallow_logits,
    workspace,
)
from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run

MOST_WRONG = 64
"""Wrong points that enter a gradient; of more, every second, third, … is taken."""

_SMALLEST = np.float32(1e-45)


@dataclass(frozen=True)
class NetworkPlan:
    """A network as its kernels take it; `kernels.network.sample_networks` says what each entry means."""

    layers: NDArray[np.int64]
    scales: NDArray[np.float32]
    settings: tuple[int, int, int, int, int]
    bands: tuple[float, float, float]


@njit(nogil=True, cache=True)
def _slope(code, a):
    if code in (RELU, LEAKY_RELU):
        return float32(1.0) if a > 0.0 else (float32(0.0) if code == RELU else float32(0.01))
    if code == TANH:
        return float32(1.0 - math.tanh(a) ** 2)
    if code == ERF:
        return float32(2.0 / math.sqrt(math.pi) * math.exp(-a * a))
    if code in (SIGMOID, SILU):
        s = 1.0 / (1.0 + math.exp(-a))
        return float32(s * (1.0 - s) if code == SIGMOID else s * (1.0 + a * (1.0 - s)))
    if code == GELU:
        return float32(0.5 * (1.0 + math.erf(a * math.sqrt(0.5))) + a * math.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))
    return float32(0.0) if code == STEP else float32(1.0)


@njit(nogil=True, cache=True)
def _settle(theta, layers, n, plus_minus, code, origin, bands, wanted, nearest, logits, h64, g64):
    """Replace every logit that float32 cannot sign by its float64 value."""
    relative, smallest_band, step_band = bands
    if origin:  # without biases the logit at x = 0 is exactly 0, which is no near miss
        logits[0] = logits[1]
    n_vectors = len(logits) // LANES
    band = max(smallest_band, relative * tiles.largest_size(logits, n_vectors))
    if code == STEP or not tiles.all_beyond(logits, n_vectors, band):
        for p in range(1 if origin else 0, 1 << n):
            if wanted[p] != 0 and (not abs(logits[p]) > band or (code == STEP and not nearest[p] > step_band)):
                exact = exact_logit(theta, layers, n, plus_minus, code, p, h64, g64)
                logits[p] = float32(exact)
                if exact != 0.0 and logits[p] == 0.0:  # float32 has no number so small
                    logits[p] = _SMALLEST if exact > 0.0 else -_SMALLEST
    if origin:
        logits[0] = float32(0.0)


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


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _gradient(theta, layers, n, plus_minus, code, wanted, listed, n_listed, values, slopes, deltas, gradient):
    """The gradient of the sum of wanted logits over the listed points, with respect to theta."""
    last = len(layers) - 1
    for i in range(n):
        for q in range(n_listed):
            bit = (listed[q] >> (n - 1 - i)) & 1
            values[i, q] = float32(2 * bit - 1 if plus_minus else bit)
    source = 0
    for depth in range(last):
        fan_in, fan_out, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
        target = source + fan_in
        for i in range(fan_out):
            row = values[target + i]
            for q in range(n_listed):
                row[q] = theta[bias + i]
            for k in range(fan_in):
                weight = theta[w + i * fan_in + k]
                for q in range(n_listed):
                    row[q] += weight * values[source + k, q]
            for q in range(n_listed):
                slopes[target + i, q] = _slope(code, row[q])
                row[q] = activation_at(code, row[q])
        source = target
    fan_in, w, bias = layers[last, 0], layers[last, 2], layers[last, 3]
    total = float32(0.0)
    for q in range(n_listed):
        total += float32(wanted[listed[q]])
    gradient[bias] = total
    for k in range(fan_in):
        total = float32(0.0)
        for q in range(n_listed):
            sign = float32(wanted[listed[q]])
            total += sign * values[source + k, q]
            deltas[source + k, q] = sign * theta[w + k] * slopes[source + k, q]
        gradient[w + k] = total
    for depth in range(last - 1, -1, -1):
        fan_in, fan_out, w, bias = layers[depth, 0], layers[depth, 1], layers[depth, 2], layers[depth, 3]
        target, source = source, source - fan_in
        if depth > 0:
            for k in range(fan_in):
                for q in range(n_listed):
                    deltas[source + k, q] = float32(0.0)
        for i in range(fan_out):
            delta = deltas[target + i]
            total = float32(0.0)
            for q in range(n_listed):
                total += delta[q]
            gradient[bias + i] = total
            for k in range(fan_in):
                total = float32(0.0)
                for q in range(n_listed):
                    total += delta[q] * values[source + k, q]
                gradient[w + i * fan_in + k] = total
                if depth > 0:
                    weight = theta[w + i * fan_in + k]
                    for q in range(n_listed):
                        deltas[source + k, q] += weight * delta[q]
        if depth > 0:
            for k in range(fan_in):
                for q in range(n_listed):
                    deltas[source + k, q] *= slopes[source + k, q]


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
    """Turn v round about the gradient at z, where `_evaluate` has just been; whether there is any gradient."""
    layers, _, scales, settings, _ = network
    theta, logits = scratch[0], scratch[4]
    listed, values, slopes, deltas, gradient = trail
    n, plus_minus, code, uniform, _ = settings
    n_listed = _list_wrong(logits, wanted, listed)
    _gradient(theta, layers, n, plus_minus, code, wanted, listed, n_listed, values, slopes, deltas, gradient)
    along, square = 0.0, 0.0
    for j in range(len(scales)):
        g = float64(gradient[j]) * scales[j]
        if uniform:
            g *= math.exp(-0.5 * z[j] * z[j])
        gradient[j] = g
        along += v[j] * g
        square += g * g
    if not 0.0 < square < np.inf:
        return False
    for j in range(len(scales)):
        v[j] -= 2.0 * along / square * gradient[j]
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
    d, rows = len(plan.scales), int(plan.layers[:, 0].sum())
    most = min(MOST_WRONG, len(wanted))
    listed, gradient = np.zeros(most, np.int64), np.zeros(len(scratch[0]), np.float32)
    trail = listed, *(np.zeros((rows, most), np.float32) for _ in range(3)), gradient
    vectors = tuple(np.zeros(d) for _ in range(5))
    start = np.uint64(seed), np.uint64(first)
    scratches = network, wanted, scratch, trail, *buffers(d), vectors
    moved, evaluated = _walk(z, levels, threshold, step, n_stretches, stretch, *start, stream, *scratches)
    return int(moved), int(evaluated)


def _prepare(plan: NetworkPlan) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    layers, tiled, scratch, exact = workspace(plan.layers, len(plan.scales), plan.settings)
    bands = tuple(np.float32(band) for band in plan.bands)
    rounded = np.zeros(len(plan.scales), np.float32)
    return (layers, tiled, plan.scales, plan.settings, bands), (*scratch, rounded, *exact)
