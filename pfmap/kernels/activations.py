"""Activations in place on float32 vectors, as numba intrinsics; errors of a few units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from pfmap.kernels.lanes import (
    LANES,
    Builder,
    Value,
    floats,
    fma,
    horner,
    larger,
    load,
    loop,
    place,
    pointer_to,
    smaller,
    store,
)
from pfmap.streams import UNIFORM_CLIP, UNIFORM_P, UNIFORM_Q

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


def _horner_unfused(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    result = floats(coefficients[-1])
    for c in coefficients[-2::-1]:
        result = b.fadd(b.fmul(result, x), floats(c))
    return result


def _tanh(b: Builder, x: Value) -> Value:
    x = larger(b, smaller(b, x, floats(TANH_CLIP)), floats(-TANH_CLIP))
    square = b.fmul(x, x)
    return b.fdiv(b.fmul(x, horner(b, square, TANH_P)), horner(b, square, TANH_Q))


def _normal_odds(b: Builder, z: Value) -> Value:
    # 2 Phi(z) - 1 in separately rounded steps, so that torch and any other machine reach the same bits.
    z = larger(b, smaller(b, z, floats(UNIFORM_CLIP)), floats(-UNIFORM_CLIP))
    square = b.fmul(z, z)
    top = b.fmul(z, _horner_unfused(b, square, UNIFORM_P))
    return b.fdiv(top, _horner_unfused(b, square, UNIFORM_Q))


def _sigmoid(b: Builder, x: Value) -> Value:
    half = floats(0.5)
    return fma(b, _tanh(b, b.fmul(x, half)), half, half)


def _gelu(b: Builder, x: Value) -> Value:
    half = b.fmul(x, floats(0.5))
    return fma(b, half, _normal_odds(b, x), half)


def _make_pass(function: Callable[[Builder, Value], Value]) -> Any:
    """array[at : at + LANES * n_vectors] = function of itself, n_vectors >= 1."""

    @intrinsic
    def in_place(typing: Any, array: Any, at: Any, n_vectors: Any) -> Any:
        signature = types.void(array, types.int64, types.int64)

        def generate(context: Any, b: Builder, sig: Any, args: Any) -> Any:
            pointer = pointer_to(context, b, sig.args[0], args[0], args[1])

            def body(i: Value, _: list[Value]) -> list[Value]:
                offset = b.mul(i, place(LANES))
                store(b, function(b, load(b, pointer, offset)), pointer, offset)
                return []

            loop(b, args[2], [], body)
            return context.get_dummy_value()

        return signature, generate

    return in_place


tanh_pass = _make_pass(_tanh)
sigmoid_pass = _make_pass(_sigmoid)
erf_pass = _make_pass(lambda b, x: _normal_odds(b, b.fmul(x, floats(math.sqrt(2.0)))))
gelu_pass = _make_pass(_gelu)
silu_pass = _make_pass(lambda b, x: b.fmul(x, _sigmoid(b, x)))
normal_odds_pass = _make_pass(_normal_odds)
