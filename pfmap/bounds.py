"""Levin bounds: log2 P(f) <= -a K(f) - b, drawn beforehand or fitted, and what lies above them.

Comes in: probabilities, sampled, split or of a Gaussian process, and one complexity a function. Goes out: a line with
intervals of a and b. The one thing to know: the highest frequency at each complexity overstates P even where nothing
favours simple functions, and more where more functions share a level; the line is fitted to lower confidence limits,
and its intervals allow for that maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import InvalidInput, TooFewSamples
from pfmap.prior import PriorEstimate, lower_limit, upper_limit
from pfmap.rare import OrthantEstimate, RareEstimate
from pfmap.tables import Domain, TruthTables

AnyEstimate: TypeAlias = PriorEstimate | RareEstimate | OrthantEstimate


@dataclass(frozen=True)
class LevinBound:
    """The line log2 P <= -a K - b.

    Attributes:
        a: bits of probability a unit of complexity.
        b: bits; the line stands at -b where K = 0.
        a_low: lower end of the interval of a.
        a_high: upper end of the interval of a.
        b_low: lower end of the interval of b.
        b_high: upper end of the interval of b.
        confidence: that both intervals hold at once; 1 for an a priori bound, whose ends coincide.
        kind: "a priori" or "fitted".
        caveat: why the intervals do not hold as they stand, in a sentence; None if they do.
    """

    a: float
    b: float
    a_low: float
    a_high: float
    b_low: float
    b_high: float
    confidence: float
    kind: Literal["a priori", "fitted"]
    caveat: str | None = None

    def log2_p(self, complexity: ArrayLike) -> NDArray[np.float64]:
        """The line -a K - b, bits, of the shape of K; it is not cut at 0.

        Example:
            >>> from pfmap.tables import Cube
            >>> a_priori_levin_bound(Cube(3), 16.0).log2_p([4.0, 8.0])
            array([-2., -4.])
        """
        return -self.a * np.asarray(complexity, np.float64) - self.b


@dataclass(frozen=True)
class Exceedance:
    """What lies above a Levin bound.

    A function lies surely above where its lower limit does, possibly where its upper limit does, by at least 1e-9 bits.

    Attributes:
        functions: fraction of functions whose log2_p lies above.
        functions_low: fraction surely above.
        functions_high: fraction possibly above.
        log2_mass: log2 of the frequency of the functions whose log2_p lies above; -inf for none.
        log2_mass_low: log2 of the lower limit for the probability of those surely above.
        log2_mass_high: log2 of the upper limit for the probability of those possibly above.
        confidence: of the limits.
        caveat: why they do not hold as they stand, in a sentence; None if they do.
    """

    functions: float
    functions_low: float
    functions_high: float
    log2_mass: float
    log2_mass_low: float
    log2_mass_high: float
    confidence: float
    caveat: str | None


def a_priori_levin_bound(domain: Domain | TruthTables, max_complexity: float) -> LevinBound:
    """The bound that needs no sample: a = log2(N_O) / max K, b = 0, for the N_O = 2^m functions of the domain.

    It puts the most complex functions where all functions would be if they were equally likely.

    Args:
        domain: Cube(n), Points(m), or tables on one.
        max_complexity: the largest K of any function of the domain, in the measure's unit.

    Raises:
        InvalidInput: max_complexity is not a finite number above 0.

    Error: exact. Cost: none. Source: Dingle, Camargo and Louis 2018, Nature Communications 9, 761.

    Example:
        >>> from pfmap.tables import Cube
        >>> a_priori_levin_bound(Cube(7), 160.0).a
        0.8
    """
    if not (isinstance(max_complexity, int | float | np.number) and 0 < max_complexity < math.inf):
        raise InvalidInput(f"max_complexity is {max_complexity!r}; it needs a finite number above 0")
    n_points = (domain.domain if isinstance(domain, TruthTables) else domain).n_points
    a = n_points / float(max_complexity)
    return LevinBound(a, 0.0, a, a, 0.0, 0.0, 1.0, "a priori")


def fit_levin_bound(prior: AnyEstimate, complexity: ArrayLike) -> LevinBound:
    """The tightest line that no lower confidence limit exceeds.

        minimise  sum over levels K of (-a K - b - M_K)   subject to  -a K - b >= M_K,   M_K = max {log2_low_i: K_i = K}

    Every distinct complexity is one level and weighs the same; levels whose functions all failed to come say nothing
    and are left out. The minimum is the edge of the upper hull of (K, M_K) that spans the mean level. Where a corner of
    the hull stands at the mean level, several slopes are equally tight: a and b lie midway, and the intervals hold for
    all of them.

    The highest frequency of a level would be no honest M_K: it overstates P on a map without any bias term, more where
    more functions share the level, and so makes a slope of nothing. Lower limits from an independent half
    (`counts.split()`) overstate far less, and the intervals of a and b allow for the rest. They are intervals for the
    line over the true M*_K, the largest log2 P among the judged functions of each seen level. Its a and b are monotone
    in every M*_K, one way left of the mean level and the other way right of it, so limits that hold for all M*_K at
    once give theirs. From the counts k_i of the g functions of a level, the error shared out over levels:

        upper: Clopper-Pearson of max k_i (were M*_K larger, its own function would have come more often);
        lower: the larger of Clopper-Pearson of max k_i at 1/g of the error, and that of sum k_i, divided by g.

    Of samples in clusters, and of counts of orbits, they are the largest of the functions' own limits at these errors.
    Of a `simultaneous` prior its own limits are taken, and so they are of functions that were measured one by one, by
    splitting or as orthants: M such intervals hold at once with 1 - M (1 - confidence), which is what the line then
    claims. Where a function did not converge its limits are the bracket, which assumes nothing.

    Args:
        prior: probabilities, of functions chosen beforehand: what `estimate_prior`, `estimate_functions`,
            `estimate_rare` or `orthant_probability` returns.
        complexity: K of each function of `prior`, [size], finite and from 0 up.

    Raises:
        InvalidInput: complexity has another length, or holds NaN, infinities or negative numbers; probabilities of
            partial tables; or so many functions measured one by one that their intervals say nothing together.
        TooFewSamples: fewer than two levels were seen; `estimate` is the flat line over the one, or None.

    Error: the intervals of a and b hold together with at least the bound's `confidence`, for any N; they are wide, as
    they assume nothing. Limits lie low where functions are rare, so a itself is not unbiased. (A bootstrap of the
    counts would not do: resampled maxima of levels full of rare functions lie above the sample's own.)
    Cost: a sort; 7e5 functions in 0.1 s, or in 4 s where each is a level of its own.
    Source: the bound, Dingle, Camargo and Louis 2018, Nature Communications 9, 761; checked against linear programming.

    Example:
        >>> from pfmap.counts import FunctionCounts
        >>> from pfmap.prior import estimate_prior
        >>> tables = TruthTables.from_strings(["00", "01", "10", "11"])
        >>> counts = FunctionCounts.from_unordered(tables, [4000, 1000, 1000, 4000])
        >>> bound = fit_levin_bound(estimate_prior(counts, at=tables), [1.0, 2.0, 2.0, 1.0])
        >>> round(bound.a, 2), round(bound.a_low, 2), round(bound.a_high, 2)
        (2.05, 1.87, 2.13)
    """
    K, confidence = _checked(prior, complexity), _joint_confidence(prior)
    levels, where = np.unique(K, return_inverse=True)
    limits = np.full(len(levels), -np.inf)
    np.maximum.at(limits, where, prior.log2_low)
    seen = np.isfinite(limits)
    levels, limits = levels[seen], limits[seen]
    if len(levels) < 2:
        raise TooFewSamples(
            f"{len(levels)} levels of complexity hold functions that came; a line needs 2: draw more samples",
            LevinBound(0.0, -limits[0], -math.inf, math.inf, -math.inf, math.inf, confidence, "fitted", prior.caveat)
            if len(levels)
            else None,
        )
    low, high = _limits_of_maxima(prior, where, seen)
    low = np.minimum(low, limits)
    side = levels - levels.mean()
    side[np.abs(side) <= 1e-9 * (levels[-1] - levels[0])] = 0
    a, b = np.mean([_line_above(levels, limits, side >= 0), _line_above(levels, limits, side > 0)], axis=0).tolist()
    a_high, b_low = _line_above(levels, np.where(side > 0, low, high), side > 0)
    a_low, b_high = _line_above(levels, np.where(side < 0, low, high), side >= 0)
    a, b = float(np.clip(a, a_low, a_high)), float(np.clip(b, b_low, b_high))  # where all are one line but for rounding
    return LevinBound(a, b, a_low, a_high, b_low, b_high, confidence, "fitted", prior.caveat)


def above(bound: LevinBound, prior: PriorEstimate, complexity: ArrayLike) -> Exceedance:
    """The fraction of functions, and of probability, that lies above a bound.

    Args:
        bound: the line.
        prior: probabilities of functions.
        complexity: K of each function of `prior`, [size].

    Raises:
        InvalidInput: complexity has another length, or holds NaN, infinities or negative numbers; no PriorEstimate.

    Error: the line is taken as it stands. A function's own counts decide on which side it lies, so the limits of mass
    are approximate; functions are surely and possibly above one by one, or all at once if `prior.simultaneous`.
    Cost: one pass.

    Example:
        >>> from pfmap.counts import FunctionCounts
        >>> from pfmap.prior import estimate_prior
        >>> from pfmap.tables import Cube
        >>> tables = TruthTables.from_strings(["00", "01", "10", "11"])
        >>> counts = FunctionCounts.from_unordered(tables, [7000, 1000, 1000, 1000])
        >>> beyond = above(a_priori_levin_bound(Cube(1), 2.0), estimate_prior(counts, at=tables), [1.0, 2.0, 2.0, 1.0])
        >>> beyond.functions, round(beyond.log2_mass, 3)
        (0.25, -0.515)
    """
    if not isinstance(prior, PriorEstimate):
        raise InvalidInput(
            f"{type(prior).__name__} is of functions measured one by one, and mass is counted in samples; compare "
            "bound.log2_p(complexity) with its log2_low and log2_high, or ask blind_spots how far below they lie"
        )
    # A fitted line touches lower limits: rounding must not put them above it.
    line = bound.log2_p(_checked(prior, complexity)) + 1e-9
    surely, point, possibly = (values > line for values in (prior.log2_low, prior.log2_p, prior.log2_high))
    alpha = (1 - prior.confidence) / 2
    share = prior.counts / prior.orbit_sizes
    return Exceedance(
        functions=float(point.mean()),
        functions_low=float(surely.mean()),
        functions_high=float(possibly.mean()),
        log2_mass=math.log2(share[point].sum() / prior.n_samples) if share[point].any() else -math.inf,
        log2_mass_low=float(lower_limit(*_effective(prior, share, surely), alpha)[0]),
        log2_mass_high=float(upper_limit(*_effective(prior, share, possibly), alpha)[0])
        if possibly.any()
        else -math.inf,
        confidence=prior.confidence,
        caveat=prior.caveat,
    )


def _effective(
    prior: PriorEstimate, share: NDArray[np.float64], which: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], float]:
    # Samples of these functions together, and of all, at the design effect that a sample of them has on average.
    k = share[which].sum()
    design = (share * prior.design_effects)[which].sum() / k if k else 1.0
    return np.array([k / design]), prior.n_samples / design


def _checked(prior: AnyEstimate, complexity: ArrayLike) -> NDArray[np.float64]:
    K = np.asarray(complexity)
    if K.shape != (len(prior),) or not (np.issubdtype(K.dtype, np.integer) or np.issubdtype(K.dtype, np.floating)):
        raise InvalidInput(f"complexity is {K.dtype}{list(K.shape)}; {len(prior)} functions need {len(prior)} numbers")
    if not np.all((K >= 0) & np.isfinite(K)):
        wrong = K[~((K >= 0) & np.isfinite(K))][0]
        raise InvalidInput(f"complexity holds {wrong}; every function needs a finite complexity from 0 up")
    return K.astype(np.float64)


def _joint_confidence(prior: AnyEstimate) -> float:
    """That of all limits the line rests on, at once."""
    if isinstance(prior, PriorEstimate):
        return prior.confidence
    if prior.where is not None:
        raise InvalidInput("the estimate is of partial tables, and complexity is a whole function's; leave out where")
    joint = 1 - len(prior) * (1 - prior.confidence)
    if joint <= 0:
        raise InvalidInput(
            f"{len(prior)} intervals of {100 * prior.confidence:g} % each say nothing of all at once; measure with "
            f"confidence={1 - 0.05 / len(prior):.6g}, which with the same `out` runs nothing anew"
        )
    return joint


def _limits_of_maxima(
    prior: AnyEstimate, where: NDArray[np.int64], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # log2 limits for the largest P of each seen level, valid for all levels at once.
    if not isinstance(prior, PriorEstimate) or prior.simultaneous:
        low, high = np.full(len(seen), -np.inf), np.full(len(seen), -np.inf)
        np.maximum.at(low, where, prior.log2_low)
        np.maximum.at(high, where, prior.log2_high)
        return low[seen], high[seen]
    size = np.bincount(where)[seen]
    largest, total = np.zeros(len(seen), np.int64), np.zeros(len(seen), np.int64)
    np.maximum.at(largest, where, prior.counts)
    np.add.at(total, where, prior.counts)
    largest, total = largest[seen], total[seen]
    alpha = np.full(len(size), (1 - prior.confidence) / (2 * len(size)))
    if prior.design_effects.max() > 1 or prior.orbit_sizes.max() > 1:
        return _largest_limits(prior, where, seen, alpha)
    by_largest = lower_limit(largest, prior.n_samples, alpha / (2 * size))
    by_total = lower_limit(total, prior.n_samples, alpha / 2) - np.log2(size)
    return np.maximum(by_largest, by_total), upper_limit(largest, prior.n_samples, alpha)


def _largest_limits(
    prior: PriorEstimate, where: NDArray[np.int64], seen: NDArray[np.bool_], alpha: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # A level's functions share its error from below; from above the function of the largest P answers for all.
    error = np.full(len(seen), alpha[0])
    each = (error / np.bincount(where))[where]
    k, n = prior.counts / prior.design_effects, prior.n_samples / prior.design_effects
    low, high = np.full((2, len(seen)), -np.inf)
    np.maximum.at(low, where, lower_limit(k, n, each) - np.log2(prior.orbit_sizes))
    np.maximum.at(high, where, upper_limit(k, n, error[where]) - np.log2(prior.orbit_sizes))
    return low[seen], high[seen]


def _line_above(
    levels: NDArray[np.float64], limits: NDArray[np.float64], is_right: NDArray[np.bool_]
) -> tuple[float, float]:
    # (a, b) of the edge of the upper hull from left to right: raise it to the furthest point above until none is.
    left, right = 0, len(levels) - 1
    while True:
        slope = (limits[right] - limits[left]) / (levels[right] - levels[left])
        height = limits - slope * levels
        furthest = int(np.argmax(height))
        base = max(height[left], height[right])
        if height[furthest] <= base + 1e-12 * (1 + abs(base)):
            return -float(slope), -float(height.max())
        if is_right[furthest]:
            right = furthest
        else:
            left = furthest
