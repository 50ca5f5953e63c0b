"""Blocks on disk: each a checksummed file of functions in the order of their strings, merged under a memory limit.

The one thing to know: a block is sorted when it is written, so that any number of them merge in one pass that holds a
few rows of each. Rows are compressed a frame at a time, which leaves a fourth of their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from pfmap.errors import CorruptStore, InvalidInput
from pfmap.kernels.merging import RunBuffers
from pfmap.kernels.sorting import reversed_bits, sort_rows
from pfmap.store.files import CHECKSUM_SIZE, block_name, checksum, clear_errors, replacing
from pfmap.threads import interrupts_held

_HEADER = struct.Struct("<8s16sQQQQ")  # magic, fingerprint of the run, block index, functions, words, columns
_MAGIC = b"pfmapbl3"
_FRAME_SIZE = struct.Struct("<I")
_CHUNK = 1 << 22
_FRAME_BYTES = 1 << 13  # thousands of frames, one a block, fit the smallest memory that a draw takes
_PIECE_BYTES = 1 << 26
_COPIES = 5  # of what is buffered: itself, taken, sorted, each key once, and that in the order of strings
_LEVEL = 1


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

    Safe from several threads and processes at once, for different blocks. Cost: a sort, 0.1 us a row, and one fsync.
    """
    columns = np.column_stack([counts, *more]).astype("<i8", copy=False)
    if words.ndim != 2 or len(columns) != len(words):
        raise InvalidInput(f"words {list(words.shape)} and counts {list(columns.shape)} do not fit: [k, W] and [k]")
    rows = np.column_stack([reversed_bits(np.ascontiguousarray(words, np.uint64)), columns.view("<u8")])
    sort_rows(rows, words.shape[1])
    keys, columns = (
        np.ascontiguousarray(part, "<u8") for part in (rows[:, : words.shape[1]], rows[:, words.shape[1] :])
    )
    parts = [_HEADER.pack(_MAGIC, run, index, *words.shape, columns.shape[1])]
    compressor, step = zstandard.ZstdCompressor(level=_LEVEL), _rows_a_frame(words.shape[1], columns.shape[1])
    for at in range(0, len(keys), step):
        frame = compressor.compress(keys[at : at + step].tobytes() + columns[at : at + step].tobytes())
        parts += [_FRAME_SIZE.pack(len(frame)), frame]
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

    Cost: 0.25 us a row, on two threads of which one reads, for thousands of blocks of functions of two words.
    """
    n_words, n_columns = blocks[0].n_words, blocks[0].n_columns
    row, frame = 8 * (n_words + n_columns), _rows_a_frame(n_words, n_columns)
    frames = memory // (_COPIES * frame * row * len(blocks))
    if frames < 1:
        needed = _COPIES * frame * row * len(blocks)
        raise InvalidInput(
            f"memory is {memory:,} bytes; merging {len(blocks):,} blocks of {8 * n_words:,}-byte functions needs "
            f"{needed:,} or more"
        )
    longest = max(block.size for block in blocks)
    worth_holding = min(-(-longest // frame), _PIECE_BYTES // (frame * row * len(blocks)))
    frames = max(1, min(frames, worth_holding))
    buffers = RunBuffers(len(blocks), frames * frame, n_words, n_columns)
    decompressor = zstandard.ZstdDecompressor()
    read, places = np.zeros(len(blocks), np.int64), np.full(len(blocks), _HEADER.size)

    def refill(run: int) -> None:
        block, filled, left = blocks[run], int(buffers.filled[run]), int(blocks[run].size - read[run])
        with clear_errors(block.path), block.path.open("rb") as file:
            file.seek(int(places[run]))
            while left and filled <= (frames - 1) * frame:
                k = min(frame, left)
                try:
                    (size,) = _FRAME_SIZE.unpack(file.read(_FRAME_SIZE.size))
                    data = decompressor.decompress(file.read(size))
                    keys = np.frombuffer(data, "<u8", k * n_words)
                    columns = np.frombuffer(data, "<u8", k * n_columns, offset=keys.nbytes)
                except (struct.error, zstandard.ZstdError, ValueError):
                    raise _corrupt(block.path, "changed while it was read") from None
                buffers.rows[run, filled : filled + k, :n_words] = keys.reshape(k, n_words)
                buffers.rows[run, filled : filled + k, n_words:] = columns.reshape(k, n_columns)
                filled, left = filled + k, left - k
            places[run] = file.tell()
        read[run] = block.size - left
        buffers.filled[run], buffers.has_more[run] = filled, left > 0

    def refill_all() -> None:
        for run in np.flatnonzero(buffers.has_more & (buffers.filled <= (frames - 1) * frame)):
            refill(int(run))

    with ThreadPoolExecutor(1) as ahead:  # reads the next rows while these are sorted and used
        reading = ahead.submit(refill_all)
        while True:
            with interrupts_held():
                reading.result()
                if not (buffers.has_more.any() or buffers.filled.any()):
                    return
                buffers.take()
                reading = ahead.submit(refill_all)
                keys, counts = buffers.taken()
            if len(keys):
                yield reversed_bits(keys), counts


def _rows_a_frame(n_words: int, n_columns: int) -> int:
    return max(16, _FRAME_BYTES // (8 * (n_words + n_columns)))


def _corrupt(path: Path, what: str) -> CorruptStore:
    return CorruptStore(f"{path} {what}; delete that file and draw again: only this block is drawn anew")
