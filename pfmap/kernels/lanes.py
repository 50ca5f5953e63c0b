"""Explicit float32 vectors for numba intrinsics: a small vocabulary over LLVM's builder.

Numba's vectoriser does not reach the rate of the machine in a few loops; those emit vectors of LANES floats themselves.
LLVM lowers them on narrower machines. Every operation is elementwise IEEE arithmetic in a fixed order, so the number of
lanes never changes a result. PFMAP_LANES overrides it, for tests; compiled code is cached, so give each its own cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir

LANES = int(os.environ.get("PFMAP_LANES", "16" if llvmlite.binding.get_host_cpu_features().get("avx512f") else "8"))

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
FLOATS, INTS, MASK = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES), ir.IntType(LANES)

Builder = Any  # llvmlite's IRBuilder, which has no types
Value = Any


def floats(x: float) -> Value:
    """The number x in every lane."""
    return ir.Constant(FLOATS, [float(x)] * LANES)


def ints(x: int) -> Value:
    """The 32-bit word x in every lane."""
    return ir.Constant(INTS, [x - (1 << 32) if x & (1 << 31) else x] * LANES)


def place(x: int) -> Value:
    """An offset."""
    return ir.Constant(INT64, x)


def splat(b: Builder, scalar: Value, vector: Any = FLOATS) -> Value:
    """One scalar in every lane."""
    one = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(INT32, 0))
    zeros = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
    return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def pointer_to(context: Any, b: Builder, array_type: Any, array: Value, offset: Value) -> Value:
    """The address of array[offset], from what an intrinsic's code generator is given."""
    return b.gep(context.make_array(array_type)(context, b, array).data, [offset])


def load(b: Builder, pointer: Value, offset: Value, vector: Any = FLOATS) -> Value:
    """LANES values from pointer[offset:]."""
    loaded = b.load(b.bitcast(b.gep(pointer, [offset]), vector.as_pointer()))
    loaded.align = 4
    return loaded


def store(b: Builder, value: Value, pointer: Value, offset: Value) -> None:
    """LANES values to pointer[offset:]."""
    b.store(value, b.bitcast(b.gep(pointer, [offset]), value.type.as_pointer())).align = 4


def call(b: Builder, name: str, *arguments: Value) -> Value:
    """An LLVM intrinsic on float vectors, such as "sqrt"."""
    function_type = ir.FunctionType(FLOATS, [FLOATS] * len(arguments))
    full_name = f"llvm.{name}.v{LANES}f32"
    function = b.module.globals.get(full_name) or ir.Function(b.module, function_type, full_name)
    return b.call(function, arguments)


def fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """The sum x y + z, rounded once."""
    return call(b, "fma", x, y, z)


def larger(b: Builder, x: Value, y: Value) -> Value:
    """The larger lane by lane; y where either is NaN."""
    return b.select(b.fcmp_ordered(">", x, y), x, y)


def smaller(b: Builder, x: Value, y: Value) -> Value:
    """The smaller lane by lane; y where either is NaN."""
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def horner(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    """The polynomial with these coefficients, lowest first, by fused steps."""
    result = floats(coefficients[-1])
    for c in coefficients[-2::-1]:
        result = fma(b, result, x, floats(c))
    return result


def loop(b: Builder, n: Value, carried: list[Value], body: Callable[[Value, list[Value]], list[Value]]) -> list[Value]:
    """For i in range(n), n >= 1: carried = body(i, carried)."""
    before, head = b.block, b.function.append_basic_block("head")
    after = b.function.append_basic_block("after")
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(INT64)
    i.add_incoming(place(0), before)
    phis = [b.phi(c.type) for c in carried]
    for phi, c in zip(phis, carried, strict=True):
        phi.add_incoming(c, before)
    results = body(i, phis)
    following = b.add(i, place(1))
    i.add_incoming(following, b.block)
    for phi, r in zip(phis, results, strict=True):
        phi.add_incoming(r, b.block)
    b.cbranch(b.icmp_signed("<", following, n), head, after)
    b.position_at_end(after)
    return results
