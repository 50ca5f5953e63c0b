"""Blocks on disk: each a checksummed file of functions in the order of their strings, merged under a memory limit.

The one thing to know: a block is sorted when it is written, so that any number of them merge in one pass that holds a
few rows of each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import CorruptStore, InvalidInput
from pfmap.kernels.merging import ENDED, FULL, RunMerger, reversed_bits, sorted_rows
from pfmap.store.files import CHECKSUM_SIZE, block_name, checksum, clear_errors, replacing

_HEADER = struct.Struct("<8s16sQQQQ")  # magic, fingerprint of the run, block index, functions, words, columns
_MAGIC = b"pfmapbl2"
_CHUNK = 1 << 22
_FEWEST_ROWS = 16
_PIECE_BYTES = 1 << 23


@dataclass(frozen=True)
class Block:
    """A finished block whose content was checked.

    Attributes:
        path: its file.
        index: of the block.
        size: distinct functions in it.
        n_words: words a function.
        n_columns: 1 for counts alone, 2 for counts and squares.
    """

    path: Path
    index: int
    size: int
    n_words: int
    n_columns: int


def write_block(
    folder: Path, run: bytes, index: int, words: NDArray[np.uint64], counts: NDArray[np.int64], *more: NDArray[np.int64]
) -> None:
    """Keep one block: its distinct functions uint64[k, W] and how often each came, int64[k]; squares may follow.

    Safe from several threads and processes at once, for different blocks. Cost: a sort and one fsync.
    """
    columns = np.column_stack([counts, *more]).astype("<i8", copy=False)
    if words.ndim != 2 or len(columns) != len(words):
        raise InvalidInput(f"words {list(words.shape)} and counts {list(columns.shape)} do not fit: [k, W] and [k]")
    keys = reversed_bits(np.ascontiguousarray(words, np.uint64))
    order = sorted_rows(keys)
    keys, columns = keys[order].astype("<u8", copy=False), columns[order]
    start = _HEADER.pack(_MAGIC, run, index, *words.shape, columns.shape[1])
    parts = [start, *(array.data.cast("B") for array in (keys, columns) if array.size)]
    path = folder / block_name(index)
    with clear_errors(path), replacing(path) as temporary, temporary.open("wb") as file:
        for part in (*parts, checksum(parts)):
            file.write(part)


def check_block(folder: Path, run: bytes, index: int) -> Block:
    """Read a block once, to know that it is whole and belongs here.

    Raises:
        CorruptStore: the block is damaged, or belongs to another draw or place.
    """
    path = folder / block_name(index)
    hasher = blake2b(digest_size=CHECKSUM_SIZE)
    with clear_errors(path), path.open("rb") as file:
        left = path.stat().st_size - CHECKSUM_SIZE
        start = file.read(min(max(left, 0), _HEADER.size))
        hasher.update(start)
        left -= len(start)
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            hasher.update(chunk)
            left -= len(chunk)
        whole = len(start) == _HEADER.size and hasher.digest() == file.read()
    if not whole:
        raise _corrupt(path, "is damaged (its checksum does not fit its content)")
    magic, fingerprint, written_index, size, n_words, n_columns = _HEADER.unpack(start)
    if magic != _MAGIC or fingerprint != run:
        raise _corrupt(path, "belongs to another draw")
    if written_index != index:
        raise _corrupt(path, f"holds block {written_index}: it was renamed")
    return Block(path, index, size, n_words, n_columns)


def merge_blocks(blocks: Sequence[Block], *, memory: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """All functions of all blocks, each once, in the order of their strings, a piece at a time.

    Args:
        blocks: at least one, all of one shape.
        memory: bytes that buffers may take.

    Yields:
        (words uint64[k, W], counts int64[k, columns] added over the blocks).

    Raises:
        InvalidInput: memory is too small to hold a few rows of every block.

    Cost: 0.1 us a row and its reading, for thousands of blocks of two words.
    """
    n_words, n_columns = blocks[0].n_words, blocks[0].n_columns
    row = 8 * (n_words + n_columns)
    room = max(1, min(_PIECE_BYTES, memory // 8) // row)
    capacity = (memory // 2 - room * row) // (row * len(blocks))
    if capacity < _FEWEST_ROWS:
        needed = 2 * row * (len(blocks) * _FEWEST_ROWS + room)
        raise InvalidInput(
            f"memory is {memory:,} bytes; merging {len(blocks):,} blocks of {8 * n_words:,}-byte functions needs "
            f"{needed:,} or more"
        )
    merger = RunMerger(len(blocks), min(capacity, max(block.size for block in blocks) + 1), n_words, n_columns)
    read = np.zeros(len(blocks), np.int64)

    def refill(run: int) -> None:
        block = blocks[run]
        size = min(merger.keys.shape[1], block.size - int(read[run]))
        if size:
            with clear_errors(block.path), block.path.open("rb") as file:
                for array, start, width in (
                    (merger.keys, 0, 8 * n_words),
                    (merger.counts, 8 * n_words * block.size, 8 * n_columns),
                ):
                    file.seek(_HEADER.size + start + width * int(read[run]))
                    if file.readinto(array[run, :size].data.cast("B")) != width * size:
                        raise _corrupt(block.path, "became shorter while it was read")
        read[run] += size
        merger.refilled(run, size)

    for run in range(len(blocks)):
        refill(run)
    keys, counts = np.empty((room, n_words), np.uint64), np.empty((room, n_columns), np.int64)
    why, n_rows = 0, 0
    while why != ENDED:
        why, n_rows = merger.step(keys, counts, n_rows)
        if why in (FULL, ENDED):
            if n_rows:
                yield reversed_bits(keys[:n_rows]), counts[:n_rows].copy()
            n_rows = 0
        else:
            refill(why)


def _corrupt(path: Path, what: str) -> CorruptStore:
    return CorruptStore(f"{path} {what}; delete that file and draw again: only this block is drawn anew")
