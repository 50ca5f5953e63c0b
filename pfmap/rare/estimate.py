"""estimate_rare(): functions in, their probabilities out, one function after the other or several at once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import closing, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import CorruptStore, IncompatibleTables, InvalidInput
from pfmap.maps import ParameterFunctionMap
from pfmap.prior import check_confidence
from pfmap.rare.found import Found
from pfmap.rare.result import RareEstimate, conclude
from pfmap.rare.splitting import Run, Schedule, fly_pilot, run_frozen
from pfmap.rare.walkers import FITS, STRETCH, Walker, start, walker
from pfmap.store import RunFolder
from pfmap.store.files import CHECKSUM_SIZE, checksum, clear_errors, replacing
from pfmap.streams import check_seed, generator
from pfmap.tables import TruthTables, require_tables
from pfmap.threads import on_threads

STREAM = "splitting 2"
"""Names how runs follow from a seed; it changes whenever the numbers do."""

_PILOT, _FEWEST, _PER_LEVEL = 300, 250, 10
_FIRST_MOVES = 16
_GOOD_SPREAD = 0.6
_PLAIN_BATCH, _PLAIN_FLOPS = 1 << 10, 1 << 36


def estimate_rare(
    pfm: ParameterFunctionMap,
    tables: TruthTables,
    *,
    seed: int = 0,
    where: ArrayLike | None = None,
    latents: ArrayLike | None = None,
    particles: int | None = None,
    max_moves: int = 256,
    replicates: int = 8,
    confidence: float = 0.95,
    keep: int = 0,
    workers: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> RareEstimate:
    """P(f) of functions too rare to be drawn, by multilevel splitting in the space of latents.

        P(f) = P(level > l_1) P(level > l_2 | level > l_1) … P(level = 0 | level > l_K),
        level(z) = -mean over x of [f_z(x) wrong] |logit(x)| / rms(logit)

    For each function a pilot chooses thresholds, steps and moves, doubling the moves until runs with half of them agree
    with one another. Replicates with all this frozen estimate P without bias; the interval is that of the mean of a
    log-normal, from their spread. A function that fails a check (replicates that die out or spread by more than a
    factor e, few surviving ancestors, a shift when moves double) is not `converged`; its interval is then the bracket
    that needs no mixing. Results depend on the seed and the function alone, not on the list it stands in.

    Args:
        pfm: the map.
        tables: the functions.
        seed: 0 to 2^64 - 1.
        where: bool[m] or bool[size, m], the points whose values count; P is then the mass of all functions that agree
            with the table there. All points by default.
        latents: float[size, d], for each function a z drawn from the prior that gave it (and nothing else picked it);
            runs pinned to it give an upper bound that needs no mixing.
        particles: N, at least 50; by default 10 a level and at least 250, so that intervals are equally wide
            however rare the function.
        max_moves: moves of a particle above each threshold, at most.
        replicates: runs behind each estimate, at least 4.
        confidence: of each interval, between 0 and 1.
        keep: how many samples of the prior given the table to return.
        workers: threads, one function each; all cores by default.
        out: a folder for finished functions. A second call with the same arguments goes on where the first was stopped.
        progress: a bar on standard error; by default only on a terminal.

    Returns:
        RareEstimate, in the order of `tables`.

    Raises:
        InvalidInput: an argument outside what is allowed, no map in latent form, or latents that give other functions.
        IncompatibleTables: the tables live on another domain than the map.
        StoreError: `out` cannot be written, is in use or is no run.
        CorruptStore: a file in `out` is damaged; it is named.

    Error: rms 0.15 to 0.16 bits over 100 runs each at P = 2^-30, 2^-34.2, 2^-60, 2^-128 and 2^-131.2, where 496 of 500
    intervals of 95 %, 0.86 to 0.88 bits wide, cover; 0.21 bits and 97 of 100 at 2^-95.5, where walks mix slowly. P
    itself is unbiased.
    Cost: grows like (log P)^2 where walks mix: 2.6e6 networks, 6 s of one core, for P = 2^-28.5 of a 5-32-1 ReLU net,
    3.9e6 and 9 s for 2^-36.7. A Gaussian process of independent values takes 0.3 s at 2^-30 and 20 s at 2^-128, one of
    128 correlated values 47 s at 2^-131; `orthant_probability` takes less than a second.
    Source: Cérou, Del Moral, Furon and Guyader 2012, Statistics and Computing 22, 795; Cox in Land 1972 (the interval).

    Example:
        >>> from pfmap import maps
        >>> never = estimate_rare(maps.Perceptron(2), TruthTables.from_strings(["0101", "0110"]), seed=1)
        >>> never.converged, never.log2_p[1]
        (array([ True, False]), np.float64(-inf))
    """
    task = _check(pfm, tables, seed, where, latents, particles, max_moves, replicates, confidence, keep)
    workers = len(os.sched_getaffinity(0)) if workers is None else at_least("workers", workers, 1)
    found: dict[int, tuple[Found, NDArray[np.float32]]] = {}
    with (
        RunFolder(out, task.header()) if out is not None else nullcontext() as folder,
        closing(_finished_and_new(task, workers, folder)) as results,
        _bar(len(tables), progress) as bar,
    ):
        for index, result in results:
            found[index] = result
            bar.update(1)
    ordered = [found[i] for i in range(len(tables))]
    samples = np.stack([samples for _, samples in ordered])
    return conclude(tables, task.where, [one for one, _ in ordered], samples, task.confidence)


@dataclass(frozen=True)
class _Task:
    """What was asked, checked."""

    pfm: ParameterFunctionMap
    tables: TruthTables
    seed: int
    where: NDArray[np.bool_] | None
    latents: NDArray[np.float64] | None
    particles: int | None
    max_moves: int
    replicates: int
    confidence: float
    keep: int

    def header(self) -> dict[str, Any]:
        """What run.json holds; the confidence is free, for it changes no run."""
        content = [self.tables.packed, *(a for a in (self.where, self.latents) if a is not None)]
        return {
            "map": json.loads(json.dumps(dict(self.pfm.spec))),
            "functions": blake2b(b"".join(a.tobytes() for a in content), digest_size=16).hexdigest(),
            "n_functions": len(self.tables),
            "seed": self.seed,
            "stream": STREAM,
            "particles": self.particles,
            "max_moves": self.max_moves,
            "replicates": self.replicates,
            "keep": self.keep,
        }

    def wanted(self, index: int) -> NDArray[np.int8]:
        """1, -1 or 0 at each point."""
        wanted = np.where(self.tables[index].bits()[0], 1, -1).astype(np.int8)
        return wanted if self.where is None else np.where(self.where[index], wanted, 0).astype(np.int8)


def _measure(task: _Task, index: int, stopped: Callable[[], bool]) -> tuple[Found, NDArray[np.float32]]:
    """One function, from its pilot to its verdict."""
    wanted = task.wanted(index)
    moves_of = walker(task.pfm, wanted)
    own_seed = int.from_bytes(blake2b(wanted.tobytes(), digest_size=8, key=task.seed.to_bytes(8, "little")).digest())
    smallest = -math.log(2) * (2 * np.count_nonzero(wanted) + 64)
    evaluations, moves = 0, _FIRST_MOVES

    def seed_of(purpose: str) -> int:
        if stopped():
            raise CancelledError
        return int(generator(own_seed, purpose).integers(1 << 64, dtype=np.uint64))

    while True:
        schedule = fly_pilot(moves_of, _PILOT, moves=moves, smallest=smallest, seed=seed_of(f"pilot {moves}"))
        n = task.particles or max(_FEWEST, _PER_LEVEL * len(schedule))
        half: list[Run] = []
        if schedule.complete:
            for r in range(task.replicates // 2):
                run = run_frozen(moves_of, schedule, n, moves=moves // 2, seed=seed_of(f"half {moves} {r}"))
                half.append(_light(run))
        evaluations += schedule.evaluations + sum(run.evaluations for run in half)
        alive = bool(half) and all(run.ancestors for run in half)
        spread = np.std([run.log_p for run in half], ddof=1) if alive else np.inf
        if spread <= _GOOD_SPREAD or 2 * moves > task.max_moves:
            break
        moves *= 2
    runs: list[Run] = []
    if schedule.complete:
        for r in range(task.replicates):
            run = run_frozen(moves_of, schedule, n, seed=seed_of(f"replicate {r}"))
            runs.append(run if task.keep else _light(run))
    reverse = _pinned(task, index, moves_of, schedule, n, seed_of)
    found = Found(
        log_p=tuple(run.log_p for run in runs),
        log_p_half=tuple(run.log_p for run in half),
        log_p_reverse=tuple(run.log_p for run in reverse),
        ideal_variance=float(np.mean([run.ideal_variance for run in runs])) if runs else math.inf,
        ancestors=float(np.median([run.ancestors for run in runs])) if runs else 0.0,
        reached=schedule.log_p,
        n_levels=len(schedule),
        n_particles=n,
        moves=moves,
        evaluations=evaluations + sum(run.evaluations for run in (*runs, *reverse)),
    )
    if found.complaints():
        draws = _plain_draws(task.pfm)
        found = found.with_plain(draws, _plain_hits(moves_of, draws, seed_of("plain")))
    return found, _samples(task, moves_of, schedule, runs, seed_of)


def _pinned(task: _Task, index: int, moves_of: Walker, schedule: Schedule, n_particles: int, seed_of: Any) -> list[Run]:
    if task.latents is None:
        return []
    z = task.latents[index]
    if moves_of.levels(z[None])[0] != 0.0:
        raise InvalidInput(
            f"latents[{index}] gives another function than tables[{index}]; each must be the z, drawn from the prior, "
            "that gave the function"
        )
    runs = (
        run_frozen(moves_of, schedule, n_particles, seed=seed_of(f"reverse {r}"), pinned=z)
        for r in range(task.replicates // 2)
    )
    return [_light(run) for run in runs]


def _light(run: Run) -> Run:
    """The run without its particles."""
    return Run(run.log_p, run.ideal_variance, run.ancestors, run.z[:0], run.fits[:0], run.evaluations)


def _plain_draws(pfm: ParameterFunctionMap) -> int:
    """65,536, or fewer where maps are large."""
    by_cost = _PLAIN_FLOPS // (2 * pfm.n_latents * pfm.domain.n_points * _PLAIN_BATCH)
    return _PLAIN_BATCH * max(1, min(64, by_cost))


def _plain_hits(moves_of: Walker, n_draws: int, seed: int) -> int:
    """How many of n_draws draws from the prior fit."""
    rng = generator(seed, "splitting, plain draws")
    seeds = rng.integers(1 << 64, size=n_draws // _PLAIN_BATCH, dtype=np.uint64).tolist()
    batches = (start(_PLAIN_BATCH, moves_of.n_latents, batch_seed) for batch_seed in seeds)
    return sum(int(np.count_nonzero(moves_of.levels(z) == 0.0)) for z in batches)


def _samples(task: _Task, moves_of: Walker, schedule: Schedule, runs: list[Run], seed_of: Any) -> NDArray[np.float32]:
    """Particles that fit, each run weighted by its P, after a last walk among those that fit."""
    log_p = np.array([run.log_p for run in runs])
    if not task.keep or not len(log_p) or log_p.max() == -np.inf:
        return np.full((task.keep, moves_of.n_latents), np.nan, np.float32)
    rng = generator(seed_of("samples"), "splitting, samples")
    weights = np.exp(log_p - log_p.max())
    chosen = rng.choice(len(runs), task.keep, p=weights / weights.sum())
    z = np.stack([runs[r].z[rng.choice(np.flatnonzero(runs[r].fits))] for r in chosen])
    step = float(schedule.steps[-1]) if len(schedule) else 0.9
    stretches = schedule.moves // STRETCH
    moves_of.walk(
        z, np.zeros(task.keep), threshold=FITS, step=step, n_stretches=stretches, seed=seed_of("last"), first=0
    )
    rounded = z.astype(np.float32)  # which leaves the set of a map walked in float64, once in a million times
    fits = moves_of.levels(rounded.astype(np.float64)) == 0.0
    return rounded[np.where(fits, np.arange(task.keep), np.argmax(fits))]


# Many functions


def _finished_and_new(
    task: _Task, workers: int, folder: RunFolder | None
) -> Generator[tuple[int, tuple[Found, NDArray[np.float32]]]]:
    """Every function's result by its index: those on disk first, then the others as they come."""
    missing = []
    for index in range(len(task.tables)):
        if folder is not None and (stored := _read(folder, index)) is not None:
            yield index, stored
        else:
            missing.append(index)

    def measure(index: int, stopped: Callable[[], bool]) -> tuple[int, tuple[Found, NDArray[np.float32]]]:
        result = _measure(task, index, stopped)
        if folder is not None:
            _write(folder, index, result)
        return index, result

    with closing(on_threads(missing, workers, measure)) as results:
        yield from results


