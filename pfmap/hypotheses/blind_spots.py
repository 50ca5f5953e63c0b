"""Claim: some functions are far less probable than their complexity would let them be. Which, and by how much?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.bounds import AnyEstimate, LevinBound
from pfmap.complexity.circuits import MAX_EXACT_INPUTS, circuit_formula, minimal_circuit
from pfmap.complexity.formulas import minimal_dnf
from pfmap.complexity.protocol import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.hypotheses.functions import checked_complexity
from pfmap.hypotheses.laws import levels_of
from pfmap.hypotheses.result import HypothesisTest, correct_family
from pfmap.hypotheses.which_complexity import which_complexity
from pfmap.kernels.canonical import MAX_INPUTS
from pfmap.prior import PriorEstimate
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, TruthTables

if TYPE_CHECKING:
    import networkx as nx

_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class BlindSpots:
    """Functions by how far their P surely lies below a line in K, the furthest first.

    Attributes:
        tables: the functions.
        complexity: float64[size], K.
        log2_p: float64[size], -inf for a function that never came.
        log2_low: float64[size], lower ends.
        log2_high: float64[size], upper ends.
        deficit: float64[size], the line's log2 P less the function's, bits; inf for a function that never came.
        deficit_low: float64[size], the line less the upper end: what the deficit surely is; negative where P may lie
            above the line. Functions stand in the order of this.
        deficit_high: float64[size], the line less the lower end.
        is_bound: bool[size], whether P is known as an upper bound only, as the function never came or its walks were
            not seen to mix; `deficit_low` is then all that is claimed.
        verdicts: one sentence a function: what its P rests on.
        npn_representatives: the canonical function of each one's NPN class; None beyond 7 inputs.
        npn_sizes: int64[size], how many functions that class holds; they share circuit size and not always P. None
            beyond 7 inputs.
        bound: the line, taken as it stands.
        confidence: that all intervals hold at once.
        caveat: why they do not hold as they stand, in a sentence; None if they do.
    """

    tables: TruthTables
    complexity: NDArray[np.float64]
    log2_p: NDArray[np.float64]
    log2_low: NDArray[np.float64]
    log2_high: NDArray[np.float64]
    deficit: NDArray[np.float64]
    deficit_low: NDArray[np.float64]
    deficit_high: NDArray[np.float64]
    is_bound: NDArray[np.bool_]
    verdicts: tuple[str, ...]
    npn_representatives: TruthTables | None
    npn_sizes: NDArray[np.int64] | None
    bound: LevinBound
    confidence: float
    caveat: str | None

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        below = int(np.count_nonzero(self.deficit_low > 0))
        return (
            f"BlindSpots({self.tables.domain}, {below} of {len(self):,} functions surely below the line, the first by "
            f"{self.deficit_low[0]:.3g} bits or more)"
        )

    def __str__(self) -> str:
        offset = f" {-self.bound.b:+.3g}" if self.bound.b else ""
        line = f"log2 P = {-self.bound.a:.3g} K{offset} ({self.bound.kind})"
        head = ("bits below", "at least", "at most", "K", "log2 P", "in its NPN class", "function", "")
        rows = [head, *(self._row(i) for i in range(min(_SHOWN, len(self))))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        below = int(np.count_nonzero(self.deficit_low > 0))
        lines = [
            f"{below} of {len(self):,} functions surely lie below {line}; all intervals hold at once with "
            f"{100 * self.confidence:g} %.",
            *("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows),
        ]
        return "\n".join(lines if self.caveat is None else [*lines, f"note: {self.caveat}"])

    def _row(self, i: int) -> tuple[str, ...]:
        unknown, table = bool(self.is_bound[i]), self.tables[i].strings()[0]
        return (
            "" if unknown else f"{self.deficit[i]:.1f}",
            f"{self.deficit_low[i]:.1f}",
            "" if unknown else f"{self.deficit_high[i]:.1f}",
            f"{self.complexity[i]:g}",
            f"< {self.log2_high[i]:.1f}" if unknown else f"{self.log2_p[i]:.1f}",
            "" if self.npn_sizes is None else f"{self.npn_sizes[i]:,}",
            table if len(table) <= 64 else table[:63] + "…",
            self.formula(i).replace("\n", "; "),
        )

    def circuit(self, i: int) -> nx.DiGraph:
        """A smallest circuit of function i, of at most 4 inputs, as `complexity.minimal_circuit` gives it."""
        return minimal_circuit(self.tables[i])

    def formula(self, i: int) -> str:
        """Function i as text: a smallest circuit up to 4 inputs, a smallest DNF up to 7, nothing beyond.

        Operators are Python's; a gate that is used more than once has a line of its own.
        """
        if self.npn_sizes is None:
            return ""
        if self.tables.n_inputs <= MAX_EXACT_INPUTS:
            return circuit_formula(self.circuit(i))
        terms = [
            " & ".join(f"{'' if c == '1' else '~'}x{x}" for x, c in enumerate(term) if c != "-") or "1"
            for term in minimal_dnf(self.tables[i])
        ]
        return "f = " + (" | ".join(f"({t})" if "&" in t and len(terms) > 1 else t for t in terms) or "0")

    def tests(self, *, margin: float = 0.0) -> tuple[HypothesisTest, ...]:
        """For each function, the test that its P is no more than `margin` bits below the line, corrected by Holm.

        The interval of a function excludes the null at the level of its upper end, alpha = (1 - confidence) / (2 size):
        alpha is what the p-value is said to be then, which bounds it, and 1 otherwise.

        Raises:
            InvalidInput: the margin is not finite.
        """
        if not math.isfinite(margin):
            raise InvalidInput(f"margin is {margin!r}; it needs a finite number of bits")
        alpha = (1 - self.confidence) / (2 * len(self))
        names = self.tables.strings()
        tests = [
            HypothesisTest(
                null=f"{names[i]} lies at most {margin:g} bits below the line",
                statistic=float(self.deficit_low[i]) - margin,
                p_value=alpha if self.deficit_low[i] > margin else 1.0,
                effect=float(self.deficit[i]),
                effect_interval=(float(self.deficit_low[i]), float(self.deficit_high[i])),
                effect_name="the line's log2 P less the function's",
                confidence=self.confidence,
                evidence=self.verdicts[i],
                caveat=self.caveat,
            )
            for i in range(len(self))
        ]
        return correct_family(tests)


def blind_spots(estimate: AnyEstimate, complexity: ArrayLike, bound: LevinBound) -> BlindSpots:
    """Which functions lie furthest below a line in K: simple ones that the map hardly ever computes.

        deficit = -a K - b - log2 P,     surely at least -a K - b - (upper end of log2 P)

    Functions are ranked by what the deficit surely is: one that never came is not ranked by its P of 0 but by the
    bound that its samples allow. Intervals hold all at once, so the first of the ranking may be quoted. To find blind
    spots, list functions beforehand (`simple_functions`, `families.panel`), as a sample shows none, and measure them
    with `estimate_functions(…, simultaneous=True)`.

    Args:
        estimate: what `estimate_functions`, `estimate_rare`, `orthant_probability` or `estimate_prior` returns.
        complexity: K of each function, [size].
        bound: the line: a Levin bound, or the best law of K by `best_law`.

    Raises:
        InvalidInput: complexity of another length or with other than finite numbers, partial tables, or so many
            pointwise intervals that they say nothing together.

    Error: that of the estimate; the line is taken as it stands. Pointwise intervals of M functions hold at once with
    1 - M (1 - confidence). Cost: a sort.

    Example:
        >>> from pfmap import a_priori_levin_bound, complexity, estimate_functions, maps
        >>> net = maps.Perceptron(2, sigma_b=1.0, inputs="pm1")
        >>> tables = TruthTables.from_strings(["0000", "0011", "0001", "0110"])
        >>> estimate = estimate_functions(net, tables, 100_000, simultaneous=True)
        >>> found = blind_spots(estimate, complexity.circuit_size(tables), a_priori_levin_bound(tables, 1))
        >>> found.tables.strings()[0], found.is_bound, found.deficit_low.round()
        ('0110', array([ True, False, False, False]), array([11.,  4.,  3.,  1.]))
    """
    if not isinstance(estimate, PriorEstimate) and estimate.where is not None:
        raise InvalidInput(
            "the estimate is of partial tables; a complexity is that of a whole function, so leave out where"
        )
    K, size = checked_complexity(estimate, complexity), len(estimate)  # type: ignore[arg-type]
    if isinstance(estimate, PriorEstimate):
        pairs = zip(estimate.counts.tolist(), estimate.orbit_sizes.tolist(), strict=True)
        verdicts = tuple(
            f"{f'its orbit of {n}, ' if n > 1 else ''}{k:,} of {estimate.n_samples:,} samples" for k, n in pairs
        )
        converged = np.ones(size, np.bool_)
    else:
        verdicts, converged = estimate.verdicts, estimate.converged
    joint = estimate.confidence
    if not (isinstance(estimate, PriorEstimate) and estimate.simultaneous):
        joint = 1 - size * (1 - joint)
    if joint <= 0:
        raise InvalidInput(
            f"{size:,} intervals of {100 * estimate.confidence:g} % each say nothing of all at once; estimate with "
            f"simultaneous=True, or with confidence={1 - 0.05 / size:.6g}"
        )
    line = bound.log2_p(K)
    deficit, low, high = line - estimate.log2_p, line - estimate.log2_high, line - estimate.log2_low
    order = np.lexsort((-deficit, -low))
    tables = estimate.tables[order]
    classes = None
    if isinstance(tables.domain, Cube) and tables.n_inputs <= MAX_INPUTS:
        classes = canonicalize(tables)
    never = np.isneginf(estimate.log2_p) & np.isfinite(estimate.log2_high)
    return BlindSpots(
        tables=tables,
        complexity=K[order],
        log2_p=estimate.log2_p[order],
        log2_low=estimate.log2_low[order],
        log2_high=estimate.log2_high[order],
        deficit=deficit[order],
        deficit_low=low[order],
        deficit_high=high[order],
        is_bound=(never | ~converged)[order],
        verdicts=tuple(verdicts[i] for i in order),
        npn_representatives=None if classes is None else classes.representatives,
        npn_sizes=None if classes is None else classes.orbit_sizes,
        bound=bound,
        confidence=joint,
        caveat=estimate.caveat,
    )


def best_law(counts: FunctionCounts, measure: ComplexityMeasure, *, confidence: float = 0.95) -> LevinBound:
    """The line log2 P_a(f) = -a K(f) - log2 Z(a) of the law of K alone that comes nearest to P, as `which_complexity`.

    Below it lie functions that are less probable than their complexity explains, and above it others: it is no bound.

    Args:
        counts: samples other than those that judge, as `which_complexity` takes them.
        measure: K, of which all functions' values are known.
        confidence: of the interval of a, from which that of b = log2 Z(a) follows.

    Raises:
        InvalidInput, TooFewSamples: as `which_complexity`.

    Error: a as there; Z is exact. Cost: that of `which_complexity` for one measure.

    Example:
        >>> from pfmap import complexity, draw, maps
        >>> law = best_law(draw(maps.MLP(3, (8,)), 10_000, seed=0), complexity.circuit_size)
        >>> law.a_low < law.a < law.a_high
        True
    """
    found = which_complexity(counts, [measure], confidence=confidence)
    levels = levels_of([measure], counts.tables.domain)
    a, a_low, a_high = (float(values[0]) for values in (found.a, found.a_low, found.a_high))
    b, *ends = (levels.log2_z([slope]) for slope in (a, a_low, a_high))
    return LevinBound(a, b, a_low, a_high, min(ends), max(ends), confidence, "fitted")
