"""draw(): the one loop that turns a map, a number and a seed into counts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.kernels.counting import CountTable
from pfmap.maps import MLP, ParameterFunctionMap
from pfmap.sampling.fused import FusedSampler
from pfmap.sampling.torch_engine import TorchSampler
from pfmap.store import RunFolder
from pfmap.streams import check_seed
from pfmap.tables import TruthTables

if TYPE_CHECKING:
    import torch

Engine: TypeAlias = Literal["auto", "fused", "torch"]
Sampler: TypeAlias = Callable[[int, int, int], NDArray[np.uint64]]

STREAM = "xoshiro128++/philox4x32-10"
"""Names how latents follow from a seed; results of one stream and seed are the same numbers for ever."""

_BATCH_BYTES = 1 << 24
_BLOCK_FLOPS = 1 << 34
_MOST_BLOCKS = 4096


def draw(
    pfm: ParameterFunctionMap,
    n_samples: int,
    *,
    seed: int = 0,
    workers: int | None = None,
    batch: int | None = None,
    engine: Engine = "auto",
    device: str | torch.device = "cpu",
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> FunctionCounts:
    """Draw z ~ N(0, I_d) n_samples times and count the functions x -> [logit(x; z) > 0].

    Sample i is a function of (seed, i) alone, so the counts are bit for bit the same for any number of workers, any
    batch and either engine on the CPU, also after a crash and a resume.

    Args:
        pfm: the map.
        n_samples: samples, at least 1.
        seed: 0 to 2^64 - 1.
        workers: threads; all cores by default (one for torch, which has threads of its own).
        batch: samples evaluated at once; it changes speed and memory, never the result.
        engine: "fused" is the numba kernel of MLPs, "torch" runs pfm.logits; "auto" takes the kernel where it can.
        device: torch device; anything but "cpu" takes the torch engine.
        out: a folder for finished blocks and the result. A second call with the same arguments goes on where the first
            was stopped, or returns its result. Without it everything is in memory.
        progress: a bar on standard error; by default only on a terminal.

    Returns:
        FunctionCounts, most frequent first, with the map's spec, seed, engine and versions as provenance.

    Raises:
        InvalidInput: an argument outside what is allowed.
        StoreError: `out` cannot be written, is in use or is no run; finished blocks stay.
        CorruptStore: a block in `out` is damaged or foreign; it is named and not merged.

    Error: each function is that of the float64 logits of its float32 parameters (see sampling/fused.py for float32).
    Cost: some 1.3e5 samples a second and core of 7-40-40-1 ReLU with AVX2; figures/throughput.json has more.

    Example:
        >>> from pfmap import maps
        >>> counts = draw(maps.Perceptron(2), 1000, seed=0)
        >>> xor = TruthTables.from_strings(["0110"])
        >>> counts.n_samples, counts.at(xor)
        (1000, array([0]))
    """
    n_samples = _positive("n_samples", n_samples)
    seed = check_seed(seed)
    if not isinstance(device, str) and type(device).__name__ != "device":
        raise InvalidInput(f"device is {device!r}; it needs a torch device such as 'cpu' or 'cuda'")
    device = str(device)
    sampler, engine = _choose_engine(pfm, engine, device)
    provenance = _provenance(pfm, seed, n_samples, engine, device)
    workers = _positive("workers", workers) if workers is not None else _default_workers(engine)
    batch = _positive("batch", batch) if batch is not None else _default_batch(pfm, engine)
    plan = _Plan(seed, n_samples, _block_size(pfm, n_samples), batch, -(-pfm.domain.n_points // 64))
    header = {
        "map": provenance["map"],
        "n_samples": n_samples,
        "seed": seed,
        "stream": STREAM,
        "block_size": plan.block_size,
    }

    with RunFolder(out, header) if out is not None else nullcontext() as folder:
        if folder is not None and (finished := folder.result()) is not None:
            return finished
        table = CountTable(plan.n_words)
        with (
            closing(_finished_and_new_blocks(sampler, plan, workers, folder)) as blocks,
            _progress_bar(plan, progress) as bar,
        ):
            for index, words, counts in blocks:
                table.add(words, counts)
                bar.update(plan.stop(index) - plan.start(index))
        words, numbers = table.items()
        result = FunctionCounts.from_unordered(TruthTables.from_words(words, pfm.domain), numbers, provenance)
        if folder is not None:
            folder.finish(result)
        return result


@dataclass(frozen=True)
class _Plan:
    """How samples 0 … n_samples - 1 are cut: block i holds start(i) … stop(i) - 1."""

    seed: int
    n_samples: int
    block_size: int
    batch: int
    n_words: int

    @property
    def n_blocks(self) -> int:
        return -(-self.n_samples // self.block_size)

    def start(self, index: int) -> int:
        return index * self.block_size

    def stop(self, index: int) -> int:
        return min(self.start(index) + self.block_size, self.n_samples)


def _finished_and_new_blocks(
    sampler: Sampler, plan: _Plan, workers: int, folder: RunFolder | None
) -> Generator[tuple[int, NDArray[np.uint64], NDArray[np.int64]]]:
    """Every block as (index, distinct functions, their counts): those on disk first, then the others as drawn."""
    finished: list[int] = []
    if folder is not None:
        finished = folder.finished_blocks()
        for index in finished:
            yield index, *folder.read_block(index)
    missing = iter(sorted(set(range(plan.n_blocks)) - set(finished)))
    stopped = threading.Event()

    def draw_block(index: int) -> tuple[int, NDArray[np.uint64], NDArray[np.int64]]:
        table = CountTable(plan.n_words)
        for first in range(plan.start(index), plan.stop(index), plan.batch):
            if stopped.is_set():
                raise CancelledError
            table.add(sampler(plan.seed, first, min(plan.batch, plan.stop(index) - first)))
        block = table.items()
        if folder is not None:
            folder.write_block(index, *block)
        return index, *block

    with ThreadPoolExecutor(workers) as pool:
        try:
            # Two blocks a worker in flight keep every thread busy and memory bounded.
            running = {pool.submit(draw_block, index) for index in islice(missing, 2 * workers)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                running |= {pool.submit(draw_block, index) for index in islice(missing, len(done))}
        finally:  # an error, Ctrl-C or a reader that left: threads end with their batch
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _provenance(pfm: ParameterFunctionMap, seed: int, n_samples: int, engine: str, device: str) -> dict[str, Any]:
    versions = {name: _version(name) for name in ("pfmap", "numpy", "numba", "torch")}
    samples = {"seed": seed, "stream": STREAM, "start": 0, "stop": n_samples}
    try:
        spec = json.loads(json.dumps(dict(pfm.spec)))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the map's spec is no JSON ({error}); use strings, numbers, lists and dicts") from None
    return {"map": spec, "draws": [{**samples, "engine": engine, "device": device, "versions": versions}]}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"


def _choose_engine(pfm: ParameterFunctionMap, engine: Engine, device: str) -> tuple[Sampler, Engine]:
    if engine not in ("auto", "fused", "torch"):
        raise InvalidInput(
            f"engine is {engine!r}; choose 'auto', 'fused' (MLPs on the CPU) or 'torch' (any map and device)"
        )
    fits = isinstance(pfm, MLP) and device == "cpu"
    if engine == "fused" and not fits:
        raise InvalidInput(
            f"the fused engine draws MLPs on the CPU, not {type(pfm).__name__} on {device!r}; use engine='torch'"
        )
    if isinstance(pfm, MLP) and fits and engine != "torch":
        return FusedSampler(pfm), "fused"
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
    return TorchSampler(pfm, device), "torch"


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidInput(f"{name} is {value!r}; it needs an int of at least 1")
    return int(value)


def _default_workers(engine: Engine) -> int:
    if engine == "torch":  # which brings threads of its own
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_batch(pfm: ParameterFunctionMap, engine: Engine) -> int:
    """Samples whose working set stays near _BATCH_BYTES."""
    m = pfm.domain.n_points
    bytes_each = m // 8 + 1 if engine == "fused" else 8 * (2 * pfm.n_latents + 64 * m)
    return max(1, min(4096, _BATCH_BYTES // bytes_each))


def _block_size(pfm: ParameterFunctionMap, n_samples: int) -> int:
    """Samples a block: under a second's work, cut finely enough for many workers and coarsely enough for the folder."""
    by_cost = _BLOCK_FLOPS // (2 * pfm.n_latents * pfm.domain.n_points)
    size = max(16, min(by_cost, n_samples // 64, 1 << 20), n_samples // _MOST_BLOCKS)
    return 1 << (size - 1).bit_length()  # a power of two from 16 up, so that no run of latents is cut


def _progress_bar(plan: _Plan, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=plan.n_samples,
        unit="sample",
        unit_scale=True,
        disable=None if progress is None else not progress,
        desc="drawing",
    )
