"""Does a sample bear out a symmetry that a map declares?

Comes in: counts of functions and a group. Goes out: a p-value. The one thing to know: only counts of functions can
tell; counts already pooled into orbits have lost it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput, TooFewSamples
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import Cube, TruthTables

_CHUNK = 1 << 16


@dataclass(frozen=True)
class InvarianceTest:
    """Whether counts are as even within orbits as an invariant prior makes them.

    Attributes:
        group: the symmetries tested.
        p_value: probability of orbits at least so uneven if the prior is invariant; small says that it is not.
        statistic: the one that speaks most against invariance.
        expected: its mean, were the prior invariant.
        evidence: which statistic that is.
    """

    group: frozenset[Symmetry]
    p_value: float
    statistic: float
    expected: float
    evidence: str

    def __str__(self) -> str:
        return (
            f"Invariance under {', '.join(sorted(self.group))}: {self.statistic:.6g} {self.evidence}, "
            f"{self.expected:.6g} expected; p = {self.p_value:.2g}."
        )


def invariance_test(counts: FunctionCounts, group: Collection[Symmetry]) -> InvarianceTest:
    """Test whether the prior is invariant under a group: then all functions of an orbit are equally probable.

    Given how often an orbit of s functions came, N_o times, the counts of its functions are multinomial with equal
    probabilities, whatever the prior. Two kinds of statistics look at that:

    Equal pairs. Any other probabilities give more pairs of samples that are one function,

        T = sum_o sum_f k_f (k_f - 1) / 2,    E T = sum_o M_o / s_o,    M_o = N_o (N_o - 1) / 2.

    T is taken apart for orbits whose N_o share a power of ten, so that frequent orbits do not drown the others.

    Balance. The mean value of f, its correlations c_i with the inputs, and c_i^2 less their means over the orbit, D,
    add up to Z = sum_f k_f D_f with mean 0 and covariance V ~ sum_f k_f D_f D_f', so that Z' V^-1 Z is chi-square. This
    sees a lie also where hardly any function comes twice.

    The smallest p-value is multiplied by their number (Bonferroni).

    Args:
        counts: independent samples, all functions listed, as `draw(net, …)` gives them.
        group: symmetries, such as `net.symmetry`.

    Raises:
        InvalidInput: samples in clusters, counts of orbits, counts that do not list all that came, or another group.
        IncompatibleTables: tables on a list of points, which has no inputs.
        TooFewSamples: nothing that came can tell.

    Error: T follows, nearly, a gamma law with its exact first three moments, continuity-corrected; by simulation its
    level lay between 0.05 and 1.1 times what it should be, low where nearly all counts are 1, and at 1.25 times for a
    single orbit of two functions that came 5 times. The law of balance is asymptotic in the number of samples.
    Cost: that of `canonicalize`, and 2^n (n + 1) multiplications a function.

    Example:
        >>> tables = TruthTables.from_strings(["0010", "0100", "1011", "1101"])
        >>> even = FunctionCounts.from_unordered(tables, [52, 47, 23, 29])
        >>> invariance_test(even, {"input_permutations"}).p_value
        1.0
        >>> print(invariance_test(even, {"complement"}))
        Invariance under complement: 14.7594 chi-square of mean value and correlations, 2 expected; p = 0.0012.
    """
    if counts.cluster_size > 1 or counts.at_least != 1 or counts.orbits is not None:
        what = (
            "samples in clusters are not independent"
            if counts.cluster_size > 1
            else "counts of orbits no longer show their functions"
            if counts.orbits is not None
            else "not all that came is listed"
        )
        raise InvalidInput(f"{what}; test a plain draw of the map, without reuse, only, at_least or pool")
    canonical = canonicalize(counts.tables, group=group)
    _, first, where = np.unique(canonical.representatives.packed, axis=0, return_index=True, return_inverse=True)
    where = where.ravel()
    size = canonical.orbit_sizes[first].astype(np.float64)
    total = np.bincount(where, counts.counts).astype(np.float64)
    equal = np.bincount(where, counts.counts * (counts.counts - 1.0) / 2).astype(np.float64)
    tells = (size > 1) & (total > 1)
    size, total, equal = size[tells], total[tells], equal[tells]
    results = [*_unequal_pairs(size, total, equal), *_imbalance(counts, canonical.group)]
    if not results:
        raise TooFewSamples(
            f"no function in {counts.n_samples:,} samples says anything of {', '.join(sorted(canonical.group))}; "
            "draw more"
        )
    p, statistic, expected, evidence = min(results)
    return InvarianceTest(canonical.group, min(1.0, len(results) * p), statistic, expected, evidence)


def _unequal_pairs(
    size: NDArray[np.float64], total: NDArray[np.float64], equal: NDArray[np.float64]
) -> Iterator[tuple[float, float, float, str]]:
    # (p-value, statistic, its mean, name) of each power of ten.
    powers = np.floor(np.log10(total))
    for power in np.unique(powers):
        these = powers == power
        T, came = float(equal[these].sum()), total[these].astype(np.int64)
        mean, variance, third = _moments_of_equal_pairs(total[these], size[these])
        evidence = f"equal pairs in {len(came):,} orbits that came {came.min():,} to {came.max():,} times"
        yield _gamma_tail(T - 0.5, mean, variance, third), T, mean, evidence


def _moments_of_equal_pairs(N: NDArray[np.float64], s: NDArray[np.float64]) -> tuple[float, float, float]:
    # Mean and second and third central moment of T. Pairs are uncorrelated, as a sample's function says nothing of
    # whether another equals it; the third moment gains from the six orders of the three pairs of a triple.
    pairs, p = N * (N - 1) / 2, 1 / s
    third = pairs * p * (1 - p) * (1 - 2 * p) + N * (N - 1) * (N - 2) * p * p * (1 - p)
    return float((pairs * p).sum()), float((pairs * p * (1 - p)).sum()), float(third.sum())


def _gamma_tail(x: float, mean: float, variance: float, third: float) -> float:
    # P(X >= x) of the shifted gamma law with these moments.
    from scipy.special import gammaincc

    third = max(third, 1e-6 * variance**1.5)  # one orbit of two functions that came twice has none
    shape, scale = 4 * variance**3 / third**2, third / (2 * variance)
    return float(gammaincc(shape, max(0.0, (x - mean) / scale + shape)))


def _imbalance(counts: FunctionCounts, group: frozenset[Symmetry]) -> Iterator[tuple[float, float, float, str]]:
    # (p-value, statistic, its mean, name), unless every function has what its orbit has on average.
    from scipy.special import chdtrc

    size = 2 * counts.tables.n_inputs + 1
    total, square = np.zeros(size), np.zeros((size, size))
    for start in range(0, len(counts), _CHUNK):
        D = _less_orbit_mean(counts.tables[start : start + _CHUNK], group)
        weighted = D * counts.counts[start : start + _CHUNK, None]
        total += weighted.sum(axis=0)
        square += weighted.T @ D
    values, vectors = np.linalg.eigh(square)
    along = values > 1e-9 * values[-1]
    if values[-1] > 0:
        chi_square = float(((total @ vectors[:, along]) ** 2 / values[along]).sum())
        n = int(along.sum())
        yield float(chdtrc(n, chi_square)), chi_square, float(n), "chi-square of mean value and correlations"


def _less_orbit_mean(tables: TruthTables, group: frozenset[Symmetry]) -> NDArray[np.float64]:
    # [size, 2 n + 1]: mean of (-1)^f, its correlations with the inputs and their squares, less their means over orbits.
    points = Cube(tables.n_inputs).points()
    characters = 1.0 - 2.0 * np.column_stack([np.zeros(len(points)), points])
    means = (1.0 - 2.0 * tables.bits()) @ characters / len(points)
    c = means[:, 1:]
    square = c**2
    constant = means[:, :1] if "complement" in group else np.zeros((len(means), 1))
    negated = bool(group & {"complement", "input_flips", "reversal"})  # c and -c are equally probable
    odd = c if negated else c - c.mean(axis=1, keepdims=True)
    even = square - square.mean(axis=1, keepdims=True) if "input_permutations" in group else np.zeros_like(c)
    return np.concatenate([constant, odd, even], axis=1)
