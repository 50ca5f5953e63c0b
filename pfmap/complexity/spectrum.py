"""Measures of the two polynomials of a Boolean function: its Fourier expansion and its algebraic normal form.

The Fourier coefficients are those of F = (-1)^f: F̂(S) = 2^-n sum_x (-1)^(f(x) + sum of x_i over i in S), so that the
squares sum to 1.
"""

from __future__ import annotations

import numpy as np

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.kernels.locality import sensitivities
from pfmap.kernels.spectrum import DAMPED, DEGREE, L1, MAX_INPUTS, SPARSITY, anf_summary, walsh_summary
from pfmap.tables import TruthTables


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_INPUTS)
def fourier_degree(tables: TruthTables) -> Values:
    """Degree of the real polynomial that equals the function: max {|S| : F̂(S) != 0}, 0 for constants.

    Args:
        tables: functions of 1 to 14 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        InvalidInput: more than 14 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n); 11e6 functions/s at n = 7 on one core. Source: Nisan and Szegedy 1994, Comput.
    Complexity 4:301.

    Example:
        >>> fourier_degree(TruthTables.from_strings(["0000", "0001", "0110", "0011"]))
        array([0., 2., 2., 1.])
    """
    return walsh_summary(tables.words(), tables.n_inputs, DEGREE).astype(np.float64)


@measure(unit="sum of absolute coefficients", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_INPUTS)
def fourier_l1_norm(tables: TruthTables) -> Values:
    """Spectral norm: the sum over S of |F̂(S)|.

    Between 1, for constants and parities of any inputs, and 2^(n / 2).

    Args:
        tables: functions of 1 to 14 inputs.

    Returns:
        float64[size], at least 1.

    Raises:
        InvalidInput: more than 14 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n); 12e6 functions/s at n = 7 on one core. Source: Kushilevitz and Mansour 1993, SIAM J.
    Comput. 22:1331.

    Example:
        >>> fourier_l1_norm(TruthTables.from_strings(["0000", "0001", "0110"]))
        array([1., 2., 1.])
    """
    n = tables.n_inputs
    return walsh_summary(tables.words(), n, L1) / (1 << n)


@measure(unit="coefficients", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_INPUTS)
def fourier_sparsity(tables: TruthTables) -> Values:
    """Number of Fourier coefficients F̂(S) that are not zero: 1 for constants and parities, at most 2^n.

    Args:
        tables: functions of 1 to 14 inputs.

    Returns:
        float64[size], in coefficients.

    Raises:
        InvalidInput: more than 14 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n); 10e6 functions/s at n = 7 on one core. Source: Gopalan, O'Donnell, Servedio,
    Shpilka, Wimmer 2011, SIAM J. Comput. 40:1075.

    Example:
        >>> fourier_sparsity(TruthTables.from_strings(["0000", "0001", "0110"]))
        array([1., 4., 1.])
    """
    return walsh_summary(tables.words(), tables.n_inputs, SPARSITY).astype(np.float64)


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_INPUTS)
def total_influence(tables: TruthTables) -> Values:
    """Total influence: the sum over S of |S| F̂(S)^2.

    The inputs' probabilities of changing the function, summed: for Boolean functions exactly `average_sensitivity`, by
    whose count it is computed. Use one of the two.

    Args:
        tables: functions of 1 to 14 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        InvalidInput: more than 14 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 30e6 functions/s at n = 7 on one core. Source: O'Donnell 2014, Analysis of
    Boolean Functions, theorem 2.38.

    Example:
        >>> total_influence(TruthTables.from_strings(["0000", "0001", "0110"]))
        array([0., 1., 2.])
    """
    n = tables.n_inputs
    return sensitivities(tables.words(), n)[:, 0] / (1 << n)


@measure(unit="probability", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_INPUTS)
def noise_sensitivity(tables: TruthTables) -> Values:
    """Probability that f(x) != f(y), with x uniform and each bit of y flipped with probability 1/4 (rho = 1/2).

        K(f) = (1 - Stab_rho(f)) / 2,    Stab_rho(f) = sum_S rho^|S| F̂(S)^2,    rho = 1/2

    Noise stability turned round, so that constants, the most stable, are simplest: Stab = 1 - 2 K.

    Args:
        tables: functions of 1 to 14 inputs.

    Returns:
        float64[size], between 0 and 1/2.

    Raises:
        InvalidInput: more than 14 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n); 11e6 functions/s at n = 7 on one core. Source: O'Donnell 2014, Analysis of Boolean
    Functions, definitions 2.42 and 2.43, theorem 2.49.

    Example:
        >>> noise_sensitivity(TruthTables.from_strings(["0000", "0001", "0110", "0011"]))
        array([0.     , 0.21875, 0.375  , 0.25   ])
    """
    n = tables.n_inputs
    return (1 - walsh_summary(tables.words(), n, DAMPED) / (1 << 3 * n)) / 2


@measure(unit="terms", invariance={"input_permutations"}, is_code_length=False)
def anf_terms(tables: TruthTables) -> Values:
    """Terms of the algebraic normal form, the one sum modulo 2 of products of inputs that equals f.

    Parity of n inputs has n; the term 1 of a negated function counts; OR of n inputs has 2^n - 1, AND one.

    Args:
        tables: functions of 1 to 16 inputs.

    Returns:
        float64[size], in terms, 0 to 2^n.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 40e6 functions/s at n = 7 on one core. Source: Carlet 2021, Boolean Functions for
    Cryptography and Coding Theory, section 2.2.1.

    Example:
        >>> anf_terms(TruthTables.from_strings(["0000", "1111", "0001", "0110", "0111"]))
        array([0., 1., 1., 2., 3.])
    """
    return anf_summary(tables.words(), tables.n_inputs)[:, 0].astype(np.float64)


@measure(unit="inputs", invariance=EVERY_SYMMETRY, is_code_length=False)
def anf_degree(tables: TruthTables) -> Values:
    """Algebraic degree: inputs in the largest term of the algebraic normal form, 0 for both constants.

    Args:
        tables: functions of 1 to 16 inputs.

    Returns:
        float64[size], in inputs, 0 to n; n exactly where the number of ones is odd.

    Raises:
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: exact. Cost: O(n 2^n / 64); 40e6 functions/s at n = 7 on one core. Source: Carlet 2021, Boolean Functions for
    Cryptography and Coding Theory, section 2.2.1.

    Example:
        >>> anf_degree(TruthTables.from_strings(["0000", "1111", "0001", "0110"]))
        array([0., 0., 2., 1.])
    """
    return anf_summary(tables.words(), tables.n_inputs)[:, 1].astype(np.float64)
