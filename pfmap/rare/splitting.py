"""Multilevel splitting: a rare event as a chain of events that are not rare.

    P(level = 0) = P(level > l_1) P(level > l_2 | level > l_1) … P(level = 0 | level > l_K)

N particles of the prior; at each threshold those not above it die, the others multiply to N again and walk. A pilot
chooses thresholds and steps; with these frozen the product of the surviving fractions has mean P exactly, whether or
not the walks mix (Del Moral 2004, theorem 7.4.2; Cérou, Del Moral, Furon and Guyader 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfmap.rare.walkers import STRETCH, Walker, start
from pfmap.streams import generator

SURVIVE = 0.5
"""The fraction of particles that a threshold of the pilot leaves alive."""

_MOVED = 0.25
_LARGEST_STEP, _SMALLEST_STEP = 0.9, 1e-7


@dataclass(frozen=True)
class Schedule:
    """What a pilot froze.

    Attributes:
        thresholds: float64[K], rising, below 0.
        steps: float64[K], step of the walks above each threshold.
        moves: moves of each particle above each threshold.
        log_p: ln P as the pilot saw it; if it did not get there, ln P(level > l_K).
        complete: whether half its particles reached level 0.
        evaluations: maps evaluated.
    """

    thresholds: NDArray[np.float64]
    steps: NDArray[np.float64]
    moves: int
    log_p: float
    complete: bool
    evaluations: int

    def __len__(self) -> int:
        return len(self.thresholds)


@dataclass(frozen=True)
class Run:
    """What a frozen run found.

    Attributes:
        log_p: ln of the product of surviving fractions; -inf if it died out.
        ideal_variance: what the variance of log_p would be if walks forgot where they started.
        ancestors: how many of the first particles have descendants among those that fit.
        z: float64[N, d], the particles above the last threshold.
        fits: bool[N], which of them fit.
        evaluations: maps evaluated.
    """

    log_p: float
    ideal_variance: float
    ancestors: int
    z: NDArray[np.float64]
    fits: NDArray[np.bool_]
    evaluations: int


def fly_pilot(walker: Walker, n_particles: int, *, moves: int, smallest: float, seed: int) -> Schedule:
    """Choose thresholds and steps; stop short where ln P falls below `smallest`, steps vanish or all particles tie."""
    rng = generator(seed, "splitting, pilot")
    z = start(n_particles, walker.n_latents, seed)
    levels, at, evaluations = walker.levels(z), n_particles, n_particles
    thresholds: list[float] = []
    steps: list[float] = []
    log_p, step = 0.0, _LARGEST_STEP
    while True:
        fitting = int(np.count_nonzero(levels == 0.0))
        if complete := fitting >= SURVIVE * n_particles:
            log_p += math.log(fitting / n_particles)
            break
        threshold = float(np.sort(levels)[math.ceil((1 - SURVIVE) * n_particles) - 1])
        survivors = np.flatnonzero(levels > threshold)  # ties die
        if not len(survivors) or log_p < smallest or step <= _SMALLEST_STEP:
            break
        log_p += math.log(len(survivors) / n_particles)
        parents = multiply(survivors, n_particles, rng)
        z, levels = z[parents], levels[parents]
        used = step
        for _ in range(moves // STRETCH):
            used = step
            moved, evaluated = walker.walk(
                z, levels, threshold=threshold, step=step, n_stretches=1, seed=seed, first=at
            )
            at, evaluations = at + n_particles, evaluations + evaluated
            rate = moved / (STRETCH * n_particles)
            step = min(_LARGEST_STEP, max(_SMALLEST_STEP, step * math.exp(rate - _MOVED)))
        thresholds.append(threshold)
        steps.append(used)
    return Schedule(np.array(thresholds), np.array(steps), moves, log_p, complete, evaluations)


def run_frozen(
    walker: Walker,
    schedule: Schedule,
    n_particles: int,
    *,
    seed: int,
    moves: int | None = None,
    pinned: NDArray[np.float64] | None = None,
) -> Run:
    """One run with everything frozen: E[exp(log_p)] = P, for any number of moves.

    With `pinned`, a z drawn from the prior given that it fits, the run is made to end in that z. Its law is then that
    of a free run weighted by exp(log_p) / P, so E[exp(-log_p)] <= 1 / P.
    Source: Andrieu, Doucet and Holenstein 2010, section 4.3; Grosse, Ghahramani and Adams 2015, arXiv 1511.02543.
    """
    rng = generator(seed, "splitting, run")
    stretches = (schedule.moves if moves is None else moves) // STRETCH
    z, at, free = start(n_particles, walker.n_latents, seed), n_particles, slice(None)
    path = None
    if pinned is not None:
        path = _backwards(walker, schedule, stretches, pinned, seed=seed, first=at)
        at, free = at + len(schedule) * stretches, slice(1, None)
        z[0] = path[0]
    levels = walker.levels(z)
    ancestors = np.arange(n_particles)
    log_p, variance, evaluations = 0.0, 0.0, n_particles
    for k, (threshold, step) in enumerate(zip(schedule.thresholds.tolist(), schedule.steps.tolist(), strict=True)):
        survivors = np.flatnonzero(levels > threshold)
        if not len(survivors):
            return Run(-math.inf, math.inf, 0, z, np.zeros(n_particles, np.bool_), evaluations)
        log_p += math.log(len(survivors) / n_particles)
        variance += 1 / len(survivors) - 1 / n_particles
        parents = multiply(survivors, n_particles, rng, pinned=path is not None)
        z, levels, ancestors = z[parents], levels[parents], ancestors[parents]
        _, evaluated = walker.walk(
            z[free], levels[free], threshold=threshold, step=step, n_stretches=stretches, seed=seed, first=at
        )
        at, evaluations = at + n_particles * stretches, evaluations + evaluated
        if path is not None:
            z[0] = path[k + 1]
            levels[0] = walker.levels(z[:1])[0]
    fits = levels == 0.0
    if not fits.any():
        return Run(-math.inf, math.inf, 0, z, fits, evaluations)
    number = int(np.count_nonzero(fits))
    return Run(
        log_p + math.log(number / n_particles),
        variance + 1 / number - 1 / n_particles,
        len(np.unique(ancestors[fits])),
        z,
        fits,
        evaluations,
    )


def multiply(
    survivors: NDArray[np.int64], n_particles: int, rng: np.random.Generator, *, pinned: bool = False
) -> NDArray[np.int64]:
    """Parents of the next N particles: each survivor floor(N / n) times, and N mod n of them, at random, once more.

    With `pinned` the first survivor, particle 0, is the parent of particle 0 of the next generation, and the others are
    drawn from the law that the scheme has given this.
    """
    copies, extra = divmod(n_particles, len(survivors))
    if not pinned:
        return np.concatenate([np.repeat(survivors, copies), rng.choice(survivors, extra, replace=False)])
    # A particle of the next generation, picked at random, weighs its parent by the number of its copies.
    again = int(rng.random() < (copies + 1) * extra / n_particles)
    others = rng.choice(survivors[1:], extra - again, replace=False)
    return np.concatenate([np.repeat(survivors, copies), survivors[:again], others])


def _backwards(
    walker: Walker, schedule: Schedule, stretches: int, z: NDArray[np.float64], *, seed: int, first: int
) -> NDArray[np.float64]:
    """float64[K + 1, d]: where a particle that ends in z came from, before the first walk and after each.

    A walk is reversible, so it runs backwards as it runs forwards.
    """
    place = z[None].astype(np.float64)
    levels = walker.levels(place)
    path = [place[0].copy()]
    for k in reversed(range(len(schedule))):
        threshold, step = float(schedule.thresholds[k]), float(schedule.steps[k])
        walker.walk(place, levels, threshold=threshold, step=step, n_stretches=stretches, seed=seed, first=first)
        first += stretches
        path.append(place[0].copy())
    return np.stack(path[::-1])
