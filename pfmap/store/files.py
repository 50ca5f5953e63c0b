"""Names in a run folder, and the one way to write: a name appears with its whole content on the disk, or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pfmap.errors import CorruptStore, PfmapError, StoreError
from pfmap.threads import interrupts_held

COUNTS_FILE, RUN_FILE, LOCK_FILE = "counts.parquet", "run.json", ".lock"
CHECKSUM_SIZE = 32


def block_name(index: int) -> str:
    """The file of a block."""
    return f"block-{index:09d}"


def block_files(folder: Path) -> dict[int, Path]:
    """The finished blocks on disk, by index."""
    names = (name for name in os.listdir(folder) if name.startswith("block-"))
    return {int(name[6:]): folder / name for name in names if name[6:].isdecimal()}


def is_temporary(name: str) -> bool:
    """Whether `replacing` makes such names."""
    return name.startswith(".") and name.endswith(".tmp")


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed process left half-written; under the lock nobody is writing it."""
    for name in os.listdir(folder):
        if is_temporary(name):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_ours(name: str) -> bool:
    """Whether a folder that holds no run yet may hold this."""
    return name == LOCK_FILE or is_temporary(name)


def read_run_file(folder: Path) -> dict[str, Any]:
    """What a run folder says it draws."""
    path = folder / RUN_FILE
    with clear_errors(path):
        if not path.exists():
            raise StoreError(f"{folder} is not a pfmap run: it has no {RUN_FILE}")
        text = path.read_bytes()
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise CorruptStore(f"{path} is damaged ({first_line(error)}); delete the folder and draw again") from error
    return header


def fingerprint(header: Mapping[str, Any]) -> bytes:
    """16 bytes that tell one draw from another."""
    return blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16).digest()


def checksum(parts: Iterable[bytes | memoryview]) -> bytes:
    """32 bytes that change with any byte of the parts."""
    hasher = blake2b(digest_size=CHECKSUM_SIZE)
    for part in parts:
        hasher.update(part)
    return hasher.digest()


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a run folder; it goes with the process, however that ends.

    Raises:
        BlockingIOError: another process holds it, and `wait` is not set.
    """
    import fcntl  # absent on Windows, where everything but run folders works

    lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(lock)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary beside `path` that takes its name once it is whole and on the disk; a Ctrl-C waits for the end."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with interrupts_held():
        try:
            temporary.touch(exist_ok=False)
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync(path.parent)


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file that is gone in the end; a killed process leaves it to `remove_temporaries`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Errors of the operating system as StoreError that name the path and say what to do."""
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


def first_line(error: BaseException) -> str:
    """The first line of an error, for a message in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
