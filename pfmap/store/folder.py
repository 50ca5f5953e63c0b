"""The folder of a draw that can be resumed: its finished blocks, then its result."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts, differing_fields
from pfmap.errors import CorruptStore, InvalidInput, StoreError
from pfmap.store.files import (
    CHECKSUM_SIZE,
    COUNTS_FILE,
    RUN_FILE,
    block_files,
    block_name,
    checksum,
    clear_errors,
    fingerprint,
    is_ours,
    locked,
    read_run_file,
    remove_temporaries,
    replacing,
)
from pfmap.store.table import FORMAT, read_counts, write_counts

_BLOCK_HEADER = struct.Struct("<8s16sQQQ")  # magic, fingerprint of the run, block index, functions, words a function
_BLOCK_MAGIC = b"pfmapblk"


class RunFolder:
    """The folder of one draw, held by one process at a time: finished blocks, then the result.

    A context manager. Entering makes the folder (in an existing one), locks it, writes or checks run.json and removes
    what a killed process left half-written. The lock goes with the process, however it ends.

    Args:
        path: the folder; new, empty, or that of the same draw.
        header: what is drawn, in JSON types: map spec, seed, n_samples, block size, …

    Raises:
        StoreError: no such parent folder, read-only, full, in use by another process, or not empty and no run.
        InvalidInput: the folder holds a draw with another header; the fields that differ are listed.
    """

    def __init__(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.header: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **header}))
        self._fingerprint = fingerprint(self.header)
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

    def finished_blocks(self) -> list[int]:
        """The indices of the blocks on disk, in order."""
        return sorted(block_files(self.path))

    def write_block(self, index: int, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """Keep one block: the distinct functions uint64[k, W] of its samples and how often each came, int64[k].

        Safe from several threads at once, for different blocks. Cost: one fsync.
        """
        words, counts = np.ascontiguousarray(words, "<u8"), np.ascontiguousarray(counts, "<i8")
        if words.ndim != 2 or counts.shape != words.shape[:1]:
            raise InvalidInput(f"words {list(words.shape)} and counts {list(counts.shape)} do not fit: [k, W] and [k]")
        start = _BLOCK_HEADER.pack(_BLOCK_MAGIC, self._fingerprint, index, *words.shape)
        parts = [start, words.data.cast("B") if words.size else b"", counts.data.cast("B") if counts.size else b""]
        path = self.path / block_name(index)
        with clear_errors(path), replacing(path) as temporary, temporary.open("wb") as file:
            for part in (*parts, checksum(*parts)):
                file.write(part)

    def read_block(self, index: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The words uint64[k, W] and counts int64[k] of a finished block.

        Raises:
            CorruptStore: the block is damaged, or belongs to another draw or place.
        """
        path = self.path / block_name(index)
        with clear_errors(path):
            data = path.read_bytes()
        body = memoryview(data)[:-CHECKSUM_SIZE]
        if len(data) < _BLOCK_HEADER.size + CHECKSUM_SIZE or checksum(body) != data[-CHECKSUM_SIZE:]:
            raise _corrupt(path, "is damaged (its checksum does not fit its content)")
        magic, fingerprint, written_index, size, n_words = _BLOCK_HEADER.unpack_from(data)
        if magic != _BLOCK_MAGIC or fingerprint != self._fingerprint:
            raise _corrupt(path, "belongs to another draw")
        if written_index != index:
            raise _corrupt(path, f"holds block {written_index}: it was renamed")
        split = _BLOCK_HEADER.size + 8 * size * n_words
        words = np.frombuffer(body[_BLOCK_HEADER.size : split], "<u8").reshape(size, n_words)
        return words.astype(np.uint64, copy=False), np.frombuffer(body[split:], "<i8").astype(np.int64, copy=False)

    def finish(self, counts: FunctionCounts) -> None:
        """Write the result, then remove the blocks it was made of."""
        write_counts(counts, self.path / COUNTS_FILE, run=self._fingerprint.hex())
        self._remove_blocks()

    def result(self) -> FunctionCounts | None:
        """The result, if this draw is finished."""
        if not (self.path / COUNTS_FILE).exists():
            return None
        counts = read_counts(self.path / COUNTS_FILE, run=self._fingerprint.hex())
        self._remove_blocks()
        return counts

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


def _corrupt(path: Path, what: str) -> CorruptStore:
    return CorruptStore(f"{path} {what}; delete that file and draw again: only this block is drawn anew")
