"""Measures of a table's number of ones alone."""

from __future__ import annotations

import numpy as np

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.tables import TruthTables


@measure(unit="bits per entry", invariance=EVERY_SYMMETRY, is_code_length=False)
def entropy(tables: TruthTables) -> Values:
    """Entropy of one entry of the table: H(T / m), with T ones among m entries.

        H(p) = -p log2 p - (1 - p) log2 (1 - p)

    Between 0 (constants) and 1 (balanced functions). m H(T / m) is not a code length, since T has to be told as well;
    `type_code` tells it.

    Args:
        tables: functions on a cube, or on Points.

    Returns:
        float64[size], in bits per entry.

    Error: rounding. Cost: O(2^n / 8); 30e6 functions/s at n = 7 on one core. Source: Mingard et al. 2019,
    arXiv 1909.11522, where it stands for complexity.

    Example:
        >>> entropy(TruthTables.from_strings(["0000", "0001", "0110"])).round(4)
        array([0.    , 0.8113, 1.    ])
    """
    from scipy.special import entr

    m = tables.domain.n_points
    ones = np.arange(m + 1)
    p = np.minimum(ones, m - ones) / m
    of_weight: Values = (entr(p) + entr(1 - p)) / np.log(2)
    return of_weight[tables.hamming_weight()]


@measure(unit="entries", invariance=EVERY_SYMMETRY, is_code_length=False)
def distance_to_constant(tables: TruthTables) -> Values:
    """Entries that differ from the nearer constant: min(T, m - T), with T ones among m entries.

    The Hamming weight as a complexity. T itself, tables.hamming_weight(), would call one constant simplest and the
    other most complex; papers on perceptrons use it as a label, P(T = t). The order is that of `entropy`.

    Args:
        tables: functions on a cube, or on Points.

    Returns:
        float64[size], in entries, 0 to m / 2.

    Error: exact. Cost: O(2^n / 8); 20e6 functions/s at n = 7 on one core. Source: O'Donnell 2014, Analysis of Boolean
    Functions, section 1.4: the distance to the constants.

    Example:
        >>> distance_to_constant(TruthTables.from_strings(["0000", "0001", "0110", "1111"]))
        array([0., 1., 2., 0.])
    """
    weight = tables.hamming_weight()
    return np.minimum(weight, tables.domain.n_points - weight).astype(np.float64)


@measure(unit="bits", invariance=EVERY_SYMMETRY, is_code_length=True)
def type_code(tables: TruthTables) -> Values:
    """Length of a two-part code: the number of ones, then which of the tables with so many.

        K(f) = log2 (m + 1) + log2 C(m, T),    T ones among m entries

    A code length: the sum of 2^-K over all functions is 1.

    Args:
        tables: functions on a cube, or on Points.

    Returns:
        float64[size], in bits.

    Error: rounding, 1e-12 of the value. Cost: O(2^n / 8); 30e6 functions/s at n = 7 on one core. Source: Cover and
    Thomas 2006, Elements of Information Theory, section 11.1 (method of types).

    Example:
        >>> type_code(TruthTables.from_strings(["0000", "0001", "0110"])).round(4)
        array([2.3219, 4.3219, 4.9069])
    """
    from scipy.special import gammaln

    m = tables.domain.n_points
    ones = np.arange(m + 1)
    log_choose = gammaln(m + 1) - (gammaln(ones + 1) + gammaln(m - ones + 1))
    of_weight: Values = np.log2(m + 1) + np.maximum(log_choose, 0) / np.log(2)
    return of_weight[tables.hamming_weight()]
