"""One Parquet file: the functions of a sample, how often each came, and what each measure says of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.complexity import ComplexityMeasure
from pfmap.counts import FunctionCounts, Totals
from pfmap.errors import CorruptStore, InvalidInput, PfmapError, StoreError
from pfmap.store.engine import connected, damage_named, failed_writes, load_duckdb
from pfmap.store.files import (
    COUNTS_FILE,
    RUN_FILE,
    block_files,
    checksum,
    clear_errors,
    fingerprint,
    first_line,
    locked,
    read_run_file,
    remove_temporaries,
    replacing,
)
from pfmap.tables import Cube, Domain, Points, TruthTables
from pfmap.threads import interrupts_held

FORMAT = 1

Rows: TypeAlias = Callable[[int, int], tuple[NDArray[np.uint64], NDArray[np.int64]]]
"""start, stop -> words uint64[k, W] and numbers int64[k, columns] of these rows of a table."""

_ROW_GROUP_BYTES = 1 << 25
_ROWS_AT_ONCE = 1 << 20
_TABLE = "read_parquet(?, hive_partitioning = false, file_row_number = true)"


@dataclass(frozen=True)
class StoredMeasure:
    """What a table says of one of its columns of complexity.

    Attributes:
        unit: what K is counted in.
        is_code_length: whether 2^-K sums to at most 1 over all functions.
        pfmap: the version that computed the column.
    """

    unit: str
    is_code_length: bool
    pfmap: str

    @property
    def is_current(self) -> bool:
        """Whether this version of pfmap computed the column, so that it need not be computed again."""
        return self.pfmap == _version()


def save_counts(counts: FunctionCounts, path: str | os.PathLike[str]) -> None:
    """Write counts to one Parquet file, replacing what stood there; the file appears whole or not at all.

    Raises:
        StoreError: the folder is missing or read-only, or the disk is full; nothing is left behind.

    Error: exact; equal counts give equal bytes under one version of duckdb. Cost: 3e6 functions of 7 inputs in 1 s.
    """
    write_counts(counts, Path(path), run="")


def load_counts(
    path: str | os.PathLike[str], *, at_least: int = 1, at_most_functions: int | None = None
) -> FunctionCounts:
    """Read what `save_counts` wrote, or the result of the finished draw in a run folder.

    Args:
        path: a run folder with a finished draw, or a file of counts.
        at_least: list functions that came so often; the others go into `unlisted`, which keeps their totals.
        at_most_functions: raise `at_least` until no more functions than this are listed.

    Raises:
        StoreError: nothing is there, it cannot be read, or the folder's draw is not finished.
        CorruptStore: the file is damaged, or is no store of counts.

    Error: exact; the digest of words, counts and provenance is checked. Cost: 3e6 functions of 7 inputs in 1 s; memory
    for what is listed, not for what is in the file.
    """
    file, run = _table_of(Path(path))
    return read_counts(file, run=run, at_least=at_least, at_most=at_most_functions)


def iterate_counts(
    path: str | os.PathLike[str], *, rows: int = 1 << 20
) -> Iterator[tuple[TruthTables, NDArray[np.int64]]]:
    """All functions of a table of any size, most frequent first, `rows` at a time: (tables, counts int64[k]).

    Raises:
        StoreError: nothing is there, or it cannot be read.
        CorruptStore: the file is damaged; this shows before the first piece.

    Error: exact. Cost: two passes over the file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["0000", "0110"]), [2, 4])
        >>> with TemporaryDirectory() as folder:
        ...     save_counts(counts, f"{folder}/counts.parquet")
        ...     [(tables.strings(), k.tolist()) for tables, k in iterate_counts(f"{folder}/counts.parquet", rows=1)]
        [(['0110'], [4]), (['0000'], [2])]
    """
    if isinstance(rows, bool) or not isinstance(rows, int | np.integer) or rows < 1:
        raise InvalidInput(f"rows is {rows!r}; it needs an int of at least 1")
    file, run = _table_of(Path(path))
    about, size = _read_about(file, run=run)
    with damage_named(file):
        _check_digest(about, lambda start, stop: _rows(file, about, start, stop), size)
        for start in range(0, size, rows):
            words, columns = _rows(file, about, start, min(size, start + rows))
            yield TruthTables.from_words(words, _domain(about)), columns[:, 0]


def save_complexity(path: str | os.PathLike[str], values: Mapping[ComplexityMeasure, ArrayLike]) -> None:
    """Add a column a measure to the table of a run folder or file; columns of the same names are replaced.

    The file appears with the new columns or stays as it is. Counts, their digest and all other columns are copied
    unchanged. Processes that add columns to one run folder take turns and lose nothing of each other's; a file outside
    a run folder wants one at a time.

    Args:
        path: a run folder with a finished draw, or a file of counts.
        values: for each measure K of every function, in the order of `load_counts(path).tables`: float64[size];
            NaN where it was not computed, which the file holds as null.

    Raises:
        InvalidInput: another number of values than functions, or a measure named as a column of counts.
        StoreError: nothing is there, it cannot be written, or the disk is full; the table stays as it was.
        CorruptStore: the table, or a column that is kept, is damaged.

    Error: exact. Cost: one copy of the table; 3e6 functions of 7 inputs with 30 columns in 4 s.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pfmap.complexity import entropy
        >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["0000", "0110"]), [2, 4])
        >>> with TemporaryDirectory() as folder:
        ...     save_counts(counts, f"{folder}/counts.parquet")
        ...     save_complexity(f"{folder}/counts.parquet", {entropy: entropy(counts.tables)})
        ...     load_complexity(f"{folder}/counts.parquet")
        {'entropy': array([1., 0.])}
    """
    columns = {measure.name: _as_column(measure.name, K) for measure, K in values.items()}
    file, run = _table_of(Path(path))
    with clear_errors(file), _turn(file.parent):
        about, size = _read_about(file, run=run)
        described = _described(about, file)
        for measure in values:
            K = columns[measure.name]
            if len(K) != size:
                raise InvalidInput(
                    f"{measure.name} came with {len(K)} values for the {size} functions of {file}; "
                    "give one a function, in the order of load_counts"
                )
            said = StoredMeasure(measure.unit, measure.is_code_length, _version())
            digest = _column_digest(about["digest"], measure.name, said, K)
            described[measure.name] = {**asdict(said), "digest": digest}
        names = [*_count_columns(about), *described]
        if len({name.lower() for name in names}) < len(names):
            raise InvalidInput(f"columns need names that differ by more than case; {', '.join(names)} came")
        if columns:
            _write_columns(file, about | {"complexity": json.dumps(described)}, names, columns)


def load_complexity(path: str | os.PathLike[str], names: Iterable[str] | None = None) -> dict[str, NDArray[np.float64]]:
    """Read columns that `save_complexity` wrote.

    Args:
        path: a run folder with a finished draw, or a file of counts.
        names: of measures; all in the table if not given.

    Returns:
        For each name K of every function, in the order of `load_counts(path).tables`: float64[size], NaN where it was
        not computed.

    Raises:
        InvalidInput: the table has no such column.
        StoreError: nothing is there, or it cannot be read.
        CorruptStore: a column is damaged; the message names it.

    Error: exact; the digest of each column, and of the counts it belongs to, is checked. Cost: 3e6 functions in 0.2 s.
    """
    duckdb = load_duckdb()
    file, run = _table_of(Path(path))
    about, _ = _read_about(file, run=run)
    described = _described(about, file)
    columns = {}
    for name in described if names is None else names:
        if name not in described:
            raise InvalidInput(f"{file} has no column {name!r}; it has {', '.join(described) or 'no measure yet'}")
        said = dict(described[name])
        digest = said.pop("digest")
        try:
            K = _as_column(name, np.ma.filled(_read(file, [name])[name], np.nan))
            if _column_digest(about["digest"], name, StoredMeasure(**said), K) != digest:
                raise ValueError("the digest does not fit")
        except (duckdb.Error, PfmapError, ValueError, TypeError, KeyError, MemoryError) as error:
            raise CorruptStore(
                f"the column {name} of {file} is damaged ({first_line(error)}); "
                "compute that measure again and save it over this column (pfmap complexity --redo)"
            ) from error
        columns[name] = K
    return columns


def stored_measures(path: str | os.PathLike[str]) -> dict[str, StoredMeasure]:
    """The measures that the table of a run folder or file has columns for, by name; reads no column.

    Raises:
        StoreError: nothing is there, or it cannot be read.
        CorruptStore: the file is damaged, or is no store of counts.
    """
    file, run = _table_of(Path(path))
    about, _ = _read_about(file, run=run)
    return {
        name: StoredMeasure(said["unit"], said["is_code_length"], said["pfmap"])
        for name, said in _described(about, file).items()
    }


def write_counts(counts: FunctionCounts, path: Path, *, run: str) -> None:
    """Write counts alone; `run` is the fingerprint of the draw whose result they are."""
    words = counts.tables.words()
    columns = {f"word_{j}": words[:, j] for j in range(words.shape[1])} | {"count": counts.counts}
    if counts.cluster_size > 1:
        columns["squares"] = counts.squares
    about = _about(
        counts.tables.domain,
        counts.n_samples,
        counts.n_clusters,
        counts.at_least,
        counts.unlisted,
        counts.provenance,
        run,
    )
    numbers: NDArray[np.int64] = np.column_stack([columns[name] for name in _number_names(about)])
    about["digest"] = _digest(about, lambda start, stop: (words[start:stop], numbers[start:stop]), len(words))
    with clear_errors(path):
        _write(path, about, "SELECT * FROM given", columns, n_columns=len(columns))


def write_merged(
    pieces: Iterable[tuple[NDArray[np.uint64], NDArray[np.int64]]],
    path: Path,
    *,
    domain: Domain,
    n_samples: int,
    n_clusters: int,
    at_least: int,
    provenance: Mapping[str, Any],
    run: str,
    memory: int,
) -> None:
    """Write functions that come in the order of their strings, each once, as (words, counts and squares [k, columns]).

    Whatever their number, memory stays near `memory`: the engine sorts by count beside the file, on disk.
    """
    told = (domain, n_samples, n_clusters, at_least)
    names = _count_columns(_about(*told, None, provenance, run))
    types = ", ".join(f"{name} {'UBIGINT' if name.startswith('word_') else 'BIGINT'}" for name in names)
    below = Totals()
    with (
        interrupts_held() as held,
        clear_errors(path),
        TemporaryDirectory(dir=path.parent, prefix=".sort-", suffix=".tmp") as scratch,
        failed_writes(),
        connected(f"{scratch}/found.duckdb", memory) as connection,
    ):
        connection.execute(f"CREATE TABLE found ({types})")
        for words, numbers in pieces:
            held.check()
            k = numbers[:, 0]
            rare = k < at_least
            below += Totals.of(k[rare], numbers[rare, -1], n_samples // n_clusters)
            if not rare.all():
                kept = (*words[~rare].T, *numbers[~rare].T)
                connection.register("piece", dict(zip(names, map(np.ascontiguousarray, kept), strict=True)))
                connection.execute("INSERT INTO found SELECT * FROM piece")
        connection.execute("CREATE TABLE ranked AS SELECT * FROM found ORDER BY count DESC, rowid")
        connection.execute("DROP TABLE found")
        ((size,),) = connection.execute("SELECT count(*) FROM ranked").fetchall()
        about = _about(*told, below, provenance, run)

        def rows(start: int, stop: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
            query = "SELECT * FROM ranked WHERE rowid >= ? AND rowid < ?"
            return _as_rows(connection.execute(query, [start, stop]).fetchnumpy(), names)

        about["digest"] = _digest(about, rows, size)
        _copy(connection, path, about, "SELECT * FROM ranked", n_columns=len(names))


def read_counts(path: Path, *, run: str | None, at_least: int = 1, at_most: int | None = None) -> FunctionCounts:
    """Read counts alone; where `run` is given, they must be the result of that draw."""
    about, size = _read_about(path, run=run)
    for name, value in (("at_least", at_least), ("at_most_functions", 1 if at_most is None else at_most)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InvalidInput(f"{name} is {value!r}; it needs an int of at least 1")
    with damage_named(path):
        n_samples, stored = int(about["n_samples"]), int(about.get("at_least", 1))
        n_clusters = int(about.get("n_clusters", n_samples))
        unlisted = Totals(**json.loads(about["unlisted"])) if "unlisted" in about else None
        listed = size
        if stored and (at_least > stored or (at_most is not None and at_most < size)):
            _check_digest(about, lambda start, stop: _rows(path, about, start, stop), size)
            listed, at_least = _prefix(path, at_least, size if at_most is None else at_most)
            unlisted = (unlisted or Totals()) + _totals_after(path, about, listed, size, n_samples // n_clusters)
            words, numbers = _rows(path, about, 0, listed)
        else:
            at_least = stored
            words, numbers = _rows(path, about, 0, size)
            _check_digest(about, lambda start, stop: (words[start:stop], numbers[start:stop]), size)
        return FunctionCounts(
            TruthTables.from_words(words, _domain(about)),
            numbers[:, 0],
            n_samples,
            json.loads(about["provenance"]),
            squares=numbers[:, 1] if numbers.shape[1] > 1 else None,  # type: ignore[arg-type]
            n_clusters=n_clusters,
            at_least=at_least,
            unlisted=unlisted,
        )


def _table_of(path: Path) -> tuple[Path, str | None]:
    """The file of counts, and the fingerprint of the draw if a folder was named."""
    if not path.is_dir():
        return path, None
    run = read_run_file(path)
    if not (path / COUNTS_FILE).exists():
        raise StoreError(
            f"the draw in {path} is not finished: {len(block_files(path))} blocks are done; "
            "draw again into this folder with the same arguments to resume it"
        )
    return path / COUNTS_FILE, fingerprint(run).hex()


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    if not (folder / RUN_FILE).exists():
        yield
        return
    with locked(folder, wait=True):
        remove_temporaries(folder)
        yield


# Parquet


def _read_about(path: Path, *, run: str | None) -> tuple[dict[str, str], int]:
    """What a table says of itself, and its number of functions."""
    with clear_errors(path):
        path.open("rb").close()  # a missing or unreadable file is no damaged one
    with damage_named(path), connected() as connection:
        source = [str(path.absolute())]
        pairs = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", source).fetchall()
        about = {key.decode(): value.decode() for key, value in pairs}
        if "pfmap_format" not in about:
            raise CorruptStore(f"{path} is a Parquet file without counts of pfmap; pass a file that save_counts wrote")
        if about["pfmap_format"] != str(FORMAT):
            raise StoreError(
                f"{path} has format {about['pfmap_format']}; this pfmap reads {FORMAT}: install a newer one"
            )
        ((size,),) = connection.execute("SELECT num_rows FROM parquet_file_metadata(?)", source).fetchall()
        missing = {"domain", "n_samples", "provenance", "run", "digest"} - about.keys()
        if missing:
            raise ValueError(f"its metadata lacks {', '.join(sorted(missing))}")
    if run is not None and about["run"] != run:
        raise CorruptStore(f"{path} belongs to another draw than {path.parent / RUN_FILE}; delete it and draw again")
    return about, int(size)


def _rows(path: Path, about: Mapping[str, str], start: int, stop: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Words uint64[k, W] and numbers int64[k, columns] of some rows."""
    names = _count_columns(about)
    return _as_rows(_read(path, names, start, stop), names)


