"""Claim: what one complexity leaves unexplained, another explains: the law 2^(-a1 K1 - a2 K2) of both."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from statistics import NormalDist

import numpy as np

from pfmap.complexity.protocol import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.hypotheses.halves import checked_average, halves_of, likeliest
from pfmap.hypotheses.laws import levels_of
from pfmap.hypotheses.result import HypothesisTest, two_sided_normal
from pfmap.prior import check_confidence
from pfmap.symmetry import Symmetry


def added_complexity_test(
    counts: FunctionCounts,
    base: ComplexityMeasure | Sequence[ComplexityMeasure],
    added: ComplexityMeasure,
    *,
    average: Collection[Symmetry] = (),
    confidence: float = 0.95,
    seed: int = 1,
) -> HypothesisTest:
    """Test whether a measure adds nothing to others; the effect is the bits of P that the joint law explains besides.

        P_a(f) = 2^(-a . K(f)) / Z(a),     bits = min over laws of base of KL(P || P_a) - min over laws of both

    The null is a = 0 for the added measure in the law nearest to P, which is no other null, as the divergence is convex
    in a. Its p-value is that of z = a / its standard error, two-sided, with the variance that holds whether or not P is
    such a law.

    Bits are cross-validated as in `which_complexity`: all slopes are fitted on one half and judged on the other, so a
    measure that adds nothing gains nothing, and loses about 1 / N on average. Where the p-value is above
    1 - confidence, the interval reaches 0.

    Args:
        counts: independent samples, all functions listed; or counts of the orbits of `average`.
        base: K1, one measure or several.
        added: K2.
        average: symmetries over whose orbits P is averaged first.
        confidence: of the interval.
        seed: of the split.

    Raises:
        InvalidInput: a measure that came twice, one whose values over all functions are not known; and as
            `which_complexity`.
        TooFewSamples: fewer than 2 samples.

    Error: p-value and interval are asymptotic in N. Z(a) is exact.
    Cost: that of the measures over all functions (once a process), a sort of them for each set of measures, and a pass.
    Source: Csiszar 1975 for the nearest law; White 1982, Econometrica 50, 1, for the variance.

    Example:
        >>> from pfmap import complexity, draw, maps
        >>> counts = draw(maps.MLP(3, (8,)), 100_000, seed=0)
        >>> test = added_complexity_test(counts, complexity.entropy, complexity.circuit_size)
        >>> test.is_rejected, round(test.effect, 2)
        (True, 0.16)
    """
    confidence = check_confidence(confidence)
    group = checked_average(average)
    kept = [base] if isinstance(base, ComplexityMeasure) else list(base)
    if not kept:
        raise InvalidInput("base lists no measure; name at least one to add to, or compare by which_complexity")
    both, N, last = [*kept, added], counts.n_samples, len(kept)
    base_levels, levels = levels_of(kept, counts.tables.domain), levels_of(both, counts.tables.domain)
    names = [measure.name for measure in both]
    if len(set(names)) < len(names):
        raise InvalidInput(f"measures are {', '.join(names)}; list each once")
    halves = halves_of(counts, both, group, seed)
    bits = variance = 0.0
    joint, alone = halves.fitted(levels, range(last + 1)), halves.fitted(base_levels, range(last))
    for fit, judge in ((0, 1), (1, 0)):
        more = joint[fit] - np.append(alone[fit], 0.0)
        share = halves.sizes[judge] / N
        log2_ratio = levels.log2_z(joint[fit]) - base_levels.log2_z(alone[fit])
        bits -= share * (float(more @ halves.means[judge]) + log2_ratio)
        variance += share / N * float(more @ halves.covariances[judge] @ more)
    mean, covariance = halves.together()
    slopes = likeliest(levels, mean, N)
    inverse = np.linalg.pinv(math.log(2) * levels.moments(slopes)[1], rcond=1e-12, hermitian=True)
    error = math.sqrt(float((inverse @ covariance @ inverse)[last, last]) / N)
    is_new = levels.rank() > base_levels.rank()  # no affine function of the others
    z = float(slopes[last]) / error if is_new and error else 0.0
    p_value = two_sided_normal(z)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance)
    low, high = bits - reach, bits + reach
    if p_value > 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return HypothesisTest(
        null=f"{added.name} adds nothing to {' and '.join(names[:-1])}",
        statistic=z,
        p_value=p_value,
        effect=float(bits),
        effect_interval=(low, high),
        effect_name="what it adds in bits",
        confidence=confidence,
        evidence=f"{N:,} samples",
    )
