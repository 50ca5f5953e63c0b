"""Assertions for tests that draw random numbers: each bounds its own false failures.

Every assertion takes `level`, the probability that it fails although all is well (in total, whatever it compares), and
its message states law, size and p-value. `smallest_fault` and its fellows give the other error, the nearest fault seen.
"""

from __future__ import annotations

import math
import os
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

LEVEL = 1e-6


def seed_of(test_id: str) -> int:
    """The seed of a test; the variable PFMAP_TEST_SEED (an integer, 0 by default) shifts those of all tests."""
    return (crc32(test_id.encode()) + (int(os.environ.get("PFMAP_TEST_SEED", "0")) << 32)) % 2**64


def binomial_p_value(k: int, n: int, p: float) -> float:
    """Twice the smaller exact tail of Binomial(n, p) at k, at most 1."""
    return min(1.0, 2 * min(stats.binom.cdf(k, n, p), stats.binom.sf(k - 1, n, p)))


def assert_binomial(k: int, n: int, p: float, *, level: float = LEVEL, what: str = "the event") -> None:
    """k of n trials, each with probability p: both exact tails."""
    value = binomial_p_value(k, n, p)
    assert value >= level, (
        f"{what} came {k} times; the law is Binomial({n}, {p:.6g}), mean {n * p:.6g}: p-value {value:.2g} < {level:g}"
    )


def assert_coverage(hits: int, n: int, *, at_least: float, level: float = LEVEL) -> None:
    """hits of n intervals held, where each should with probability `at_least` or more: the lower exact tail."""
    value = float(stats.binom.cdf(hits, n, at_least))
    assert value >= level, (
        f"{hits} of {n} intervals held ({100 * hits / n:.4g} %); at least {100 * at_least:g} % should: "
        f"Binomial({n}, {at_least:g}) has p-value {value:.2g} < {level:g}"
    )


def assert_multinomial(observed: ArrayLike, probabilities: ArrayLike, *, level: float = LEVEL) -> None:
    """Counts of mutually exclusive outcomes: every cell by its exact binomial tails, Bonferroni over cells.

    Exact at any size, cells of probability 0 and few counts included. Sees one cell that is off; for a small shift of
    many cells, `assert_chi_square` sees more.
    """
    k, p = np.asarray(observed), np.asarray(probabilities, np.float64)
    assert k.shape == p.shape, f"{k.shape} counts meet {p.shape} probabilities"
    assert abs(p.sum() - 1) < 1e-9, f"the probabilities sum to {p.sum()}"
    n = int(k.sum())
    tails = 2 * np.minimum(stats.binom.cdf(k, n, p), stats.binom.sf(k - 1, n, p))
    worst = int(np.argmin(tails))
    value = min(1.0, float(tails[worst]) * len(p))
    assert value >= level, (
        f"cell {worst} came {k[worst]} times; the law is Binomial({n}, {p[worst]:.6g}), one of {len(p)} cells: "
        f"p-value {value:.2g} < {level:g} (Bonferroni)"
    )


def assert_chi_square(observed: ArrayLike, probabilities: ArrayLike, *, level: float = LEVEL) -> None:
    """Counts of mutually exclusive outcomes by Pearson's statistic, upper tail; cells that expect below 400 are pooled.

    Asymptotic: with 400 expected a cell, false failures at 1e-6 stay below twice that (with 25, at 7 times it).
    """
    k, p = np.asarray(observed, np.float64), np.asarray(probabilities, np.float64)
    assert k.shape == p.shape, f"{k.shape} counts meet {p.shape} probabilities"
    assert not np.any(k[p == 0]), "an outcome of probability 0 came"
    order = np.argsort(p)
    k, expected = k[order], k.sum() * p[order]
    pooled = int(np.searchsorted(expected, 400))
    if pooled and expected[:pooled].sum() < 400:
        pooled += 1
    if pooled:
        k, expected = (np.append(x[pooled:], x[:pooled].sum()) for x in (k, expected))
    assert len(k) >= 2, f"{k.sum():g} samples fill {len(k)} cell with 400 expected; draw more"
    statistic = float(np.sum((k - expected) ** 2 / expected))
    value = float(stats.chi2.sf(statistic, len(k) - 1))
    assert value >= level, (
        f"chi-square is {statistic:.6g}; the law is chi-square with {len(k) - 1} degrees of freedom "
        f"({k.sum():g} samples): p-value {value:.2g} < {level:g}"
    )


def assert_mean(
    mean: float, n: int, *, expected: float, sd: float, level: float = LEVEL, what: str = "the mean"
) -> None:
    """The mean of n independent values of known expectation and standard deviation: both normal tails."""
    z = (mean - expected) / (sd / math.sqrt(n))
    value = 2 * float(stats.norm.sf(abs(z)))
    assert value >= level, (
        f"{what} of {n} values is {mean:.8g}; the law is Normal({expected:.8g}, sd {sd / math.sqrt(n):.3g}), "
        f"{z:+.2f} sd away: p-value {value:.2g} < {level:g}"
    )


def smallest_fault(n: int, p: float, *, level: float = LEVEL, power: float = 0.99) -> tuple[float, float]:
    """The probabilities nearest below and above p that `assert_binomial` tells from p, at n trials, with this power.

    nan where no probability on that side is caught.
    """
    too_few = stats.binom.ppf(level / 2, n, p) - 1
    too_many = stats.binom.isf(level / 2, n, p) + 1
    below = special.betainccinv(too_few + 1, n - too_few, power) if too_few >= 0 else math.nan
    above = special.betaincinv(too_many, n - too_many + 1, power) if too_many <= n else math.nan
    return float(below), float(above)


def largest_missed_coverage(n: int, at_least: float, *, level: float = LEVEL, power: float = 0.99) -> float:
    """The largest true coverage that `assert_coverage` refuses, at n intervals, with this power; nan if none."""
    return smallest_fault(n, at_least, level=2 * level, power=power)[0]


def smallest_shift(n: int, sd: float, *, level: float = LEVEL, power: float = 0.99) -> float:
    """The shift of the mean that `assert_mean` catches, at n values, with this power."""
    return float(stats.norm.isf(level / 2) + stats.norm.ppf(power)) * sd / math.sqrt(n)
