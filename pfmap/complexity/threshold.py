"""Polynomial threshold degree, by search for a polynomial or its dual, and by linear programming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.errors import PfmapError
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, TruthTables

_BLOCK, _STEPS = 1 << 15, 100


@measure(
    unit="inputs",
    invariance=EVERY_SYMMETRY,
    is_code_length=False,
    max_inputs=7,
    instead="complexity.fourier_degree, an upper bound of it for up to 14 inputs",
)
def threshold_degree(tables: TruthTables) -> Values:
    """The least degree of a real polynomial whose sign is the function: p(x) > 0 where f(x) = 1, p(x) < 0 elsewhere.

    0 for constants, 1 for linear threshold functions, n for the parity of n inputs only. For each degree a search adds
    up the monomials at points of the wrong sign, Rosenblatt's rule, until p has the sign of the function or its dual q,
    of degree below n - d, that of the function times parity. They exclude each other: p q times parity would be
    positive everywhere, and yet p q lacks the monomial of all n inputs, so that its mean is 0. What 100 steps leave
    open is settled by a linear program, min 0 subject to (2 f(x) - 1) p(x) >= 1. Functions of one NPN class share all.

    Args:
        tables: functions of 1 to 7 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        InvalidInput: more than 7 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: what the search finds is exact, in integers. Of the linear programs, every polynomial found is checked at all
    points; that none exists is the solver's word, in double precision; it would err on a function whose polynomials
    all need coefficients 1e7 times their least value. Cost: on one core 2.4 ms an NPN class of random networks at
    n = 7, 10 ms one of fair tables; 11 minutes for all classes of n = 5. Source: Minsky and Papert 1969, Perceptrons;
    the numbers of functions of degree at most 1 are OEIS A000609.

    Example:
        >>> threshold_degree(TruthTables.from_strings(["00000000", "00010111", "01100110", "01101001"]))
        array([0., 1., 2., 3.])
    """
    n = tables.n_inputs
    classes, which = np.unique(canonicalize(tables).representatives.packed, axis=0, return_inverse=True)
    blocks = [TruthTables(Cube(n), classes[i : i + _BLOCK]).bits() for i in range(0, len(classes), _BLOCK)]
    degrees = [_degrees(2 * bits.astype(np.float64) - 1, n) for bits in blocks]
    return np.concatenate([np.empty(0), *degrees])[which.reshape(-1)]


def _degrees(signs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    x = Cube(n).points().astype(np.int64)
    monomials, sizes = (1 - 2 * (x @ x.T % 2)).astype(np.float64), x.sum(axis=1)
    parity = monomials[:, -1]
    degrees, left = np.full(len(signs), float(n)), np.arange(len(signs))
    for degree in range(n):
        of_degree = monomials[:, sizes <= degree]
        fits = _searched(signs[left], of_degree)
        rest = np.flatnonzero(~fits)
        open_ = rest[~_searched(signs[left[rest]] * parity, monomials[:, sizes < n - degree])]
        fits[open_] = [_represents(of_degree, signs[left[row]]) for row in open_]
        degrees[left[fits]] = degree
        left = left[~fits]
    return degrees


def _searched(signs: NDArray[np.float64], monomials: NDArray[np.float64]) -> NDArray[np.bool_]:
    # Of which functions a polynomial was found. Its values are integers below 2^24, which float32 holds exactly.
    found, at = np.zeros(len(signs), np.bool_), np.arange(len(signs))
    S, M = signs.astype(np.float32), monomials.astype(np.float32)
    coefficients = S @ M
    for _ in range(_STEPS):
        wrong = S * (coefficients @ M.T) <= 0
        lacking = wrong.any(axis=1)
        found[at[~lacking]] = True
        at, S, wrong, coefficients = at[lacking], S[lacking], wrong[lacking], coefficients[lacking]
        coefficients = coefficients + (S * wrong) @ M
    return found


def _represents(monomials: NDArray[np.float64], signs: NDArray[np.float64]) -> bool:
    from scipy.optimize import linprog

    signed = signs[:, None] * monomials
    found = linprog(np.zeros(signed.shape[1]), A_ub=-signed, b_ub=-np.ones(len(signs)), bounds=(None, None))
    if found.status == 0 and np.all(signed @ found.x > 0.5):
        return True
    if found.status == 2:
        return False
    raise PfmapError(f"the linear program for the function {_string(signs)} came to no end: {found.message}")


def _string(signs: NDArray[np.float64]) -> str:
    return "".join("1" if sign > 0 else "0" for sign in signs)
