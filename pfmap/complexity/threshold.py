"""Polynomial threshold degree, by linear programming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.errors import PfmapError
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, TruthTables


@measure(
    unit="inputs",
    invariance=EVERY_SYMMETRY,
    is_code_length=False,
    max_inputs=7,
    instead="complexity.fourier_degree, an upper bound of it for up to 14 inputs",
)
def threshold_degree(tables: TruthTables) -> Values:
    """The least degree of a real polynomial whose sign is the function: p(x) > 0 where f(x) = 1, p(x) < 0 elsewhere.

    0 for constants, 1 for linear threshold functions, n for the parity of n inputs only. One linear program a function
    and degree, min 0 subject to (2 f(x) - 1) p(x) >= 1; functions of one NPN class share them.

    Args:
        tables: functions of 1 to 7 inputs.

    Returns:
        float64[size], in inputs, 0 to n.

    Raises:
        InvalidInput: more than 7 inputs.
        IncompatibleTables: tables on a list of points, which has no inputs.

    Error: every polynomial found is checked at all points; that none of lower degree exists is the solver's word, in
    double precision; it would err on a function whose polynomials all need coefficients 1e7 times their least value.
    Cost: 20 ms an NPN class at n = 7 on one core, for sets of thousands, not millions. Source: Minsky and Papert 1969,
    Perceptrons; the numbers of functions of degree at most 1 are OEIS A000609.

    Example:
        >>> threshold_degree(TruthTables.from_strings(["00000000", "00010111", "01100110", "01101001"]))
        array([0., 1., 2., 3.])
    """
    n = tables.n_inputs
    classes, which = np.unique(canonicalize(tables).representatives.packed, axis=0, return_inverse=True)
    degrees = np.array([_degree(signs, n) for signs in 2.0 * TruthTables(Cube(n), classes).bits() - 1], np.float64)
    return degrees[which.reshape(-1)]


def _degree(signs: NDArray[np.float64], n: int) -> int:
    x = Cube(n).points().astype(np.int64)
    monomials, sizes = (1 - 2 * (x @ x.T % 2)).astype(np.float64), x.sum(axis=1)
    degree = (n + 1) // 2
    if _represents(monomials[:, sizes <= degree], signs):
        while degree and _represents(monomials[:, sizes < degree], signs):
            degree -= 1
        return degree
    while not _represents(monomials[:, sizes <= degree], signs):
        degree += 1
    return degree


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
