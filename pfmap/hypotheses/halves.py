"""What each half of a sample says of complexities: one half fits a law, the other judges it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.protocol import ComplexityMeasure
from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.hypotheses.laws import Levels, complexities_of
from pfmap.symmetry import Symmetry, check_group


@dataclass(frozen=True, eq=False)
class Halves:
    """Two independent halves of a sample, and K in each.

    Attributes:
        counts: float64[2, functions].
        sizes: float64[2], samples.
        means: float64[2, measures], of K over samples.
        covariances: float64[2, measures, measures].
    """

    counts: NDArray[np.float64]
    sizes: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    def together(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and covariance of K over all samples."""
        share = self.sizes / self.sizes.sum()
        mean = share @ self.means
        apart = self.means - mean
        return mean, np.tensordot(share, self.covariances, 1) + (apart * share[:, None]).T @ apart

    def fitted(self, levels: Levels, which: Sequence[int]) -> NDArray[np.float64]:
        """The slopes of some measures' law that fit each half best: float64[2, len(which)]."""
        rows = list(which)
        return np.array(
            [likeliest(levels, mean[rows], size) for mean, size in zip(self.means, self.sizes, strict=True)]
        )


def likeliest(levels: Levels, mean: NDArray[np.float64], n_samples: float) -> NDArray[np.float64]:
    """The slopes that fit samples of this mean K best, one sample of the uniform law added, which keeps them finite."""
    uniform_mean, _ = levels.moments(np.zeros(len(mean)))
    return levels.fitted((n_samples * mean + uniform_mean) / (n_samples + 1))


def halves_of(
    counts: FunctionCounts, measures: Sequence[ComplexityMeasure], group: frozenset[Symmetry], seed: int
) -> Halves:
    """Split a sample and average the measures, or their means over orbits under the group, in each half.

    Raises:
        InvalidInput, TooFewSamples: as `FunctionCounts.split`; and counts of orbits of another group.
    """
    if counts.orbits is not None and counts.orbits != group:
        raise InvalidInput(
            f"these are counts of orbits under {', '.join(sorted(counts.orbits))}; pass the same symmetries as average"
        )
    first = counts.split(seed=seed)[0].at(counts.tables)
    k = np.stack([first, counts.counts - first]).astype(np.float64)
    K = complexities_of(measures, counts.tables, group)
    sizes = k.sum(axis=1)
    means = k @ K.T / sizes[:, None]
    covariances = np.empty((2, len(measures), len(measures)))
    for h in (0, 1):
        centred = K - means[h][:, None]
        covariances[h] = (centred * k[h]) @ centred.T / sizes[h]
    return Halves(k, sizes, means, covariances)


def checked_average(average: Collection[Symmetry]) -> frozenset[Symmetry]:
    """The group over whose orbits P is averaged; empty for none."""
    return check_group(average) if average else frozenset()
