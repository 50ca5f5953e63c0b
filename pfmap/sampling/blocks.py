"""Work cut into blocks: which samples each holds, and how one is drawn. Whoever draws a block gets the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pfmap.kernels.counting import ClusterCountTable, CountTable
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import Domain, TruthTables

T = TypeVar("T")

Rows: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.int64], *tuple[NDArray[np.int64], ...]]
"""Functions uint64[k, W], their counts int64[k], and where samples come in clusters their squares int64[k]."""


class Sampler(Protocol):
    """Draws that are pure functions of (seed, index); an index is a sample, or a cluster of samples."""

    def count_into(self, table: Any, seed: int, first: int, count: int) -> None:
        """Add the functions of `count` draws from `first` on to a CountTable, or ClusterCountTable."""


@dataclass(frozen=True)
class Job:
    """What is drawn, and how draws 0 … n_draws - 1 are cut: block i holds start(i) … stop(i) - 1.

    Attributes:
        sampler: draws.
        seed: of the draws.
        n_draws: samples, or clusters of samples.
        block_size: draws a block.
        batch: draws at once; the result does not depend on it.
        n_words: words of a function.
        clustered: whether a draw is a cluster, so that squares are kept too.
        narrow: what becomes of the rows of a block, such as pooling; all of them are kept by default.
    """

    sampler: Sampler
    seed: int
    n_draws: int
    block_size: int
    batch: int
    n_words: int
    clustered: bool = False
    narrow: Callable[[Rows], Rows] | None = None

    @property
    def n_blocks(self) -> int:
        """How many blocks the draws make."""
        return -(-self.n_draws // self.block_size)

    def start(self, index: int) -> int:
        """The first draw of a block."""
        return index * self.block_size

    def stop(self, index: int) -> int:
        """One past its last draw."""
        return min(self.start(index) + self.block_size, self.n_draws)

    def draw_block(self, index: int, stopped: Callable[[], bool] = lambda: False) -> Rows:
        """Draw and count one block.

        Raises:
            CancelledError: `stopped` became true before the block was whole.
        """
        table = self.new_table()
        self._count(table, index, stopped)
        rows: Rows = table.items()
        return rows if self.narrow is None else self.narrow(rows)

    def add_block(self, table: Any, index: int, stopped: Callable[[], bool]) -> None:
        """Draw one block and add its rows to a table; as draw_block, which leaves part of a block in there."""
        if self.narrow is None:
            self._count(table, index, stopped)
        else:
            table.add(*self.draw_block(index, stopped))

    def _count(self, table: Any, index: int, stopped: Callable[[], bool]) -> None:
        for first, count in self.batches(index, stopped):
            self.sampler.count_into(table, self.seed, first, count)

    def batches(self, index: int, stopped: Callable[[], bool]) -> Iterator[tuple[int, int]]:
        """First draw and number of draws of each batch of a block; CancelledError once `stopped` is true."""
        for first in range(self.start(index), self.stop(index), self.batch):
            if stopped():
                raise CancelledError
            yield first, min(self.batch, self.stop(index) - first)

    def new_table(self) -> Any:
        """An empty table for the rows of blocks: add(*rows), then items()."""
        return ClusterCountTable(self.n_words) if self.clustered else CountTable(self.n_words)


@dataclass(frozen=True)
class Narrow:
    """Keeps of the rows of a block what was asked for.

    Attributes:
        domain: of the functions.
        group: pool functions of independent samples into orbits under these symmetries, if any.
        only: keep these functions, or representatives, and no others.
    """

    domain: Domain
    group: frozenset[Symmetry]
    only: TruthTables | None

    def __call__(self, rows: Rows) -> Rows:
        """The rows of a block that are kept."""
        if self.group:
            words, counts, *_ = rows
            orbits = CountTable(words.shape[1])
            tables = TruthTables.from_words(words, self.domain)
            orbits.add(canonicalize(tables, group=self.group).representatives.words(), counts)
            rows = orbits.items()
        if self.only is not None:
            kept = TruthTables.from_words(rows[0], self.domain).positions_in(self.only) >= 0
            rows = (rows[0][kept], rows[1][kept], *(squares[kept] for squares in rows[2:]))
        return rows


class PerThread(Generic[T]):
    """Things of which each thread that asks holds one to itself, so that none waits for another.

    Attributes:
        make: makes one where none is free.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self.make = make
        self._free: SimpleQueue[T] = SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[T]:
        """One of them, given back if nothing goes wrong."""
        try:
            thing = self._free.get_nowait()
        except Empty:
            thing = self.make()
        yield thing
        self._free.put(thing)

    def all(self) -> list[T]:
        """All that were made and given back."""
        return [self._free.get() for _ in range(self._free.qsize())]
