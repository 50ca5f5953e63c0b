"""The walks of `kernels.rare` for logits a = A z, each with the sign that makes it right where it is positive.

A turn of (z, v) turns (a, w) with it, w = A v being the velocity of the logits. A reflection about the gradient A^T e,
e being 1 at wrong points and 0 elsewhere, takes a multiple of A^T e from v and the same of K e from w, K = A A^T. So a
walk meets A once a velocity and K once a reflection. z waits until a velocity has had its moves: with (a, w) turn

    (u, q)   and the coefficients in   z = (.) z_0 + (.) v_0 + A^T u,   v = (.) z_0 + (.) v_0 + A^T q,

z_0 and v_0 being what this velocity began with. GROUP particles walk side by side, one a lane of a vector. A product
leaves out columns that are 0 in its rows, and those of points that are right for all of a group.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

from pfmap.kernels.lanes import INT64, LANES, Builder, Value, load, loop, place, pointer_to, splat, store
from pfmap.kernels.normals import SHARERS, buffers, next_stretch, start_run

GROUP = LANES // 2
"""Particles side by side; results do not depend on it."""

BLOCK = 8
"""Rows of a matrix that share a load; matrices have multiples of it, the last rows 0."""

_DOUBLE = ir.DoubleType()
_DOUBLES = ir.VectorType(_DOUBLE, GROUP)


def _doubles(x: float) -> Value:
    return ir.Constant(_DOUBLES, [float(x)] * GROUP)


def _call(b: Builder, name: str, *arguments: Value) -> Value:
    full_name = f"llvm.{name}.v{GROUP}f64"
    function_type = ir.FunctionType(_DOUBLES, [_DOUBLES] * len(arguments))
    return b.call(b.module.globals.get(full_name) or ir.Function(b.module, function_type, full_name), arguments)


def _read(b: Builder, pointer: Value, row: Value) -> Value:
    return load(b, pointer, b.mul(row, place(GROUP)), _DOUBLES)


def _write(b: Builder, value: Value, pointer: Value, row: Value) -> None:
    store(b, value, pointer, b.mul(row, place(GROUP)))


def _rotate(b: Builder, x: Value, y: Value, cosine: Value, sine: Value) -> tuple[Value, Value]:
    """Position and velocity after a turn."""
    return (
        _call(b, "fma", sine, y, b.fmul(cosine, x)),
        b.fsub(b.fmul(cosine, y), b.fmul(sine, x)),
    )


def _gather(b: Builder, a: Value, one: Value, sums: list[Value]) -> tuple[Value, list[Value]]:
    """Which lanes have a wrong logit a here, and the sums of squares, of what is wrong and of zeros with it."""
    zero = _doubles(0.0)
    negative, is_zero = b.fcmp_ordered("<", a, zero), b.fcmp_ordered("==", a, zero)
    wrong = b.or_(negative, b.and_(is_zero, b.fcmp_ordered(">", one, zero)))
    square, distance, n_zero = sums
    return wrong, [
        _call(b, "fma", a, a, square),
        b.fsub(distance, b.select(negative, a, zero)),
        b.fadd(n_zero, b.select(is_zero, one, zero)),
    ]


def _level(b: Builder, sums: list[Value], m: Value) -> Value:
    """The level from the sums over all m points."""
    square, distance, n_zero = sums
    number = splat(b, b.sitofp(m, _DOUBLE), _DOUBLES)
    apart = b.fdiv(distance, _call(b, "sqrt", b.fdiv(square, number)))
    apart = _call(b, "maxnum", apart, _doubles(1e-300))
    apart = b.select(b.fcmp_ordered(">", distance, _doubles(0.0)), apart, _doubles(0.0))
    return b.fdiv(b.fsub(b.fneg(n_zero), apart), number)


@intrinsic
def _multiply_block(
    typing: Any, matrix: Any, first: Any, x: Any, columns: Any, n_columns: Any, out: Any, to: Any
) -> Any:
    """Make rows of out, from `to` on, those of M x for the rows of one block of M, which begins at place `first`.

    Columns other than those listed, at least one, are left out.
    """
    signature = types.void(matrix, types.int64, x, columns, types.int64, out, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        rows, x_at, columns_at, out_at = (pointer_to(context, b, sig.args[k], args[k], place(0)) for k in (0, 2, 3, 5))
        first, n_columns, to = args[1], args[4], args[6]

        def column(k: Value, sums: list[Value]) -> list[Value]:
            j = b.load(b.gep(columns_at, [k]))
            xj = _read(b, x_at, j)
            at = b.add(first, b.mul(j, place(BLOCK)))
            entries = [b.load(b.gep(rows, [b.add(at, place(r))])) for r in range(BLOCK)]
            return [_call(b, "fma", splat(b, x, _DOUBLES), xj, t) for x, t in zip(entries, sums, strict=True)]

        for r, total in enumerate(loop(b, n_columns, [_doubles(0.0)] * BLOCK, column)):
            _write(b, total, out_at, b.add(to, place(r)))
        return context.get_dummy_value()

    return signature, generate


@njit(nogil=True, cache=True)
def _multiply(matrix, spans, x, columns, before, out):
    """Make out = M x, where x is 0 in rows other than columns[: before[-1]]; before[j] of them are below j."""
    for i in range(len(matrix)):
        start, stop = before[spans[i, 0]], before[spans[i, 1]]
        # Of no columns one is taken that adds 0: outside the span the matrix is 0, and inside it x is.
        rows = columns[start:] if stop > start else columns
        _multiply_block(matrix, i * matrix[0].size, x, rows, max(stop - start, 1), out, i * BLOCK)


@intrinsic
def _propose(
    typing: Any, a: Any, w: Any, ones: Any, cosine: Any, sine: Any, wrong: Any, columns: Any, before: Any, found: Any
) -> Any:
    """Where one turn leads: wrong[p] is 1 or 0; found[0] is the level there, found[1] the velocity of wrong logits.

    Columns lists the points that are wrong for any, before[p] says how many of them are below p.
    """
    signature = types.void(a, w, ones, types.float64, types.float64, wrong, columns, before, found)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        at = [pointer_to(context, b, sig.args[k], args[k], place(0)) for k in (0, 1, 2, 5, 6, 7, 8)]
        a_at, w_at, ones_at, wrong_at, columns_at, before_at, found_at = at
        cosine, sine = splat(b, args[3], _DOUBLES), splat(b, args[4], _DOUBLES)
        m = b.extract_value(context.make_array(sig.args[2])(context, b, args[2]).shape, 0)

        def point(p: Value, carried: list[Value]) -> list[Value]:
            count, along, *sums = carried
            a1, w1 = _rotate(b, _read(b, a_at, p), _read(b, w_at, p), cosine, sine)
            one = splat(b, b.load(b.gep(ones_at, [p])), _DOUBLES)
            is_wrong, sums = _gather(b, a1, one, sums)
            _write(b, b.select(is_wrong, _doubles(1.0), _doubles(0.0)), wrong_at, p)
            b.store(count, b.gep(before_at, [p]))
            b.store(p, b.gep(columns_at, [count]))
            bits = ir.IntType(GROUP)
            any_wrong = b.icmp_unsigned("!=", b.bitcast(is_wrong, bits), ir.Constant(bits, 0))
            count = b.add(count, b.zext(any_wrong, INT64))
            return [count, b.fadd(along, b.select(is_wrong, w1, _doubles(0.0))), *sums]

        count, along, *sums = loop(b, m, [place(0), *[_doubles(0.0)] * 4], point)
        b.store(count, b.gep(before_at, [m]))
        _write(b, _level(b, sums, m), found_at, place(0))
        _write(b, along, found_at, place(1))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _propose_reflected(
    typing: Any, a: Any, w: Any, ke: Any, ones: Any, cosine: Any, sine: Any, wrong: Any, found: Any, m: Any
) -> Any:
    """Where a turn, a reflection and a turn lead: found[2] is the level there, -inf without a gradient.

    found[3] is what K e is taken times.
    """
    signature = types.void(a, w, ke, ones, types.float64, types.float64, wrong, found, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        at = [pointer_to(context, b, sig.args[k], args[k], place(0)) for k in (0, 1, 2, 3, 6, 7)]
        a_at, w_at, ke_at, ones_at, wrong_at, found_at = at
        cosine, sine, m = splat(b, args[4], _DOUBLES), splat(b, args[5], _DOUBLES), args[8]
        zero = _doubles(0.0)

        def norm(p: Value, carried: list[Value]) -> list[Value]:
            return [_call(b, "fma", _read(b, wrong_at, p), _read(b, ke_at, p), carried[0])]

        square = loop(b, m, [zero], norm)[0]
        factor = b.fdiv(b.fmul(_doubles(2.0), _read(b, found_at, place(1))), square)
        usable = b.and_(b.fcmp_ordered(">", square, zero), b.fcmp_ordered("<", square, _doubles(np.inf)))
        factor = b.select(usable, factor, zero)

        def point(p: Value, sums: list[Value]) -> list[Value]:
            a1, w1 = _rotate(b, _read(b, a_at, p), _read(b, w_at, p), cosine, sine)
            w1 = b.fsub(w1, b.fmul(factor, _read(b, ke_at, p)))
            a2 = _call(b, "fma", sine, w1, b.fmul(cosine, a1))
            return _gather(b, a2, splat(b, b.load(b.gep(ones_at, [p])), _DOUBLES), sums)[1]

        level = _level(b, loop(b, m, [zero] * 3, point), m)
        _write(b, b.select(usable, level, _doubles(-np.inf)), found_at, place(2))
        _write(b, factor, found_at, place(3))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _advance(typing: Any, x: Any, y: Any, e: Any, cosine: Any, sine: Any, found: Any, ways: Any, n_rows: Any) -> Any:
    """Move rows (x, y) as ways[lane] says: 1 a turn, 2 a turn, a reflection and a turn, and 0 none, y turned back."""
    signature = types.void(x, y, e, types.float64, types.float64, found, ways, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        x_at, y_at, e_at, found_at, ways_at = (
            pointer_to(context, b, sig.args[k], args[k], place(0)) for k in (0, 1, 2, 5, 6)
        )
        cosine, sine = splat(b, args[3], _DOUBLES), splat(b, args[4], _DOUBLES)
        factor, way = _read(b, found_at, place(3)), load(b, ways_at, place(0), _DOUBLES)
        once, twice = b.fcmp_ordered("==", way, _doubles(1.0)), b.fcmp_ordered("==", way, _doubles(2.0))

        def row(p: Value, _: list[Value]) -> list[Value]:
            x, y = _read(b, x_at, p), _read(b, y_at, p)
            x1, y1 = _rotate(b, x, y, cosine, sine)
            x2, y2 = _rotate(b, x1, b.fsub(y1, b.fmul(factor, _read(b, e_at, p))), cosine, sine)
            _write(b, b.select(once, x1, b.select(twice, x2, x)), x_at, p)
            _write(b, b.select(once, y1, b.select(twice, y2, b.fneg(y))), y_at, p)
            return []

        loop(b, args[7], [], row)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _mix(typing: Any, x: Any, y: Any, u: Any, at: Any, n_rows: Any) -> Any:
    """Make x the sum of u[at] x and u[at + 1] y."""
    signature = types.void(x, y, u, types.int64, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        x_at, y_at, u_at = (pointer_to(context, b, t, a, place(0)) for t, a in zip(sig.args[:3], args, strict=False))
        of_x, of_y = _read(b, u_at, args[3]), _read(b, u_at, b.add(args[3], place(1)))

        def row(p: Value, _: list[Value]) -> list[Value]:
            _write(b, _call(b, "fma", of_y, _read(b, y_at, p), b.fmul(of_x, _read(b, x_at, p))), x_at, p)
            return []

        loop(b, args[4], [], row)
        return context.get_dummy_value()

    return signature, generate


@njit(nogil=True, cache=True)
def _walk(z, levels, matrices, ones, threshold, step, n_stretches, stretch, seed, first, stream, noise, state, scratch):
    (forward, of_forward), (backward, of_backward), (square, of_square) = matrices
    normal, z0, v0, a, w, ke, u, q, e, found, ways, every, columns, before = scratch
    (n, d), m = z.shape, len(ones)
    cosine, sine = np.sqrt(1.0 - step * step), step
    moved, evaluated, left = 0, 0, 0
    for i in range(0, n, GROUP):
        size = min(GROUP, n - i)
        for k in range(size * n_stretches):
            index = first + uint64(i * n_stretches + k)
            if i + k == 0 or index % uint64(SHARERS) == 0:
                left = start_run(noise, state, seed, index, stream, d)
            left = next_stretch(noise, state, left, d)
            normal[k] = noise[:d]
        for t in range(size):
            z0[:d, t] = z[i + t]
        _multiply(forward, of_forward, z0, every, every, a)
        u[:], q[:], e[m:] = 0.0, 0.0, 0.0
        for s in range(n_stretches):
            for j in range(d):
                for t in range(GROUP):
                    v0[j, t] = normal[t * n_stretches + s, j]
            _multiply(forward, of_forward, v0, every, every, w)
            q[:m] = 0.0
            u[m], u[m + 1], q[m], q[m + 1] = 1.0, 0.0, 0.0, 1.0
            for _ in range(stretch):
                _propose(a, w, ones, cosine, sine, e, columns, before, found)
                missed = False
                for t in range(size):
                    missed |= not found[0, t] > threshold
                if missed:
                    _multiply(square, of_square, e, columns, before, ke)
                    _propose_reflected(a, w, ke, ones, cosine, sine, e, found, m)
                for t in range(size):
                    evaluated += 1
                    ways[t] = 0.0
                    if found[0, t] > threshold:
                        ways[t], levels[i + t] = 1.0, found[0, t]
                    elif found[2, t] > -np.inf:
                        evaluated += 1
                        if found[2, t] > threshold:
                            ways[t], levels[i + t] = 2.0, found[2, t]
                    moved += ways[t] > 0.0
                _advance(a, w, ke, cosine, sine, found, ways, m)
                _advance(u, q, e, cosine, sine, found, ways, m + 2)
            _mix(z0, v0, u, m, d)
        _multiply(backward, of_backward, u, every, every, v0)
        for t in range(size):
            for j in range(d):
                z[i + t, j] = z0[j, t] + v0[j, t]
    return moved, evaluated


@njit(nogil=True, cache=True)
def _levels(z, levels, matrices, ones, scratch):
    forward, of_forward = matrices[0]
    _, z0, _, a, w, _, _, _, e, found, _, every, columns, before = scratch
    n, d = z.shape
    for i in range(0, n, GROUP):
        size = min(GROUP, n - i)
        for t in range(size):
            z0[:d, t] = z[i + t]
        _multiply(forward, of_forward, z0, every, every, a)
        _propose(a, w, ones, 1.0, 0.0, e, columns, before, found)
        levels[i : i + size] = found[0, :size]


Blocks: TypeAlias = tuple[NDArray[np.float64], NDArray[np.int64]]
"""A matrix as [blocks, columns, BLOCK], and the columns [from, to) outside of which the rows of each block are 0."""


def matrices_of(A: NDArray[Any]) -> tuple[Blocks, Blocks, Blocks]:
    """A, its transpose and A A^T, each with rows of zeros to a multiple of BLOCK."""
    return _blocks(A), _blocks(A.T), _blocks(A @ A.T)


def _blocks(M: NDArray[Any]) -> Blocks:
    padded = np.pad(M, ((0, -len(M) % BLOCK), (0, 0)))
    blocks = np.ascontiguousarray(padded.reshape(-1, BLOCK, M.shape[1]).transpose(0, 2, 1))
    filled = (blocks != 0).any(axis=2)
    last = np.where(filled.any(axis=1), M.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    return blocks, np.stack([filled.argmax(axis=1), last], axis=1)


def _scratch(d: int, m: int, n_stretches: int) -> tuple[Any, ...]:
    many, few = -(-d // BLOCK) * BLOCK, -(-m // BLOCK) * BLOCK
    normal = np.zeros((GROUP * n_stretches, d), np.float32)
    rows = (many, many, few, few, few, m + 2, m + 2, m + 2, 4)
    lists = np.arange(max(d, m) + 1), np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64)
    return normal, *(np.zeros((n, GROUP)) for n in rows), np.zeros(GROUP), *lists


def linear_levels(
    matrices: tuple[Blocks, Blocks, Blocks], ones: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64[N], the levels of z float64[N, d]; `walk_linear` says what matrices and ones are."""
    levels = np.empty(len(z))
    _levels(z, levels, matrices, ones, _scratch(z.shape[1], len(ones), 0))
    return levels


def walk_linear(
    matrices: tuple[Blocks, Blocks, Blocks],
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
        matrices: `matrices_of` A [m, d]; row p of A gives the logit of constrained point p, times -1 where the table
            is 0.
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
    d, start = z.shape[1], (np.uint64(seed), np.uint64(first), stream)
    scratch = *buffers(d), _scratch(d, len(ones), n_stretches)
    moved, evaluated = _walk(z, levels, matrices, ones, threshold, step, n_stretches, stretch, *start, *scratch)
    return int(moved), int(evaluated)