def _read(path: Path, names: Iterable[str], start: int = 0, stop: int = 1 << 62) -> dict[str, NDArray[Any]]:
    query = f"SELECT {', '.join(map(_quoted, names))} FROM {_TABLE} WHERE file_row_number >= ? AND file_row_number < ?"
    with connected() as connection:
        arrays: dict[str, NDArray[Any]] = connection.execute(query, [str(path.absolute()), start, stop]).fetchnumpy()
    return arrays


def _as_rows(arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    words = np.column_stack([arrays[name] for name in names if name.startswith("word_")])
    numbers = np.column_stack([arrays[name] for name in names if not name.startswith("word_")])
    if words.dtype != np.uint64 or numbers.dtype != np.int64:
        raise ValueError(f"columns of {words.dtype} and {numbers.dtype}")
    return words, numbers


def _check_digest(about: Mapping[str, str], rows: Rows, size: int) -> None:
    if _digest(about, rows, size) != about["digest"]:
        raise ValueError("the digest does not fit")


def _prefix(path: Path, at_least: int, at_most: int) -> tuple[int, int]:
    """How many functions came at least `at_least` times, raised until they are no more than `at_most`; and that."""
    source = [str(path.absolute())]
    with connected() as connection:
        beyond = connection.execute(
            f"SELECT count FROM {_TABLE} WHERE file_row_number = ?", [*source, at_most]
        ).fetchone()
        if beyond is not None:
            at_least = max(at_least, beyond[0] + 1)
        query = f"SELECT count(*) FROM {_TABLE} WHERE count >= ?"
        ((listed,),) = connection.execute(query, [*source, at_least]).fetchall()
    return int(listed), at_least


def _totals_after(path: Path, about: Mapping[str, str], start: int, size: int, cluster_size: int) -> Totals:
    total = Totals()
    for first in range(start, size, _ROWS_AT_ONCE):
        numbers = _rows(path, about, first, min(size, first + _ROWS_AT_ONCE))[1]
        total += Totals.of(numbers[:, 0], numbers[:, -1], cluster_size)
    return total


def _write_columns(
    path: Path, about: Mapping[str, str], names: Sequence[str], new: Mapping[str, NDArray[np.float64]]
) -> None:
    """The table anew with `names` for columns: those of `new`, and the others as they are on disk."""
    selected = (f"nullif(given.{_quoted(n)}, 'nan')" if n in new else f"old.{_quoted(n)}" for n in names)
    columns = ", ".join(f"{column} AS {_quoted(n)}" for column, n in zip(selected, names, strict=True))
    select = f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false) AS old POSITIONAL JOIN given"
    try:
        _write(path, about, select, new, n_columns=len(names), sources=[str(path.absolute())])
    except OSError:  # where the reason is a damaged column, it is named
        read_counts(path, run=None)
        load_complexity(path, [n for n in _described(about, path) if n not in new])
        raise


