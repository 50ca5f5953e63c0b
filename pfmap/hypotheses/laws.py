"""Laws over all functions of a domain that depend on complexities alone: P_a(f) = 2^(-a . K(f)) / Z(a)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.complexity.circuits import circuit_size_bound
from pfmap.complexity.counting import distance_to_constant, entropy, type_code
from pfmap.complexity.protocol import EVERY_SYMMETRY, ComplexityMeasure, Values
from pfmap.complexity.tabulated import read_tables
from pfmap.errors import InvalidInput
from pfmap.symmetry import NPN, Symmetry, canonicalize
from pfmap.tables import Cube, Domain, TruthTables

_MAX_LISTED_POINTS = 16
_OF_WEIGHT = (distance_to_constant, entropy, type_code)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _kept(most: int) -> Callable[[_Function], _Function]:
    # Measures are hashable, as `levels_of` saw, though their protocol does not say so.
    return lru_cache(maxsize=most)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Levels:
    """How many functions of a domain have each complexity, by one measure or by several together.

    Attributes:
        values: float64[levels, measures], the distinct K, ascending.
        log2_functions: float64[levels], log2 of the number of functions with that K; together 2^m functions.
    """

    values: NDArray[np.float64]
    log2_functions: NDArray[np.float64]

    def log2_z(self, a: ArrayLike) -> float:
        """log2 Z(a), Z(a) = sum over all functions of 2^(-a . K)."""
        return float(np.logaddexp2.reduce(self.log2_functions - self.values @ np.asarray(a)))

    def moments(self, a: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of K under P_a, float64[measures], and covariance, float64[measures, measures]."""
        p = np.exp2(self.log2_functions - self.values @ np.asarray(a) - self.log2_z(a))
        mean = p @ self.values
        centred = self.values - mean
        return mean, (centred * p[:, None]).T @ centred

    def rank(self) -> int:
        """How many measures of these are no constants and no affine functions of others."""
        covariance = self.moments(np.zeros(self.values.shape[1]))[1]
        spread = np.sqrt(np.diag(covariance))
        unit = np.where(spread > 0, spread, np.inf)
        return int(np.linalg.matrix_rank(covariance / np.outer(unit, unit), tol=1e-9, hermitian=True))

    def fitted(self, mean: ArrayLike) -> NDArray[np.float64]:
        """The a whose law has this mean of K, float64[measures], for a mean inside the convex hull of all K.

        It is the likeliest a for a sample of this mean, the minimum of the convex a . mean + log2 Z(a), by Newton's
        steps, halved where they overshoot. Of several such a, where one K is an affine function of others, it is the
        least. `Error:` 1e-9 of the spread of K in its mean.
        """
        spread = np.sqrt(np.diag(self.moments(np.zeros(self.values.shape[1]))[1]))
        scale = np.where(spread > 0, spread, 1.0)
        away = Levels((self.values - np.asarray(mean)) / scale, self.log2_functions)
        a = np.zeros(len(scale))
        while True:
            excess, covariance = away.moments(a)
            step = np.linalg.lstsq(covariance, excess, rcond=1e-12)[0] / math.log(2)
            gain = float(excess @ step)  # of log2 Z, were it quadratic, twice what a whole step gains
            if gain < 1e-10:  # the last step squares what is left
                return np.asarray((a + step) / scale)
            before, length = away.log2_z(a), 1.0
            while away.log2_z(a + length * step) > before - length * gain / 4:
                length /= 2
            a = a + length * step


def levels_of(measures: Sequence[ComplexityMeasure], domain: Domain) -> Levels:
    """How many functions of the domain have each complexity, or each combination of complexities.

    Args:
        measures: K.
        domain: at most 16 points, such as Cube(4), for any measures; Cube(5) for measures that no input order, input
            flip or complement changes; any domain for `distance_to_constant`, `entropy` and `type_code`.

    Raises:
        InvalidInput: another domain, or one that a measure refuses.

    Error: exact counts. Cost: the measures' of all 2^m functions, or of one function a class (222 of four inputs,
    616,126 of five), once a process; and a sort.

    Example:
        >>> from pfmap import complexity
        >>> levels = levels_of([complexity.circuit_size], Cube(4))
        >>> np.exp2(levels.log2_functions).round().astype(int).tolist()
        [10, 60, 456, 2474, 10624, 24184, 25008, 2720]
    """
    for measure in measures:
        if not isinstance(measure, ComplexityMeasure) or not isinstance(measure, Hashable):
            raise InvalidInput(
                f"{measure!r} is no complexity measure; pass one such as complexity.lempel_ziv, or make one of a "
                "function with complexity.measure"
            )
    return _levels(tuple(measures), domain)


