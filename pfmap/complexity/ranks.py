"""Every measure on one axis of bits: how many functions are at most that complex."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from itertools import accumulate
from typing import TypeAlias

import numpy as np

from pfmap.complexity.circuits import circuit_size
from pfmap.complexity.counting import distance_to_constant, entropy, type_code
from pfmap.complexity.protocol import ComplexityMeasure, Values
from pfmap.complexity.spectrum import anf_degree, anf_terms
from pfmap.errors import InvalidInput
from pfmap.tables import Domain, TruthTables, require_tables

MAX_COUNTED_POINTS = 16
"""All 2^m functions on m points are counted up to here: on Cube(4), 65,536."""

_MAX_KNOWN_POINTS = 1 << 16
_ROUNDING = 1e-9
# Functions of five inputs with C = 0, 1, …, 12; Knuth, The Art of Computer Programming 4A, section 7.1.2.
_CIRCUITS_OF_FIVE = (
    *(12, 100, 1140, 11570, 109826, 995240, 8430800),
    *(63401728, 383877392, 1519125536, 2123645248, 195366784, 1920),
)

Measure: TypeAlias = ComplexityMeasure | Callable[[TruthTables], Values]


def rank_code(tables: TruthTables, measure: Measure) -> Values:
    """Bits that number the functions at most as complex as f, so that measures in any unit share one axis.

        R(f) = log2 |{g : K(g) <= K(f)}|     over all 2^m functions g on the domain of m points

    It keeps the order of K and forgets its unit: the simplest functions, all n_1 of them, get log2 n_1, the most
    complex ones m. R(f) bits name f to a reader who knows K(f). To one who does not, R is no code length: with n_k
    functions on the k-th level and N_k up to it, the sum of 2^-R over all functions is S = sum_k n_k / N_k, which is 1
    for a constant measure and more for any other (5.41 for circuit_size at n = 4), at most 1 + m ln 2. R + log2 S is
    the length of a complete code.

    Args:
        tables: functions on a domain of at most 16 points, such as a cube of at most 4 inputs, for any measure. More,
            where the number of functions on each level is known: up to 65,536 points for `distance_to_constant`,
            `entropy` and `type_code`, up to 16 inputs for `anf_terms` and `anf_degree`, 5 for `circuit_size`.
        measure: a measure of this package, one made by `measure`, or any function from tables to one number each.

    Returns:
        float64[size], in bits, 0 to m.

    Raises:
        InvalidInput: more points than that; or the measure is none, refuses the domain, or returns something else than
            one finite number a function.

    Error: rounding, since the counts are exact. Values closer than 1e-9, of themselves where above 1, share a level: so
    close they differ by rounding. Cost: at n = 4 the measure's cost of 65,536 functions, once a process for a
    ComplexityMeasure and anew for any other function, then 5e7 functions/s on one core. Source: the number of a
    function in a list by complexity, as in Li and Vitanyi 2008, An Introduction to Kolmogorov Complexity, section 2.1.

    Example:
        >>> rank_code(TruthTables.from_strings(["00000000", "00010111", "01101001"]), circuit_size).round(4)
        array([3.    , 8.    , 7.2479])
        >>> def runs(tables):
        ...     return np.count_nonzero(np.diff(tables.bits(), axis=1), axis=1)
        >>> rank_code(TruthTables.from_strings(["0000", "0011", "0110", "0101"]), runs).round(2)
        array([1.  , 3.  , 3.81, 4.  ])
    """
    require_tables("rank_code", tables)
    if not callable(measure):
        raise InvalidInput(
            f"rank_code came with {measure!r} for a measure; it needs a function from tables to values, such as "
            "complexity.circuit_size"
        )
    domain = tables.domain
    if domain.n_points <= MAX_COUNTED_POINTS:
        if isinstance(measure, ComplexityMeasure) and isinstance(measure, Hashable):
            return _ranks_once_a_process(measure, domain)[tables.words()[:, 0]]
        return _ranks_of_all(measure, domain)[tables.words()[:, 0]]
    for known, rank_by in _KNOWN:
        if measure is known and domain.n_points <= _MAX_KNOWN_POINTS:
            return rank_by(tables)
    raise InvalidInput(
        f"rank_code came with {getattr(measure, 'name', 'a measure')} on {domain}; functions up to a level are counted "
        f"for at most {MAX_COUNTED_POINTS} points (4 inputs), and known beyond for "
        f"{', '.join(known.name for known, _ in _KNOWN)} (5 inputs); for an axis in bits use "
        "complexity.decision_tree_mixture, a code length for up to 10 inputs, or complexity.type_code"
    )


def _ranks_of_all(measure: Measure, domain: Domain) -> Values:
    n_functions = 1 << domain.n_points
    everything = TruthTables.from_words(np.arange(n_functions, dtype=np.uint64)[:, None], domain)
    came = measure(everything)
    try:
        values = np.asarray(came, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (n_functions,) or not np.all(np.isfinite(values)):
        raise InvalidInput(
            f"the measure {getattr(measure, 'name', measure)} returned {came!r} for all {n_functions} functions on "
            f"{domain}; rank_code needs float[{n_functions}], one finite number each"
        )
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    gaps = np.diff(ascending) > _ROUNDING * np.maximum(1.0, np.abs(ascending[1:]))
    up_to = np.append(np.flatnonzero(gaps) + 1, n_functions)
    ranks = np.empty(n_functions)
    ranks[order] = np.log2(up_to)[np.append(0, np.cumsum(gaps))]
    return ranks


_ranks_once_a_process = lru_cache(maxsize=64)(_ranks_of_all)


@cache
def _log2_subsets_up_to(m: int) -> Values:
    """log2 of sum_{i <= k} C(m, i) for k = 0 … m, from exact integers."""
    choose, total, bits = 1, 1, [0.0]
    for k in range(1, m + 1):
        choose = choose * (m - k + 1) // k
        total += choose
        bits.append(math.log2(total))
    return np.array(bits)


def _rank_by_distance(tables: TruthTables) -> Values:
    m, distance = tables.domain.n_points, distance_to_constant(tables).astype(np.int64)
    # Both constants have functions around them; balanced ones lie at one distance from both.
    return np.where(2 * distance == m, m, 1 + _log2_subsets_up_to(m)[distance])


def _rank_by_anf_terms(tables: TruthTables) -> Values:
    return _log2_subsets_up_to(1 << tables.n_inputs)[anf_terms(tables).astype(np.int64)]


def _rank_by_anf_degree(tables: TruthTables) -> Values:
    n = tables.n_inputs
    terms = np.cumsum([math.comb(n, d) for d in range(n + 1)])
    return terms[anf_degree(tables).astype(np.int64)].astype(np.float64)


def _rank_by_circuit_size(tables: TruthTables) -> Values:
    return np.log2(list(accumulate(_CIRCUITS_OF_FIVE)))[circuit_size(tables).astype(np.int64)]


_KNOWN: tuple[tuple[ComplexityMeasure, Callable[[TruthTables], Values]], ...] = (
    (distance_to_constant, _rank_by_distance),
    (entropy, _rank_by_distance),
    (type_code, _rank_by_distance),
    (anf_terms, _rank_by_anf_terms),
    (anf_degree, _rank_by_anf_degree),
    (circuit_size, _rank_by_circuit_size),
)
