"""draw(): what turns a map, a number and a seed into counts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from pfmap.counts import FunctionCounts, Totals
from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.kernels.counting import Marks
from pfmap.maps import MLP, ParameterFunctionMap
from pfmap.maps.protocol import declared_symmetry
from pfmap.sampling.blocks import Job, Narrow, PerThread, Rows, Sampler
from pfmap.sampling.device_normals import STREAM as DEVICE_STREAM
from pfmap.sampling.fused import FusedSampler
from pfmap.sampling.reuse import FixedSetSampler, Reuse, ReuseSampler, choose_reuse
from pfmap.sampling.torch_engine import DeviceSampler, TorchSampler
from pfmap.sampling.torch_reuse import TorchReuseSampler, choose_torch_reuse, require_readout
from pfmap.store import RunFolder, half_of_free_memory
from pfmap.streams import check_seed
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import Domain, TruthTables, require_tables
from pfmap.threads import on_threads

if TYPE_CHECKING:
    import torch

    from pfmap.sampling.dask_engine import Scheduler

Engine: TypeAlias = Literal["auto", "fused", "torch", "dask"]

STREAM = "xoshiro128++/philox4x32-10"
"""Names how latents follow from a seed; results of one stream and seed are the same numbers for ever."""

_BATCH_BYTES = 1 << 24
_BLOCK_FLOPS = 1 << 34
_MOST_BLOCKS = 4096
_LEAST_MEMORY = 512_000_000


def draw(
    pfm: ParameterFunctionMap,
    n_samples: int,
    *,
    seed: int = 0,
    reuse: Reuse | Literal["auto"] | None = None,
    only: TruthTables | None = None,
    pool: Literal["orbits"] | None = None,
    at_least: int = 1,
    engine: Engine = "auto",
    device: str | torch.device = "cpu",
    scheduler: Scheduler = None,
    workers: int | None = None,
    batch: int | None = None,
    memory: int | str | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> FunctionCounts:
    """Draw z ~ N(0, I_d) n_samples times and count the functions x -> [logit(x; z) > 0].

    Sample i is a function of (seed, i) alone, so the counts are bit for bit the same for any number of workers, any
    batch, either engine on the CPU and any Dask cluster, also after a crash and a resume. On another device the numbers
    are others, of the same law.

    Args:
        pfm: the map.
        n_samples: samples, at least 1; with `reuse` rounded up to whole clusters.
        seed: 0 to 2^64 - 1.
        reuse: how many functions share one draw of the hidden layers of a map with a linear read-out (MLPs and
            maps.FeatureFunction): "auto", or a Reuse. Each function keeps its exact prior, at a hundredth of the price
            for an MLP; those that share hidden layers are dependent, which counts carry as `squares` and every interval
            allows for. None draws independent samples.
        only: count these functions and nothing else; several times faster again with `reuse`. Choose them without
            looking at this draw: by one of another seed, for instance.
        pool: "orbits" counts orbits under the symmetries that the map declares (`pfm.symmetry`) instead of functions.
        at_least: list functions that came so often; what is left out goes into `counts.unlisted`.
        engine: "fused" is the numba kernel of MLPs, "torch" runs pfm.logits; "auto" takes the kernel where it can.
            "dask" is "auto" on the workers of a Dask cluster.
        device: torch device; anything but "cpu" takes the torch engine.
        scheduler: with engine="dask": address or scheduler file of a running cluster, or a distributed.Client; None
            starts one on this machine (scripts need `if __name__ == "__main__":` then).
        workers: threads; all cores by default (one for torch, which has threads of its own).
        batch: samples evaluated at once; it changes speed and memory, never the result.
        memory: bytes that counting may take beside what imports hold, such as "4GB"; 512MB or more. Blocks are then
            kept on disk and merged, and of the functions as many as fit are listed, the most frequent ones
            (`counts.at_least` says which); with `out` its table holds them all.
        out: a folder for finished blocks and the result. A second call with the same arguments goes on where the first
            was stopped, or returns its result. Without it, and without `memory`, everything is in memory.
        progress: a bar on standard error; by default only on a terminal.

    Returns:
        FunctionCounts, most frequent first, with the map's spec, seed, engine and versions as provenance.

    Raises:
        InvalidInput: an argument outside what is allowed.
        StoreError: `out` cannot be written, is in use or is no run, or the cluster is gone; finished blocks stay.
        CorruptStore: a block in `out` is damaged or foreign; it is named and not merged.

    Error: each function is that of the float64 logits of its float32 parameters (see sampling/fused.py for float32).
    Cost: some 1.3e5 samples a second and core of 7-40-40-1 ReLU with AVX2; figures/throughput.json has more, and
    figures/reuse_gain.json what reuse and pooling are worth. On disk, some 7 bytes a function of 7 inputs and block.

    Example:
        >>> from pfmap import maps
        >>> counts = draw(maps.Perceptron(2), 1000, seed=0)
        >>> xor = TruthTables.from_strings(["0110"])
        >>> counts.n_samples, counts.at(xor)
        (1000, array([0]))
    """
    plan = _plan(pfm, n_samples, seed, reuse, only, pool, at_least, engine, device, batch)
    limit = None if memory is None else as_bytes(memory)
    threads = _positive("workers", workers) if workers is not None else _default_workers(plan.kind)
    if scheduler is not None and engine != "dask":
        raise InvalidInput("scheduler is given, but not engine='dask'; pass both, or neither")
    with ExitStack() as stack:
        if out is None and limit is None and engine != "dask":
            return plan.counts(_in_memory(plan, threads, progress))
        if out is None:
            if scheduler is not None:
                raise InvalidInput("a cluster needs `out`, a folder that all of its workers see")
            out = Path(stack.enter_context(TemporaryDirectory(prefix="pfmap-"))) / "run"
        folder = stack.enter_context(RunFolder(out, plan.header))
        if (finished := folder.result(limit)) is not None:
            return finished
        done = folder.finished_blocks()
        missing = sorted(set(range(plan.job.n_blocks)) - set(done))
        bar = stack.enter_context(_progress_bar(plan, progress))
        bar.update(sum(map(plan.samples_of, done)))
        for index in stack.enter_context(closing(_drawn(plan, missing, engine, scheduler, threads, folder))):
            bar.update(plan.samples_of(index))
        return plan.finish(folder, limit)


@dataclass(frozen=True)
class _Plan:
    """A draw as it was asked for, checked."""

    job: Job
    domain: Domain
    cluster_size: int
    only: TruthTables | None
    at_least: int
    kind: Literal["fused", "torch"]
    provenance: dict[str, Any]
    header: dict[str, Any]

    @property
    def n_samples(self) -> int:
        return self.job.n_draws * self.cluster_size

    def samples_of(self, block: int) -> int:
        return (self.job.stop(block) - self.job.start(block)) * self.cluster_size

    def finish(self, folder: RunFolder, memory: int | None) -> FunctionCounts:
        """What all blocks in a folder add up to becomes its result: as many of its functions as fit the memory."""
        if self.only is not None:
            counts = self.counts((words, *numbers.T) for words, numbers in folder.merged(memory))
            folder.finish(counts)
            return counts
        folder.finish_merged(
            domain=self.domain,
            n_samples=self.n_samples,
            n_clusters=self.job.n_draws,
            at_least=self.at_least,
            provenance=self.provenance,
            memory=memory,
        )
        return folder.result(memory)  # type: ignore[return-value]  # it is finished

    def counts(self, pieces: Iterable[Rows]) -> FunctionCounts:
        """What all blocks add up to, in memory."""
        below, listed = Totals(), [self.job.new_table().items()]  # columns, where nothing came
        passed_over = self.n_samples  # functions that came once and are in no table
        for rows in pieces:
            if self.at_least > 1:
                passed_over -= int(rows[1].sum())
                rare = rows[1] < self.at_least
                below += Totals.of(rows[1][rare], rows[-1][rare], self.cluster_size)
                often = np.flatnonzero(~rare)
                words, k, *squares = rows
                rows = (np.take(words, often, axis=0), k[often], *(column[often] for column in squares))
            listed.append(rows)
        if self.only is not None:  # those that never came have their zeros
            zeros = np.zeros(len(self.only), np.int64)
            listed.append((self.only.words(), *[zeros] * (len(listed[0]) - 1)))
        words, *columns = (np.concatenate(column) for column in zip(*listed, strict=True))
        return FunctionCounts.from_unordered(
            TruthTables.from_words(words, self.domain),
            columns[0],
            self.provenance,
            n_samples=self.n_samples,
            squares=columns[1] if self.job.clustered else None,
            n_clusters=self.job.n_draws,
            at_least=self.at_least,
            unlisted=below + Totals(passed_over, passed_over, passed_over) if self.at_least > 1 else None,
        )


def _plan(
    pfm: ParameterFunctionMap,
    n_samples: int,
    seed: int,
    reuse: Reuse | Literal["auto"] | None,
    only: TruthTables | None,
    pool: Literal["orbits"] | None,
    at_least: int,
    engine: Engine,
    device: str | torch.device,
    batch: int | None,
) -> _Plan:
    n_samples = _positive("n_samples", n_samples)
    batch = None if batch is None else _positive("batch", batch)
    at_least = _positive("at_least", at_least)
    seed = check_seed(seed)
    if not isinstance(device, str) and type(device).__name__ != "device":
        raise InvalidInput(f"device is {device!r}; it needs a torch device such as 'cpu' or 'cuda'")
    device = str(device)
    kind = _choose_engine(pfm, engine, device)
    group = _group(pfm, pool)
    if only is not None:
        require_tables("only", only)
        if not len(only):
            raise InvalidInput("only holds no function; list at least one, or leave it out")
        if at_least > 1:
            raise InvalidInput("at_least and only are both given; a fixed set is listed whole, so leave at_least out")
        if only.domain != pfm.domain:
            raise IncompatibleTables(f"only lives on {only.domain}, the map on {pfm.domain}")
        if group:
            only = canonicalize(only, group=group).representatives
        at_least = 0
    n_words = -(-pfm.domain.n_points // 64)
    narrow: Callable[[Rows], Rows] | None = None
    provenance = _provenance(pfm)
    sampler: Sampler
    if reuse is None:
        size = 1
        if device != "cpu":
            sampler = DeviceSampler(pfm, device, batch)
        else:
            sampler = FusedSampler(pfm) if kind == "fused" and isinstance(pfm, MLP) else TorchSampler(pfm, device)
        if group or only is not None:
            narrow = Narrow(pfm.domain, group, only)
    else:
        sampler, reuse = _clusters(pfm, reuse, only, group, kind, device, batch)
        size, provenance["reuse"] = reuse.cluster_size, asdict(reuse)
    if group:
        provenance["orbits"] = sorted(group)
    n_draws = -(-n_samples // size)
    versions = {name: _version(name) for name in ("pfmap", "numpy", "numba", "torch")}
    stream = STREAM if device == "cpu" else DEVICE_STREAM
    samples = {"seed": seed, "stream": stream, "start": 0, "stop": n_draws * size}
    provenance["draws"] = [{**samples, "engine": kind, "device": device, "versions": versions}]
    block_size = _block_size(pfm, n_samples, size, device)
    batch = _default_batch(pfm, kind, size) if batch is None else batch
    if device != "cpu":  # its samplers cut a block by their own memory
        batch = block_size
    job = Job(sampler, seed, n_draws, block_size, batch, n_words, size > 1, narrow)
    header = {key: provenance[key] for key in ("map", "reuse", "orbits") if key in provenance} | {
        "n_samples": n_draws * size,
        "n_points": pfm.domain.n_points,
        "seed": seed,
        "stream": stream,
        "block_size": block_size,
        "at_least": at_least,
    }
    if only is not None:
        header["only"] = blake2b(np.ascontiguousarray(only.words()).tobytes(), digest_size=16).hexdigest()
    return _Plan(job, pfm.domain, size, only, at_least, kind, provenance, header)


def _in_memory(plan: _Plan, workers: int, progress: bool | None) -> Generator[Rows]:
    """All rows, each function once, a piece at a time; without those that came once, if they are not asked for."""
    job, started = plan.job, count()
    tables = PerThread(job.new_table)
    if plan.at_least > 1 and isinstance(job.sampler, ReuseSampler) and (new := job.sampler.worth_marking(job.seed)):
        job = replace(job, sampler=job.sampler.repeated(_marked(plan, job.sampler, new, workers, progress)))

    def add_block(index: int, stopped: Callable[[], bool]) -> int:
        left = (job.n_blocks - 1 - next(started)) // min(workers, job.n_blocks)
        with tables.one() as table:
            before = len(table)
            job.add_block(table, index, stopped)
            new = len(table) - before
            if left > 0:  # as functions become known, later blocks bring fewer new ones
                table.foresee(new, new * left)
        return index

    _run(plan, add_block, workers, progress, "drawing")
    table, *others = tables.all()
    for other in others:
        for rows in other.pieces():
            table.add(*rows)
    yield from table.pieces(at_least=2 if plan.at_least > 1 else 1)


def _marked(plan: _Plan, sampler: ReuseSampler, new: float, workers: int, progress: bool | None) -> Marks:
    """Marks of all functions, from a draw of their own."""
    expected = min(int(new * plan.job.n_draws), half_of_free_memory() // (32 * workers))
    marks = PerThread(lambda: Marks(expected))

    def mark_block(index: int, stopped: Callable[[], bool]) -> int:
        with marks.one() as own:
            for first, size in plan.job.batches(index, stopped):
                sampler.mark(own, plan.job.seed, first, size)
        return index

    _run(plan, mark_block, workers, progress, "marking")
    first, *others = marks.all()
    for other in others:
        first.add(other)
    return first


def _run(
    plan: _Plan, work: Callable[[int, Callable[[], bool]], int], workers: int, progress: bool | None, name: str
) -> None:
    """Do something for each block, on threads."""
    blocks = on_threads(range(plan.job.n_blocks), workers, work)
    with _progress_bar(plan, progress, name) as bar, closing(blocks):
        for index in blocks:
            bar.update(plan.samples_of(index))


def _drawn(
    plan: _Plan, indices: list[int], engine: Engine, scheduler: Scheduler, workers: int, folder: RunFolder
) -> Generator[int]:
    """Draws the blocks with these indices into the folder; each index as it is done."""
    if engine == "dask":
        from pfmap.sampling.dask_engine import on_dask

        yield from on_dask(plan.job, indices, scheduler, folder)
    else:

        def draw_and_write(index: int, stopped: Callable[[], bool]) -> int:
            folder.write_block(index, *plan.job.draw_block(index, stopped))
            return index

        with closing(on_threads(indices, workers, draw_and_write)) as blocks:
            yield from blocks


def _provenance(pfm: ParameterFunctionMap) -> dict[str, Any]:
    try:
        spec = json.loads(json.dumps(dict(pfm.spec)))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the map's spec is no JSON ({error}); use strings, numbers, lists and dicts") from None
    return {"map": spec, "symmetry": sorted(declared_symmetry(pfm))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"


def _choose_engine(pfm: ParameterFunctionMap, engine: Engine, device: str) -> Literal["fused", "torch"]:
    if engine not in get_args(Engine):
        raise InvalidInput(
            f"engine is {engine!r}; choose 'auto', 'fused' (MLPs on the CPU), 'torch' (any map and device) or 'dask'"
        )
    fits = isinstance(pfm, MLP) and device == "cpu"
    if engine == "fused" and not fits:
        raise InvalidInput(
            f"the fused engine draws MLPs on the CPU, not {type(pfm).__name__} on {device!r}; use engine='torch'"
        )
    if fits and engine != "torch":
        return "fused"
    name = type(pfm).__name__
    if isinstance(pfm, type):
        raise InvalidInput(f"the class {pfm.__name__} is no parameter-function map; call it to make one")
    for attribute in ("domain", "n_latents", "spec", "logits"):
        if not hasattr(pfm, attribute):
            raise InvalidInput(
                f"{name} is no parameter-function map: it has no {attribute!r}. "
                "maps.LatentFunction makes a map of any torch function of standard normals"
            )
    _positive(f"{name}.n_latents", pfm.n_latents)
    return "torch"


def _clusters(
    pfm: ParameterFunctionMap,
    reuse: Reuse | Literal["auto"],
    only: TruthTables | None,
    group: frozenset[Symmetry],
    kind: Literal["fused", "torch"],
    device: str,
    batch: int | None,
) -> tuple[Sampler, Reuse]:
    """What draws clusters, and how many functions share one."""
    if not isinstance(reuse, Reuse) and reuse != "auto":
        raise InvalidInput(f"reuse is {reuse!r}; it is 'auto', a pfmap.sampling.Reuse(groups, draws), or None")
    if kind == "fused" and isinstance(pfm, MLP):
        reuse = choose_reuse(pfm) if reuse == "auto" else reuse
        if only is not None:
            return FixedSetSampler(pfm, reuse, only, group), reuse
        return ReuseSampler(pfm, reuse, group), reuse
    readout = require_readout(pfm)
    reuse = choose_torch_reuse(readout) if reuse == "auto" else reuse
    return TorchReuseSampler(readout, reuse, device, batch, group=group, only=only), reuse


def _group(pfm: ParameterFunctionMap, pool: Literal["orbits"] | None) -> frozenset[Symmetry]:
    if pool is None:
        return frozenset()
    if pool != "orbits":
        raise InvalidInput(f"pool is {pool!r}; it is 'orbits' or None")
    group = declared_symmetry(pfm)
    if not group:
        raise InvalidInput(
            f"{type(pfm).__name__} declares no symmetry, so its functions have no orbits to pool; give the map a "
            "`symmetry`, or leave pool out"
        )
    return group


def as_bytes(memory: int | str) -> int:
    """A number of bytes, or a text such as "512MB", "4 GB" or "4GiB", as an int.

    Raises:
        InvalidInput: it is no such number, or below 512 MB.
    """
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
    matched = re.fullmatch(r"\s*([0-9.eE+]+)\s*([A-Za-z]*)\s*", str(memory))
    try:
        if isinstance(memory, bool) or matched is None:
            raise ValueError
        size = float(matched[1]) * units[matched[2].upper()]
    except (ValueError, KeyError):
        raise InvalidInput(f"memory is {memory!r}; it needs bytes, or a text such as '512MB' or '4GB'") from None
    if not _LEAST_MEMORY <= size < 1 << 60:
        raise InvalidInput(f"memory is {memory!r}; it needs 512MB or more")
    return int(size)


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidInput(f"{name} is {value!r}; it needs an int of at least 1")
    return int(value)


def _default_workers(engine: Engine) -> int:
    if engine == "torch":  # which brings threads of its own
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_batch(pfm: ParameterFunctionMap, kind: str, cluster_size: int) -> int:
    """Draws whose working set stays near _BATCH_BYTES."""
    m = pfm.domain.n_points
    bytes_each = (m // 8 + 1) * cluster_size if kind == "fused" else 8 * (2 * pfm.n_latents + 64 * m)
    return max(1, min(4096, _BATCH_BYTES // bytes_each))


def _block_size(pfm: ParameterFunctionMap, n_samples: int, cluster_size: int, device: str) -> int:
    """Draws a block: under a second's work, cut finely enough for many workers and coarsely enough for the folder."""
    flops = _BLOCK_FLOPS if device == "cpu" else 64 * _BLOCK_FLOPS
    by_cost = flops // (2 * pfm.n_latents * pfm.domain.n_points)
    n_draws = -(-n_samples // cluster_size)
    size = max(16, min(by_cost, n_draws // 64, (1 << 20) // cluster_size), n_draws // _MOST_BLOCKS)
    return 1 << (size - 1).bit_length()  # a power of two from 16 up, so that no run of latents is cut


def _progress_bar(plan: _Plan, progress: bool | None, name: str = "drawing") -> Any:
    from tqdm import tqdm

    return tqdm(
        total=plan.n_samples,
        unit="sample",
        unit_scale=True,
        disable=None if progress is None else not progress,
        desc=name,
    )
