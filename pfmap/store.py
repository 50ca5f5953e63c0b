"""Everything pfmap keeps on disk: counts as one Parquet file, and the folder of a draw that can be resumed.

A file of counts has the columns word_0 … word_{W-1} (uint64; bit j % 64 of word j // 64 is entry j of the table) and
count (int64), most frequent first; pandas, polars and DuckDB open it as it is. Its key-value metadata holds the rest:
domain, n_samples, provenance and a digest of everything.

A run folder holds run.json (what is being drawn), one checksummed file a finished block, and in the end counts.parquet.
The one thing to know: a name on disk appears with its whole content or not at all; a kill loses only what is in flight.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.counts import FunctionCounts, differing_fields
from pfmap.errors import CorruptStore, InvalidInput, PfmapError, StoreError
from pfmap.tables import Cube, Domain, Points, TruthTables

FORMAT = 1
COUNTS_FILE, RUN_FILE, LOCK_FILE = "counts.parquet", "run.json", ".lock"

_BLOCK_HEADER = struct.Struct("<8s16sQQQ")  # magic, fingerprint of the run, block index, functions, words a function
_BLOCK_MAGIC = b"pfmapblk"
_CHECKSUM_SIZE = 32
_ROW_GROUP_BYTES = 1 << 25


def save_counts(counts: FunctionCounts, path: str | os.PathLike[str]) -> None:
    """Write counts to one Parquet file, replacing what stood there; the file appears whole or not at all.

    Raises:
        StoreError: the folder is missing or read-only, or the disk is full; nothing is left behind.

    Error: exact; equal counts give equal bytes under one version of duckdb. Cost: 3e6 functions of 7 inputs in 1 s.
    """
    _write_parquet(counts, Path(path), run="")


def load_counts(path: str | os.PathLike[str]) -> FunctionCounts:
    """Read what `save_counts` wrote, or the result of the finished draw in a run folder.

    Raises:
        StoreError: nothing is there, it cannot be read, or the folder's draw is not finished.
        CorruptStore: the file is damaged, or is no store of counts.

    Error: exact; the digest of words, counts and provenance is checked.
    """
    path = Path(path)
    if path.is_dir():
        run = _read_run_file(path)
        if not (path / COUNTS_FILE).exists():
            raise StoreError(
                f"the draw in {path} is not finished: {len(_block_files(path))} blocks are done; "
                "draw again into this folder with the same arguments to resume it"
            )
        return _read_parquet(path / COUNTS_FILE, run=_fingerprint(run).hex())
    return _read_parquet(path, run=None)


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
        self._fingerprint = _fingerprint(self.header)
        self._lock: int | None = None

    def __enter__(self) -> RunFolder:
        with _clear_errors(self.path):
            if not self.path.parent.is_dir():
                raise StoreError(f"{self.path.parent} does not exist; make it, or draw into another folder")
            self.path.mkdir(exist_ok=True)
            if not (self.path / RUN_FILE).exists():
                strangers = [name for name in sorted(os.listdir(self.path)) if not _is_ours(name)]
                if strangers:
                    raise StoreError(f"{self.path} is not a pfmap run (it holds {strangers[0]!r}); choose a new folder")
            self._lock = self._take_lock()
        try:
            with _clear_errors(self.path):
                self._open()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def finished_blocks(self) -> list[int]:
        """The indices of the blocks on disk, in order."""
        return sorted(_block_files(self.path))

    def write_block(self, index: int, words: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
        """Keep one block: the distinct functions uint64[k, W] of its samples and how often each came, int64[k].

        Safe from several threads at once, for different blocks. Cost: one fsync.
        """
        words, counts = np.ascontiguousarray(words, "<u8"), np.ascontiguousarray(counts, "<i8")
        if words.ndim != 2 or counts.shape != words.shape[:1]:
            raise InvalidInput(f"words {list(words.shape)} and counts {list(counts.shape)} do not fit: [k, W] and [k]")
        start = _BLOCK_HEADER.pack(_BLOCK_MAGIC, self._fingerprint, index, *words.shape)
        parts = [start, words.data.cast("B") if words.size else b"", counts.data.cast("B") if counts.size else b""]
        path = self.path / _block_name(index)
        with _clear_errors(path), _replacing(path) as temporary, temporary.open("wb") as file:
            for part in (*parts, _checksum(*parts)):
                file.write(part)

    def read_block(self, index: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The words uint64[k, W] and counts int64[k] of a finished block.

        Raises:
            CorruptStore: the block is damaged, or belongs to another draw or place.
        """
        path = self.path / _block_name(index)
        with _clear_errors(path):
            data = path.read_bytes()
        body = memoryview(data)[:-_CHECKSUM_SIZE]
        if len(data) < _BLOCK_HEADER.size + _CHECKSUM_SIZE or _checksum(body) != data[-_CHECKSUM_SIZE:]:
            raise _corrupt_block(path, "is damaged (its checksum does not fit its content)")
        magic, fingerprint, written_index, size, n_words = _BLOCK_HEADER.unpack_from(data)
        if magic != _BLOCK_MAGIC or fingerprint != self._fingerprint:
            raise _corrupt_block(path, "belongs to another draw")
        if written_index != index:
            raise _corrupt_block(path, f"holds block {written_index}: it was renamed")
        split = _BLOCK_HEADER.size + 8 * size * n_words
        words = np.frombuffer(body[_BLOCK_HEADER.size : split], "<u8").reshape(size, n_words)
        return words.astype(np.uint64, copy=False), np.frombuffer(body[split:], "<i8").astype(np.int64, copy=False)

    def finish(self, counts: FunctionCounts) -> None:
        """Write the result, then remove the blocks it was made of."""
        _write_parquet(counts, self.path / COUNTS_FILE, run=self._fingerprint.hex())
        self._remove_blocks()

    def result(self) -> FunctionCounts | None:
        """The result, if this draw is finished."""
        if not (self.path / COUNTS_FILE).exists():
            return None
        counts = _read_parquet(self.path / COUNTS_FILE, run=self._fingerprint.hex())
        self._remove_blocks()
        return counts

    def _take_lock(self) -> int:
        import fcntl  # absent on Windows, where everything but run folders works

        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StoreError(
                f"another process is drawing into {self.path}; wait for it or choose another folder"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> None:
        for name in os.listdir(self.path):
            if _is_temporary(name):  # under the lock nobody is writing it
                (self.path / name).unlink()
        path = self.path / RUN_FILE
        if not path.exists():
            with _replacing(path) as temporary:
                temporary.write_text(json.dumps(self.header, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            return
        different = list(differing_fields(_read_run_file(self.path), self.header))
        if different:
            listed = "; ".join(f"{field} is {there!r} there, {here!r} here" for field, there, here in different)
            raise InvalidInput(f"{self.path} holds another draw: {listed}. Choose another folder, or delete this one")

    def _remove_blocks(self) -> None:
        with _clear_errors(self.path):
            for path in _block_files(self.path).values():
                path.unlink()


# Counts in Parquet


def _write_parquet(counts: FunctionCounts, path: Path, *, run: str) -> None:
    import duckdb

    words = counts.tables.words()
    about = _about(counts, run)
    about["digest"] = _digest(about, words, counts.counts)
    metadata = ", ".join(f"{key}: '{value.replace(chr(39), chr(39) * 2)}'" for key, value in about.items())
    n_words = words.shape[1]
    rows = max(2048, min(122_880, _ROW_GROUP_BYTES // (8 * (n_words + 1))))
    columns = {f"word_{j}": words[:, j] for j in range(n_words)} | {"count": counts.counts}
    with _clear_errors(path), _replacing(path) as temporary, _duckdb() as connection:
        connection.register("counts", columns)
        try:
            connection.execute(
                f"COPY (SELECT * FROM counts) TO ? (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, "
                f"USE_TMP_FILE false, KV_METADATA {{{metadata}}})",
                [str(temporary.absolute())],  # duckdb would read ~ as the home folder
            )
        except duckdb.Error as error:
            raise _as_oserror(error) from error


def _read_parquet(path: Path, *, run: str | None) -> FunctionCounts:
    import duckdb

    with _clear_errors(path):
        path.open("rb").close()  # a missing or unreadable file is no damaged one
    try:
        with _duckdb() as connection:
            source = str(path.absolute())
            pairs = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [source]).fetchall()
            about = {key.decode(): value.decode() for key, value in pairs}
            if "pfmap_format" not in about:
                raise CorruptStore(
                    f"{path} is a Parquet file without counts of pfmap; pass a file that save_counts wrote"
                )
            if about["pfmap_format"] != str(FORMAT):
                raise StoreError(
                    f"{path} has format {about['pfmap_format']}; this pfmap reads {FORMAT}: install a newer one"
                )
            arrays = connection.execute(
                "SELECT * FROM read_parquet(?, hive_partitioning = false)", [source]
            ).fetchnumpy()
        values = arrays.pop("count")
        words = np.column_stack([arrays[f"word_{j}"] for j in range(len(arrays))])
        if words.dtype != np.uint64 or values.dtype != np.int64:
            raise ValueError(f"columns of {words.dtype} and {values.dtype}")
        if _digest(about, words, values) != about.pop("digest"):
            raise ValueError("the digest does not fit")
        tables = TruthTables.from_words(words, _domain_from_json(json.loads(about["domain"])))
        counts = FunctionCounts(tables, values, int(about["n_samples"]), json.loads(about["provenance"]))
    except StoreError:
        raise
    except (duckdb.Error, PfmapError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise CorruptStore(
            f"{path} is damaged or no file of counts ({_first_line(error)}); delete it and make it again"
        ) from error
    if run is not None and about["run"] != run:
        raise CorruptStore(f"{path} belongs to another draw than {path.parent / RUN_FILE}; delete it and draw again")
    return counts


def _about(counts: FunctionCounts, run: str) -> dict[str, str]:
    return {
        "pfmap_format": str(FORMAT),
        "domain": json.dumps(_domain_to_json(counts.tables.domain)),
        "n_samples": str(counts.n_samples),
        "provenance": json.dumps(counts.provenance, sort_keys=True),
        "run": run,
    }


def _digest(about: Mapping[str, str], words: NDArray[np.uint64], counts: NDArray[np.int64]) -> str:
    described = json.dumps({key: value for key, value in about.items() if key != "digest"}, sort_keys=True)
    return _checksum(described.encode(), *(np.ascontiguousarray(a, "<i8").data for a in (words, counts))).hex()


def _domain_to_json(domain: Domain) -> dict[str, int]:
    return {"cube": domain.n_inputs} if isinstance(domain, Cube) else {"points": domain.n_points}


def _domain_from_json(stored: Mapping[str, int]) -> Domain:
    return Cube(stored["cube"]) if "cube" in stored else Points(stored["points"])


@contextmanager
def _duckdb() -> Iterator[Any]:
    import duckdb

    # One thread keeps rows in order and bytes equal; no folder of its own for temporaries.
    with duckdb.connect(":memory:", config={"threads": 1, "temp_directory": ""}) as connection:
        yield connection


# Names and their contents


def _block_name(index: int) -> str:
    return f"block-{index:09d}"


def _block_files(folder: Path) -> dict[int, Path]:
    names = (name for name in os.listdir(folder) if name.startswith("block-"))
    return {int(name[6:]): folder / name for name in names if name[6:].isdecimal()}


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _is_ours(name: str) -> bool:
    return name == LOCK_FILE or _is_temporary(name)


def _read_run_file(folder: Path) -> dict[str, Any]:
    path = folder / RUN_FILE
    with _clear_errors(path):
        if not path.exists():
            raise StoreError(f"{folder} is not a pfmap run: it has no {RUN_FILE}")
        text = path.read_bytes()
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise CorruptStore(f"{path} is damaged ({_first_line(error)}); delete the folder and draw again") from error
    return header


def _fingerprint(header: Mapping[str, Any]) -> bytes:
    return blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16).digest()


def _checksum(*parts: bytes | memoryview) -> bytes:
    hasher = blake2b(digest_size=_CHECKSUM_SIZE)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _corrupt_block(path: Path, what: str) -> CorruptStore:
    return CorruptStore(f"{path} {what}; delete that file and draw again: only this block is drawn anew")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    # A temporary beside `path` that takes its name once it is whole and on the disk.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PfmapError:
        raise
    except OSError as error:
        raise StoreError(error.errno, f"{path}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                "the disk is full or a quota is used up. What is already written stays; "
                "free space and run the same call again to resume"
            )
        case errno.EROFS:
            return "the file system is read-only; choose a folder that can be written"
        case errno.EACCES | errno.EPERM:
            return "permission denied; choose a folder you may read and write"
        case errno.ENOENT:
            return "no such file or folder; check the path, or make the folder first"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file stands where a folder is needed; choose another path"
        case errno.EISDIR:
            return "a folder stands where a file is needed; choose another path"
    return f"{error.strerror or error}. What is already written stays; run the same call again to resume"


def _as_oserror(error: Exception) -> OSError:
    # duckdb reports a failed write as text; the operating system's own words in it say which failure it was.
    known = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
    code = next((code for code in known if os.strerror(code) in str(error)), errno.EIO)
    return OSError(code, os.strerror(code))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
