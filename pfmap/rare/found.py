"""What splitting found for one function, and what may be concluded from it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_SPREAD = 1.0
"""Standard deviation of ln P over replicates beyond which it is not taken for normal."""

FEWEST_ANCESTORS = 5.0
LARGEST_RATIO = 30.0
LARGEST_SHIFT = 4.0


@dataclass(frozen=True)
class Found:
    """The runs of one function.

    Attributes:
        log_p: ln P of each replicate.
        log_p_half: ln P of each replicate with half the moves.
        log_p_reverse: ln P of each run pinned to an exact sample.
        ideal_variance: of ln P, if walks forgot where they started.
        ancestors: median over replicates of the first particles that have descendants among those that fit.
        reached: ln P(level > l_K) of the last threshold, as the pilot saw it.
        n_levels: K.
        n_particles: N.
        moves: of a particle above each threshold.
        evaluations: maps evaluated, pilots and all.
        plain_draws: further draws from the prior, made where splitting did not do.
        plain_hits: how many of them fitted.
    """

    log_p: tuple[float, ...]
    log_p_half: tuple[float, ...]
    log_p_reverse: tuple[float, ...]
    ideal_variance: float
    ancestors: float
    reached: float
    n_levels: int
    n_particles: int
    moves: int
    evaluations: int
    plain_draws: int = 0
    plain_hits: int = 0

    @property
    def arrived(self) -> bool:
        """Whether any replicate reached the function."""
        return any(x > -math.inf for x in self.log_p)

    def complaints(self) -> list[str]:
        """What speaks against taking the replicates' interval, in words; nothing if they converged."""
        if not self.arrived:
            return ["no particle ever reached it"]
        died = sum(x == -math.inf for x in (*self.log_p, *self.log_p_half))
        if died:
            return [f"{died} of {len(self.log_p) + len(self.log_p_half)} runs died out"]
        if self.n_levels == 0:
            return []
        found = []
        spread = float(np.std(self.log_p, ddof=1))
        if spread > LARGEST_SPREAD:
            found.append(f"ln P varies by {spread:.2g} between replicates")
        if self.spread_ratio > LARGEST_RATIO:
            found.append(f"its variance is {self.spread_ratio:.3g} times the ideal")
        if self.ancestors < FEWEST_ANCESTORS:
            found.append(f"the particles that fit descend from {self.ancestors:g} of {self.n_particles}")
        if abs(self.shift) > LARGEST_SHIFT:
            found.append(f"twice the moves shift ln P by {self.shift:.2g} standard errors")
        return found

    @property
    def spread_ratio(self) -> float:
        """The variance of ln P over replicates, over its ideal."""
        if not self._complete(self.log_p):
            return math.nan
        return float(np.var(self.log_p, ddof=1)) / self.ideal_variance

    @property
    def shift(self) -> float:
        """What doubling the moves changed in ln P, in standard errors."""
        if not (self._complete(self.log_p) and self._complete(self.log_p_half)):
            return math.nan
        (a, se_a), (b, se_b) = (self._lognormal(x) for x in (self.log_p, self.log_p_half))
        return (a - b) / math.hypot(se_a, se_b)

    @property
    def relative_error(self) -> float:
        """The standard error of the mean of P over replicates, over that mean."""
        if not self.arrived:
            return math.nan
        p = np.exp(np.array(self.log_p) - max(self.log_p))
        return float(np.std(p, ddof=1) / math.sqrt(len(p)) / p.mean())

    def interval(self, confidence: float) -> tuple[float, float]:
        """Cox's interval for ln of a log-normal mean, by Student's t.

            mean + s^2 / 2 ± t sqrt(s^2 / R + s^4 / (2 (R - 1)))

        s^2 is the variance over replicates, in the root no smaller than the ideal.
        """
        from scipy.special import stdtrit

        centre, error = self._lognormal(self.log_p)
        reach = float(stdtrit(len(self.log_p) - 1, 0.5 + confidence / 2)) * error
        mean = log_mean(self.log_p)
        return min(centre - reach, mean), min(0.0, max(centre + reach, mean))

    def floor(self, confidence: float) -> float:
        """Ln of a lower bound by Markov's inequality: E[P_1 … P_R] = P^R and E[mean] = P, at half the level each."""
        level = math.log((1 - confidence) / 2)
        return max(float(np.mean(self.log_p)) + level / len(self.log_p), log_mean(self.log_p) + level)

    def ceiling(self, confidence: float) -> float:
        """Ln of an upper bound by Markov's inequality: E[1 / P_reverse] <= 1 / P; 0 without pinned runs."""
        if not self.log_p_reverse:
            return 0.0
        harmonic = -log_mean(tuple(-x for x in self.log_p_reverse))
        return min(0.0, harmonic - math.log(1 - confidence))

    def _complete(self, log_p: tuple[float, ...]) -> bool:
        return self.n_levels > 0 and len(log_p) > 1 and all(x > -math.inf for x in log_p)

    def _lognormal(self, log_p: tuple[float, ...]) -> tuple[float, float]:
        n, variance = len(log_p), float(np.var(log_p, ddof=1))
        wide = max(variance, self.ideal_variance)
        return float(np.mean(log_p)) + variance / 2, math.sqrt(wide / n + wide * wide / (2 * (n - 1)))

    def to_bytes(self, samples: NDArray[np.float32]) -> bytes:
        """One line of JSON, then the samples."""
        about = {**asdict(self), "shape": samples.shape}
        return json.dumps(about).encode() + b"\n" + np.ascontiguousarray(samples, "<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> tuple[Found, NDArray[np.float32]]:
        """What `to_bytes` wrote."""
        line, rest = data.split(b"\n", 1)
        about: dict[str, Any] = json.loads(line)
        shape = about.pop("shape")
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in about.items()}
        return cls(**fields), np.frombuffer(rest, "<f4").reshape(shape).astype(np.float32)

    def with_plain(self, draws: int, hits: int) -> Found:
        """The same with plain draws beside it."""
        return replace(self, plain_draws=draws, plain_hits=hits, evaluations=self.evaluations + draws)


def log_mean(log_p: tuple[float, ...]) -> float:
    """Ln of the mean of exp."""
    largest = max(log_p)
    if largest in (-math.inf, math.inf):
        return largest
    return largest + math.log(float(np.mean(np.exp(np.array(log_p) - largest))))
