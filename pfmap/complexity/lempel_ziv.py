"""Lempel-Ziv complexity of truth tables, in both published variants, and its largest possible value."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np

from pfmap.complexity.protocol import Values, measure
from pfmap.kernels.lempel_ziv import count_words
from pfmap.streams import generator
from pfmap.tables import Cube, TruthTables

UNIT = "words × log2 N"


@measure(unit=UNIT, invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv(tables: TruthTables) -> Values:
    """C_LZ of Dingle, Camargo and Louis: words of the LZ76 history times log2 N, mean of both reading directions.

        C_LZ(s) = log2 N                                       if s is constant
        C_LZ(s) = log2 N * (N_w(s) + N_w(reversed s)) / 2      otherwise

    s = f(0) f(1) … f(N - 1), and N_w counts the words of its exhaustive history: each word is the shortest that does
    not occur before its own last symbol, overlaps allowed, and an unfinished last word counts. An estimate of
    complexity and no code length: random strings of N = 128 have mean 148.8. It depends on the order of the inputs.

    The definition of arXiv 1805.08522. Two off-by-one ports of it circulate: one drops the first symbol, the other is
    `lempel_ziv_truncated`.

    Args:
        tables: functions on a cube, or on Points in the order of their list.

    Returns:
        float64[size], in words times log2 N.

    Error: exact. Cost: O(N) a function; 1.1e6 functions/s at N = 128, 14000 at N = 1024, 170 at N = 65536 on one core.
    Source: Dingle, Camargo, Louis 2018, Nat. Commun. 9:761; the scan is Kaspar and Schuster 1987's.

    Example:
        >>> lempel_ziv(TruthTables.from_strings(["00000000", "00000001", "01101001"]))
        array([ 3. ,  7.5, 15. ])
    """
    return _complexity(tables, tables.domain.n_points)


@measure(unit=UNIT, invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv_truncated(tables: TruthTables) -> Values:
    """C_LZ by a widespread port whose scan stops early, for redoing the figures of arXiv 2304.06670.

    The port takes len(s) - 1 for the length and stops once l + k reaches len(s) - 2, so each direction counts the words
    of all but the last two symbols that it reads (but the last of four, and none of two). log2 N and the value of
    constants are those of `lempel_ziv`. Of functions sampled from 7-40-40-1 networks, 4 to 15 % come out lower than
    there, by 3.5 or 7.

    Args:
        tables: functions on a cube, or on Points in the order of their list.

    Returns:
        float64[size], in words times log2 N.

    Error: exact: the port's own numbers. Cost: as `lempel_ziv`. Source: released code of arXiv 2304.06670.

    Example:
        >>> both = TruthTables.from_strings(["00000011"])
        >>> lempel_ziv(both), lempel_ziv_truncated(both)
        (array([9.]), array([7.5]))
    """
    n_symbols = tables.domain.n_points
    unread = 2 if n_symbols > 4 else 1 if n_symbols > 2 else 0
    return _complexity(tables, n_symbols - unread)


@measure(unit=UNIT, invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv_over_orders(tables: TruthTables) -> Values:
    """Mean of C_LZ over input orders, which by itself depends on the order that the table happens to be written in.

        K(f) = mean over orders o of C_LZ(f(x_o(0), …, x_o(n - 1)))

    Up to 4 inputs over all n! orders, and then input orders do not matter. Beyond, over 24 different orders, drawn once
    and the same for all functions and runs.

    Args:
        tables: functions of 1 to 16 inputs.

    Returns:
        float64[size], in words times log2 N.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact for the orders used; as the mean over all n! orders, a standard error of 1.0 to 1.5 at n = 7, where
    C_LZ has a standard deviation of 5 to 7.5 over orders. Cost: 24 times `lempel_ziv` and as much again for reordering;
    22,000 functions/s at n = 7 on one core. Source: Dingle, Camargo, Louis 2018 for C_LZ; the mean is pfmap's own.

    Example:
        >>> dictators = TruthTables.from_callables([lambda x: x[0], lambda x: x[2]], 3)
        >>> lempel_ziv(dictators), lempel_ziv_over_orders(dictators)
        (array([9., 9.]), array([10., 10.]))
    """
    orders = _input_orders(tables.n_inputs)
    total: Values = np.sum([lempel_ziv(tables.permute_inputs(order)) for order in orders], axis=0)
    return total / len(orders)


def max_lempel_ziv(n_inputs: int) -> tuple[float, float]:
    """Two values that the largest C_LZ over all functions of n inputs lies between: (attained, not exceeded).

    The a priori slope of the Levin bound is a = log2 N_O / max C_LZ, so the first gives it from above and the second
    from below. For n <= 4 both are the exact maximum. Beyond, the first is the value of a function found by search
    (n <= 8) or of the best of 64 random ones, and the second is a theorem. A word of length at most k that ends at
    symbol k or later ends in a string of k symbols that is new there, so at most 2^k words do; add those that end
    before symbol k, and take the shortest words first.

    Returns:
        (low, high) in words times log2 N.

    Raises:
        InvalidInput: n_inputs outside 1 to 16.

    Error: exact for n <= 4; the second is 1.22 times the first at n = 7. Cost: 0.1 s at n = 4, 0.4 s at n = 16.
    Source: all functions counted for n <= 4; the theorem is a finite-length form of Lempel and Ziv 1976, theorem 2.

    Example:
        >>> max_lempel_ziv(3)
        (15.0, 15.0)
        >>> max_lempel_ziv(7)
        (189.0, 231.0)
    """
    n_points = Cube(n_inputs).n_points
    if n_inputs <= 4:
        exact = float(lempel_ziv(TruthTables.from_ints(range(1 << n_points), n_inputs)).max())
        return exact, exact
    if n_inputs in _COMPLEX_FUNCTIONS:
        found = TruthTables.from_ints([_COMPLEX_FUNCTIONS[n_inputs]], n_inputs)
    else:
        bits = generator(0, "max_lempel_ziv").integers(0, 2, (64, n_points), np.uint8)
        found = TruthTables.from_bits(bits)
    return float(lempel_ziv(found).max()), float(n_inputs * _most_words(n_points))


# The most complex functions that simulated annealing found, as integers.
_COMPLEX_FUNCTIONS = {
    5: 0x4EB7C10D,
    6: 0x4C5186BEE4A5B032,
    7: 0xB0D533C292F2441F8BD750E77190DBAD,
    8: 0x42E6BFAE86D181E477037CDAD9F6285AA94ECB1920273759115E3F4132B783A6,
}


def _input_orders(n_inputs: int) -> list[list[int]]:
    if n_inputs <= 4:
        return [list(order) for order in permutations(range(n_inputs))]
    rng = generator(0, "lempel_ziv_over_orders")
    orders: dict[tuple[int, ...], None] = {}
    while len(orders) < 24:
        orders[tuple(rng.permutation(n_inputs).tolist())] = None
    return [list(order) for order in orders]


def _most_words(n_symbols: int) -> int:
    n_words, symbols_left, k = 0, n_symbols, 1
    while True:
        ending_early = _most_words(k - 1) if k > 1 else 0
        of_length_k = (1 << k) + ending_early - n_words
        if of_length_k * k >= symbols_left:
            return n_words + -(-symbols_left // k)
        n_words, symbols_left, k = n_words + of_length_k, symbols_left - of_length_k * k, k + 1


def _complexity(tables: TruthTables, scanned: int) -> Values:
    n_symbols = tables.domain.n_points
    values: Values = count_words(tables.words(), n_symbols, scanned).sum(axis=1) * (math.log2(n_symbols) / 2)
    weight = tables.hamming_weight()
    values[(weight == 0) | (weight == n_symbols)] = math.log2(n_symbols)
    return values
