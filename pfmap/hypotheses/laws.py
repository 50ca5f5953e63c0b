"""Laws over all functions of a domain that depend on a complexity alone: P_a(f) = 2^(-a K(f)) / Z(a)."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.circuits import circuit_size_bound
from pfmap.complexity.counting import distance_to_constant, entropy, type_code
from pfmap.complexity.protocol import EVERY_SYMMETRY, ComplexityMeasure, Values
from pfmap.complexity.tabulated import read_tables
from pfmap.errors import InvalidInput
from pfmap.symmetry import NPN, Symmetry, canonicalize
from pfmap.tables import Cube, Domain, TruthTables

_MAX_LISTED_POINTS = 16
_OF_WEIGHT = (distance_to_constant, entropy, type_code)


@dataclass(frozen=True, eq=False)
class Levels:
    """How many functions of a domain have each complexity.

    Attributes:
        values: float64[levels], the distinct K, ascending.
        log2_functions: float64[levels], log2 of the number of functions with that K; together 2^m functions.
    """

    values: NDArray[np.float64]
    log2_functions: NDArray[np.float64]

    def log2_z(self, a: float) -> float:
        """log2 Z(a), Z(a) = sum over all functions of 2^(-a K)."""
        return float(np.logaddexp2.reduce(self.log2_functions - a * self.values))

    def moments(self, a: float) -> tuple[float, float]:
        """Mean and variance of K under P_a."""
        p = np.exp2(self.log2_functions - a * self.values - self.log2_z(a))
        mean = float(p @ self.values)
        return mean, float(p @ (self.values - mean) ** 2)

    def fitted(self, mean: float) -> float:
        """The a whose law has this mean of K, strictly between the least and the largest K; 0 if all are equal.

        It is the likeliest a for a sample of this mean. `Error:` 1e-12 relative.
        """
        from scipy.optimize import brentq

        if len(self.values) == 1:
            return 0.0
        reach = 1 / float(self.values[-1] - self.values[0])
        while not self.moments(reach)[0] < mean < self.moments(-reach)[0]:
            reach *= 2
        return float(brentq(lambda a: self.moments(a)[0] - mean, -reach, reach, xtol=1e-15, rtol=1e-12))


def levels_of(measure: ComplexityMeasure, domain: Domain) -> Levels:
    """How many functions of the domain have each complexity.

    Args:
        measure: K.
        domain: at most 16 points, such as Cube(4), for any measure; Cube(5) for measures that no input order, input
            flip or complement changes; any domain for `distance_to_constant`, `entropy` and `type_code`.

    Raises:
        InvalidInput: another domain, or one that the measure refuses.

    Error: exact counts. Cost: the measure's of all 2^m functions, or of one function a class (222 of four inputs,
    616,126 of five); once a process.

    Example:
        >>> from pfmap import complexity
        >>> levels = levels_of(complexity.circuit_size, Cube(4))
        >>> np.exp2(levels.log2_functions).round().astype(int).tolist()
        [10, 60, 456, 2474, 10624, 24184, 25008, 2720]
    """
    if not isinstance(measure, ComplexityMeasure) or not isinstance(measure, Hashable):
        raise InvalidInput(
            f"{measure!r} is no complexity measure; pass one such as complexity.lempel_ziv, or make one of a function "
            "with complexity.measure"
        )
    return _levels(measure, domain)


@lru_cache(maxsize=128)
def _levels(measure: ComplexityMeasure, domain: Domain) -> Levels:
    m = domain.n_points
    if m <= _MAX_LISTED_POINTS:
        K, log2_each = _complexity_of_all(measure, domain), np.zeros(1 << m)  # type: ignore[arg-type]
    elif domain == Cube(5) and _invariance(measure, domain) >= NPN:
        K, log2_each = _of_five_inputs(measure)
    elif measure in _OF_WEIGHT:
        ones = np.arange(m + 1)
        K = measure(TruthTables.from_bits(np.arange(m) < ones[:, None], domain))
        log2_each = np.array([_log2_choose(m, int(t)) for t in ones])
    else:
        raise InvalidInput(
            f"how many functions of {domain} have each {measure.name} is not known: it is on at most 16 points "
            "(4 inputs), and on 5 inputs for measures that no input order, input flip or complement changes; "
            f"beyond, use {', '.join(known.name for known in _OF_WEIGHT)}"
        )
    values, where = np.unique(K, return_inverse=True)
    log2_functions = np.full(len(values), -np.inf)
    np.logaddexp2.at(log2_functions, where, log2_each)
    return Levels(values, log2_functions)


@lru_cache(maxsize=128)
def _complexity_of_all(measure: ComplexityMeasure, domain: Domain) -> Values:
    # K of all 2^m functions on at most 16 points, in the order of their integers.
    if isinstance(domain, Cube) and _invariance(measure, domain) >= NPN:
        classes, where = _classes(domain)
        return measure(classes)[where]
    return measure(_all_functions(domain))


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
    K = _complexity_of_all(measure, domain)  # type: ignore[arg-type]  # levels_of saw that it is hashable
    representatives = canonicalize(_all_functions(domain), group=group).representatives
    where = representatives.words()[:, 0].astype(np.int64)
    return np.asarray((np.bincount(where, K) / np.maximum(np.bincount(where), 1))[where])


def _invariance(measure: ComplexityMeasure, domain: Domain) -> frozenset[Symmetry]:
    # Sizes of circuits of up to five inputs are listed by class; the bounds beyond change with the order of inputs.
    return EVERY_SYMMETRY if measure is circuit_size_bound and domain.n_points <= 32 else measure.invariance


def _all_functions(domain: Domain) -> TruthTables:
    return TruthTables.from_words(np.arange(1 << domain.n_points, dtype=np.uint64)[:, None], domain)


@lru_cache(maxsize=4)
def _classes(domain: Cube) -> tuple[TruthTables, NDArray[np.int64]]:
    # One function an NPN class, and the class of every function.
    representatives = canonicalize(_all_functions(domain)).representatives
    words, where = np.unique(representatives.words()[:, 0], return_inverse=True)
    return TruthTables.from_words(words[:, None], domain), where


@lru_cache(maxsize=1)
def _five_inputs() -> tuple[TruthTables, NDArray[np.float64]]:
    classes = TruthTables.from_words(read_tables()[0].astype(np.uint64)[:, None], Cube(5))
    return classes, np.log2(canonicalize(classes).orbit_sizes)


def _of_five_inputs(measure: ComplexityMeasure) -> tuple[Values, NDArray[np.float64]]:
    classes, log2_sizes = _five_inputs()
    return measure(classes), log2_sizes


def _log2_choose(m: int, k: int) -> float:
    return math.log2(math.comb(m, k))
