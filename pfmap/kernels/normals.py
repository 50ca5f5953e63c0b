"""Standard normals as a pure function of (seed, index): Philox seeds lanes of xoshiro128++, Box and Muller bend them.

Sixteen consecutive indices share a run of normals: the run of indices 16 g … 16 g + 15 comes from sixteen xoshiro128++
lanes whose states are Philox4x32-10 of (lane, g, stream) under the seed, and index 16 g + r takes its r-th stretch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

from pfmap.kernels.lanes import (
    FLOATS,
    INT32,
    INT64,
    INTS,
    LANES,
    Builder,
    Value,
    call,
    floats,
    fma,
    horner,
    ints,
    load,
    loop,
    place,
    pointer_to,
    splat,
    store,
)

SHARERS = 16
"""Indices that share one run of normals."""

_WIDES = ir.VectorType(INT64, LANES // 2)

LOG1P = (
    0.9999999453381421,
    -0.500003651487682,
    0.33335058380223226,
    -0.24969907120016713,
    0.19900181608700607,
    -0.17250872325246794,
    0.16222465728856056,
    -0.10106611226547578,
)
SINE = (0.9999999967619123, -0.1666665022432558, 0.008332016454014116, -0.00019501821940672015)
COSINE = (0.9999999673873743, -0.49999842434966957, 0.04165441956895477, -0.001357940400349672)


def _philox_multiply(b: Builder, x: Value, multiplier: int) -> tuple[Value, Value]:
    # High and low halves of x * multiplier in every lane, from the even and the odd lanes' 64-bit products.
    factor = ir.Constant(_WIDES, [multiplier] * (LANES // 2))
    low_half = ir.Constant(_WIDES, [0xFFFFFFFF] * (LANES // 2))
    high_half = ir.Constant(_WIDES, [-(1 << 32)] * (LANES // 2))
    shift = ir.Constant(_WIDES, [32] * (LANES // 2))
    pairs = b.bitcast(x, _WIDES)
    even = b.mul(b.and_(pairs, low_half), factor)
    odd = b.mul(b.lshr(pairs, shift), factor)
    high = b.or_(b.lshr(even, shift), b.and_(odd, high_half))
    low = b.or_(b.and_(even, low_half), b.shl(odd, shift))
    return b.bitcast(high, INTS), b.bitcast(low, INTS)


def _philox(b: Builder, counter: tuple[Value, ...], key: tuple[Value, Value]) -> tuple[Value, ...]:
    """Ten rounds of Philox4x32 (Salmon et al. 2011, Random123) on LANES counters at once."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for r in range(10):
        if r:
            k0 = b.add(k0, ir.Constant(INT32, 0x9E3779B9))
            k1 = b.add(k1, ir.Constant(INT32, 0xBB67AE85))
        high0, low0 = _philox_multiply(b, c0, 0xD2511F53)
        high1, low1 = _philox_multiply(b, c2, 0xCD9E8D57)
        c0, c1 = b.xor(b.xor(high1, c1), splat(b, k0, INTS)), low1
        c2, c3 = b.xor(b.xor(high0, c3), splat(b, k1, INTS)), low0
    return c0, c1, c2, c3


def _rotate(b: Builder, x: Value, left: int) -> Value:
    return b.or_(b.shl(x, ints(left)), b.lshr(x, ints(32 - left)))


def _xoshiro(b: Builder, state: list[Value]) -> tuple[Value, list[Value]]:
    """One word of xoshiro128++ (Blackman and Vigna 2021) in every lane, and the next state."""
    s0, s1, s2, s3 = state
    word = b.add(_rotate(b, b.add(s0, s3), 7), s0)
    shifted = b.shl(s1, ints(9))
    s2, s3 = b.xor(s2, s0), b.xor(s3, s1)
    s1, s0 = b.xor(s1, s2), b.xor(s0, s3)
    return word, [s0, s1, b.xor(s2, shifted), _rotate(b, s3, 11)]