@_kept(256)
def _levels(measures: tuple[ComplexityMeasure, ...], domain: Domain) -> Levels:
    m = domain.n_points
    if m <= _MAX_LISTED_POINTS:
        K = np.column_stack([_complexity_of_all(measure, domain) for measure in measures])
        log2_each = np.zeros(1 << m)
    elif domain == Cube(5) and all(_invariance(measure, domain) >= NPN for measure in measures):
        K, log2_each = np.column_stack([_of_five_inputs(measure) for measure in measures]), _five_inputs()[1]
    elif all(measure in _OF_WEIGHT for measure in measures):
        tables = TruthTables.from_bits(np.arange(m) < np.arange(m + 1)[:, None], domain)
        K = np.column_stack([measure(tables) for measure in measures])
        log2_each = np.array([math.log2(math.comb(m, t)) for t in range(m + 1)])
    else:
        unknown = [measure.name for measure in measures if measure not in _OF_WEIGHT]
        raise InvalidInput(
            f"how many functions of {domain} have each {' and '.join(unknown)} is not known: it is on at most 16 "
            "points (4 inputs), and on 5 inputs for measures that no input order, input flip or complement changes; "
            f"beyond, use {', '.join(known.name for known in _OF_WEIGHT)}"
        )
    # Codes of the distinct K of each measure sort as K do, and faster.
    codes = [np.unique(column, return_inverse=True)[1] for column in K.T]
    _, first, where = np.unique(
        np.ravel_multi_index(codes, [int(c.max()) + 1 for c in codes]), return_index=True, return_inverse=True
    )
    log2_functions = np.full(len(first), -np.inf)
    np.logaddexp2.at(log2_functions, where, log2_each)
    return Levels(K[first], log2_functions)


@_kept(128)
def _complexity_of_all(measure: ComplexityMeasure, domain: Domain) -> Values:
    # K of all 2^m functions on at most 16 points, in the order of their integers.
    if isinstance(domain, Cube) and _invariance(measure, domain) >= NPN:
        classes, where = _classes(domain)
        return measure(classes)[where]
    return measure(all_functions(domain))


def complexities_of(
    measures: Sequence[ComplexityMeasure], tables: TruthTables, group: frozenset[Symmetry]
) -> NDArray[np.float64]:
    """Each K of each function, or its mean over the function's orbit under the group: float64[measures, size].

    Raises:
        InvalidInput: a K that changes within orbits on a domain whose functions are not listed.
    """
    domain = tables.domain
    if domain == Cube(5) and all(_invariance(measure, domain) >= NPN for measure in measures):
        canonical = canonicalize(tables).representatives.words()[:, 0]
        rows = np.searchsorted(_five_inputs()[0].words()[:, 0], canonical)
        return np.stack([_of_five_inputs(measure)[rows] for measure in measures])
    return np.stack([_complexity_of(measure, tables, group) for measure in measures])


def _complexity_of(measure: ComplexityMeasure, tables: TruthTables, group: frozenset[Symmetry]) -> Values:
    domain = tables.domain
    means = class_means(measure, domain, group)
    if means is None and domain.n_points > _MAX_LISTED_POINTS:
        return measure(tables)
    of_all = _complexity_of_all(measure, domain) if means is None else means
    return np.asarray(of_all[tables.words()[:, 0].astype(np.int64)])


@_kept(128)
def class_means(measure: ComplexityMeasure, domain: Domain, group: frozenset[Symmetry]) -> Values | None:
    """Mean K over the orbit of every function on at most 16 points: float64[2^m]; None where K is the mean itself.

    Raises:
        InvalidInput: K changes within orbits on a domain whose functions are not listed.
    """
    invariance = _invariance(measure, domain)
    if group <= invariance:
        return None
    if domain.n_points > _MAX_LISTED_POINTS:
        raise InvalidInput(
            f"{measure.name} changes under {', '.join(sorted(group - invariance))}, and its means over classes "
            f"are known for at most 4 inputs; these are functions on {domain}: leave it out, or do not average"
        )
    K = _complexity_of_all(measure, domain)
    representatives = canonicalize(all_functions(domain), group=group).representatives
    where = representatives.words()[:, 0].astype(np.int64)
    return np.asarray((np.bincount(where, K) / np.maximum(np.bincount(where), 1))[where])


def _invariance(measure: ComplexityMeasure, domain: Domain) -> frozenset[Symmetry]:
    # Sizes of circuits of up to five inputs are listed by class; the bounds beyond change with the order of inputs.
    return EVERY_SYMMETRY if measure is circuit_size_bound and domain.n_points <= 32 else measure.invariance


def all_functions(domain: Domain) -> TruthTables:
    """Every function on at most 16 points, in the order of their integers."""
    return TruthTables.from_words(np.arange(1 << domain.n_points, dtype=np.uint64)[:, None], domain)


@_kept(4)
def _classes(domain: Cube) -> tuple[TruthTables, NDArray[np.int64]]:
    # One function an NPN class, and the class of every function.
    representatives = canonicalize(all_functions(domain)).representatives
    words, where = np.unique(representatives.words()[:, 0], return_inverse=True)
    return TruthTables.from_words(words[:, None], domain), where


@_kept(1)
def _five_inputs() -> tuple[TruthTables, NDArray[np.float64]]:
    # One function an NPN class, and log2 of the size of the class.
    classes = TruthTables.from_words(read_tables()[0].astype(np.uint64)[:, None], Cube(5))
    return classes, np.log2(canonicalize(classes).orbit_sizes)


@_kept(32)
def _of_five_inputs(measure: ComplexityMeasure) -> Values:
    return measure(_five_inputs()[0])
