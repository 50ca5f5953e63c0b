"""Claim: which complexity does a map follow? For each measure K, how much of P the best law 2^(-a K) explains."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.protocol import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.hypotheses.halves import checked_average, halves_of, likeliest
from pfmap.hypotheses.laws import Levels, class_means, levels_of
from pfmap.hypotheses.result import HypothesisTest, two_sided_normal
from pfmap.prior import check_confidence
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import Domain


@dataclass(frozen=True, eq=False, repr=False)
class ComplexityComparison:
    """How many bits of KL(P || uniform) the law of each measure explains, the measure that explains most first.

    Attributes:
        names: of the measures.
        a: float64[size], fitted slope, bits a unit of K.
        a_low: lower ends.
        a_high: upper ends.
        bits: float64[size], KL(P || uniform) - KL(P || P_a), cross-validated.
        bits_low: lower ends.
        bits_high: upper ends.
        fraction: float64[size], bits / total_bits; nan where total_bits is 0.
        fraction_low: lower ends.
        fraction_high: upper ends.
        covariance: float64[size, size], of `bits` as estimates.
        p_unrelated: float64[size], p-value of the mean K being what it is over all functions: a = 0.
        total_bits: KL(P || uniform), P averaged over classes if asked for.
        total_low: lower end.
        total_high: upper end.
        confidence: of each interval.
        n_samples: of both halves.
    """

    names: tuple[str, ...]
    a: NDArray[np.float64]
    a_low: NDArray[np.float64]
    a_high: NDArray[np.float64]
    bits: NDArray[np.float64]
    bits_low: NDArray[np.float64]
    bits_high: NDArray[np.float64]
    fraction: NDArray[np.float64]
    fraction_low: NDArray[np.float64]
    fraction_high: NDArray[np.float64]
    covariance: NDArray[np.float64]
    p_unrelated: NDArray[np.float64]
    total_bits: float
    total_low: float
    total_high: float
    confidence: float
    n_samples: int

    def __repr__(self) -> str:
        return (
            f"ComplexityComparison({', '.join(self.names[:3])}{', …' if len(self.names) > 3 else ''}; "
            f"the first explains {self.bits[0]:.4g} of {self.total_bits:.4g} bits, {self.n_samples:,} samples)"
        )

    def difference(self, one: str, other: str) -> HypothesisTest:
        """Test whether two measures explain equally many bits; the effect is bits of one less bits of the other.

        z = difference / its standard error, two-sided. Where neither law is told from the uniform one, z is not normal
        (both explain nothing, with errors of second order); the p-value is therefore at least that of a = 0 for both
        (Bonferroni), and where that is above 1 - confidence the interval reaches 0.

        Raises:
            InvalidInput: a measure that was not compared.

        Source: Vuong 1989, Econometrica 57, 307, the test in two steps.
        """
        i, j = self._index(one), self._index(other)
        effect, error = float(self.bits[i] - self.bits[j]), float(self._errors(i)[j])
        z = _ratio(effect, error)
        reach = NormalDist().inv_cdf(0.5 + self.confidence / 2) * error
        low, high = effect - reach, effect + reach
        if self._degenerate(i)[j] > 1 - self.confidence:
            low, high = min(low, 0.0), max(high, 0.0)
        return HypothesisTest(
            null=f"{one} and {other} explain equally much",
            statistic=z,
            p_value=max(two_sided_normal(z), float(self._degenerate(i)[j])),
            effect=effect,
            effect_interval=(low, high),
            effect_name="the difference in bits",
            confidence=self.confidence,
            evidence=f"{self.n_samples:,} samples",
        )

    def best_tests(self) -> tuple[HypothesisTest, ...]:
        """For each measure, the test that no other explains more; the effect is its lead over the best other, in bits.

        The null of measure i is rejected where some j explains more. Its p-value is the smallest one-sided one of the
        pairs (i, j), each as in `difference`, times their number. So those not rejected hold the best measure with at
        least `confidence`, however it was found: only the null of the best itself is true.

        Raises:
            InvalidInput: fewer than two measures were compared.
        """
        n = len(self.names)
        if n < 2:
            raise InvalidInput(f"only {self.names[0]} was compared; a best one needs at least two measures")
        z_all = NormalDist().inv_cdf(1 - (1 - self.confidence) / (2 * (n - 1)))
        tests = []
        for i in range(n):
            others = np.arange(n) != i
            lead, error = (self.bits[i] - self.bits)[others], self._errors(i)[others]
            z = np.array([_ratio(*pair) for pair in zip(lead, error, strict=True)])
            p = np.maximum([NormalDist().cdf(value) for value in z], self._degenerate(i)[others])
            tests.append(
                HypothesisTest(
                    null=f"no measure explains more than {self.names[i]}",
                    statistic=float(z.min()),
                    p_value=min(1.0, (n - 1) * float(p.min())),
                    effect=float(lead.min()),
                    effect_interval=(float((lead - z_all * error).min()), float((lead + z_all * error).min())),
                    effect_name="its lead over the best other in bits",
                    confidence=self.confidence,
                    evidence=f"{self.n_samples:,} samples, {n - 1} others",
                )
            )
        return tuple(tests)

    @property
    def contenders(self) -> tuple[str, ...]:
        """The measures that may be the best: a set that holds it with at least `confidence`."""
        if len(self.names) == 1:
            return self.names
        return tuple(name for name, test in zip(self.names, self.best_tests(), strict=True) if not test.is_rejected)

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise InvalidInput(f"{name!r} was not compared; choose among {', '.join(self.names)}")
        return self.names.index(name)

    def _errors(self, i: int) -> NDArray[np.float64]:
        # Standard errors of bits[i] - bits.
        variance = np.diag(self.covariance)
        of_difference = variance[i] + variance - 2 * self.covariance[i]
        rounding = 1e-12 * (variance[i] + variance)
        return np.asarray(np.sqrt(np.where(of_difference > rounding, of_difference, 0.0)))

    def _degenerate(self, i: int) -> NDArray[np.float64]:
        both: NDArray[np.float64] = 2 * np.minimum(self.p_unrelated[i], self.p_unrelated)
        return np.asarray(np.minimum(1.0, both))


def which_complexity(
    counts: FunctionCounts,
    measures: Sequence[ComplexityMeasure],
    *,
    average: Collection[Symmetry] = (),
    confidence: float = 0.95,
    seed: int = 1,
) -> ComplexityComparison:
    """For each measure K, the law of K alone that comes nearest to P, and how much of P it explains.

        P_a(f) = 2^(-a K(f)) / Z(a),     Z(a) = sum over all 2^m functions g of 2^(-a K(g))

        bits = KL(P || uniform) - min_a KL(P || P_a) = m + max_a E_P[log2 P_a] = m - min_a (a E_P[K] + log2 Z(a))

    The right-hand side is linear in P: no entropy of P is in it, so bits need no function to come twice. The best a
    gives K the mean that it has under P. It is fitted on each half of the sample and judged on the other
    (`counts.split`, each with one sample of the uniform law added, which keeps a finite), so measures gain nothing by
    the fit, and differences of two measures are means of differences over the same samples.

    Only the total, KL(P || uniform) = m - H(P), needs an entropy. It is Grassberger's estimate, kept between two means
    of known sign: the frequencies' own entropy is at most H on average, and the code length of one half under
    frequencies of the other (smoothed by absolute discounting) is at least H. Its interval reaches from the one less
    its error to the other plus its error; it is wide where functions are mostly seen once.

    A measure that is invariant under a group cannot explain differences of P within orbits. With `average`, P is first
    averaged over orbits, which leaves its total lower and better known, and K is replaced by its mean over orbits.

    Args:
        counts: independent samples, all functions listed, as `draw(net, …)` gives them; or counts of the orbits of
            `average`.
        measures: K, of which all functions' values are known: any on 4 inputs, those invariant under NPN on 5,
            `distance_to_constant`, `entropy` and `type_code` on any domain.
        average: symmetries, such as `pfmap.symmetry.NPN`.
        confidence: of the intervals.
        seed: of the split.

    Raises:
        InvalidInput: no measures, one that came twice, one whose values over all functions are not known; samples in
            clusters, counts that do not list all that came, counts of orbits of another group, or confidence outside
            (0, 1).
        TooFewSamples: fewer than 2 samples.

    Error: intervals of a, of bits and of differences are normal, from the variance over independent samples; bits lie
    about 1.4 / N below the truth on average, as a is fitted on N / 2. The interval of a fraction takes that of bits and
    that of the total, each at half the error, at their worst. `Z(a)` is exact.
    Cost: that of the measures over all functions (once a process), then one pass a measure.
    Source: Csiszar 1975 for the nearest law; Grassberger 2003, arXiv physics/0307138; Ney, Essen and Kneser 1994 for
    the discounting.

    Example:
        >>> from pfmap import complexity, draw, maps
        >>> counts = draw(maps.MLP(3, (8,)), 10_000, seed=0)
        >>> found = which_complexity(counts, [complexity.entropy, complexity.circuit_size])
        >>> found.names
        ('entropy', 'circuit_size')
    """
    confidence = check_confidence(confidence)
    group = checked_average(average)
    domain, N = counts.tables.domain, counts.n_samples
    all_levels = [levels_of([measure], domain) for measure in measures]
    names = [measure.name for measure in measures]
    if not names or len(set(names)) < len(names):
        raise InvalidInput(f"measures are {', '.join(names) or 'none'}; list at least one, each once")
    halves = halves_of(counts, measures, group, seed)
    judged = np.empty((2, 2, len(measures)))  # a and log2 Z from one half, for the other to judge
    slope, slope_error, p_unrelated = np.empty((3, len(measures)))
    mean, covariance_of_k = halves.together()
    for i, (measure, levels) in enumerate(zip(measures, all_levels, strict=True)):
        judged[0, ::-1, i] = halves.fitted(levels, [i])[:, 0]
        judged[1, :, i] = [levels.log2_z([a]) for a in judged[0, :, i]]
        slope[i] = likeliest(levels, mean[[i]], N)[0]
        spread = levels.moments(slope[[i]])[1][0, 0]
        slope_error[i] = math.sqrt(covariance_of_k[i, i] / N) / (math.log(2) * spread) if spread else 0.0
        uniform_mean, uniform_variance = _over_all_functions(levels, measure, domain, group)
        p_unrelated[i] = two_sided_normal(_ratio(mean[i] - uniform_mean, math.sqrt(uniform_variance / N)))
    a, log2_z = judged
    share = halves.sizes / N
    bits = domain.n_points - share @ (a * halves.means + log2_z)
    covariance = np.einsum("h,hi,hj,hij->ij", share / N, a, a, halves.covariances)
    error = np.sqrt(np.diag(covariance))
    z, z_half = (NormalDist().inv_cdf(1 - (1 - confidence) / d) for d in (2, 4))
    total, ends, wider_ends = _total(counts, group, halves.counts, z, z_half)
    fraction, fraction_low, fraction_high = _fractions(bits, z_half * error, total, *wider_ends)
    order = np.argsort(-bits, kind="stable")
    return ComplexityComparison(
        names=tuple(names[i] for i in order),
        a=slope[order],
        a_low=(slope - z * slope_error)[order],
        a_high=(slope + z * slope_error)[order],
        bits=bits[order],
        bits_low=(bits - z * error)[order],
        bits_high=(bits + z * error)[order],
        fraction=fraction[order],
        fraction_low=fraction_low[order],
        fraction_high=fraction_high[order],
        covariance=covariance[np.ix_(order, order)],
        p_unrelated=p_unrelated[order],
        total_bits=total,
        total_low=ends[0],
        total_high=ends[1],
        confidence=confidence,
        n_samples=N,
    )


def _over_all_functions(
    levels: Levels, measure: ComplexityMeasure, domain: Domain, group: frozenset[Symmetry]
) -> tuple[float, float]:
    means = class_means(measure, domain, group)
    if means is not None:
        return float(means.mean()), float(means.var())
    mean, covariance = levels.moments([0.0])
    return float(mean[0]), float(covariance[0, 0])


def _total(
    counts: FunctionCounts, group: frozenset[Symmetry], k: NDArray[np.float64], *reaches: float
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    # KL(P || uniform), P averaged over orbits, and its intervals that reach so many standard errors.
    from scipy.special import digamma

    m, log2_size = counts.tables.domain.n_points, np.zeros(len(counts))
    if group:
        canonical = canonicalize(counts.tables, group=group)
        own = canonical.representatives
        _, first, where = np.unique(own.positions_in(own), return_index=True, return_inverse=True)
        k = np.stack([np.bincount(where, part) for part in k])
        log2_size = np.log2(canonical.orbit_sizes[first])
    both = k.sum(axis=0)
    N, halves = both.sum(), k.sum(axis=1)
    own_bits = m + np.log2(both / N) - log2_size
    above, above_error = _mean_and_error(own_bits, both)
    predicted = [(m + _log2_smoothed(k[1 - h], log2_size - m) - log2_size)[k[h] > 0] for h in (0, 1)]
    parts = [_mean_and_error(bits, k[h][k[h] > 0]) for h, bits in enumerate(predicted)]
    below = float(sum(mean * n for (mean, _), n in zip(parts, halves, strict=True)) / N)
    below_error = math.hypot(*(error * n for (_, error), n in zip(parts, halves, strict=True))) / N
    sign = np.where(both % 2 == 1, -1.0, 1.0)
    G = digamma(both) + sign * (digamma((both + 1) / 2) - digamma(both / 2)) / 2
    point = m - (math.log(N) - float(both @ G) / N) / math.log(2) - float(both @ log2_size) / N
    narrow, wide = ((max(0.0, below - z * below_error), max(0.0, above + z * above_error)) for z in reaches)
    return min(max(point, below, 0.0), max(above, 0.0)), narrow, wide


def _log2_smoothed(k: NDArray[np.float64], log2_uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    # Frequencies less a discount, which goes to all functions alike.
    once, twice = np.count_nonzero(k == 1), np.count_nonzero(k == 2)
    discount = (once + 0.5) / (once + 2 * twice + 1)
    spare = discount * np.count_nonzero(k)
    return np.asarray(np.log2((np.maximum(k - discount, 0) + spare * np.exp2(log2_uniform)) / k.sum()))


def _mean_and_error(values: NDArray[np.float64], k: NDArray[np.float64]) -> tuple[float, float]:
    n = k.sum()
    mean = float(k @ values / n)
    return mean, math.sqrt(float(k @ (values - mean) ** 2) / n**2)


def _fractions(
    bits: NDArray[np.float64], reach: NDArray[np.float64], total: float, total_low: float, total_high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    # A fraction lies between 0 and 1, but for the errors of its estimate.
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = bits / total if total else np.full(len(bits), np.nan)
        low = np.maximum(bits - reach, 0) / total_high if total_high else np.zeros(len(bits))
        high = np.minimum(np.where(bits + reach > 0, (bits + reach) / total_low if total_low else np.inf, 0.0), 1.0)
    return fraction, np.fmin(low, fraction), np.fmax(high, fraction)


def _ratio(value: float, error: float) -> float:
    # value / error; what rounding left of 0 / 0 is 0.
    if error > 0:
        return float(value / error)
    return 0.0 if abs(value) < 1e-9 else math.copysign(math.inf, value)
