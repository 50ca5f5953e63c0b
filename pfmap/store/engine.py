"""The columnar engine, duckdb: connections that a Ctrl-C ends, and what it says in the words of the store."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pfmap.errors import CorruptStore, PfmapError, StoreError
from pfmap.store.files import first_line
from pfmap.threads import interrupts_held

_LEAST_MEMORY = 1 << 26


def load_duckdb() -> Any:
    """The module duckdb, imported only where it is needed; a Ctrl-C amid the import would end the process."""
    with interrupts_held():
        import duckdb
    return duckdb


@contextmanager
def connected(database: str = ":memory:", memory: int | None = None) -> Iterator[Any]:
    """A connection; with `memory`, bytes of which half are its own limit, it spills to disk beside `database`."""
    duckdb = load_duckdb()
    # One thread keeps rows in order and bytes equal; no folder of its own for temporaries.
    config: dict[str, Any] = {"threads": 1, "temp_directory": "" if memory is None else f"{database}.spill"}
    if memory is not None:  # it holds about as much again beside its limit
        config["memory_limit"] = f"{max(memory // 2, _LEAST_MEMORY)}B"
    with interrupts_held() as held, duckdb.connect(database, config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would print on standard output
        try:
            with interrupts_held(connection.interrupt):
                yield connection
        except duckdb.InterruptException:
            held.check()
            raise


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Whatever reading a damaged file comes to as CorruptStore, which names the file."""
    duckdb = load_duckdb()
    try:
        yield
    except StoreError:
        raise
    except (duckdb.Error, PfmapError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise CorruptStore(
            f"{path} is damaged or no file of counts ({first_line(error)}); delete it and make it again"
        ) from error


@contextmanager
def failed_writes() -> Iterator[None]:
    """What duckdb could not write as an error of the operating system, whose own words in it say which."""
    duckdb = load_duckdb()
    try:
        yield
    except duckdb.Error as error:
        known = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
        code = next((code for code in known if os.strerror(code) in str(error)), errno.EIO)
        raise OSError(code, os.strerror(code)) from error
