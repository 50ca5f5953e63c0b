"""estimate_functions(): P of functions common or rare, by sampling where it sees them and by splitting where not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.kernels.canonical import MAX_INPUTS
from pfmap.maps import MLP, ParameterFunctionMap
from pfmap.maps.protocol import declared_symmetry
from pfmap.prior import PriorEstimate, check_confidence, estimate_prior
from pfmap.rare.estimate import at_least, estimate_rare
from pfmap.rare.result import RareEstimate
from pfmap.sampling import draw
from pfmap.symmetry import canonicalize
from pfmap.tables import Cube, TruthTables, require_tables

_CANONICAL = [Cube(n) for n in range(1, MAX_INPUTS + 1)]


def estimate_functions(
    pfm: ParameterFunctionMap,
    tables: TruthTables,
    n_samples: int = 1_000_000,
    *,
    seed: int = 0,
    confidence: float = 0.95,
    simultaneous: bool = False,
    enough: int = 100,
    particles: int | None = None,
    max_moves: int = 256,
    workers: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> RareEstimate:
    """P(f) of functions common or rare: sampled, and those that hardly came by multilevel splitting.

    One draw counts the functions' orbits under the symmetries that the map declares, of an MLP with reuse of its hidden
    layers. A function that came as often as `enough` independent samples would have shown it has the interval of its
    counts. Any other is measured by `estimate_rare`, once an orbit; its interval is what the counts and the splitting
    both allow, each at half the error. Where they contradict each other, and where splitting did not converge, the
    function is not `converged` and its interval is the one that needs no mixing of walks.

    Args:
        pfm: the map.
        tables: the functions, chosen without looking at these samples.
        n_samples: of the draw.
        seed: 0 to 2^64 - 1.
        confidence: of each interval, or of all together if `simultaneous`.
        simultaneous: one confidence for all intervals together (Bonferroni); the result's `confidence` is then what
            that takes of each.
        enough: samples, corrected for clusters, that make do without splitting.
        particles: as of `estimate_rare`.
        max_moves: as of `estimate_rare`.
        workers: threads.
        out: a folder, for the same call to go on where it was stopped.
        progress: a bar on standard error; by default only on a terminal.

    Returns:
        RareEstimate in the order of `tables`; `verdicts` says what each P rests on. Of what only splitting has,
        `ancestors`, `spread_ratio` and `shift` are NaN where samples were enough.

    Raises:
        InvalidInput: an argument outside what is allowed.
        IncompatibleTables: the tables live on another domain than the map.
        StoreError, CorruptStore: as `draw` and `estimate_rare`.

    Error: that of `estimate_prior` and of `estimate_rare`. Cost: that of `draw` with a fixed set, and of
    `estimate_rare` for each orbit that hardly came.

    Example:
        >>> from pfmap import concatenate, families, maps
        >>> both = concatenate([families.parity(3, 1), families.parity(3)])
        >>> found = estimate_functions(maps.MLP(3, (8,)), both, 200_000, confidence=0.99)
        >>> found.converged, found.log2_p.round()
        (array([ True,  True]), array([ -8., -25.]))
    """
    confidence = check_confidence(confidence)
    require_tables("estimate_functions", tables)
    if not len(tables):
        raise InvalidInput("tables holds no function; list at least one")
    enough = at_least("enough", enough, 1)
    each = 1 - (1 - confidence) / (len(tables) if simultaneous else 1)
    half = (1 + each) / 2
    group = declared_symmetry(pfm) if tables.domain in _CANONICAL else frozenset()
    orbits = canonicalize(tables, group=group).representatives if group else tables
    distinct, where = np.unique(orbits.positions_in(orbits), return_inverse=True)
    own = orbits[distinct]
    counts = draw(
        pfm,
        n_samples,
        seed=seed,
        reuse="auto" if isinstance(pfm, MLP) and pfm.hidden else None,
        only=own,
        pool="orbits" if group else None,
        workers=workers,
        out=None if out is None else Path(out) / "samples",
        progress=progress,
    )
    prior = estimate_prior(counts, at=own, confidence=half)
    columns, verdicts = _sampled(prior)
    rows = np.flatnonzero(prior.counts / prior.design_effects < enough)
    if len(rows):
        rare = estimate_rare(
            pfm,
            own[rows],
            seed=seed,
            particles=particles,
            max_moves=max_moves,
            confidence=half,
            workers=workers,
            out=None if out is None else Path(out) / "splitting",
            progress=progress,
        )
        _add_splitting(columns, verdicts, rows, rare)
    columns = {name: column[where] for name, column in columns.items()}
    failed = int(np.count_nonzero(~columns["converged"]))
    return RareEstimate(
        tables=tables,
        where=None,
        **columns,
        confidence=each,
        verdicts=tuple(verdicts[i] for i in where),
        samples=np.empty((len(tables), 0, pfm.n_latents), np.float32),
        method="counts and splitting",
        caveat=f"{failed} of {len(tables)} functions are not converged; `verdicts` says why." if failed else None,
    )


def _sampled(prior: PriorEstimate) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """What the samples say: the columns of a RareEstimate, and a sentence a function."""
    unknown, effective = np.full(len(prior), np.nan), prior.counts / prior.design_effects
    columns: dict[str, NDArray[Any]] = {
        "log2_p": prior.log2_p,
        "log2_low": prior.log2_low,
        "log2_high": prior.log2_high,
        "log2_floor": prior.log2_low,
        "log2_ceiling": prior.log2_high,
        "relative_error": np.sqrt((1 - prior.counts / prior.n_samples) / np.where(prior.counts, effective, np.nan)),
        "converged": np.ones(len(prior), np.bool_),
        "ancestors": unknown,
        "spread_ratio": unknown,
        "shift": unknown,
        "evaluations": np.full(len(prior), prior.n_samples),
    }
    orbits = [f"its orbit of {n}, " if n > 1 else "" for n in prior.orbit_sizes.tolist()]
    verdicts = [
        f"sampled: {orbit}{k:,} of {prior.n_samples:,} samples"
        for orbit, k in zip(orbits, prior.counts.tolist(), strict=True)
    ]
    return {name: column.copy() for name, column in columns.items()}, verdicts


def _add_splitting(
    columns: dict[str, NDArray[Any]], verdicts: list[str], rows: NDArray[np.int64], rare: RareEstimate
) -> None:
    """Put what samples and splitting both allow into these rows; the samples alone where the two contradict."""
    sampled = {name: column[rows] for name, column in columns.items()}
    low = np.maximum(sampled["log2_low"], rare.log2_low)
    high = np.minimum(sampled["log2_high"], rare.log2_high)
    agree = low <= high
    low, high = np.where(agree, low, sampled["log2_low"]), np.where(agree, high, sampled["log2_high"])
    split = agree & (rare.converged | np.isneginf(sampled["log2_p"]))
    point = np.where(split, rare.log2_p, sampled["log2_p"])
    floor = np.where(agree, np.maximum(sampled["log2_floor"], rare.log2_floor), low)
    ceiling = np.where(agree, np.minimum(sampled["log2_ceiling"], rare.log2_ceiling), high)
    columns["log2_p"][rows] = np.clip(point, low, high)
    columns["relative_error"][rows] = np.where(split, rare.relative_error, sampled["relative_error"])
    columns["log2_low"][rows], columns["log2_high"][rows] = low, high
    columns["log2_floor"][rows], columns["log2_ceiling"][rows] = floor, ceiling
    columns["converged"][rows] = rare.converged & agree
    columns["evaluations"][rows] += rare.evaluations
    for name in ("ancestors", "spread_ratio", "shift"):
        columns[name][rows] = getattr(rare, name)
    for row, verdict, agrees in zip(rows.tolist(), rare.verdicts, agree.tolist(), strict=True):
        verdict = verdict if agrees else f"not converged: samples contradict splitting ({verdict})"
        verdicts[row] = f"{verdict}; {verdicts[row]}"
