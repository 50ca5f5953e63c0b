"""The result of `estimate_rare`, and how it follows from what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfmap.prior import lower_limit, upper_limit
from pfmap.rare.found import Found, log_mean
from pfmap.tables import TruthTables

LOG2_E = math.log2(math.e)


@dataclass(frozen=True, eq=False, repr=False)
class RareEstimate:
    """Probabilities of functions, or of partial tables, by multilevel splitting.

    Attributes:
        tables: the functions; only their values at `where` count.
        where: bool[size, m], the points that constrain; None for all.
        log2_p: float64[size], log2 of the mean over replicates, which has mean P exactly; -inf where no particle ever
            reached the function.
        log2_low: float64[size], lower ends; where not converged, log2_floor.
        log2_high: float64[size], upper ends; where not converged, log2_ceiling.
        confidence: of each two-sided interval, and of the bracket.
        log2_floor: float64[size], lower bounds by Markov's inequality, which need no mixing; each holds with
            probability (1 + confidence) / 2.
        log2_ceiling: float64[size], upper bounds that need no mixing, at the same level: from runs pinned to `latents`,
            from plain draws where splitting did not do, and otherwise 0.
        relative_error: float64[size], standard error of P over P, from the replicates; for sums over functions, as P
            itself is unbiased whether or not walks mix. NaN where no replicate reached the function.
        converged: bool[size], whether the walks passed every check.
        verdicts: one sentence a function: what the estimate rests on, or what speaks against it.
        ancestors: float64[size], how many first particles have descendants among those that fit.
        spread_ratio: float64[size], variance of ln P over replicates, over that of walks that forget their start.
        shift: float64[size], change of ln P with twice the moves, in standard errors.
        evaluations: int64[size], maps evaluated.
        samples: float32[size, keep, d], latents z of the prior given the table; NaN where none was reached.
        method: "splitting".
        caveat: that some functions did not converge, in a sentence; None if all did.
    """

    tables: TruthTables
    where: NDArray[np.bool_] | None
    log2_p: NDArray[np.float64]
    log2_low: NDArray[np.float64]
    log2_high: NDArray[np.float64]
    confidence: float
    log2_floor: NDArray[np.float64]
    log2_ceiling: NDArray[np.float64]
    relative_error: NDArray[np.float64]
    converged: NDArray[np.bool_]
    verdicts: tuple[str, ...]
    ancestors: NDArray[np.float64]
    spread_ratio: NDArray[np.float64]
    shift: NDArray[np.float64]
    evaluations: NDArray[np.int64]
    samples: NDArray[np.float32]
    method: str = "splitting"
    caveat: str | None = None

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        not_converged = len(self) - int(np.count_nonzero(self.converged))
        finite = self.log2_p[np.isfinite(self.log2_p)]
        span = f", P from 2^{finite.min():.4g} to 2^{finite.max():.4g}" if len(finite) else ""
        return (
            f"RareEstimate({self.tables.domain}, {len(self):,} functions by splitting{span}, "
            f"{100 * self.confidence:g} % intervals"
            f"{f'; {not_converged} not converged, see verdicts' if not_converged else ''})"
        )


def conclude(
    tables: TruthTables,
    where: NDArray[np.bool_] | None,
    found: Sequence[Found],
    samples: NDArray[np.float32],
    confidence: float,
) -> RareEstimate:
    """What the runs say of every function."""
    rows = np.array([_row(one, confidence) for one in found]).reshape(-1, 5) * LOG2_E
    rows = np.minimum(rows, 0.0)
    complaints = [one.complaints() for one in found]
    failed = sum(map(bool, complaints))
    caveat = f"{failed} of {len(found)} functions are not converged; `verdicts` says why." if failed else None
    return RareEstimate(
        tables=tables,
        where=where,
        log2_p=rows[:, 0],
        log2_low=rows[:, 1],
        log2_high=rows[:, 2],
        confidence=confidence,
        log2_floor=rows[:, 3],
        log2_ceiling=rows[:, 4],
        relative_error=np.array([one.relative_error for one in found]),
        converged=np.array([not c for c in complaints], np.bool_),
        verdicts=tuple(_verdict(one, c, row) for one, c, row in zip(found, complaints, rows, strict=True)),
        ancestors=np.array([one.ancestors for one in found]),
        spread_ratio=np.array([one.spread_ratio for one in found]),
        shift=np.array([one.shift for one in found]),
        evaluations=np.array([one.evaluations for one in found], np.int64),
        samples=samples,
        caveat=caveat,
    )


def _row(found: Found, confidence: float) -> tuple[float, float, float, float, float]:
    """Ln of P, low, high, floor and ceiling."""
    alpha = (1 - confidence) / 2
    one_sided = 1 - alpha
    plain_low, plain_high = -math.inf, 0.0
    if found.plain_draws:
        hits = np.array([found.plain_hits])
        plain_low = float(lower_limit(hits, found.plain_draws, alpha)[0]) / LOG2_E
        plain_high = float(upper_limit(hits, found.plain_draws, alpha)[0]) / LOG2_E
    ceiling = found.ceiling(one_sided) if found.log_p_reverse else plain_high
    if not found.arrived:
        log_p = math.log(found.plain_hits / found.plain_draws) if found.plain_hits else -math.inf
        return log_p, plain_low, max(ceiling, log_p), plain_low, ceiling
    log_p, floor = log_mean(found.log_p), found.floor(one_sided)
    if found.complaints():
        return log_p, min(floor, log_p), max(ceiling, log_p), floor, ceiling
    if found.n_levels == 0:  # plain sampling
        n = len(found.log_p) * found.n_particles
        hits = np.array([round(math.exp(log_p) * n)])
        low, high = (float(limit(hits, n, alpha)[0]) / LOG2_E for limit in (lower_limit, upper_limit))
        return log_p, low, high, floor, ceiling
    return log_p, *found.interval(confidence), floor, ceiling


def _verdict(found: Found, complaints: list[str], row: NDArray[np.float64]) -> str:
    if not found.arrived:
        last = f"the last threshold has P near 2^{found.reached * LOG2_E:.3g} if the walks mix"
        if found.plain_hits:
            return (
                f"not converged: splitting never reached it ({last}), but {found.plain_hits} of {found.plain_draws:,} "
                "plain draws did; the interval is theirs"
            )
        seen = "runs pinned to its latents" if found.log_p_reverse else f"{found.plain_draws:,} plain draws"
        return f"not converged: no particle ever reached it: P < 2^{row[2]:.3g} by {seen}; {last}"
    if complaints:
        return f"not converged: {'; '.join(complaints)}; the interval is the bracket that needs no mixing"
    if found.n_levels == 0:
        return f"converged: {len(found.log_p) * found.n_particles:,} plain draws"
    return (
        f"converged: {len(found.log_p)} replicates of {found.n_particles} particles over {found.n_levels} levels, "
        f"{found.moves} moves each; {found.ancestors:g} ancestors, variance {found.spread_ratio:.2g} times the ideal, "
        f"twice the moves shift ln P by {found.shift:.2g} standard errors"
    )
