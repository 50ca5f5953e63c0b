"""P(K): the probability of all functions of one complexity together, from counts in memory or a table of any size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.complexity import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.prior import check_confidence, lower_limit, upper_limit
from pfmap.store import iterate_counts, load_counts


@dataclass(frozen=True, eq=False, repr=False)
class ComplexityPrior:
    """Probabilities of complexities, inferred from counts.

    Attributes:
        measure: name and unit of K.
        levels: float64[size], the values of K that came, ascending.
        functions: int64[size], how many functions of each are listed; of orbits, how many orbits.
        counts: int64[size], k, samples that they are.
        log2_p: float64[size], log2 of k / N.
        log2_low: float64[size], lower ends.
        log2_high: float64[size], upper ends; functions that are not listed may all be of this K.
        confidence: of each two-sided interval.
        n_samples: N.
        n_unlisted: samples whose function is not listed, of unknown K.
    """

    measure: str
    levels: NDArray[np.float64]
    functions: NDArray[np.int64]
    counts: NDArray[np.int64]
    log2_p: NDArray[np.float64]
    log2_low: NDArray[np.float64]
    log2_high: NDArray[np.float64]
    confidence: float
    n_samples: int
    n_unlisted: int

    def __len__(self) -> int:
        return len(self.levels)

    def __repr__(self) -> str:
        return (
            f"ComplexityPrior({self.measure}, {len(self):,} values from {self.n_samples:,} samples, "
            f"{100 * self.confidence:g} % intervals)"
        )


def estimate_complexity_prior(
    counts: FunctionCounts | str | os.PathLike[str],
    measure: ComplexityMeasure,
    *,
    K: ArrayLike | None = None,
    confidence: float = 0.95,
    rows: int = 1 << 18,
) -> ComplexityPrior:
    """P(K) of each value of a measure: the mass of its functions, with intervals.

        P(K) = sum of P(f) over the functions f with K(f) = K,    k ~ Binomial(N, P(K))

    The values of K need no choice by the sample, so the intervals, Clopper and Pearson's, hold as they stand. A cluster
    counts as one sample, as if all of its functions had one K.

    Args:
        counts: functions or orbits; or the folder or file of a table, of which `rows` at a time are in memory.
        measure: K. Of orbits it must be invariant under the symmetries that they are pooled under.
        K: float64[size], what the measure says of counts in memory, if that is known already.
        confidence: of each interval.
        rows: functions at a time.

    Raises:
        InvalidInput: counts of a fixed set, which say nothing of other functions; a measure that tells functions of an
            orbit apart, or refuses the tables; K of another length, or NaN; confidence outside (0, 1).
        StoreError: nothing is there, or it cannot be read.
        CorruptStore: the file is damaged.

    Error: exact coverage of at least `confidence` for independent samples; conservative for clusters. Cost: that of the
        measure, and one pass.
    Source: Clopper and Pearson 1934; P(K) is figure 1 of arXiv 2304.06670.

    Example:
        >>> from pfmap.complexity import distance_to_constant
        >>> from pfmap.tables import TruthTables
        >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["00", "11", "01"]), [5, 2, 1])
        >>> found = estimate_complexity_prior(counts, distance_to_constant)
        >>> found.levels, found.functions, found.counts
        (array([0., 1.]), array([2, 1]), array([7, 1]))
    """
    confidence = check_confidence(confidence)
    head = counts if isinstance(counts, FunctionCounts) else load_counts(counts, at_most_functions=1)
    if head.at_least == 0:
        raise InvalidInput("only a set chosen before the draw was counted; draw without `only` to know P of every K")
    if not (head.orbits or frozenset()) <= measure.invariance:
        raise InvalidInput(
            f"{measure.name} tells functions of one orbit apart under {', '.join(sorted(head.orbits or ()))}; count "
            "functions instead, or choose a measure that these leave as it is"
        )
    listed: dict[float, NDArray[np.int64]] = {}
    for values, k in _pieces(counts, measure, K, rows):
        levels, where = np.unique(values, return_inverse=True)
        sums = np.zeros((len(levels), 2), np.int64)
        np.add.at(sums, where, np.column_stack([np.ones_like(k), k]))
        for level, row in zip(levels.tolist(), sums, strict=True):
            listed[level] = listed.get(level, np.zeros(2, np.int64)) + row
    order = sorted(listed)
    functions, k = np.array([listed[level] for level in order]).T
    unlisted = head.n_samples - int(k.sum())
    n, size, alpha = head.n_clusters, head.cluster_size, (1 - confidence) / 2
    return ComplexityPrior(
        measure=f"{measure.name} ({measure.unit})",
        levels=np.array(order),
        functions=functions,
        counts=k,
        log2_p=np.log2(k / head.n_samples),
        log2_low=lower_limit(k / size, n, alpha),
        log2_high=upper_limit((k + unlisted) / size, n, alpha),
        confidence=confidence,
        n_samples=head.n_samples,
        n_unlisted=unlisted,
    )


def _pieces(
    counts: FunctionCounts | str | os.PathLike[str], measure: ComplexityMeasure, K: ArrayLike | None, rows: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    if isinstance(counts, FunctionCounts) and K is not None:
        values = np.asarray(K, np.float64)
        if values.shape != (len(counts),) or np.isnan(values).any():
            raise InvalidInput(f"K is {values.dtype}{list(values.shape)}; it needs a number for each of {len(counts)}")
        yield values, counts.counts
    elif isinstance(counts, FunctionCounts):
        for start in range(0, len(counts), rows):
            yield measure(counts.tables[start : start + rows]), counts.counts[start : start + rows]
    else:
        for tables, k in iterate_counts(Path(counts), rows=rows):
            yield measure(tables), k