def _write(
    path: Path,
    about: Mapping[str, str],
    select: str,
    given: Mapping[str, NDArray[Any]],
    *,
    n_columns: int,
    sources: Sequence[str] = (),
) -> None:
    with failed_writes(), connected() as connection:
        connection.register("given", dict(given))
        _copy(connection, path, about, select, n_columns=n_columns, sources=sources)


def _copy(
    connection: Any,
    path: Path,
    about: Mapping[str, str],
    select: str,
    *,
    n_columns: int,
    sources: Sequence[str] = (),
) -> None:
    metadata = ", ".join(f"{key}: '{value.replace(chr(39), chr(39) * 2)}'" for key, value in about.items())
    rows = max(2048, min(122_880, _ROW_GROUP_BYTES // (8 * n_columns)))
    with replacing(path) as temporary:
        connection.execute(
            f"COPY ({select}) TO ? (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}, "
            f"USE_TMP_FILE false, KV_METADATA {{{metadata}}})",
            [*sources, str(temporary.absolute())],  # duckdb would read ~ as the home folder
        )


# Columns and their digests


def _count_columns(about: Mapping[str, str]) -> list[str]:
    return [*(f"word_{j}" for j in range(-(-_domain(about).n_points // 64))), *_number_names(about)]


def _number_names(about: Mapping[str, str]) -> list[str]:
    return ["count", "squares"] if "n_clusters" in about else ["count"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_column(name: str, values: ArrayLike) -> NDArray[np.float64]:
    K = np.array(values, np.float64) + 0.0  # a file keeps no sign of zero
    if K.ndim != 1:
        raise InvalidInput(f"{name} came with values of shape {list(K.shape)}; give one number a function")
    K[np.isnan(K)] = np.nan  # nor the payload of a NaN
    return K


def _described(about: Mapping[str, str], path: Path) -> dict[str, dict[str, Any]]:
    with damage_named(path):
        described = json.loads(about.get("complexity", "{}"))
        return {
            name: {field: said[field] for field in ("unit", "is_code_length", "pfmap", "digest")}
            for name, said in described.items()
        }


def _about(
    domain: Domain,
    n_samples: int,
    n_clusters: int,
    at_least: int,
    unlisted: Totals | None,
    provenance: Mapping[str, Any],
    run: str,
) -> dict[str, str]:
    about = {
        "pfmap_format": str(FORMAT),
        "domain": json.dumps(_domain_to_json(domain)),
        "n_samples": str(n_samples),
        "provenance": json.dumps(provenance, sort_keys=True),
        "run": run,
    }
    if n_clusters != n_samples:
        about["n_clusters"] = str(n_clusters)
    if at_least != 1:
        about["at_least"] = str(at_least)
        if unlisted is not None:
            about["unlisted"] = json.dumps(asdict(unlisted))
    return about


def _digest(about: Mapping[str, str], rows: Rows, size: int) -> str:
    """Of the metadata, the words of all functions, then their counts, then their squares if there are any."""
    told = {key: value for key, value in about.items() if key not in ("digest", "complexity")}

    def parts() -> Iterator[bytes | memoryview]:
        yield json.dumps(told, sort_keys=True).encode()
        for part in range(1 + len(_number_names(about))):
            for start in range(0, size, _ROWS_AT_ONCE):
                words, numbers = rows(start, min(size, start + _ROWS_AT_ONCE))
                array = numbers[:, part - 1] if part else words
                yield np.ascontiguousarray(array, "<i8").data

    return checksum(parts()).hex()


def _column_digest(counts_digest: str, name: str, said: StoredMeasure, K: NDArray[np.float64]) -> str:
    described = json.dumps([counts_digest, name, asdict(said)], sort_keys=True).encode()
    return checksum([described, np.ascontiguousarray(K, "<f8").data]).hex()


def _domain_to_json(domain: Domain) -> dict[str, int]:
    return {"cube": domain.n_inputs} if isinstance(domain, Cube) else {"points": domain.n_points}


def _domain(about: Mapping[str, str]) -> Domain:
    stored = json.loads(about["domain"])
    return Cube(stored["cube"]) if "cube" in stored else Points(stored["points"])


def _version() -> str:
    try:
        return version("pfmap")
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"
