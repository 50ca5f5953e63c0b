"""The walks of `kernels.rare` for logits that are linear in z, where a turn of z turns the logits with it.

    x = (z, a),   y = (v, A v),   a = A z the logits, each with the sign that makes it right where it is positive

A turn maps (x, y) to (x cos + y sin, y cos - x sin), and a reflection adds to y a sum of rows of (A, A A^T), those of
the wrong points; A itself is met only once a velocity.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _level_of(logits, ones):
    """The level of signed logits; ones[p] is 1.0 where the table is 1, so that a logit of 0 is wrong, and else 0.0."""
    square, distance, n_zero = 0.0, 0.0, 0.0
    for p in range(len(ones)):
        a = logits[p]
        square += a * a
        distance -= a if a < 0.0 else 0.0
        n_zero += ones[p] if a == 0.0 else 0.0
    level = -n_zero
    if distance > 0.0:
        level -= max(distance / math.sqrt(square / len(ones)), 1e-300)
    return level / len(ones)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _set_logits(x, rows, d):
    """Write A z behind z in each of four rows of x; four share a load of A."""
    z0, z1, z2, z3 = x[0, :d], x[1, :d], x[2, :d], x[3, :d]
    for p in range(len(rows)):
        row = rows[p, :d]
        a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
        for j in range(d):
            a0 += row[j] * z0[j]
            a1 += row[j] * z1[j]
            a2 += row[j] * z2[j]
            a3 += row[j] * z3[j]
        x[0, d + p], x[1, d + p], x[2, d + p], x[3, d + p] = a0, a1, a2, a3


@njit(nogil=True, cache=True)
def _turn(x, y, cosine, sine, new_x, new_y):
    for j in range(len(x)):
        new_x[j] = cosine * x[j] + sine * y[j]
        new_y[j] = cosine * y[j] - sine * x[j]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _reflect(x, y, rows, ones, d, wrong, gradient):
    """Turn y round about the gradient at x of the sum of wrong logits; whether there is any gradient."""
    n_wrong, along = 0, 0.0
    for p in range(len(rows)):
        if x[d + p] < 0.0 or (x[d + p] == 0.0 and ones[p] > 0.0):
            wrong[n_wrong] = p
            n_wrong += 1
            along += y[d + p]
    gradient[:] = 0.0
    for q in range(0, n_wrong - 3, 4):
        row0, row1, row2, row3 = rows[wrong[q]], rows[wrong[q + 1]], rows[wrong[q + 2]], rows[wrong[q + 3]]
        for j in range(len(gradient)):
            gradient[j] += (row0[j] + row1[j]) + (row2[j] + row3[j])
    for q in range(n_wrong - n_wrong % 4, n_wrong):
        row = rows[wrong[q]]
        for j in range(len(gradient)):
            gradient[j] += row[j]
    square = 0.0
    for j in range(d):
        square += gradient[j] * gradient[j]
    if not 0.0 < square < np.inf:
        return False
    factor = 2.0 * along / square
    for j in range(len(y)):
        y[j] -= factor * gradient[j]
    return True


@njit(nogil=True, cache=True)
def _walk(z, levels, rows, ones, threshold, step, n_stretches, stretch, seed, first, stream, noise, state, scratch):
    cosine, sine = math.sqrt(1.0 - step * step), step
    velocities, starts, x1, y1, x2, y2, gradient, wrong = scratch
    (n, d), left = z.shape, 0
    moved, evaluated = 0, 0
    for k in range(n * n_stretches):
        if k % 4 == 0:
            for t in range(min(4, n * n_stretches - k)):
                index = first + uint64(k + t)
                if k + t == 0 or index % uint64(SHARERS) == 0:
                    left = start_run(noise, state, seed, index, stream, d)
                left = next_stretch(noise, state, left, d)
                for j in range(d):
                    velocities[t, j] = noise[j]
            _set_logits(velocities, rows, d)
        i, s = k // n_stretches, k % n_stretches
        if s == 0:
            if i % 4 == 0:
                for t in range(min(4, n - i)):
                    starts[t, :d] = z[i + t]
                _set_logits(starts, rows, d)
            x = starts[i % 4]
        y = velocities[k % 4]
        for _ in range(stretch):
            _turn(x, y, cosine, sine, x1, y1)
            level = _level_of(x1[d:], ones)
            evaluated += 1
            if level > threshold:
                x[:], y[:] = x1, y1
                levels[i] = level
                moved += 1
                continue
            if _reflect(x1, y1, rows, ones, d, wrong, gradient):
                _turn(x1, y1, cosine, sine, x2, y2)
                level = _level_of(x2[d:], ones)
                evaluated += 1
                if level > threshold:
                    x[:], y[:] = x2, y2
                    levels[i] = level
                    moved += 1
                    continue
            for j in range(len(y)):
                y[j] = -y[j]
        if s == n_stretches - 1:
            z[i] = x[:d]
    return moved, evaluated


@njit(nogil=True, cache=True)
def _levels(z, levels, rows, ones, x):
    n, d = z.shape
    for i in range(n):
        if i % 4 == 0:
            for t in range(min(4, n - i)):
                x[t, :d] = z[i + t]
            _set_logits(x, rows, d)
        levels[i] = _level_of(x[i % 4, d:], ones)


def linear_levels(rows: NDArray[np.float64], ones: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[N], the levels of z float64[N, d]; `walk_linear` says what rows and ones are."""
    levels = np.empty(len(z))
    _levels(z, levels, rows, ones, np.zeros((4, rows.shape[1])))
    return levels


def walk_linear(
    rows: NDArray[np.float64],
    ones: NDArray[np.float64],
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
        rows: float64[m, d + m], (A, A A^T); row p of A gives the logit of constrained point p, times -1 where the
            table is 0.
        ones: float64[m], 1.0 where the table is 1 and 0.0 elsewhere.
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
        How many of the N n_stretches stretch moves went anywhere, and how many levels were taken.
    """
    m, width = rows.shape
    scratch = np.zeros((4, width)), np.zeros((4, width)), *(np.zeros(width) for _ in range(5)), np.zeros(m, np.int64)
    where = np.uint64(seed), np.uint64(first), stream, *buffers(width - m), scratch
    moved, evaluated = _walk(z, levels, rows, ones, threshold, step, n_stretches, stretch, *where)
    return int(moved), int(evaluated)
