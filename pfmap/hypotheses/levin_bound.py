"""Claim: log2 P lies below the Levin bound, along it, and not only because complex levels hold many functions."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.bounds import LevinBound, fit_levin_bound
from pfmap.errors import InvalidInput, TooFewSamples
from pfmap.hypotheses.functions import checked_complexity, one_an_orbit
from pfmap.hypotheses.result import HypothesisTest
from pfmap.prior import PriorEstimate, lower_limit, upper_limit
from pfmap.streams import generator
from pfmap.symmetry import NPN, Symmetry

_HALVINGS = 20


def levin_bound_test(prior: PriorEstimate, complexity: ArrayLike, bound: LevinBound) -> HypothesisTest:
    """Test whether no function lies above a Levin bound; the effect is the largest log2 P + a K + b, in bits.

        p = sum_i P(t_i(X_i) <= min_j t_j(k_j)),    t_i(k) = P(X_i >= k),    X_i ~ Binomial(N, 2^(-a K_i - b))

    over the M judged functions: Bonferroni's bound on the probability that any function on the bound comes so far out.
    A summand is the largest tail of its own binomial that is no larger, as counts are discrete (Tarone). Where the
    functions were picked by the counts that judge them, or may have been (`prior.caveat`, `prior.simultaneous`), M is
    the number of all functions of the domain, which allows for any choice, and each summand the smallest tail itself;
    so too for samples in clusters. The effect's interval holds for the largest excess among the judged functions: the
    largest lower and the largest upper Clopper-Pearson limit above the bound, the error shared out over M.

    Args:
        prior: probabilities of functions.
        complexity: K of each function of `prior`, [size].
        bound: the line, known without these counts; a priori, or fitted to another sample.

    Raises:
        InvalidInput: complexity has another length, or holds NaN or infinities.

    Error: exact for independent samples, level at most alpha, and near it where every function lies on the bound and
    comes often. Of samples in clusters as good as the design effects. Cost: one pass.
    Source: the bound, Dingle, Camargo and Louis 2018, Nature Communications 9, 761; Tarone 1990, Biometrics 46, 515.

    Example:
        >>> from pfmap import Cube, FunctionCounts, TruthTables, a_priori_levin_bound, estimate_prior
        >>> tables = TruthTables.from_strings(["00", "01", "10", "11"])
        >>> counts = FunctionCounts.from_unordered(tables, [700, 100, 100, 100])
        >>> test = levin_bound_test(estimate_prior(counts, at=tables), [1, 2, 2, 1], a_priori_levin_bound(Cube(1), 2))
        >>> test.is_rejected, round(test.effect, 3)
        (True, 0.485)
    """
    from scipy.special import betainc

    K = checked_complexity(prior, complexity)
    line = bound.log2_p(K)
    k, n = prior.counts / prior.design_effects, prior.n_samples / prior.design_effects
    p_line = np.minimum(1.0, prior.orbit_sizes * np.exp2(np.minimum(line, 0)))
    tail = np.where(k > 0, betainc(np.maximum(k, 1e-300), n - k + 1, p_line), 1.0)
    tail[line >= 0] = 1.0
    picked = prior.caveat is not None or prior.simultaneous
    log2_m = float(prior.tables.domain.n_points) if picked else math.log2(len(prior))
    alpha = max((1 - prior.confidence) / 2 * 2.0**-log2_m, 1e-300)
    spread = np.log2(prior.orbit_sizes)
    low = float((lower_limit(k, n, alpha) - spread - line).max())
    high = float((upper_limit(k, n, alpha) - spread - line).max())
    smallest = float(tail.min())
    if picked or prior.design_effects.max() > 1:
        p_value = 2.0 ** (math.log2(smallest) + log2_m) if smallest else 0.0
    else:
        p_value = _attained(smallest, prior.n_samples, p_line)
    return HypothesisTest(
        null="no function lies above the bound",
        statistic=float(np.count_nonzero(prior.log2_p > line + 1e-9)),
        p_value=min(1.0, p_value),
        effect=float((prior.log2_p - line).max()),
        effect_interval=(low, high),
        effect_name="the largest log2 P above it in bits",
        confidence=prior.confidence,
        evidence=f"{len(prior):,} functions, {prior.n_samples:,} samples",
    )


def _attained(most: float, n: int, p: NDArray[np.float64]) -> float:
    # The sum over binomials of their largest upper tail that is at most `most`, by halving for the count it starts at.
    from scipy.special import betainc

    p, times = np.unique(p, return_counts=True)
    below, start = np.zeros(len(p)), np.full(len(p), n + 1.0)  # tail(below) > most >= tail(start)
    while np.any(start - below > 1):
        middle = np.floor((below + start) / 2)
        is_tail = (middle > below) & (betainc(np.maximum(middle, 1), n - middle + 1, p) <= most * (1 + 1e-9))
        start, below = np.where(is_tail, middle, start), np.where(is_tail, below, middle)
    tails = np.where(start > n, 0.0, betainc(start, np.maximum(n - start, 0) + 1, p))
    return float(times @ np.where(most >= 1, 1.0, tails))


def levin_line_tests(
    prior: PriorEstimate, complexity: ArrayLike, bound: LevinBound
) -> tuple[HypothesisTest, HypothesisTest]:
    """Test slope and offset of the tightest line over P against those of a bound known beforehand.

    The effects are a and b of `fit_levin_bound` less those of `bound`, with its intervals. Each p-value is the smallest
    1 - confidence at which the interval leaves the bound's value out.

    Args:
        prior: probabilities of functions chosen beforehand, with pointwise intervals.
        complexity: K of each function of `prior`, [size].
        bound: the line, known without these counts, such as the a priori one.

    Raises:
        InvalidInput: simultaneous intervals, which cannot be had at another confidence from the estimate; complexity of
            another length or with other than finite numbers from 0 up.
        TooFewSamples: as `fit_levin_bound`.

    Error: level at most alpha, well below it where levels are many, as intervals of lines assume nothing.
    p-values below 1e-12 are given as 1e-12. Cost: 21 fits each.

    Example:
        >>> from pfmap import Cube, FunctionCounts, TruthTables, a_priori_levin_bound, estimate_prior
        >>> tables = TruthTables.from_strings(["00", "01", "10", "11"])
        >>> prior = estimate_prior(FunctionCounts.from_unordered(tables, [400, 100, 100, 400]), at=tables)
        >>> slope, offset = levin_line_tests(prior, [1, 2, 2, 1], a_priori_levin_bound(Cube(1), 2))
        >>> slope.is_rejected, round(slope.effect, 2), offset.is_rejected
        (True, 1.17, True)
    """
    if prior.simultaneous:
        raise InvalidInput("this prior has simultaneous intervals; pass one from estimate_prior(…, simultaneous=False)")
    K = checked_complexity(prior, complexity)
    fitted = fit_levin_bound(prior, K)
    evidence = f"{len(np.unique(K)):,} levels of K, {prior.n_samples:,} samples"
    tests = []
    for name, value, low, high, given in (
        ("slope", fitted.a, fitted.a_low, fitted.a_high, bound.a),
        ("offset", fitted.b, fitted.b_low, fitted.b_high, bound.b),
    ):
        tests.append(
            HypothesisTest(
                null=f"the {name} of the line over P is {given:.4g}",
                statistic=value,
                p_value=_smallest_error(prior, K, name, given),
                effect=value - given,
                effect_interval=(low - given, high - given),
                effect_name=f"the fitted {name} less that",
                confidence=prior.confidence,
                evidence=evidence,
                caveat=prior.caveat,
            )
        )
    return tests[0], tests[1]


def levin_slope_test(
    prior: PriorEstimate,
    complexity: ArrayLike,
    *,
    group: Collection[Symmetry] = NPN,
    permutations: int = 199,
    seed: int = 0,
) -> HypothesisTest:
    """Test whether the line over P is steeper than over the same P with K dealt out to functions at random.

    The largest of many values lies higher: on a map without any simplicity bias the maximum of P rises with the number
    of functions at a level of K, and the line over it has a slope. This is that line's negative control. The effect is
    the slope a of `fit_levin_bound` less its mean over permutations of K; its interval is that of a, less the range
    that holds a fraction `prior.confidence` of the permutations' slopes.

        p = (1 + |{permutations with a' >= a}|) / (1 + B)

    As in `simplicity_bias_test`, of each orbit under `group` one listed function is taken at random.

    Args:
        prior: probabilities of functions.
        complexity: K of each function of `prior`, [size].
        group: symmetries that P may have; () takes every function.
        permutations: B.
        seed: of the functions taken and the permutations.

    Raises:
        InvalidInput: permutations below 19; complexity of another length or with other than finite numbers from 0 up;
            another group.
        TooFewSamples: as `fit_levin_bound`.

    Error: the p-value is exact where P does not look at K, as that of `simplicity_bias_test`. A permutation that leaves
    fewer than two levels seen has the slope 0. Cost: B fits.

    Example:
        >>> from pfmap import FunctionCounts, TruthTables, estimate_prior
        >>> tables = TruthTables.from_ints(range(16), 2)
        >>> K = tables.hamming_weight()
        >>> prior = estimate_prior(FunctionCounts.from_unordered(tables, 2 ** (14 - 2 * K)), at=tables)
        >>> levin_slope_test(prior, K, group=()).p_value
        0.005
    """
    K = checked_complexity(prior, complexity)
    if isinstance(permutations, bool) or not isinstance(permutations, int | np.integer) or permutations < 19:
        raise InvalidInput(f"permutations is {permutations!r}; it needs an int from 19 up, such as 199")
    rng = generator(seed, "Levin slope")
    rows, _ = one_an_orbit(prior.tables, group, rng)
    taken, K = _rows(prior, rows), K[rows]
    fitted = fit_levin_bound(taken, K)
    control = np.array([_slope(taken, rng.permutation(K)) for _ in range(permutations)])
    centre = float(control.mean())
    least, most = np.quantile(control, [(1 - prior.confidence) / 2, (1 + prior.confidence) / 2]).tolist()
    return HypothesisTest(
        null="the line over P is no steeper than with K dealt out at random",
        statistic=fitted.a,
        p_value=(1 + int(np.count_nonzero(control >= fitted.a - 1e-12 * abs(fitted.a)))) / (1 + permutations),
        effect=fitted.a - centre,
        effect_interval=(fitted.a_low - max(most, centre), fitted.a_high - min(least, centre)),
        effect_name=f"the slope less that of the control, {centre:.3g}, in bits a unit of K",
        confidence=prior.confidence,
        evidence=f"{permutations:,} permutations of {len(rows):,} {'orbits' if group else 'functions'}",
        caveat=prior.caveat,
    )


def _slope(prior: PriorEstimate, K: NDArray[np.float64]) -> float:
    try:
        return fit_levin_bound(prior, K).a
    except TooFewSamples:
        return 0.0


def _rows(prior: PriorEstimate, rows: NDArray[np.int64]) -> PriorEstimate:
    columns = ("log2_p", "log2_low", "log2_high", "counts", "orbit_sizes", "design_effects")
    return replace(prior, tables=prior.tables[rows], **{name: getattr(prior, name)[rows] for name in columns})


def _smallest_error(prior: PriorEstimate, K: NDArray[np.float64], name: str, given: float) -> float:
    # The smallest 1 - confidence whose interval leaves the given value out, by halving its logarithm.
    def leaves_out(error: float) -> bool:
        bound = fit_levin_bound(_at(prior, 1 - error), K)
        low, high = (bound.a_low, bound.a_high) if name == "slope" else (bound.b_low, bound.b_high)
        return not low <= given <= high

    inside, outside = math.log(1e-12), math.log(1 - 1e-9)
    if leaves_out(1e-12):
        return 1e-12
    if not leaves_out(1 - 1e-9):
        return 1.0
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if leaves_out(math.exp(middle)) else (middle, outside)
    return math.exp(outside)


def _at(prior: PriorEstimate, confidence: float) -> PriorEstimate:
    k, n = prior.counts / prior.design_effects, prior.n_samples / prior.design_effects
    alpha, spread = (1 - confidence) / 2, np.log2(prior.orbit_sizes)
    low, high = lower_limit(k, n, alpha) - spread, upper_limit(k, n, alpha) - spread
    return replace(prior, confidence=confidence, log2_low=low, log2_high=high)
