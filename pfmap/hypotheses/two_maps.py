"""Claim: two maps have different priors; and are they alike beyond what complexity explains?"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import IncompatibleTables, InvalidInput, TooFewSamples
from pfmap.hypotheses.divergences import (
    common_tables,
    estimate_total_variation,
    independent_splits,
    require_comparable,
)
from pfmap.hypotheses.functions import checked_complexity, one_an_orbit
from pfmap.hypotheses.result import HypothesisTest
from pfmap.prior import PriorEstimate, check_confidence, estimate_prior
from pfmap.streams import generator
from pfmap.symmetry import NPN, Symmetry

_RESAMPLES = 999
_CHUNK = 1 << 21
_MOST_SAMPLES = 10**9


def same_prior_test(
    one: FunctionCounts,
    other: FunctionCounts,
    *,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> HypothesisTest:
    """Test whether two maps have one prior, by dealing their samples out anew; the effect is the total variation.

    Were the priors one, all ways to deal the N = N1 + N2 samples out to the two maps would be equally likely, so that,
    given how often K_f each function came in both, the counts k_f of the first map are multivariate hypergeometric.
    Deviations are Pearson's,

        X_d = sum over f in d of (k_f - K_f N1 / N)^2 / K_f,

    taken apart for functions whose K_f share a power of ten, so that frequent functions do not drown among rare ones,
    and once more between these decades, those that came once in all included. The statistic is the largest of the X_d,
    each as the standard score of its cube root among the permutations; p = (1 + |{S' >= S}|) / (1 + B).

    Counts of orbits (`counts.pooled`) tell more where both priors are invariant: fewer functions come but once.

    Args:
        one: independent samples of the first map, all functions listed.
        other: samples of the second, drawn with another seed.
        permutations: B.
        confidence: of the effect's interval, which is that of `estimate_divergences`.
        seed: of the permutations and of the halves behind the interval.

    Raises:
        InvalidInput: samples in clusters, counts that do not list all that came, samples that share latents, more than
            1e9 samples in all, permutations below 19 or confidence outside (0, 1).
        IncompatibleTables: other domains, or orbits of other groups.
        TooFewSamples: no function came twice.

    Error: the p-value is exact (its level is at most alpha for any B), whatever the prior and however many functions
    came once. Cost: B hypergeometric numbers for each function that came twice or more.
    Source: Pearson 1900; Wilson and Hilferty 1931 for the cube root; Phipson and Smyth 2010 for the p-value. For
    N1 = N2, X_d is the statistic of Chan, Diakonikolas, Valiant and Valiant 2014 plus a constant.

    Example:
        >>> from pfmap import draw, maps
        >>> one, other = (draw(maps.MLP(3, (8,) * depth), 2_000, seed=depth) for depth in (1, 2))
        >>> same_prior_test(one, other).p_value
        0.001
    """
    confidence = check_confidence(confidence)
    B = _checked_permutations(permutations)
    require_comparable(one, other)
    N1, N = one.n_samples, one.n_samples + other.n_samples
    if N >= _MOST_SAMPLES:
        raise InvalidInput(f"{N:,} samples came in all; hypergeometric numbers reach to 1e9: draw fewer")
    tables = common_tables(one, other)
    first, both = one.at(tables), one.at(tables) + other.at(tables)
    again = both > 1
    if not again.any():
        raise TooFewSamples(f"all {N:,} samples are different functions, which says nothing; draw more, or pool orbits")
    K = np.append(both[again], np.count_nonzero(~again))
    deviations = _deviations(np.append(first[again], first[~again].sum())[None], K, N1 / N)
    rng = generator(seed, "same prior")
    rows = max(1, _CHUNK // len(K))
    for start in range(0, B, rows):
        dealt = rng.multivariate_hypergeometric(K, N1, size=min(rows, B - start), method="marginals")
        deviations = np.concatenate([deviations, _deviations(dealt, K, N1 / N)])
    roots = np.cbrt(deviations)
    spread = roots.std(axis=0)
    scores = (roots - roots.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    S = scores.max(axis=1)
    as_far_out = S[0] - 1e-9 <= S  # S itself included
    effect = estimate_total_variation(one, other, confidence=confidence, seed=seed)
    return HypothesisTest(
        null="both maps have one prior",
        statistic=float(S[0]),
        p_value=int(as_far_out.sum()) / (1 + B),
        effect=effect.value,
        effect_interval=(effect.low, effect.high),
        effect_name="the total variation",
        confidence=confidence,
        evidence=(
            f"{B:,} permutations of {N1:,} and {other.n_samples:,} samples, "
            f"{len(K) - 1:,} {'functions' if one.orbits is None else 'orbits'} came twice or more"
        ),
    )


def paired_priors(
    one: FunctionCounts, other: FunctionCounts, *, at_least: int = 1, confidence: float = 0.95, seed: int = 1
) -> tuple[PriorEstimate, PriorEstimate]:
    """The priors of two maps at the same functions: those that a half of either sample holds, judged by the others.

    Args:
        one: independent samples of the first map, all functions listed.
        other: samples of the second, drawn with another seed.
        at_least: take functions that came so often in the half that chooses, of either map.
        confidence: of each interval.
        seed: of the splits into halves.

    Returns:
        Two estimates with the same tables, those first that came most often in both choosing halves.

    Raises:
        InvalidInput: samples in clusters, counts that do not list all that came, samples that share latents, or
            confidence outside (0, 1).
        IncompatibleTables: other domains, or orbits of other groups.
        TooFewSamples: fewer than 2 samples of a map, or no function came so often.

    Error: that of `estimate_prior`. Cost: two splits and one look-up.

    Example:
        >>> from pfmap import draw, maps
        >>> relu, tanh = (draw(maps.MLP(3, (8,), a), 2_000, seed=s) for s, a in enumerate(("relu", "tanh")))
        >>> one, other = paired_priors(relu, tanh)
        >>> one.tables == other.tables, one.n_samples
        (True, 1000)
    """
    require_comparable(one, other)
    (pick1, judge1), (pick2, judge2) = independent_splits(one, other, seed)
    tables = common_tables(pick1, pick2)
    k1, k2 = pick1.at(tables), pick2.at(tables)
    often = np.argsort(-(k1 / pick1.n_samples + k2 / pick2.n_samples), kind="stable")
    often = often[np.maximum(k1, k2)[often] >= at_least]
    if not len(often):
        raise TooFewSamples(f"no function came {at_least} times in half a sample; draw more, or lower at_least")
    chosen = tables[often]
    return (
        estimate_prior(judge1, at=chosen, confidence=confidence),
        estimate_prior(judge2, at=chosen, confidence=confidence),
    )


def correlation_at_fixed_complexity_test(
    one: PriorEstimate,
    other: PriorEstimate,
    complexity: ArrayLike,
    *,
    group: Collection[Symmetry] = NPN,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> HypothesisTest:
    """Test whether two priors are unrelated once K is known, by permuting one of them among functions of one K.

        r = sum x y / sqrt(sum x^2 sum y^2),      p = (1 + |{|r'| >= |r|}|) / (1 + B)

    x and y are the ranks of log2 P1 and log2 P2 among the n_K functions of equal K, less their mean, over n_K + 1;
    equal values share the mean of their ranks. If complexity were all that two maps have in common, r would be 0.

    As in `simplicity_bias_test`, of each orbit under `group` one listed function is taken at random, as functions of an
    orbit have one P and are no independent evidence.

    Args:
        one: the prior of the first map.
        other: that of the second at the same tables, as `paired_priors` gives them.
        complexity: K of each function, [size], finite.
        group: symmetries that either prior may have; () takes every function.
        permutations: B.
        confidence: of the effect's interval.
        seed: of the functions taken, the permutations and the resamples.

    Raises:
        IncompatibleTables: the priors list other tables, or the group needs inputs that the tables lack.
        InvalidInput: complexity of another length or not finite; another group or confidence; permutations below 19.
        TooFewSamples: no level of K holds two functions that differ in P1 and two that differ in P2.

    Error: the p-value is exact where P2 is dealt out to functions of one K at random. r is that of estimates: noise of
    rare functions draws it to 0, so compare it with r between two samples of one map, or take functions that came
    often (`at_least`). The interval is the percentile one of 999 resamples of functions with their ranks kept;
    asymptotic in their number. Cost: that of `canonicalize`, and B + 999 passes; 10,000 functions in 2 s.
    Source: Conover and Iman 1981 for correlations of ranks; Phipson and Smyth 2010 for the p-value.

    Example:
        >>> from pfmap import TruthTables, estimate_prior
        >>> tables = TruthTables.from_ints(range(16), 2)
        >>> prior = estimate_prior(FunctionCounts.from_unordered(tables, range(1, 17)), at=tables)
        >>> correlation_at_fixed_complexity_test(prior, prior, tables.hamming_weight(), group=()).effect
        1.0
    """
    if one.tables != other.tables:
        raise IncompatibleTables("the priors list other functions; take both from paired_priors, or with the same `at`")
    confidence = check_confidence(confidence)
    B = _checked_permutations(permutations)
    K = checked_complexity(one, complexity)
    rng = generator(seed, "correlation at fixed complexity")
    rows = one_an_orbit(one.tables, group, rng)[0]
    level = np.unique(K[rows], return_inverse=True)[1]
    x, y = (_centred_ranks(prior.log2_p[rows], level) for prior in (one, other))
    xx, yy, xy = x * x, y * y, x * y
    if not (np.bincount(level, xx) * np.bincount(level, yy)).any():
        raise TooFewSamples(
            f"none of the {level.max() + 1} levels of {len(rows):,} functions holds some that differ in both priors; "
            "draw more samples, or take a coarser complexity"
        )
    norm = float(np.sqrt(xx.sum() * yy.sum()))
    r = float(np.clip(xy.sum() / norm, -1, 1))
    sorted_x = x[np.argsort(level, kind="stable")]
    reached = 0
    for _ in range(B):
        reached += abs(float(sorted_x @ y[np.lexsort((rng.random(len(y)), level))])) >= (abs(r) - 1e-9) * norm
    resampled = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        taken = rng.integers(len(x), size=len(x))
        spread = math.sqrt(float(xx[taken].sum() * yy[taken].sum()))
        resampled[i] = float(xy[taken].sum()) / spread if spread else 0.0
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return HypothesisTest(
        null="both priors are unrelated at fixed K",
        statistic=r,
        p_value=(1 + reached) / (1 + B),
        effect=r,
        effect_interval=(max(-1.0, min(low, r)), min(1.0, max(high, r))),
        effect_name="the rank correlation of P1 and P2 within levels of K",
        confidence=confidence,
        evidence=(
            f"{B:,} permutations of {len(rows):,} {'orbits' if group else 'functions'} in {level.max() + 1:,} levels"
        ),
        caveat=one.caveat or other.caveat,
    )


def _deviations(k: NDArray[np.int64], K: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    # [permutation, decade + 1]: Pearson's sums over functions of each decade, and over decades. The last K is that of
    # all functions that came once, which stand together.
    decade = np.append(np.floor(np.log10(K[:-1])).astype(np.int64), -1)
    off = k - K * share
    powers = np.unique(decade)
    columns = [(off[:, decade == power] ** 2 / K[decade == power]).sum(axis=1) for power in powers if power >= 0]
    between = np.zeros(len(k))
    for power in powers:
        among = decade == power
        between += off[:, among].sum(axis=1) ** 2 / max(1, K[among].sum())
    return np.column_stack([*columns, between])


def _centred_ranks(values: NDArray[np.float64], level: NDArray[np.int64]) -> NDArray[np.float64]:
    # Mid-ranks within levels less their mean, over the number of functions plus 1.
    from scipy.stats import rankdata

    size = np.bincount(level)
    before = np.cumsum(size) - size
    distinct = np.unique(values, return_inverse=True)[1]
    ranks = rankdata(level * (distinct.max() + 1) + distinct) - before[level]
    return np.asarray((ranks - (size[level] + 1) / 2) / (size[level] + 1))


def _checked_permutations(permutations: int) -> int:
    if isinstance(permutations, bool) or not isinstance(permutations, int | np.integer) or permutations < 19:
        raise InvalidInput(f"permutations is {permutations!r}; it needs an int from 19 up, such as 999")
    return int(permutations)