def _box_muller(b: Builder, r1: Value, r2: Value) -> tuple[Value, Value]:
    """Two normals from two words: radius from the upper 31 bits of r1, angle from r2 and the lowest bit of r1.

    u = (r1 // 2 + 1/2) 2^-31 lies in (0, 1); near 1 the logarithm starts from 1 - u, which is exact there, so small
    radii are as finely spaced as large ones. Neither normal is ever 0; the largest is sqrt(64 ln 2) = 6.66.
    """
    upper = b.lshr(r1, ints(1))
    unit, half = floats(2.0**-31), floats(2.0**-32)
    u = fma(b, b.sitofp(upper, FLOATS), unit, half)
    one_minus_u = fma(b, b.sitofp(b.xor(upper, ints(0x7FFFFFFF)), FLOATS), unit, half)
    word = b.bitcast(u, INTS)
    exponent = b.ashr(b.sub(word, ints(0x3F3504F3)), ints(23))  # so that the mantissa lies in [sqrt(1/2), sqrt(2))
    mantissa = b.bitcast(b.sub(word, b.shl(exponent, ints(23))), FLOATS)
    f = b.select(b.icmp_signed("==", exponent, ints(0)), b.fneg(one_minus_u), b.fsub(mantissa, floats(1.0)))
    log1p = b.fmul(b.fmul(horner(b, f, LOG1P), f), floats(-2.0))
    radius = call(b, "sqrt", fma(b, b.sitofp(exponent, FLOATS), floats(-2.0 * math.log(2.0)), log1p))
    # Quarter turn from 30 bits, centred on the axis; bit 30 swaps the axes, bit 31 and the bit left over sign them.
    quarter = b.or_(b.shl(r2, ints(2)), ints(2))
    t = b.fmul(b.sitofp(quarter, FLOATS), floats(math.pi / 4 * 2.0**-31))
    square = b.fmul(t, t)
    sine, cosine = b.fmul(horner(b, square, SINE), t), horner(b, square, COSINE)
    swap = b.icmp_unsigned("!=", b.and_(r2, ints(1 << 30)), ints(0))
    first, second = b.select(swap, sine, cosine), b.select(swap, cosine, sine)
    sign1, sign2 = b.and_(r2, ints(1 << 31)), b.shl(r1, ints(31))
    first = b.bitcast(b.xor(b.bitcast(first, INTS), sign1), FLOATS)
    second = b.bitcast(b.xor(b.bitcast(second, INTS), sign2), FLOATS)
    return b.fmul(first, radius), b.fmul(second, radius)


@intrinsic
def seed_lanes(typing: Any, state: Any, seed: Any, index: Any, stream: Any) -> Any:
    """Fill the state of 16 xoshiro lanes, int32[64]: word k of lane l is word k of Philox at (l, index, stream)."""
    signature = types.void(state, types.uint64, types.uint64, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, b, sig.args[0], args[0], place(0))
        low, high = (lambda x: b.trunc(x, INT32)), (lambda x: b.trunc(b.lshr(x, place(32)), INT32))
        fixed = tuple(splat(b, x, INTS) for x in (low(args[2]), high(args[2]), low(args[3])))
        for start in range(0, 16, LANES):
            lanes = ir.Constant(INTS, list(range(start, start + LANES)))
            for k, word in enumerate(_philox(b, (lanes, *fixed), (low(args[1]), high(args[1])))):
                store(b, word, pointer, place(16 * k + start))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def normal_groups(typing: Any, state: Any, n_groups: Any, out: Any, at: Any) -> Any:
    """Append n_groups >= 1 groups of 64 normals and advance the lanes.

    In each group lane l yields words w0 … w3 and its normals z[16 k + l], k = 0 … 3, from (w0, w1) and (w2, w3).
    """
    signature = types.void(state, types.int64, out, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        lanes = pointer_to(context, b, sig.args[0], args[0], place(0))
        pointer = pointer_to(context, b, sig.args[2], args[2], args[3])
        for start in range(0, 16, LANES):

            def body(g: Value, words: list[Value], start: int = start) -> list[Value]:
                base = b.add(b.mul(g, place(64)), place(start))
                for k in (0, 32):
                    first, words = _xoshiro(b, words)
                    second, words = _xoshiro(b, words)
                    for step, z in zip((0, 16), _box_muller(b, first, second), strict=True):
                        store(b, z, pointer, b.add(base, place(k + step)))
                return words

            words = [load(b, lanes, place(16 * k + start), INTS) for k in range(4)]
            for k, word in enumerate(loop(b, args[1], words, body)):
                store(b, word, lanes, place(16 * k + start))
        return context.get_dummy_value()

    return signature, generate


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
