"""The folder of a draw that can be resumed: its finished blocks, then its result."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput, StoreError
from pfmap.provenance import differing_fields
from pfmap.store.blocks import Block, check_block, merge_blocks, write_block
from pfmap.store.files import (
    COUNTS_FILE,
    RUN_FILE,
    block_files,
    clear_errors,
    fingerprint,
    is_ours,
    locked,
    read_run_file,
    remove_temporaries,
    replacing,
)
from pfmap.store.table import FORMAT, read_counts, write_counts, write_merged
from pfmap.tables import Domain

_COPIES = 4  # of each function's words and numbers while a result is read


class RunFolder:
    """The folder of one draw, held by one process at a time: finished blocks, then the result.

    A context manager. Entering makes the folder (in an existing one), locks it, writes or checks run.json and removes
    what a killed process left half-written. The lock goes with the process, however it ends.

    Args:
        path: the folder; new, empty, or that of the same draw.
        header: what is drawn, in JSON types: map spec, seed, n_samples, n_points, block size, …

    Attributes:
        path: the folder.
        header: as above, with the format.
        run: 16 bytes that tell this draw from others; its blocks and its result carry them.

    Raises:
        StoreError: no such parent folder, read-only, full, in use by another process, or not empty and no run.
        InvalidInput: the folder holds a draw with another header; the fields that differ are listed.
    """

    def __init__(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.header: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **header}))
        self.run = fingerprint(self.header)
        self._lock = ExitStack()

    def __enter__(self) -> RunFolder:
        with clear_errors(self.path):
            if not self.path.parent.is_dir():
                raise StoreError(f"{self.path.parent} does not exist; make it, or draw into another folder")
            self.path.mkdir(exist_ok=True)
            if not (self.path / RUN_FILE).exists():
                strangers = [name for name in sorted(os.listdir(self.path)) if not is_ours(name)]
                if strangers:
                    raise StoreError(f"{self.path} is not a pfmap run (it holds {strangers[0]!r}); choose a new folder")
            try:
                self._lock.enter_context(locked(self.path, wait=False))
            except BlockingIOError:
                raise StoreError(
                    f"another process is drawing into {self.path}; wait for it or choose another folder"
                ) from None
        try:
            with clear_errors(self.path):
                self._open()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()

    def write_block(
        self, index: int, words: NDArray[np.uint64], counts: NDArray[np.int64], *squares: NDArray[np.int64]
    ) -> None:
        """Keep one block: the distinct functions uint64[k, W] of its samples, and their counts and squares int64[k].

        Safe from several threads at once, for different blocks. Cost: a sort and one fsync.
        """
        write_block(self.path, self.run, index, words, counts, *squares)

    def finished_blocks(self) -> list[int]:
        """The indices of the blocks on disk, in order, each read and checked.

        Raises:
            CorruptStore: a block is damaged, or belongs to another draw or place.
        """
        return [block.index for block in self._blocks()]

    def merged(self, memory: int | None = None) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
        """All functions of all blocks, each once, in the order of their strings, a piece at a time.

        Args:
            memory: bytes that buffers may take; half of what is free by default.

        Yields:
            (words uint64[k, W], counts int64[k, 1], or counts and squares int64[k, 2]).
        """
        return merge_blocks(self._blocks(), memory=memory or half_of_free_memory())

    def finish(self, counts: FunctionCounts) -> None:
        """Write the result, then remove the blocks it was made of."""
        write_counts(counts, self.path / COUNTS_FILE, run=self.run.hex())
        self._remove_blocks()

    def finish_merged(
        self,
        *,
        domain: Domain,
        n_samples: int,
        n_clusters: int,
        at_least: int,
        provenance: Mapping[str, Any],
        memory: int | None = None,
    ) -> None:
        """Write what the blocks add up to as the result, whatever its size, then remove the blocks.

        Args:
            domain: of the functions.
            n_samples: samples in all blocks together.
            n_clusters: independent clusters among them.
            at_least: functions that came less often go into totals.
            provenance: as of FunctionCounts.
            memory: bytes that this may take; half of what is free by default.
        """
        memory = memory or half_of_free_memory()
        write_merged(
            self.merged(memory * 3 // 8),
            self.path / COUNTS_FILE,
            domain=domain,
            n_samples=n_samples,
            n_clusters=n_clusters,
            at_least=at_least,
            provenance=provenance,
            run=self.run.hex(),
            memory=memory // 2,
        )
        self._remove_blocks()

    def result(self, memory: int | None = None) -> FunctionCounts | None:
        """The result, if this draw is finished: as many of its functions as fit `memory` bytes, all by default."""
        path = self.path / COUNTS_FILE
        if not path.exists():
            return None
        n_words = -(-int(self.header.get("n_points", 64)) // 64)
        fit = None if memory is None else max(1, memory // (_COPIES * 8 * (n_words + 2)))
        counts = read_counts(path, run=self.run.hex(), at_most=fit)
        self._remove_blocks()
        return counts

    def _blocks(self) -> list[Block]:
        return [check_block(self.path, self.run, index) for index in sorted(block_files(self.path))]

    def _open(self) -> None:
        remove_temporaries(self.path)
        path = self.path / RUN_FILE
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(self.header, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            return
        different = list(differing_fields(read_run_file(self.path), self.header))
        if different:
            listed = "; ".join(f"{field} is {there!r} there, {here!r} here" for field, there, here in different)
            raise InvalidInput(f"{self.path} holds another draw: {listed}. Choose another folder, or delete this one")

    def _remove_blocks(self) -> None:
        with clear_errors(self.path):
            for path in block_files(self.path).values():
                path.unlink()


def half_of_free_memory() -> int:
    """Bytes; 1 GiB on a system that does not say what is free."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 1 << 30
