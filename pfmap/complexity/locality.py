"""Measures of how a Boolean function changes when inputs are flipped.

s(x) is the sensitivity at x, the number of inputs i for which f(x with x_i flipped) differs from f(x).
"""

from __future__ import annotations

import numpy as np

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.kernels.locality import block_sensitivities, certificate_sizes, sensitivities, unequal_pairs
from pfmap.tables import TruthTables

_NEIGHBOURS = 15
_SUBCUBES = 7
_BEYOND = "complexity.max_sensitivity, a lower bound of it for up to 15 inputs"


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=_NEIGHBOURS)
def average_sensitivity(tables: TruthTables) -> Values:
    """Mean over all points of the number of inputs whose flip changes the function: 2^-n sum_x s(x).

    Args:
        tables: functions of 1 to 15 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 30e6 functions/s at n = 7 on one core. Source: O'Donnell 2014, Analysis of
    Boolean Functions, definition 2.27.

    Example:
        >>> average_sensitivity(TruthTables.from_strings(["0000", "0001", "0110"]))
        array([0., 1., 2.])
    """
    n = tables.n_inputs
    return sensitivities(tables.words(), n)[:, 0] / (1 << n)


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=_NEIGHBOURS)
def max_sensitivity(tables: TruthTables) -> Values:
    """The largest number of inputs that change the function when flipped alone: max_x s(x).

    Args:
        tables: functions of 1 to 15 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 30e6 functions/s at n = 7 on one core. Source: Cook, Dwork, Reischuk 1986,
    SIAM J. Comput. 15:87; Buhrman and de Wolf 2002, Theor. Comput. Sci. 288:21.

    Example:
        >>> max_sensitivity(TruthTables.from_strings(["0000", "0001", "0110", "0011"]))
        array([0., 2., 2., 1.])
    """
    return sensitivities(tables.words(), tables.n_inputs)[:, 1].astype(np.float64)


@measure(unit="fraction of points", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=_NEIGHBOURS)
def critical_sample_ratio(tables: TruthTables) -> Values:
    """Fraction of points with a neighbour at Hamming distance 1 where the function differs: 2^-n |{x : s(x) > 0}|.

    Args:
        tables: functions of 1 to 15 inputs.

    Returns:
        float64[size], between 0 and 1.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 30e6 functions/s at n = 7 on one core. Source: Arpit et al. 2017,
    arXiv 1706.05394, on Boolean inputs as in arXiv 1805.08522.

    Example:
        >>> critical_sample_ratio(TruthTables.from_strings(["0000", "0001", "0110"]))
        array([0.  , 0.75, 1.  ])
    """
    n = tables.n_inputs
    return sensitivities(tables.words(), n)[:, 2] / (1 << n)


@measure(
    unit="fractions of pairs, summed over two distances",
    invariance=EVERY_SYMMETRY,
    is_code_length=False,
    max_inputs=_NEIGHBOURS,
)
def generalization_complexity(tables: TruthTables) -> Values:
    """Franco's generalisation complexity: how often points at Hamming distance 1, and at distance 2, differ in f.

        C(f) = C_1 + C_2,    C_d = fraction of all pairs (x, y) at distance d with f(x) != f(y)

    C_1 is the average sensitivity over n. C_2 of one input, which has no pairs at distance 2, is 0.

    Args:
        tables: functions of 1 to 15 inputs.

    Returns:
        float64[size], between 0 and 3/2.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n^2 2^n / 64); 10e6 functions/s at n = 7 on one core. Source: Franco and Anthony
    2006, IEEE Trans. Neural Netw. 17:578, the first two terms.

    Example:
        >>> generalization_complexity(TruthTables.from_strings(["0000", "0001", "0110", "0011"]))
        array([0. , 1. , 1. , 1.5])
    """
    n = tables.n_inputs
    # Over one denominator, so that equal sums are equal values.
    value: Values = unequal_pairs(tables.words(), n) @ [max(1, n - 1), 2] / (n * max(1, n - 1) << (n - 1))
    return value


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=_SUBCUBES, instead=_BEYOND)
def certificate_complexity(tables: TruthTables) -> Values:
    """The most inputs that have to be shown, at the worst point, to prove the value of the function there.

        C(f) = max_x min {|S| : f is constant on all y with y_S = x_S}

    Args:
        tables: functions of 1 to 7 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        InvalidInput: more than 7 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(4^n / 64); 600,000 functions/s at n = 7 on one core. Source: Buhrman and de Wolf 2002, Theor.
    Comput. Sci. 288:21.

    Example:
        >>> certificate_complexity(TruthTables.from_strings(["0000", "0001", "0110", "0011"]))
        array([0., 2., 2., 1.])
    """
    return certificate_sizes(tables.words(), tables.n_inputs).astype(np.float64)


@measure(unit="disjoint blocks", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=_SUBCUBES, instead=_BEYOND)
def block_sensitivity(tables: TruthTables) -> Values:
    """The most disjoint blocks of inputs, at any one point, each of which changes the function when flipped whole.

        bs(f) = max_x max {k : B_1 … B_k disjoint, f(x with B_i flipped) != f(x) for each i}

    Never below the maximum sensitivity, never above the certificate complexity.

    Args:
        tables: functions of 1 to 7 inputs.

    Returns:
        float64[size], in blocks, 0 to n.

    Raises:
        InvalidInput: more than 7 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(6^n / 64); 90,000 functions/s at n = 7 on one core. Source: Nisan 1991, SIAM J. Comput.
    20:999.

    Example:
        >>> sorted_bits = TruthTables.from_callables(lambda x: sorted(x) in ([*x], [*x[::-1]]), 4)
        >>> max_sensitivity(sorted_bits), block_sensitivity(sorted_bits)
        (array([2.]), array([3.]))
    """
    return block_sensitivities(tables.words(), tables.n_inputs).astype(np.float64)
