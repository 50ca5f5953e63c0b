"""Layers of a network on a tile of points, as numba intrinsics: sums in registers, one weight at a time.

Arrays are one-dimensional float32 and taken as (array, offset). Points are laid out in rows of TILE floats, one row a
neuron, entry p of a row belonging to point p of the tile.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pfmap.kernels.lanes import (
    FLOAT,
    FLOATS,
    INT32,
    INT64,
    INTS,
    LANES,
    MASK,
    Builder,
    Value,
    call,
    floats,
    fma,
    ints,
    larger,
    load,
    loop,
    place,
    pointer_to,
    splat,
    store,
)

TILE = 64
"""Points that a layer is computed on at a time."""

# A dense block keeps its sums, its inputs and, as LLVM schedules it, a weight of every row in registers: 5 x 4 vectors
# of sums fill the 32 registers of AVX-512, 4 x 2 the 16 of anything narrower. One row more spills and halves the rate.
WIDE, MAX_ROWS = (64, 5) if LANES == 16 else (16, 4)
OUTPUT_SPLIT = 4


def _subset_sums(b: Builder, last_weight: Value, base: Value, bits: int, plus_minus: bool) -> list[Value]:
    """Base plus w x on the 2^bits points of a tile; bit q of a point is the input that stands q before the last."""
    weight = [splat(b, b.load(b.gep(last_weight, [place(-q)]))) for q in range(bits)]
    off = -1.0 if plus_minus else 0.0
    in_lane = LANES.bit_length() - 1
    total = splat(b, base)
    for q in range(in_lane):
        mask = ir.Constant(FLOATS, [1.0 if (lane >> q) & 1 else off for lane in range(LANES)])
        total = fma(b, weight[q], mask, total)
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
            pointer = pointer_to(context, b, sig.args[4], out_, at_)
            lowest = splat(b, floor_)
            weights = pointer_to(context, b, sig.args[0], theta_, last)
            for i, total in enumerate(_subset_sums(b, weights, base_, bits, plus_minus)):
                store(b, larger(b, total, lowest), pointer, place(LANES * i))
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
            first = pointer_to(context, b, sig.args[0], theta_, last)
            read_out = pointer_to(context, b, sig.args[0], theta_, w_)
            base = pointer_to(context, b, sig.args[3], bases_, place(0))
            outputs = pointer_to(context, b, sig.args[8], out_, at_)
            lowest = splat(b, floor_)

            def body(j: Value, sums: list[Value]) -> list[Value]:
                row = b.gep(first, [b.mul(j, stride_)])
                hidden = _subset_sums(b, row, b.load(b.gep(base, [j])), bits, plus_minus)
                weight = splat(b, b.load(b.gep(read_out, [j])))
                return [fma(b, weight, larger(b, h, lowest), s) for h, s in zip(hidden, sums, strict=True)]

            start = splat(b, b.load(pointer_to(context, b, sig.args[0], theta_, bias_)))
            for i, total in enumerate(loop(b, width_, [start] * ((1 << bits) // LANES), body)):
                store(b, total, outputs, place(LANES * i))
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
            weights = pointer_to(context, b, sig.args[0], theta_, w_)
            biases = pointer_to(context, b, sig.args[0], theta_, bias_)
            living = pointer_to(context, b, sig.args[4], live_, place(0))
            inputs = pointer_to(context, b, sig.args[6], h_, h_at_)
            outputs = pointer_to(context, b, sig.args[9], out_, at_)
            row = [b.gep(weights, [b.mul(place(r), fan_in_)]) for r in range(rows)]
            sums = []
            for r in range(rows):
                sums += [splat(b, b.load(b.gep(biases, [place(r)])))] * vectors

            def body(i: Value, sums: list[Value]) -> list[Value]:
                k = b.load(b.gep(living, [i]))
                start = b.mul(k, place(TILE))
                column = [load(b, inputs, b.add(start, place(LANES * v))) for v in range(vectors)]
                updated = []
                for r in range(rows):
                    weight = splat(b, b.load(b.gep(row[r], [k])))
                    updated += [fma(b, weight, column[v], sums[r * vectors + v]) for v in range(vectors)]
                return updated

            sums = loop(b, n_live_, sums, body)
            lowest = splat(b, floor_)
            for r in range(rows):
                for v in range(vectors):
                    store(b, larger(b, sums[r * vectors + v], lowest), outputs, place(TILE * r + LANES * v))
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
            weights = pointer_to(context, b, sig.args[0], theta_, w_)
            bias_pointer = pointer_to(context, b, sig.args[0], theta_, bias_)
            inputs = pointer_to(context, b, sig.args[4], h_, h_at_)
            outputs = pointer_to(context, b, sig.args[6], out_, at_)
            sums = [splat(b, b.load(bias_pointer))] * vectors + [floats(0.0)] * (vectors * (OUTPUT_SPLIT - 1))

            def body(block: Value, sums: list[Value]) -> list[Value]:
                updated = []
                for strand in range(OUTPUT_SPLIT):
                    k = b.add(b.mul(block, place(OUTPUT_SPLIT)), place(strand))
                    weight = splat(b, b.load(b.gep(weights, [k])))
                    start = b.mul(k, place(TILE))
                    for v in range(vectors):
                        values = load(b, inputs, b.add(start, place(LANES * v)))
                        updated.append(fma(b, weight, values, sums[strand * vectors + v]))
                return updated

            n_blocks = b.sdiv(b.add(fan_in_, place(OUTPUT_SPLIT - 1)), place(OUTPUT_SPLIT))
            sums = loop(b, n_blocks, sums, body)
            for v in range(vectors):
                total = sums[v]
                for strand in range(1, OUTPUT_SPLIT):
                    total = b.fadd(total, sums[strand * vectors + v])
                store(b, total, outputs, place(LANES * v))
            return context.get_dummy_value()

        return signature, generate

    return output


def _make_alive(points: int) -> Any:
    """Whether any of `points` floats is not zero, as int64 0 or 1."""

    @intrinsic
    def alive(typing: Any, h: Any, at: Any) -> Any:
        signature = types.int64(h, types.int64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            pointer = pointer_to(context, b, sig.args[0], args[0], args[1])
            union = load(b, pointer, place(0), INTS)
            for start in range(LANES, points, LANES):
                union = b.or_(union, load(b, pointer, place(start), INTS))
            mask = b.bitcast(b.icmp_unsigned("!=", union, ints(0)), MASK)
            return b.zext(b.icmp_unsigned("!=", mask, ir.Constant(MASK, 0)), INT64)

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
        pointer = pointer_to(context, b, sig.args[0], args[0], args[1])
        bits = place(0)
        for i in range(0, 16, LANES):
            positive = b.fcmp_ordered(">", load(b, pointer, place(i)), floats(0.0))
            mask = b.zext(b.bitcast(positive, MASK), INT64)
            bits = b.or_(bits, b.shl(mask, place(i)))
        return bits

    return signature, generate


def _make_sign_sums(points: int) -> Any:
    """Sign bits of one row plus each of `n_rows` >= 1 others, and which sums come near zero at any point.

    Sum r goes to keys[key_at + r stride], bit p the sign of point p. The rows with a point not beyond its limit,
    max(smallest, sqrt(limit + limits[r])), are listed in near[near_at:]; returns how many.
    """
    vectors = points // LANES

    @intrinsic
    def sign_sums(
        typing: Any, row: Any, row_at: Any, limit: Any, rows: Any, rows_at: Any, limits: Any, n_rows: Any,
        smallest: Any, keys: Any, key_at: Any, stride: Any, near: Any, near_at: Any,
    ) -> Any:  # fmt: skip
        i64, f32 = types.int64, types.float32
        signature = i64(row, i64, f32, rows, i64, limits, i64, f32, keys, i64, i64, near, i64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            row_, row_at_, limit_, rows_, rows_at_, limits_, n_rows_, smallest_, keys_, key_at_, stride_, *near_ = args
            fixed = pointer_to(context, b, sig.args[0], row_, row_at_)
            others = pointer_to(context, b, sig.args[3], rows_, rows_at_)
            their_limits = pointer_to(context, b, sig.args[5], limits_, place(0))
            words = pointer_to(context, b, sig.args[8], keys_, key_at_)
            listed = pointer_to(context, b, sig.args[11], *near_)
            kept = [load(b, fixed, place(LANES * v)) for v in range(vectors)]
            own_limit, lowest = splat(b, limit_), splat(b, smallest_)

            def body(r: Value, carried: list[Value]) -> list[Value]:
                start = b.mul(r, place(TILE))
                sums = [b.fadd(kept[v], load(b, others, b.add(start, place(LANES * v)))) for v in range(vectors)]
                signs = [b.icmp_signed("<", b.bitcast(x, INTS), ints(0)) for x in sums]
                b.store(_bits(b, signs), b.gep(words, [b.mul(r, stride_)]))
                sizes = [b.and_(b.bitcast(x, INTS), ints(0x7FFFFFFF)) for x in sums]  # which order as their bits do
                least = functools.reduce(lambda x, y: b.select(b.icmp_signed("<", x, y), x, y), sizes)
                square = b.fadd(own_limit, splat(b, b.load(b.gep(their_limits, [r]))))
                bound = larger(b, call(b, "sqrt", square), lowest)
                beyond = b.bitcast(b.fcmp_ordered(">", b.bitcast(least, FLOATS), bound), MASK)
                b.store(r, b.gep(listed, carried))
                is_near = b.icmp_unsigned("!=", beyond, ir.Constant(MASK, -1))
                return [b.add(carried[0], b.zext(is_near, INT64))]

            (count,) = loop(b, n_rows_, [place(0)], body)
            return count

        return signature, generate

    return sign_sums


def _bits(b: Builder, masks: list[Value]) -> Value:
    """Vectors of i1, 64 lanes at most, as one word."""
    while len(masks) > 1:
        lanes = [*range(2 * masks[0].type.count)]
        both = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        masks = [b.shuffle_vector(x, y, both) for x, y in zip(masks[::2], masks[1::2], strict=True)]
    bits = b.bitcast(masks[0], ir.IntType(masks[0].type.count))
    return bits if bits.type == INT64 else b.zext(bits, INT64)


sign_sums_16, sign_sums_32, sign_sums_64 = (_make_sign_sums(points) for points in (16, 32, 64))

_SHORT = ir.IntType(16)
MOST_SHORT = (1 << 14) - 1
"""Sums of two shorts of at most this size do not overflow."""


@intrinsic
def shorten(typing: Any, row: Any, row_at: Any, factor: Any, out: Any, at: Any) -> Any:
    """One row of a tile times a factor, rounded to int16; products of at most MOST_SHORT in size."""
    signature = types.void(row, types.int64, types.float32, out, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, b, sig.args[0], args[0], args[1])
        outputs = pointer_to(context, b, sig.args[3], args[3], args[4])
        factor_ = splat(b, args[2])
        for start in range(0, TILE, LANES):
            # Next to 1.5 * 2^23 a float is an integer, whose low bits are its own.
            rounded = fma(b, load(b, pointer, place(start)), factor_, floats(1.5 * 2.0**23))
            shorts = b.trunc(b.bitcast(rounded, INTS), ir.VectorType(_SHORT, LANES))
            target = b.gep(outputs, [place(start)])
            b.store(shorts, b.bitcast(target, shorts.type.as_pointer())).align = 2
        return context.get_dummy_value()

    return signature, generate


def _make_short_sums(points: int) -> Any:
    """As sign_sums on rows of int16: lists the rows with a sum not beyond `limit` in size at any point."""
    lanes = min(points, 2 * LANES)
    vector = ir.VectorType(_SHORT, lanes)

    def shorts(b: Builder, pointer: Value, offset: Value) -> Value:
        loaded = b.load(b.bitcast(b.gep(pointer, [offset]), vector.as_pointer()))
        loaded.align = 2
        return loaded

    @intrinsic
    def short_sums(
        typing: Any, row: Any, row_at: Any, rows: Any, rows_at: Any, n_rows: Any, limit: Any, keys: Any, key_at: Any,
        stride: Any, near: Any, near_at: Any,
    ) -> Any:  # fmt: skip
        i64 = types.int64
        signature = i64(row, i64, rows, i64, i64, types.int16, keys, i64, i64, near, i64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            row_, row_at_, rows_, rows_at_, n_rows_, limit_, keys_, key_at_, stride_, *near_ = args
            fixed = pointer_to(context, b, sig.args[0], row_, row_at_)
            others = pointer_to(context, b, sig.args[2], rows_, rows_at_)
            words = pointer_to(context, b, sig.args[6], keys_, key_at_)
            listed = pointer_to(context, b, sig.args[9], *near_)
            kept = [shorts(b, fixed, place(start)) for start in range(0, points, lanes)]
            limits, zero = splat(b, limit_, vector), ir.Constant(vector, [0] * lanes)
            doubled = b.add(limits, limits)

            def body(r: Value, carried: list[Value]) -> list[Value]:
                start = b.mul(r, place(TILE))
                sums = [b.add(x, shorts(b, others, b.add(start, place(lanes * v)))) for v, x in enumerate(kept)]
                negative = [b.icmp_signed("<", x, zero) for x in sums]
                b.store(_bits(b, negative), b.gep(words, [b.mul(r, stride_)]))
                # As unsigned numbers, sums of -limit … limit and no others are at most 2 limit once it is added.
                shifted = [b.add(x, limits) for x in sums]
                least = functools.reduce(lambda x, y: b.select(b.icmp_unsigned("<", x, y), x, y), shifted)
                close = _bits(b, [b.icmp_unsigned("<=", least, doubled)])
                b.store(r, b.gep(listed, carried))
                return [b.add(carried[0], b.zext(b.icmp_unsigned("!=", close, place(0)), INT64))]

            (count,) = loop(b, n_rows_, [place(0)], body)
            return count

        return signature, generate

    return short_sums


short_sums_16, short_sums_32, short_sums_64 = (_make_short_sums(points) for points in (16, 32, 64))


@intrinsic
def add_tiles(typing: Any, x: Any, x_at: Any, y: Any, y_at: Any, out: Any, at: Any) -> Any:
    """One row of a tile plus another."""
    i64 = types.int64
    signature = types.void(x, i64, y, i64, out, i64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        first, second, total = (pointer_to(context, b, sig.args[k], args[k], args[k + 1]) for k in (0, 2, 4))
        for at in map(place, range(0, TILE, LANES)):
            store(b, b.fadd(load(b, first, at), load(b, second, at)), total, at)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def dot_blocks(typing: Any, theta: Any, w: Any, h: Any, n_blocks: Any) -> Any:
    """The float64 sum of theta[w + k] h[k] over the first n_blocks >= 1 blocks of 8; h is float64."""
    signature = types.float64(theta, types.int64, h, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        doubles = ir.VectorType(ir.DoubleType(), 8)
        weights = pointer_to(context, b, sig.args[0], args[0], args[1])
        inputs = pointer_to(context, b, sig.args[2], args[2], place(0))

        def body(i: Value, carried: list[Value]) -> list[Value]:
            start = b.mul(i, place(8))
            x = b.fpext(load(b, weights, start, ir.VectorType(FLOAT, 8)), doubles)
            product = b.fmul(x, load(b, inputs, start, doubles), flags=("contract",))
            return [b.fadd(carried[0], product, flags=("contract",))]

        (sums,) = loop(b, args[3], [ir.Constant(doubles, [0.0] * 8)], body)
        while sums.type.count > 1:
            half = sums.type.count // 2
            low, high = (ir.Constant(ir.VectorType(INT32, half), [*range(start, start + half)]) for start in (0, half))
            sums = b.fadd(b.shuffle_vector(sums, sums, low), b.shuffle_vector(sums, sums, high))
        return b.extract_element(sums, ir.Constant(INT32, 0))

    return signature, generate


@intrinsic
def peak(typing: Any, array: Any, at: Any, n_vectors: Any) -> Any:
    """The largest |array[at + i]| of n_vectors * LANES entries; NaN if any is."""
    signature = types.float32(array, types.int64, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, b, sig.args[0], args[0], args[1])

        def body(i: Value, carried: list[Value]) -> list[Value]:
            size = b.and_(load(b, pointer, b.mul(i, place(LANES)), INTS), ints(0x7FFFFFFF))
            return [b.select(b.icmp_signed(">", size, carried[0]), size, carried[0])]

        (vector,) = loop(b, args[2], [ints(0)], body)
        while vector.type.count > 1:  # the lower half against the upper half
            half = vector.type.count // 2
            low, high = (ir.Constant(ir.VectorType(INT32, half), [*range(start, start + half)]) for start in (0, half))
            one, other = b.shuffle_vector(vector, vector, low), b.shuffle_vector(vector, vector, high)
            vector = b.select(b.icmp_signed(">", one, other), one, other)
        return b.bitcast(b.extract_element(vector, ir.Constant(INT32, 0)), FLOAT)

    return signature, generate


@intrinsic
def largest_size(typing: Any, array: Any, n_vectors: Any) -> Any:
    """The largest |array[i]| of the first n_vectors * LANES entries; NaN is passed over."""
    signature = types.float32(array, types.int64)

    def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
        pointer = pointer_to(context, b, sig.args[0], args[0], place(0))

        def body(i: Value, carried: list[Value]) -> list[Value]:
            return [larger(b, call(b, "fabs", load(b, pointer, b.mul(i, place(LANES)))), carried[0])]

        (vector,) = loop(b, args[1], [floats(0.0)], body)
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
        pointer = pointer_to(context, b, sig.args[0], args[0], place(0))
        limit = splat(b, args[2])
        mask_type = MASK

        def body(i: Value, carried: list[Value]) -> list[Value]:
            size = call(b, "fabs", load(b, pointer, b.mul(i, place(LANES))))
            return [b.and_(b.bitcast(b.fcmp_ordered(">", size, limit), mask_type), carried[0])]

        (mask,) = loop(b, args[1], [ir.Constant(mask_type, -1)], body)
        return b.icmp_signed("==", mask, ir.Constant(mask_type, -1))

    return signature, generate
