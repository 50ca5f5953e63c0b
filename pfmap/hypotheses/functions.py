"""Which functions a test looks at: one of each orbit, as all of it have one P; and their K."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import InvalidInput
from pfmap.prior import PriorEstimate
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import TruthTables


def one_an_orbit(
    tables: TruthTables, group: Collection[Symmetry], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of one function an orbit, chosen uniformly among those listed, and the sizes of their orbits: int64 each.

    With P even within orbits, the functions listed of one are a random choice of it, and so is the one taken: its K
    does not depend on how many were listed. An empty group takes every function.

    Raises:
        InvalidInput: tables of more than 7 inputs, or another group.
        IncompatibleTables: tables on a list of points.

    Error: exact. Cost: that of `canonicalize`.
    """
    if not group:
        return np.arange(len(tables)), np.ones(len(tables), np.int64)
    canonical = canonicalize(tables, group=group)
    shuffled = rng.permutation(len(tables))
    representatives = canonical.representatives[shuffled]
    rows = np.sort(shuffled[np.unique(representatives.positions_in(representatives))])
    return rows, canonical.orbit_sizes[rows]


def checked_complexity(prior: PriorEstimate, complexity: ArrayLike) -> NDArray[np.float64]:
    """K of each function as float64[size], or InvalidInput: another length, NaN or infinities."""
    K = np.asarray(complexity)
    if K.shape != (len(prior),) or not (np.issubdtype(K.dtype, np.integer) or np.issubdtype(K.dtype, np.floating)):
        raise InvalidInput(f"complexity is {K.dtype}{list(K.shape)}; {len(prior)} functions need {len(prior)} numbers")
    if not np.all(np.isfinite(K)):
        raise InvalidInput(f"complexity holds {K[~np.isfinite(K)][0]}; every function needs a finite complexity")
    return K.astype(np.float64)
