"""Numbers with intervals, and what they ask of counts: independent samples, all functions listed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end; inf where no sample could bound it.
        confidence: of the two-sided interval.
    """

    value: float
    low: float
    high: float
    confidence: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise InvalidInput(f"the interval is {self.low} to {self.high}; it needs to hold the value, {self.value}")

    def __str__(self) -> str:
        return f"{self.value:.4g} ({100 * self.confidence:g} % interval {self.low:.4g} to {self.high:.4g})"


def mean_and_error(values: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """The mean of values that came so often, and its standard error over independent samples."""
    n = int(counts.sum())
    mean = float(counts @ values) / n
    return mean, math.sqrt(float(counts @ (values - mean) ** 2) / max(1, n - 1) / n)


def mean_estimate(values: NDArray[np.float64], counts: NDArray[np.int64], confidence: float) -> Estimate:
    """The mean of values that came so often, with its normal interval. `Error:` asymptotic in the number of samples."""
    mean, error = mean_and_error(values, counts)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return Estimate(mean, mean - reach, mean + reach, confidence)


def require_independent_samples(counts: FunctionCounts) -> None:
    """Nothing for counts of independent samples that list all functions that came; InvalidInput for others."""
    if counts.cluster_size > 1:
        raise InvalidInput(
            "samples in clusters are not independent, and how their clusters shared functions is not in the counts; "
            "draw without reuse"
        )
    if counts.at_least != 1:
        raise InvalidInput("these counts do not list all functions that came; draw without `only` and with at_least=1")
