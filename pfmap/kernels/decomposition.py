"""Upper bounds on circuit size: fix inputs one by one to 0, 1 or "xor" down to four, where circuits are known exactly.

A part of f is a pair (S, d): the inputs in S are free, every other is 0, 1, or xor (d = 2), where the part is the sum
mod 2 of those at 0 and 1. With f0, f1, fx the parts of f at input x, f is built by the cheapest of

    f0                if fx = 0                   f0 ^ x (1 gate)        if fx = 1
    x op f1 (1 gate)  if f0 is constant           x op f0 (1 gate)       if f1 is constant
    f0 ^ x & fx  or  f1 ^ ~x & fx  (2 gates)      f0 ^ x & (f0 ^ f1)     (3 gates)

first with every part paid for as often as it is used; then gates that compute one function are counted once.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAF_INPUTS = 4

_SAME, _XOR, _ONLY_ONE, _ONLY_ZERO, _ZERO_AND_XOR, _ONE_AND_XOR, _BOTH, _NOTHING = range(8)
_GATES_OF = np.array([0, 1, 1, 1, 2, 2, 3, 0], np.int64)
_HALVES = np.array([0x5555, 0x3333, 0x0F0F, 0x00FF], np.int64)
_TABLE_SIZE = 1 << 12  # of gates; 10 inputs make at most 64 leaves of 7 gates and 63 parts above them


def decomposed_sizes(
    bits: NDArray[np.uint8], n_inputs: int, sizes: NDArray[np.uint8], gates: NDArray[np.uint16]
) -> NDArray[np.int64]:
    """Gates of a circuit of each function, found by decomposition: int64[size].

    Args:
        bits: uint8[size, 2^n_inputs], entries 0 and 1.
        n_inputs: n, 4 to 10.
        sizes: exact sizes of the functions of four inputs, as of `smallest_circuits`.
        gates: the gates of their circuits, likewise.

    Error: an upper bound. Cost: O(4^n) time a function.
    """
    found = np.empty(len(bits), np.int64)
    all_sets = sorted((S for S in range(1 << n_inputs) if S.bit_count() >= LEAF_INPUTS), key=int.bit_count)
    first_part = np.zeros(1 << n_inputs, np.int64)
    first_part[all_sets[1:]] = np.cumsum([3 ** (n_inputs - S.bit_count()) for S in all_sets[:-1]])
    leaves = [S for S in all_sets if S.bit_count() == LEAF_INPUTS]
    points = np.array([_points_by_part(S, n_inputs) for S in leaves])
    _decompose(
        np.ascontiguousarray(bits),
        n_inputs,
        np.array(all_sets),
        np.array(leaves),
        points,
        first_part,
        sizes,
        gates,
        found,
    )
    return found


def _points_by_part(S, n_inputs):
    # Table entries in the order: values of the inputs outside S, then of those in S, lowest bit fastest.
    inside = [1 << i for i in range(n_inputs) if S >> i & 1]
    outside = [1 << i for i in range(n_inputs) if not S >> i & 1]
    order = np.zeros(1, np.int64)
    for bit in inside + outside:
        order = np.concatenate([order, order + bit])
    return order.reshape(-1, 1 << len(inside))


@njit(cache=True, nogil=True)
def _decompose(bits, n_inputs, all_sets, leaves, points, first_part, sizes, gates, found):
    n_parts = first_part[all_sets[-1]] + 1
    cost = np.empty(n_parts, np.int16)
    constant = np.empty(n_parts, np.int8)  # 0 if the part is constant 0, 1 if constant 1, else -1
    how = np.empty(n_parts, np.uint8)  # 8 * input + rule
    leaf_table = np.empty(n_parts, np.uint16)
    n_outside = n_inputs - LEAF_INPUTS
    ternary = np.zeros(1 << n_outside, np.int64)
    for r in range(1 << n_outside):
        for i in range(n_outside):
            ternary[r] += (r >> i & 1) * 3**i
    xor_step = np.zeros(3**n_outside, np.int64)
    for t in range(3**n_outside):
        for i in range(n_outside):
            if t // 3**i % 3 == 2:
                xor_step[t] = 3**i
    keys = np.zeros(_TABLE_SIZE, np.int64)
    stamps = np.zeros(_TABLE_SIZE, np.int64)
    pending = np.empty(4 * n_inputs, np.int64)
    pending_sets = np.empty(4 * n_inputs, np.int64)
    for row in range(len(bits)):
        for leaf in range(len(leaves)):
            first = first_part[leaves[leaf]]
            for r in range(1 << n_outside):
                table = np.int64(0)
                for y in range(1 << LEAF_INPUTS):
                    table |= np.int64(bits[row, points[leaf, r, y]]) << y
                leaf_table[first + ternary[r]] = table
            for t in range(3**n_outside):
                at, step = first + t, xor_step[t]
                if step:
                    leaf_table[at] = leaf_table[at - step] ^ leaf_table[at - 2 * step]
                cost[at] = sizes[leaf_table[at]]
                constant[at] = 0 if leaf_table[at] == 0 else 1 if leaf_table[at] == 0xFFFF else -1
        for S in all_sets[len(leaves) :]:
            _build_parts(S, n_inputs, first_part, cost, constant, how)
        found[row] = _count_gates(
            all_sets[-1], first_part, how, leaf_table, sizes, gates, row + 1, keys, stamps, pending, pending_sets
        )


@njit(cache=True, nogil=True)
def _build_parts(S, n_inputs, first_part, cost, constant, how):
    first = first_part[S]
    n_fixed = 0
    for i in range(n_inputs):
        n_fixed += not S >> i & 1
    cost[first : first + 3**n_fixed] = 32767
    n_fixed_below = 0
    for i in range(n_inputs):
        if not S >> i & 1:
            n_fixed_below += 1
            continue
        step = 3**n_fixed_below
        for above in range(3 ** (n_fixed - n_fixed_below)):
            for below in range(step):
                at = first + above * step + below
                zero = first_part[S ^ (1 << i)] + 3 * above * step + below
                one, xor = zero + step, zero + 2 * step
                if constant[xor] == 0:
                    rule, total = _SAME, cost[zero]
                elif constant[xor] == 1:
                    rule, total = (_XOR, cost[zero] + 1) if constant[zero] < 0 else (_NOTHING, 0)
                elif constant[zero] >= 0:
                    rule, total = _ONLY_ONE, cost[one] + 1
                elif constant[one] >= 0:
                    rule, total = _ONLY_ZERO, cost[zero] + 1
                else:
                    rule, total = _BOTH, cost[zero] + cost[one] + 3
                    if total > cost[zero] + cost[xor] + 2:
                        rule, total = _ZERO_AND_XOR, cost[zero] + cost[xor] + 2
                    if total > cost[one] + cost[xor] + 2:
                        rule, total = _ONE_AND_XOR, cost[one] + cost[xor] + 2
                if total < cost[at]:
                    cost[at] = total
                    how[at] = 8 * i + rule
                    constant[at] = constant[zero] if rule == _SAME else -1


@njit(cache=True, nogil=True)
def _count_gates(everything, first_part, how, leaf_table, sizes, gates, now, keys, stamps, pending, pending_sets):
    # A part above the leaves is known by its number, a gate within one by its inputs and its table over them.
    n_gates = 0
    n_pending = 1
    pending[0], pending_sets[0] = first_part[everything], everything
    while n_pending:
        n_pending -= 1
        part, S = pending[n_pending], pending_sets[n_pending]
        n_free = 0
        for i in range(16):
            n_free += S >> i & 1
        if n_free == LEAF_INPUTS:
            table = leaf_table[part]
            for k in range(sizes[table]):
                n_gates += _is_new(_over_its_inputs(np.int64(gates[table, k]), S), now, keys, stamps)
            continue
        if not _is_new(1 << 40 | part, now, keys, stamps):
            continue
        i, rule = how[part] >> 3, how[part] & 7
        n_gates += _GATES_OF[rule]
        t = part - first_part[S]
        step = 1
        for j in range(i):
            step *= 1 if S >> j & 1 else 3
        rest = S ^ (1 << i)
        zero = first_part[rest] + t // step * step * 3 + t % step
        if rule not in (_NOTHING, _ONLY_ONE, _ONE_AND_XOR):
            pending[n_pending], pending_sets[n_pending] = zero, rest
            n_pending += 1
        if rule in (_ONLY_ONE, _ONE_AND_XOR, _BOTH):
            pending[n_pending], pending_sets[n_pending] = zero + step, rest
            n_pending += 1
        if rule in (_ZERO_AND_XOR, _ONE_AND_XOR):
            pending[n_pending], pending_sets[n_pending] = zero + 2 * step, rest
            n_pending += 1
    return n_gates


@njit(cache=True, nogil=True, inline="always")
def _over_its_inputs(table, S):
    # The inputs that matter, and the table with the others at 0.
    support, k = 0, 0
    for i in range(16):
        if S >> i & 1:
            zero, one = table & _HALVES[k], table >> (1 << k) & _HALVES[k]
            if zero == one:
                table = zero | zero << (1 << k)
            else:
                support |= 1 << i
            k += 1
    packed, at = 0, 0
    for y in range(16):
        k, needed = 0, True
        for i in range(16):
            if S >> i & 1:
                needed &= not (y >> k & 1 and not support >> i & 1)
                k += 1
        if needed:
            packed |= (table >> y & 1) << at
            at += 1
    return support << 16 | packed


@njit(cache=True, nogil=True, inline="always")
def _is_new(key, now, keys, stamps):
    slot = (key * 0x1E3779B97F4A7C15 >> 40) & (_TABLE_SIZE - 1)
    while stamps[slot] == now:
        if keys[slot] == key:
            return False
        slot = (slot + 1) & (_TABLE_SIZE - 1)
    stamps[slot], keys[slot] = now, key
    return True
