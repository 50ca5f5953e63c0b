"""Sweeps: one map after another along depth, width, sigma_w, sigma_b or activation, and what becomes of the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pfmap.bounds import fit_levin_bound
from pfmap.complexity.lempel_ziv import lempel_ziv
from pfmap.complexity.protocol import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput, TooFewSamples
from pfmap.hypotheses.entropy import estimate_entropy
from pfmap.hypotheses.estimates import Estimate, mean_estimate, require_independent_samples
from pfmap.hypotheses.result import HypothesisTest
from pfmap.hypotheses.simplicity_bias import simplicity_bias_test
from pfmap.maps.protocol import ParameterFunctionMap
from pfmap.prior import check_confidence, estimate_prior, lower_limit, upper_limit
from pfmap.sampling import draw
from pfmap.streams import check_seed
from pfmap.symmetry import NPN
from pfmap.tables import Cube, TruthTables

_MOST_RANKED = 1_000
_MOST_CANONICAL = 7


@dataclass(frozen=True)
class PriorSummary:
    """A prior in a few numbers.

    Attributes:
        entropy: H(P) in bits; of 2^n if all functions are equally probable, 0 if there is but one.
        constants: probability of both constant functions together.
        mean_complexity: mean of K under P.
        slope: a of the fitted Levin bound log2 P <= -a K - b, in bits a unit of K; None where fewer than two levels of
            K were seen twice.
        simplicity_bias: the test of P against K; None where too few functions came twice.
        n_samples: independent samples.
    """

    entropy: Estimate
    constants: Estimate
    mean_complexity: Estimate
    slope: Estimate | None
    simplicity_bias: HypothesisTest | None
    n_samples: int


@dataclass(frozen=True, eq=False)
class Sweep:
    """The priors of several maps, in the order in which they were named.

    Attributes:
        labels: what the maps were called.
        summaries: one a map.
        measure: name and unit of K.
    """

    labels: tuple[Any, ...]
    summaries: tuple[PriorSummary, ...]
    measure: str

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        columns = ("entropy", "constants", "mean_complexity", "slope")
        rows: list[tuple[str, ...]] = [("map", *columns)]
        rows += [
            (str(label), *(str(getattr(summary, name)) for name in columns))
            for label, summary in zip(self.labels, self.summaries, strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def sweep(
    maps: Mapping[Any, ParameterFunctionMap],
    n_samples: int,
    *,
    measure: ComplexityMeasure = lempel_ziv,
    confidence: float = 0.95,
    seed: int = 0,
) -> Sweep:
    """Draw from one map after another and summarise each prior; `plots.sweep` draws what comes of it.

    Args:
        maps: a label, such as a depth or a sigma, for each map.
        n_samples: samples of each map.
        measure: K.
        confidence: of all intervals, each by itself.
        seed: of the first map; the next takes the next seed, so that all samples are independent.

    Raises:
        InvalidInput: no maps; and as `draw` and `summarize_prior`.

    Error: that of `summarize_prior`. Cost: that of drawing.

    Example:
        >>> from pfmap import maps
        >>> found = sweep({depth: maps.MLP(3, (8,) * depth) for depth in (1, 4)}, 2_000)
        >>> shallow, deep = found.summaries
        >>> shallow.constants.high < deep.constants.low
        True
    """
    if not maps:
        raise InvalidInput("no maps came; name at least one, such as {1: maps.MLP(7, (40,)), 2: maps.MLP(7, (40, 40))}")
    first = check_seed(seed)
    summaries = [
        summarize_prior(
            draw(pfm, n_samples, seed=(first + i) % (1 << 64)), measure=measure, confidence=confidence, seed=first
        )
        for i, pfm in enumerate(maps.values())
    ]
    return Sweep(tuple(maps), tuple(summaries), f"{measure.name} ({measure.unit})")


def summarize_prior(
    counts: FunctionCounts, *, measure: ComplexityMeasure = lempel_ziv, confidence: float = 0.95, seed: int = 0
) -> PriorSummary:
    """Entropy of P, P(constants), mean K, the slope of the Levin bound and simplicity bias of one sample.

    Slope and simplicity bias are judged by the half of the sample that did not pick the functions; simplicity bias
    among the 1,000 functions that the other half saw most often. The entropy is that of P over functions, known better
    by way of orbits under the symmetries that the map declares.

    Args:
        counts: independent samples, all functions listed.
        measure: K.
        confidence: of the intervals.
        seed: of splits, permutations and resamples.

    Raises:
        InvalidInput: samples in clusters, counts of orbits or counts that do not list all that came; tables that the
            measure refuses; confidence outside (0, 1).
        TooFewSamples: fewer than 2 samples.

    Error: that of `estimate_entropy`, of Clopper and Pearson, normal for the mean, of `fit_levin_bound` and of
    `simplicity_bias_test`. Cost: that of the measure and 0.5 s.

    Example:
        >>> from pfmap import draw, maps
        >>> summary = summarize_prior(draw(maps.Perceptron(3), 2_000))
        >>> summary.constants.low < 1 / 8 < summary.constants.high  # theorem 4.1 of arXiv 1909.11522
        True
    """
    confidence = check_confidence(confidence)
    require_independent_samples(counts)
    if counts.orbits is not None:
        raise InvalidInput("counts of orbits no longer show their functions; pass counts of functions")
    pick, judge = counts.split(seed=seed)
    prior = estimate_prior(judge, at=pick.tables, confidence=confidence)
    K = measure(counts.tables)
    K_picked = K[pick.tables.positions_in(counts.tables)]
    try:
        bound = fit_levin_bound(prior, K_picked)
        slope = Estimate(bound.a, bound.a_low, bound.a_high, confidence)
    except TooFewSamples:
        slope = None
    often = estimate_prior(judge, at=pick.tables[:_MOST_RANKED], confidence=confidence)
    try:
        simplicity_bias = simplicity_bias_test(
            often,
            K_picked[:_MOST_RANKED],
            group=NPN if _has_orbits(counts) else (),
            permutations=999,
            confidence=confidence,
            seed=seed,
        )
    except TooFewSamples:
        simplicity_bias = None
    symmetry = counts.provenance.get("symmetry", ()) if _has_orbits(counts) else ()
    return PriorSummary(
        entropy=estimate_entropy(counts.pooled(symmetry) if symmetry else counts, confidence=confidence, seed=seed),
        constants=_constants(counts, confidence),
        mean_complexity=mean_estimate(K, counts.counts, confidence),
        slope=slope,
        simplicity_bias=simplicity_bias,
        n_samples=counts.n_samples,
    )


def _has_orbits(counts: FunctionCounts) -> bool:
    domain = counts.tables.domain
    return isinstance(domain, Cube) and domain.n_inputs <= _MOST_CANONICAL


def _constants(counts: FunctionCounts, confidence: float) -> Estimate:
    m, N = counts.tables.domain.n_points, counts.n_samples
    both = TruthTables.from_bits(np.repeat([[0], [1]], m, axis=1), counts.tables.domain)
    k, alpha = np.array([counts.at(both).sum()]), (1 - confidence) / 2
    low, high = (float(np.exp2(limit(k, N, alpha)[0])) for limit in (lower_limit, upper_limit))
    return Estimate(min(max(low, float(k[0]) / N), high), low, high, confidence)
