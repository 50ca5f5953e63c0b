"""Explicit float32 vectors for numba: the few operations that its vectoriser does not reach by itself.

Each public name is a numba intrinsic that emits LLVM vectors of LANES floats; LLVM lowers them on narrower machines,
and every operation is elementwise IEEE arithmetic in a fixed order, so the lane count never changes a result.
Plain-loop twins of all of them are in the tests.

Array arguments are one-dimensional float32 and taken as (array, offset). Points are laid out in rows of TILE floats,
one row a neuron, entry p of a row belonging to point p of the tile.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pfmap.streams import UNIFORM_CLIP, UNIFORM_P, UNIFORM_Q

TILE = 64

LANES = int(os.environ.get("PFMAP_LANES", "16" if llvmlite.binding.get_host_cpu_features().get("avx512f") else "8"))
# A dense block keeps its sums, its inputs and, as LLVM schedules it, a weight of every row in registers: 5 x 4 vectors
# of sums fill the 32 registers of AVX-512, 4 x 2 the 16 of anything narrower. One row more spills and halves the rate.
WIDE, MAX_ROWS = (64, 5) if LANES == 16 else (16, 4)
OUTPUT_SPLIT = 4

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS, WIDES = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES), ir.VectorType(INT64, LANES // 2)

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
TANH_CLIP = 9.01
TANH_P = (
    0.9999999987076204,
    0.1368039106972652,
    0.0038689244563227094,
    2.8019512713955778e-05,
    3.0614058447982614e-08,
    -1.22250408103105e-11,
)
TANH_Q = (1.0, 0.47013723145404157, 0.02724802200751691, 0.0003939683689327603, 1.2882094710499768e-06)

Builder = Any  # llvmlite's IRBuilder, which has no types
Value = Any


# A small vocabulary over the builder


def _floats(x: float) -> Value:
    return ir.Constant(FLOATS, [float(x)] * LANES)


def _ints(x: int) -> Value:
    return ir.Constant(INTS, [x - (1 << 32) if x & (1 << 31) else x] * LANES)


def _at(x: int) -> Value:
    return ir.Constant(INT64, x)


def _splat(b: Builder, scalar: Value, vector: Any = FLOATS) -> Value:
    one = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(INT32, 0))
    zeros = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
    return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def _pointer(context: Any, b: Builder, array_type: Any, array: Value, offset: Value) -> Value:
    return b.gep(context.make_array(array_type)(context, b, array).data, [offset])


def _load(b: Builder, pointer: Value, offset: Value, vector: Any = FLOATS) -> Value:
    loaded = b.load(b.bitcast(b.gep(pointer, [offset]), vector.as_pointer()))
    loaded.align = 4
    return loaded


def _store(b: Builder, value: Value, pointer: Value, offset: Value) -> None:
    b.store(value, b.bitcast(b.gep(pointer, [offset]), value.type.as_pointer())).align = 4


def _call(b: Builder, name: str, *arguments: Value) -> Value:
    function_type = ir.FunctionType(FLOATS, [FLOATS] * len(arguments))
    full_name = f"llvm.{name}.v{LANES}f32"
    function = b.module.globals.get(full_name) or ir.Function(b.module, function_type, full_name)
    return b.call(function, arguments)


def _fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    return _call(b, "fma", x, y, z)


def _max(b: Builder, x: Value, y: Value) -> Value:
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def _min(b: Builder, x: Value, y: Value) -> Value:
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def _horner(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    result = _floats(coefficients[-1])
    for c in coefficients[-2::-1]:
        result = _fma(b, result, x, _floats(c))
    return result


def _horner_unfused(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    result = _floats(coefficients[-1])
    for c in coefficients[-2::-1]:
        result = b.fadd(b.fmul(result, x), _floats(c))
    return result


def _loop(b: Builder, n: Value, carried: list[Value], body: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
    """For i in range(n), n >= 1: carried = body(i, carried)."""
    before, head = b.block, b.function.append_basic_block("head")
    after = b.function.append_basic_block("after")
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(INT64)
    i.add_incoming(_at(0), before)
    phis = [b.phi(c.type) for c in carried]
    for phi, c in zip(phis, carried, strict=True):
        phi.add_incoming(c, before)
    results = body(i, phis)
    following = b.add(i, _at(1))
    i.add_incoming(following, b.block)
    for phi, r in zip(phis, results, strict=True):
        phi.add_incoming(r, b.block)
    b.cbranch(b.icmp_signed("<", following, n), head, after)
    b.position_at_end(after)
    return results


# Random numbers


def _philox_multiply(b: Builder, x: Value, multiplier: int) -> tuple[Value, Value]:
    # High and low halves of x * multiplier in every lane, from the even and the odd lanes' 64-bit products.
    factor = ir.Constant(WIDES, [multiplier] * (LANES // 2))
    low_half = ir.Constant(WIDES, [0xFFFFFFFF] * (LANES // 2))
    high_half = ir.Constant(WIDES, [-(1 << 32)] * (LANES // 2))
    shift = ir.Constant(WIDES, [32] * (LANES // 2))
    pairs = b.bitcast(x, WIDES)
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
        c0, c1 = b.xor(b.xor(high1, c1), _splat(b, k0, INTS)), low1
        c2, c3 = b.xor(b.xor(high0, c3), _splat(b, k1, INTS)), low0
    return c0, c1, c2, c3


def _rotate(b: Builder, x: Value, left: int) -> Value:
    return b.or_(b.shl(x, _ints(left)), b.lshr(x, _ints(32 - left)))


def _xoshiro(b: Builder, state: list[Value]) -> tuple[Value, list[Value]]:
    """One word of xoshiro128++ (Blackman and Vigna 2021) in every lane, and the next state."""
    s0, s1, s2, s3 = state
    word = b.add(_rotate(b, b.add(s0, s3), 7), s0)
    shifted = b.shl(s1, _ints(9))
    s2, s3 = b.xor(s2, s0), b.xor(s3, s1)
    s1, s0 = b.xor(s1, s2), b.xor(s0, s3)
    return word, [s0, s1, b.xor(s2, shifted), _rotate(b, s3, 11)]


def _box_muller(b: Builder, r1: Value, r2: Value) -> tuple[Value, Value]:
    """Two normals from two words: radius from the upper 31 bits of r1, angle from r2 and the lowest bit of r1.

    u = (r1 // 2 + 1/2) 2^-31 lies in (0, 1); near 1 the logarithm starts from 1 - u, which is exact there, so small
    radii are as finely spaced as large ones. Neither normal is ever 0; the largest is sqrt(64 ln 2) = 6.66.
    """
    upper = b.lshr(r1, _ints(1))
    unit, half = _floats(2.0**-31), _floats(2.0**-32)
    u = _fma(b, b.sitofp(upper, FLOATS), unit, half)
    one_minus_u = _fma(b, b.sitofp(b.xor(upper, _ints(0x7FFFFFFF)), FLOATS), unit, half)
    word = b.bitcast(u, INTS)
    exponent = b.ashr(b.sub(word, _ints(0x3F3504F3)), _ints(23))  # so that the mantissa lies in [sqrt(1/2), sqrt(2))
    mantissa = b.bitcast(b.sub(word, b.shl(exponent, _ints(23))), FLOATS)
    f = b.select(b.icmp_signed("==", exponent, _ints(0)), b.fneg(one_minus_u), b.fsub(mantissa, _floats(1.0)))
    log1p = b.fmul(b.fmul(_horner(b, f, LOG1P), f), _floats(-2.0))
    radius = _call(b, "sqrt", _fma(b, b.sitofp(exponent, FLOATS), _floats(-2.0 * math.log(2.0)), log1p))
    # Quarter turn from 30 bits, centred on the axis; bit 30 swaps the axes, bit 31 and the bit left over sign them.
    quarter = b.or_(b.shl(r2, _ints(2)), _ints(2))
    t = b.fmul(b.sitofp(quarter, FLOATS), _floats(math.pi / 4 * 2.0**-31))
    square = b.fmul(t, t)
    sine, cosine = b.fmul(_horner(b, square, SINE), t), _horner(b, square, COSINE)
    swap = b.icmp_unsigned("!=", b.and_(r2, _ints(1 << 30)), _ints(0))
    first, second = b.select(swap, sine, cosine), b.select(swap, cosine, sine)
    sign1, sign2 = b.and_(r2, _ints(1 << 31)), b.shl(r1, _ints(31))
    first = b.bitcast(b.xor(b.bitcast(first, INTS), sign1), FLOATS)
    second = b.bitcast(b.xor(b.bitcast(second, INTS), sign2), FLOATS)
    return b.fmul(first, radius), b.fmul(second, radius)


@intrinsic
def seed_lanes(typing: Any, state: Any, seed: Any, index: Any, stream: Any) -> Any:
    """Fill the state of 16 xoshiro lanes, int32[64]: word k of lane l is word k of Philox at (l, index, stream)."""
    signature = types.void(state, types.uint64, types.uint64, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, b, sig.args[0], args[0], _at(0))
        low, high = (lambda x: b.trunc(x, INT32)), (lambda x: b.trunc(b.lshr(x, _at(32)), INT32))
        fixed = tuple(_splat(b, x, INTS) for x in (low(args[2]), high(args[2]), low(args[3])))
        for start in range(0, 16, LANES):
            lanes = ir.Constant(INTS, list(range(start, start + LANES)))
            for k, word in enumerate(_philox(b, (lanes, *fixed), (low(args[1]), high(args[1])))):
                _store(b, word, pointer, _at(16 * k + start))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def normal_groups(typing: Any, state: Any, n_groups: Any, out: Any, at: Any) -> Any:
    """Append n_groups >= 1 groups of 64 normals and advance the lanes.

    In each group lane l yields words w0 … w3 and its normals z[16 k + l], k = 0 … 3, from (w0, w1) and (w2, w3).
    """
    signature = types.void(state, types.int64, out, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        lanes = _pointer(context, b, sig.args[0], args[0], _at(0))
        pointer = _pointer(context, b, sig.args[2], args[2], args[3])
        for start in range(0, 16, LANES):

            def body(g: Value, words: list[Value], start: int = start) -> list[Value]:
                base = b.add(b.mul(g, _at(64)), _at(start))
                for k in (0, 32):
                    first, words = _xoshiro(b, words)
                    second, words = _xoshiro(b, words)
                    for step, z in zip((0, 16), _box_muller(b, first, second), strict=True):
                        _store(b, z, pointer, b.add(base, _at(k + step)))
                return words

            words = [_load(b, lanes, _at(16 * k + start), INTS) for k in range(4)]
            for k, word in enumerate(_loop(b, args[1], words, body)):
                _store(b, word, lanes, _at(16 * k + start))
        return context.get_dummy_value()

    return signature, generate


# Layers over a tile of points


def _subset_sums(b: Builder, last_weight: Value, base: Value, bits: int, plus_minus: bool) -> list[Value]:
    """Base plus w x on the 2^bits points of a tile; bit q of a point is the input that stands q before the last."""
    weight = [_splat(b, b.load(b.gep(last_weight, [_at(-q)]))) for q in range(bits)]
    off = -1.0 if plus_minus else 0.0
    in_lane = LANES.bit_length() - 1
    total = _splat(b, base)
    for q in range(in_lane):
        mask = ir.Constant(FLOATS, [1.0 if (lane >> q) & 1 else off for lane in range(LANES)])
        total = _fma(b, weight[q], mask, total)
    vectors = [total]
    for q in range(in_lane, bits):
        on = [b.fadd(v, weight[q]) for v in vectors]
        vectors = ([b.fsub(v, weight[q]) for v in vectors] if plus_minus else vectors) + on
    return vectors


def _make_first_layer(bits: int, plus_minus: bool) -> Any:
    """Pre-activations of one neuron on the 2^bits points of a tile, bits = 4, 5 or 6, cut off at `floor`."""

    @intrinsic
    def first_layer(typing: Any, theta: Any, last_weight: Any, base: Any, floor: Any, out: Any, at: Any) -> Any:
        signature = types.void(theta, types.int64, types.float32, types.float32, out, types.int64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            theta_, last, base_, floor_, out_, at_ = args
            pointer = _pointer(context, b, sig.args[4], out_, at_)
            lowest = _splat(b, floor_)
            weights = _pointer(context, b, sig.args[0], theta_, last)
            for i, total in enumerate(_subset_sums(b, weights, base_, bits, plus_minus)):
                _store(b, _max(b, total, lowest), pointer, _at(LANES * i))
            return context.get_dummy_value()

        return signature, generate

    return first_layer


def _make_shallow(bits: int, plus_minus: bool) -> Any:
    """The logit of a network of one hidden layer on the 2^bits points of a tile, bits = 4 or 5, all in registers.

    Neuron j has its last weight at theta[last_weight + j stride], its base at bases[j], and reads out at theta[w + j].
    """

    @intrinsic
    def shallow(
        typing: Any, theta: Any, last_weight: Any, stride: Any, bases: Any, width: Any, floor: Any, w: Any, bias: Any,
        out: Any, at: Any,
    ) -> Any:  # fmt: skip
        i64 = types.int64
        signature = types.void(theta, i64, i64, bases, i64, types.float32, i64, i64, out, i64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            theta_, last, stride_, bases_, width_, floor_, w_, bias_, out_, at_ = args
            first = _pointer(context, b, sig.args[0], theta_, last)
            read_out = _pointer(context, b, sig.args[0], theta_, w_)
            base = _pointer(context, b, sig.args[3], bases_, _at(0))
            outputs = _pointer(context, b, sig.args[8], out_, at_)
            lowest = _splat(b, floor_)

            def body(j: Value, sums: list[Value]) -> list[Value]:
                row = b.gep(first, [b.mul(j, stride_)])
                hidden = _subset_sums(b, row, b.load(b.gep(base, [j])), bits, plus_minus)
                weight = _splat(b, b.load(b.gep(read_out, [j])))
                return [_fma(b, weight, _max(b, h, lowest), s) for h, s in zip(hidden, sums, strict=True)]

            start = _splat(b, b.load(_pointer(context, b, sig.args[0], theta_, bias_)))
            for i, total in enumerate(_loop(b, width_, [start] * ((1 << bits) // LANES), body)):
                _store(b, total, outputs, _at(LANES * i))
            return context.get_dummy_value()

        return signature, generate

    return shallow


def _make_dense(rows: int, vectors: int) -> Any:
    """`rows` neurons on `vectors` * LANES points: out = max(floor, bias + W h), sums kept in registers.

    Only the n_live >= 1 inputs listed in `live` enter; the others are zero on all these points.
    """

    @intrinsic
    def dense(
        typing: Any, theta: Any, w: Any, bias: Any, fan_in: Any, live: Any, n_live: Any, h: Any, h_at: Any, floor: Any,
        out: Any, at: Any,
    ) -> Any:  # fmt: skip
        i64 = types.int64
        signature = types.void(theta, i64, i64, i64, live, i64, h, i64, types.float32, out, i64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            theta_, w_, bias_, fan_in_, live_, n_live_, h_, h_at_, floor_, out_, at_ = args
            weights = _pointer(context, b, sig.args[0], theta_, w_)
            biases = _pointer(context, b, sig.args[0], theta_, bias_)
            living = _pointer(context, b, sig.args[4], live_, _at(0))
            inputs = _pointer(context, b, sig.args[6], h_, h_at_)
            outputs = _pointer(context, b, sig.args[9], out_, at_)
            row = [b.gep(weights, [b.mul(_at(r), fan_in_)]) for r in range(rows)]
            sums = []
            for r in range(rows):
                sums += [_splat(b, b.load(b.gep(biases, [_at(r)])))] * vectors

            def body(i: Value, sums: list[Value]) -> list[Value]:
                k = b.load(b.gep(living, [i]))
                start = b.mul(k, _at(TILE))
                column = [_load(b, inputs, b.add(start, _at(LANES * v))) for v in range(vectors)]
                updated = []
                for r in range(rows):
                    weight = _splat(b, b.load(b.gep(row[r], [k])))
                    updated += [_fma(b, weight, column[v], sums[r * vectors + v]) for v in range(vectors)]
                return updated

            sums = _loop(b, n_live_, sums, body)
            lowest = _splat(b, floor_)
            for r in range(rows):
                for v in range(vectors):
                    _store(b, _max(b, sums[r * vectors + v], lowest), outputs, _at(TILE * r + LANES * v))
            return context.get_dummy_value()

        return signature, generate

    return dense


def _make_output(points: int) -> Any:
    """The one logit on `points` points, its sum cut into OUTPUT_SPLIT strands so that no addition waits for another."""
    vectors = points // LANES

    @intrinsic
    def output(typing: Any, theta: Any, w: Any, bias: Any, fan_in: Any, h: Any, h_at: Any, out: Any, at: Any) -> Any:
        # Rows fan_in … of h up to the next multiple of OUTPUT_SPLIT must be zero, and the weights there finite.
        i64 = types.int64
        signature = types.void(theta, i64, i64, i64, h, i64, out, i64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            theta_, w_, bias_, fan_in_, h_, h_at_, out_, at_ = args
            weights = _pointer(context, b, sig.args[0], theta_, w_)
            bias_pointer = _pointer(context, b, sig.args[0], theta_, bias_)
            inputs = _pointer(context, b, sig.args[4], h_, h_at_)
            outputs = _pointer(context, b, sig.args[6], out_, at_)
            sums = [_splat(b, b.load(bias_pointer))] * vectors + [_floats(0.0)] * (vectors * (OUTPUT_SPLIT - 1))

            def body(block: Value, sums: list[Value]) -> list[Value]:
                updated = []
                for strand in range(OUTPUT_SPLIT):
                    k = b.add(b.mul(block, _at(OUTPUT_SPLIT)), _at(strand))
                    weight = _splat(b, b.load(b.gep(weights, [k])))
                    start = b.mul(k, _at(TILE))
                    for v in range(vectors):
                        values = _load(b, inputs, b.add(start, _at(LANES * v)))
                        updated.append(_fma(b, weight, values, sums[strand * vectors + v]))
                return updated

            n_blocks = b.sdiv(b.add(fan_in_, _at(OUTPUT_SPLIT - 1)), _at(OUTPUT_SPLIT))
            sums = _loop(b, n_blocks, sums, body)
            for v in range(vectors):
                total = sums[v]
                for strand in range(1, OUTPUT_SPLIT):
                    total = b.fadd(total, sums[strand * vectors + v])
                _store(b, total, outputs, _at(LANES * v))
            return context.get_dummy_value()

        return signature, generate

    return output


def _make_alive(points: int) -> Any:
    """Whether any of `points` floats is not zero, as int64 0 or 1."""

    @intrinsic
    def alive(typing: Any, h: Any, at: Any) -> Any:
        signature = types.int64(h, types.int64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            pointer = _pointer(context, b, sig.args[0], args[0], args[1])
            union = _load(b, pointer, _at(0), INTS)
            for start in range(LANES, points, LANES):
                union = b.or_(union, _load(b, pointer, _at(start), INTS))
            mask = b.bitcast(b.icmp_unsigned("!=", union, _ints(0)), ir.IntType(LANES))
            return b.zext(b.icmp_unsigned("!=", mask, ir.Constant(ir.IntType(LANES), 0)), INT64)

        return signature, generate

    return alive


first_layer_16, first_layer_32, first_layer_64 = (_make_first_layer(bits, False) for bits in (4, 5, 6))
first_layer_16_pm, first_layer_32_pm, first_layer_64_pm = (_make_first_layer(bits, True) for bits in (4, 5, 6))
shallow_16, shallow_32 = (_make_shallow(bits, False) for bits in (4, 5))
shallow_16_pm, shallow_32_pm = (_make_shallow(bits, True) for bits in (4, 5))
dense_1, dense_2, dense_3, dense_4, dense_5 = (_make_dense(rows, 16 // LANES) for rows in range(1, 6))
wide_1, wide_2, wide_3, wide_4, wide_5 = (_make_dense(rows, WIDE // LANES) for rows in range(1, 6))

output_16, output_32, output_64 = (_make_output(points) for points in (16, 32, 64))
alive_16, alive_wide = _make_alive(16), _make_alive(WIDE)


@intrinsic
def signs(typing: Any, logits: Any, at: Any) -> Any:
    """Bits logit > 0 of 16 points as uint64."""
    signature = types.uint64(logits, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, b, sig.args[0], args[0], args[1])
        bits = _at(0)
        for i in range(0, 16, LANES):
            positive = b.fcmp_ordered(">", _load(b, pointer, _at(i)), _floats(0.0))
            mask = b.zext(b.bitcast(positive, ir.IntType(LANES)), INT64)
            bits = b.or_(bits, b.shl(mask, _at(i)))
        return bits

    return signature, generate


@intrinsic
def largest_size(typing: Any, array: Any, n_vectors: Any) -> Any:
    """The largest |array[i]| of the first n_vectors * LANES entries; NaN is passed over."""
    signature = types.float32(array, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, b, sig.args[0], args[0], _at(0))

        def body(i: Value, carried: list[Value]) -> list[Value]:
            return [_max(b, _call(b, "fabs", _load(b, pointer, b.mul(i, _at(LANES)))), carried[0])]

        (vector,) = _loop(b, args[1], [_floats(0.0)], body)
        largest = b.extract_element(vector, ir.Constant(INT32, 0))
        for lane in range(1, LANES):
            x = b.extract_element(vector, ir.Constant(INT32, lane))
            largest = b.select(b.fcmp_ordered(">", x, largest), x, largest)
        return largest

    return signature, generate


@intrinsic
def all_beyond(typing: Any, array: Any, n_vectors: Any, bound: Any) -> Any:
    """Whether |array[i]| > bound for all of the first n_vectors * LANES entries; NaN is not."""
    signature = types.boolean(array, types.int64, types.float32)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, b, sig.args[0], args[0], _at(0))
        limit = _splat(b, args[2])
        mask_type = ir.IntType(LANES)

        def body(i: Value, carried: list[Value]) -> list[Value]:
            size = _call(b, "fabs", _load(b, pointer, b.mul(i, _at(LANES))))
            return [b.and_(b.bitcast(b.fcmp_ordered(">", size, limit), mask_type), carried[0])]

        (mask,) = _loop(b, args[1], [ir.Constant(mask_type, -1)], body)
        return b.icmp_signed("==", mask, ir.Constant(mask_type, -1))

    return signature, generate


# Activations, in place


def _tanh(b: Builder, x: Value) -> Value:
    x = _max(b, _min(b, x, _floats(TANH_CLIP)), _floats(-TANH_CLIP))
    square = b.fmul(x, x)
    return b.fdiv(b.fmul(x, _horner(b, square, TANH_P)), _horner(b, square, TANH_Q))


def _normal_odds(b: Builder, z: Value) -> Value:
    # 2 Phi(z) - 1 in separately rounded steps, so that torch and any other machine reach the same bits.
    z = _max(b, _min(b, z, _floats(UNIFORM_CLIP)), _floats(-UNIFORM_CLIP))
    square = b.fmul(z, z)
    top = b.fmul(z, _horner_unfused(b, square, UNIFORM_P))
    return b.fdiv(top, _horner_unfused(b, square, UNIFORM_Q))


def _sigmoid(b: Builder, x: Value) -> Value:
    half = _floats(0.5)
    return _fma(b, _tanh(b, b.fmul(x, half)), half, half)


def _gelu(b: Builder, x: Value) -> Value:
    half = b.fmul(x, _floats(0.5))
    return _fma(b, half, _normal_odds(b, x), half)


def _make_pass(function: Callable[[Builder, Value], Value]) -> Any:
    """array[at : at + LANES * n_vectors] = function of itself, n_vectors >= 1."""

    @intrinsic
    def in_place(typing: Any, array: Any, at: Any, n_vectors: Any) -> Any:
        signature = types.void(array, types.int64, types.int64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            pointer = _pointer(context, b, sig.args[0], args[0], args[1])

            def body(i: Value, _: list[Value]) -> list[Value]:
                offset = b.mul(i, _at(LANES))
                _store(b, function(b, _load(b, pointer, offset)), pointer, offset)
                return []

            _loop(b, args[2], [], body)
            return context.get_dummy_value()

        return signature, generate

    return in_place


tanh_pass = _make_pass(_tanh)
sigmoid_pass = _make_pass(_sigmoid)
erf_pass = _make_pass(lambda b, x: _normal_odds(b, b.fmul(x, _floats(math.sqrt(2.0)))))
gelu_pass = _make_pass(_gelu)
silu_pass = _make_pass(lambda b, x: b.fmul(x, _sigmoid(b, x)))
normal_odds_pass = _make_pass(_normal_odds)
