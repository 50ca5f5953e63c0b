"""H(P), the entropy of a prior, from samples that have not seen all of it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.counting import type_code
from pfmap.complexity.decision import decision_tree_mixture
from pfmap.counts import FunctionCounts
from pfmap.hypotheses.estimates import Estimate, mean_and_error, require_independent_samples
from pfmap.prior import check_confidence
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, TruthTables


def estimate_entropy(counts: FunctionCounts, *, confidence: float = 0.95, seed: int = 1) -> Estimate:
    """H(P) = -sum_f P(f) log2 P(f) in bits, kept between two means of known sign.

    The frequencies' own entropy is at most H(P) on average, since entropy is concave. The code length of one half of
    the sample, under a law q made from the other half, is at least H(P) on average, whatever q:

        E_P[-log2 q] = H(P) + KL(P || q),    q(f) = max(k_f - d, 0) / N + d S / N 2^-L(f)

    q is the frequencies less a discount d, which goes to the functions that the half does not hold by a code that
    knows nothing of the map: L is one bit more than the shorter of `type_code` and, up to ten inputs,
    `decision_tree_mixture`. S is the number of functions that came, d = f_1 / (f_1 + 2 f_2) with halves added.

    The interval reaches from the one mean less its error to the other plus its error. Where functions are mostly seen
    once it is wide, and its low end stays below log2 N. The value in between is Grassberger's estimate.

    Of counts of orbits (`counts.pooled`) it is still the entropy of P over functions, all of an orbit being equally
    probable, and the interval is narrower.

    Args:
        counts: independent samples, all functions listed.
        confidence: of the interval.
        seed: of the split into halves.

    Raises:
        InvalidInput: samples in clusters, counts that do not list all that came, or confidence outside (0, 1).
        TooFewSamples: fewer than 2 samples.

    Error: each end normal, from the variance over independent samples; conservative, as the two means lie on either
    side. Cost: a split, and L of the functions that one half alone holds, 12 us each at n = 7.
    Source: Grassberger 2003, arXiv physics/0307138; Ney, Essen and Kneser 1994 for the discounting.

    Example:
        >>> tables = TruthTables.from_ints(range(16), 2)
        >>> print(estimate_entropy(FunctionCounts.from_unordered(tables, [1000] * 16)))
        4 (95 % interval 4 to 4)
    """
    confidence = check_confidence(confidence)
    require_independent_samples(counts)
    first = counts.split(seed=seed)[0].at(counts.tables)
    halves, k, N = (first, counts.counts - first), counts.counts, counts.n_samples
    log2_size = (
        np.zeros(len(counts))
        if counts.orbits is None
        else np.log2(canonicalize(counts.tables, group=counts.orbits).orbit_sizes)
    )
    least, least_error = mean_and_error(log2_size - np.log2(k / N), k)
    most = variance = 0.0
    for coded, known in (halves, halves[::-1]):
        came = coded > 0
        mean, error = mean_and_error(
            _code_length(counts.tables[came], known[came], known, log2_size[came]), coded[came]
        )
        share = float(coded.sum()) / N
        most, variance = most + share * mean, variance + (share * error) ** 2
    m = float(counts.tables.domain.n_points)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    low, high = min(m, max(0.0, least - z * least_error)), min(m, most + z * math.sqrt(variance))
    value = math.log2(N) + float(k @ (log2_size - _log2_grassberger(k))) / N
    return Estimate(max(low, min(max(value, least), most, high)), low, max(low, high), confidence)


def _code_length(
    tables: TruthTables, k: NDArray[np.int64], half: NDArray[np.int64], log2_size: NDArray[np.float64]
) -> NDArray[np.float64]:
    # -log2 q of functions that the half holds k times; what it lacks is coded by a law that knows no map.
    once, twice = int(np.count_nonzero(half == 1)), int(np.count_nonzero(half == 2))
    discount = (once + 0.5) / (once + 2 * twice + 1)
    length = log2_size - np.log2(np.maximum(k - discount, 1e-300))
    length[k == 0] = _universal_code(tables[k == 0]) - math.log2(discount * np.count_nonzero(half))
    return np.asarray(length + math.log2(half.sum()))


def _universal_code(tables: TruthTables) -> NDArray[np.float64]:
    length = type_code(tables)
    if len(tables) and isinstance(tables.domain, Cube) and tables.n_inputs <= decision_tree_mixture.max_inputs:
        length = np.minimum(length, decision_tree_mixture(tables)) + 1
    return length


def _log2_grassberger(k: NDArray[np.int64]) -> NDArray[np.float64]:
    # What stands for log2 k in the entropy of frequencies.
    from scipy.special import digamma

    sign = np.where(k % 2 == 1, -1.0, 1.0)
    return np.asarray(digamma(k) + sign * (digamma((k + 1) / 2) - digamma(k / 2)) / 2) / math.log(2)