def _write(folder: RunFolder, index: int, result: tuple[Found, NDArray[np.float32]]) -> None:
    path = folder.path / f"function-{index:09d}"
    data = result[0].to_bytes(result[1])
    with clear_errors(path), replacing(path) as temporary:
        temporary.write_bytes(data + checksum([str(index).encode(), data]))


def _read(folder: RunFolder, index: int) -> tuple[Found, NDArray[np.float32]] | None:
    path = folder.path / f"function-{index:09d}"
    with clear_errors(path):
        if not path.exists():
            return None
        data = path.read_bytes()
    body = data[:-CHECKSUM_SIZE]
    if checksum([str(index).encode(), body]) != data[-CHECKSUM_SIZE:]:
        raise CorruptStore(f"{path} is damaged; delete that file and run again: only this function is measured anew")
    return Found.from_bytes(body)


def _bar(n_functions: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=n_functions, unit="function", disable=None if progress is None else not progress, desc="splitting"
    )


# What may come in


def _check(
    pfm: ParameterFunctionMap,
    tables: TruthTables,
    seed: int,
    where: ArrayLike | None,
    latents: ArrayLike | None,
    particles: int | None,
    max_moves: int,
    replicates: int,
    confidence: float,
    keep: int,
) -> _Task:
    for attribute in ("domain", "n_latents", "spec", "logits"):
        if isinstance(pfm, type) or not hasattr(pfm, attribute):
            raise InvalidInput(
                f"{getattr(pfm, '__name__', type(pfm).__name__)} is no map in latent form (an instance with "
                f"{attribute!r}), and splitting moves latents; make one: maps.MLP, or maps.LatentFunction of any torch "
                "function of standard normals"
            )
    require_tables("estimate_rare", tables)
    if tables.domain != pfm.domain:
        raise IncompatibleTables(f"the tables live on {tables.domain}, the map on {pfm.domain}; they need one domain")
    if not len(tables):
        raise InvalidInput("tables holds no function; list at least one")
    if particles is not None:
        particles = at_least("particles", particles, 50)
    return _Task(
        pfm,
        tables,
        check_seed(seed),
        None if where is None else check_where(where, tables),
        None if latents is None else _check_latents(latents, len(tables), pfm.n_latents),
        particles,
        at_least("max_moves", max_moves, _FIRST_MOVES),
        at_least("replicates", replicates, 4),
        check_confidence(confidence),
        at_least("keep", keep, 0),
    )


def check_where(where: ArrayLike, tables: TruthTables) -> NDArray[np.bool_]:
    """The points that constrain, bool[size, m], or InvalidInput."""
    array, shape = np.asarray(where), (len(tables), tables.domain.n_points)
    if array.dtype != np.bool_ or array.shape not in (shape, shape[1:]):
        raise InvalidInput(
            f"where is {array.dtype}{list(array.shape)}; it needs bool{list(shape[1:])}, one for each point, or "
            f"bool{list(shape)}"
        )
    array = np.broadcast_to(array, shape)
    if not array.any(axis=1).all():
        raise InvalidInput("where leaves a function without any point; every table fits nothing, so P is 1")
    return array


def _check_latents(latents: ArrayLike, size: int, d: int) -> NDArray[np.float64]:
    array = np.asarray(latents, np.float64)
    if array.shape != (size, d) or not np.isfinite(array).all():
        raise InvalidInput(f"latents has shape {list(array.shape)}; it needs finite numbers of shape {[size, d]}")
    return array


def at_least(name: str, value: int, least: int) -> int:
    """The value as an int, or InvalidInput where it is none or too small."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InvalidInput(f"{name} is {value!r}; it needs an int of at least {least}")
    return int(value)
