"""What is on disk comes back exactly, or is refused by name; a kill at any moment leaves a draw that resumes."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars
import pytest

from pfmap import complexity, draw, maps
from pfmap.counts import FunctionCounts
from pfmap.errors import CorruptStore, InvalidInput, StoreError
from pfmap.kernels.sorting import reversed_bits
from pfmap.store import (
    RunFolder,
    iterate_counts,
    load_complexity,
    load_counts,
    save_complexity,
    save_counts,
    stored_measures,
    table,
)
from pfmap.store.blocks import check_block, merge_blocks
from pfmap.streams import generator
from pfmap.tables import Cube, Points, TruthTables, concatenate
from tests.conftest import EXPERIMENTS

HEADER = {"map": {"map": "MLP", "sigma_w": 1.0}, "seed": 0, "n_samples": 100, "block_size": 10, "stream": "z"}


def some_counts(domain, size=200, seed=0):
    rng = generator(seed, "test-store")
    tables = TruthTables.from_bits(rng.integers(0, 2, (size, domain.n_points)), domain)
    counts = rng.zipf(2.0, size)
    draws = [{"seed": seed, "stream": "z", "start": 0, "stop": int(counts.sum())}]
    return FunctionCounts.from_unordered(tables, counts, {"map": {"name": "it's a 'map' ü"}, "draws": draws})


def some_block(seed=0, size=50, n_words=2):
    rng = generator(seed, "test-store")
    return rng.integers(0, 2**64, (size, n_words), np.uint64), rng.integers(1, 9, size)


def listing(folder):
    return sorted(os.listdir(folder))


# Counts in one file


@pytest.mark.parametrize("domain", [Cube(1), Cube(5), Cube(7), Cube(8), Cube(16), Points(3), Points(100)])
def test_counts_come_back_exactly(domain, tmp_path):
    counts = some_counts(domain, size=50)
    save_counts(counts, tmp_path / "a.parquet")
    assert load_counts(tmp_path / "a.parquet") == counts
    half, _ = counts.split()
    save_counts(half, tmp_path / "a.parquet")
    assert load_counts(str(tmp_path / "a.parquet")) == half
    assert listing(tmp_path) == ["a.parquet"]


def clustered():
    tables = TruthTables.from_ints([3, 6, 9, 12], 2)
    return FunctionCounts.from_unordered(tables, [9, 5, 1, 1], squares=[33, 13, 1, 1], n_clusters=4)


def fixed_set(**clusters):
    tables = TruthTables.from_ints([3, 6, 9], 2)
    return FunctionCounts.from_unordered(tables, [0, 4, 2], n_samples=32, at_least=0, **clusters)


@pytest.mark.parametrize(
    "counts",
    [
        clustered(),
        clustered().truncated(2),
        clustered().truncated(16),
        some_counts(Cube(7)).truncated(3),
        fixed_set(),
        fixed_set(squares=[0, 8, 4], n_clusters=8),
        some_counts(Cube(3)).pooled({"input_permutations"}),
    ],
    ids=repr,
)
def test_clusters_lists_and_orbits_come_back_exactly(counts, tmp_path):
    save_counts(counts, tmp_path / "counts.parquet")
    back = load_counts(tmp_path / "counts.parquet")
    assert back == counts
    assert (back.n_clusters, back.at_least, back.unlisted) == (counts.n_clusters, counts.at_least, counts.unlisted)
    np.testing.assert_array_equal(back.squares, counts.squares)
    columns = polars.read_parquet(tmp_path / "counts.parquet").columns
    assert ("squares" in columns) == (counts.cluster_size > 1)
    if len(counts):
        save_complexity(tmp_path / "counts.parquet", values_of(counts))
        assert load_counts(tmp_path / "counts.parquet") == counts


def test_order_and_bytes_are_those_of_the_content(tmp_path):
    """Several row groups, written twice."""
    rng = generator(0, "test-store")
    words = rng.integers(0, 2**64, (300_000, 2), np.uint64)
    counts = FunctionCounts.from_unordered(TruthTables.from_words(words, Cube(7)), rng.zipf(2.0, len(words)))
    for name in "ab":
        save_counts(counts, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert load_counts(tmp_path / "a") == counts


def test_other_tools_open_the_file(tmp_path):
    counts = some_counts(Cube(7))
    path = tmp_path / "counts.parquet"
    save_counts(counts, path)
    expected = {"word_0": counts.tables.words()[:, 0], "word_1": counts.tables.words()[:, 1], "count": counts.counts}
    frames = {
        "duckdb": duckdb.sql(f"SELECT * FROM '{path}'").fetchnumpy(),
        "pandas": {name: column.to_numpy() for name, column in duckdb.sql(f"SELECT * FROM '{path}'").df().items()},
        "polars": {column.name: column.to_numpy() for column in polars.read_parquet(path)},
    }
    for tool, frame in frames.items():
        assert list(frame) == list(expected), tool
        for name, column in expected.items():
            assert frame[name].dtype == column.dtype, tool
            np.testing.assert_array_equal(frame[name], column, err_msg=tool)


def test_awkward_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = some_counts(Cube(3))
    for name in ("seed=1", "[40,40]*?", 'it\'s "ü"', "~"):
        Path(name).mkdir()
        save_counts(counts, Path(name) / "counts.parquet")
        assert load_counts(Path(name) / "counts.parquet") == counts
    save_counts(counts, "plain")
    assert load_counts("plain") == counts


def values_of(counts):
    """Two measures in full, and one of the ten most frequent functions alone."""
    few = np.full(len(counts), np.nan)
    few[:10] = complexity.decision_tree_depth(counts.tables[:10])
    full = {measure: measure(counts.tables) for measure in (complexity.lempel_ziv, complexity.type_code)}
    return full | {complexity.decision_tree_depth: few}


def assert_columns(path, values):
    loaded = load_complexity(path)
    assert list(loaded) == [measure.name for measure in values]
    for measure, K in values.items():
        np.testing.assert_array_equal(loaded[measure.name], K)
        assert loaded[measure.name].dtype == np.float64


def finished_run(folder, size=200):
    counts = some_counts(Cube(7), size)
    with RunFolder(folder, HEADER) as run:
        run.finish(counts)
    return counts


def test_columns_come_back_and_the_counts_stay(tmp_path):
    counts = finished_run(tmp_path / "run")
    save_counts(counts, tmp_path / "loose.parquet")
    for path in (tmp_path / "run", tmp_path / "loose.parquet"):
        assert load_complexity(path) == {} == stored_measures(path)
        save_complexity(path, {})
        values = values_of(counts)
        save_complexity(path, dict(list(values.items())[:1]))
        save_complexity(path, dict(list(values.items())[1:]))
        assert_columns(path, values)
        assert load_counts(path) == counts
        assert list(load_complexity(path, ["type_code"])) == ["type_code"]
        said = stored_measures(path)["type_code"]
        assert (said.unit, said.is_code_length, said.is_current) == ("bits", True, True)
        assert not stored_measures(path)["lempel_ziv"].is_code_length
        with pytest.raises(InvalidInput, match="no column 'entropy'; it has lempel_ziv, type_code"):
            load_complexity(path, ["entropy"])
    with RunFolder(tmp_path / "run", HEADER) as run:
        assert run.result() == counts
    assert_columns(tmp_path / "run", values)
    assert listing(tmp_path / "run") == [".lock", "counts.parquet", "run.json"]


def test_a_column_is_replaced_by_one_of_its_name(tmp_path):
    counts = finished_run(tmp_path / "run")
    values = values_of(counts)
    save_complexity(tmp_path / "run", values)
    values[complexity.decision_tree_depth] = complexity.decision_tree_depth(counts.tables)
    save_complexity(tmp_path / "run", {complexity.decision_tree_depth: values[complexity.decision_tree_depth]})
    assert_columns(tmp_path / "run", values)


def test_columns_over_several_row_groups(tmp_path):
    rng = generator(0, "test-store")
    words = rng.integers(0, 2**64, (300_000, 2), np.uint64)
    counts = FunctionCounts.from_unordered(TruthTables.from_words(words, Cube(7)), rng.zipf(2.0, len(words)))
    save_counts(counts, tmp_path / "a")
    values = {complexity.entropy: rng.random(len(counts)), complexity.type_code: rng.integers(0, 9, len(counts)) / 2}
    for measure, K in values.items():
        save_complexity(tmp_path / "a", {measure: K})
    assert_columns(tmp_path / "a", values)
    assert load_counts(tmp_path / "a") == counts


def test_other_tools_see_columns_and_nulls(tmp_path):
    counts = finished_run(tmp_path / "run")
    save_complexity(tmp_path / "run", values_of(counts))
    frame = polars.read_parquet(tmp_path / "run" / "counts.parquet")
    assert frame.columns == ["word_0", "word_1", "count", "lempel_ziv", "type_code", "decision_tree_depth"]
    assert frame["decision_tree_depth"].null_count() == len(counts) - 10
    np.testing.assert_array_equal(frame["lempel_ziv"].to_numpy(), complexity.lempel_ziv(counts.tables))
    pandas = duckdb.sql(f"SELECT * FROM '{tmp_path / 'run' / 'counts.parquet'}'").df()
    assert pandas["decision_tree_depth"].isna().sum() == len(counts) - 10


@dataclass(frozen=True)
class Named:
    name: str
    unit: str = "none"
    is_code_length: bool = False


def test_columns_that_do_not_fit_are_refused(tmp_path):
    counts = finished_run(tmp_path / "run")
    before = (tmp_path / "run" / "counts.parquet").read_bytes()
    for K in (np.zeros(199), np.zeros(0), np.zeros(201)):
        with pytest.raises(InvalidInput, match=f"entropy came with {len(K)} values for the 200 functions of"):
            save_complexity(tmp_path / "run", {complexity.entropy: K})
    with pytest.raises(InvalidInput, match=r"entropy came with values of shape \[200, 1\]"):
        save_complexity(tmp_path / "run", {complexity.entropy: np.zeros((200, 1))})
    for name in ("count", "Count", "word_1"):
        with pytest.raises(InvalidInput, match="differ by more than case"):
            save_complexity(tmp_path / "run", {Named(name): np.zeros(200)})
    assert (tmp_path / "run" / "counts.parquet").read_bytes() == before
    odd = {Named('it\'s "odd", ü'): np.array([0.0, -0.0, np.inf, -1e-300] * 50)}
    save_complexity(tmp_path / "run", odd)
    assert_columns(tmp_path / "run", odd)
    assert load_counts(tmp_path / "run") == counts
    with RunFolder(tmp_path / "unfinished", HEADER), pytest.raises(StoreError, match="not finished"):
        save_complexity(tmp_path / "unfinished", odd)


def test_a_column_of_another_version_says_so(tmp_path, monkeypatch):
    counts = finished_run(tmp_path / "run")
    monkeypatch.setattr(table, "_version", lambda: "0.0.1")
    save_complexity(tmp_path / "run", values_of(counts))
    monkeypatch.undo()
    assert [said.is_current for said in stored_measures(tmp_path / "run").values()] == [False] * 3
    assert_columns(tmp_path / "run", values_of(counts))


def test_a_damaged_byte_of_a_column_is_noticed_or_harmless(tmp_path):
    """Never another number: the table is refused, a column is refused by name, or all is as it was."""
    counts = finished_run(tmp_path / "run", size=40)
    path = tmp_path / "run" / "counts.parquet"
    values = values_of(counts)
    save_complexity(tmp_path / "run", values)
    data, expected = path.read_bytes(), {measure.name: K for measure, K in values.items()}
    named = 0
    for i in range(0, len(data), 43):
        damaged = bytearray(data)
        damaged[i] ^= 1 << (i % 8)
        path.write_bytes(damaged)
        try:
            assert load_counts(tmp_path / "run") == counts
            for name, K in load_complexity(tmp_path / "run").items():
                np.testing.assert_array_equal(K, expected[name])
        except StoreError as error:
            named += "the column " in str(error)
    assert named > 3


def test_a_damaged_column_is_named_and_made_anew(tmp_path):
    counts = finished_run(tmp_path / "run", size=2000)
    path = tmp_path / "run" / "counts.parquet"
    entropy, type_code = (measure(counts.tables) for measure in (complexity.entropy, complexity.type_code))
    save_complexity(path, {complexity.entropy: entropy, complexity.type_code: type_code})
    ((first,),) = duckdb.sql(
        f"SELECT coalesce(dictionary_page_offset, data_page_offset) FROM parquet_metadata('{path}') "
        "WHERE path_in_schema = 'entropy'"
    ).fetchall()
    data = bytearray(path.read_bytes())
    data[first + 20 : first + 200] = bytes(180)
    path.write_bytes(data)
    assert load_counts(path) == counts
    assert list(load_complexity(path, ["type_code"])) == ["type_code"]
    for call in (
        lambda: load_complexity(path),
        lambda: save_complexity(path, {complexity.lempel_ziv: complexity.lempel_ziv(counts.tables)}),
    ):
        with pytest.raises(
            CorruptStore, match=f"the column entropy of {path} is damaged .* compute that measure again"
        ):
            call()
    save_complexity(path, {complexity.entropy: entropy})
    assert_columns(path, {complexity.entropy: entropy, complexity.type_code: type_code})


@pytest.fixture
def file_of_counts(tmp_path):
    path = tmp_path / "counts.parquet"
    save_counts(some_counts(Cube(7), size=40), path)
    return path


def test_a_damaged_byte_is_noticed_or_harmless(file_of_counts):
    """Harmless are bytes that say nothing about the counts, such as the name of the writing program."""
    data, counts = file_of_counts.read_bytes(), load_counts(file_of_counts)
    refused = 0
    damaged_bytes = range(0, len(data), 31)
    for i in damaged_bytes:
        damaged = bytearray(data)
        damaged[i] ^= 1 << (i % 8)
        file_of_counts.write_bytes(damaged)
        try:
            assert load_counts(file_of_counts) == counts, f"byte {i}"
        except StoreError:
            refused += 1
    assert refused > 0.8 * len(damaged_bytes)


def test_truncated_foreign_and_missing_files_are_named(file_of_counts, tmp_path):
    data = file_of_counts.read_bytes()
    for size in (*range(0, len(data), 97), len(data) - 1):
        file_of_counts.write_bytes(data[:size])
        with pytest.raises(CorruptStore, match=f"{file_of_counts} is damaged .* delete it"):
            load_counts(file_of_counts)
    file_of_counts.write_bytes(data.replace(b"it's", b"it_s"))
    with pytest.raises(CorruptStore, match="digest"):
        load_counts(file_of_counts)
    polars.DataFrame({"x": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(CorruptStore, match=r"other\.parquet is a Parquet file without counts of pfmap"):
        load_counts(tmp_path / "other.parquet")
    with pytest.raises(StoreError, match=r"none\.parquet: no such file or folder"):
        load_counts(tmp_path / "none.parquet")
    with pytest.raises(StoreError, match=r"is not a pfmap run: it has no run\.json"):
        load_counts(tmp_path)


def failing(code):
    def fail(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "disk is full .* What is already written stays; free space and run the same call again"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_nothing_behind(code, message, call, tmp_path, monkeypatch):
    before = some_counts(Cube(3), seed=1)
    save_counts(before, tmp_path / "counts.parquet")
    with RunFolder(tmp_path / "run", HEADER) as run:
        monkeypatch.setattr(os, call, failing(code))
        with pytest.raises(StoreError, match=message) as caught:
            save_counts(some_counts(Cube(3)), tmp_path / "counts.parquet")
        assert caught.value.errno == code
        with pytest.raises(StoreError, match=message):
            run.write_block(0, *some_block())
        monkeypatch.undo()
        assert listing(tmp_path) == ["counts.parquet", "run"]
        assert listing(tmp_path / "run") == [".lock", "run.json"]
    assert load_counts(tmp_path / "counts.parquet") == before


def test_a_write_that_stops_midway_leaves_nothing_behind(tmp_path):
    """The operating system itself ends the write, inside duckdb too."""
    counts = some_counts(Cube(7), size=20_000)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with RunFolder(tmp_path / "run", HEADER) as run:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
            with pytest.raises(StoreError, match="File too large"):
                save_counts(counts, tmp_path / "counts.parquet")
            with pytest.raises(StoreError, match="File too large"):
                run.write_block(0, *some_block(size=20_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, handler)
        assert run.finished_blocks() == []
    assert listing(tmp_path) == ["run"]
    assert listing(tmp_path / "run") == [".lock", "run.json"]


def test_columns_that_cannot_be_written_leave_the_table_whole(tmp_path, monkeypatch):
    counts = finished_run(tmp_path / "run", size=20_000)
    path = tmp_path / "run" / "counts.parquet"
    old = {complexity.entropy: complexity.entropy(counts.tables)}
    save_complexity(tmp_path / "run", old)
    before = path.read_bytes()
    new = {complexity.type_code: generator(0, "test-store").random(len(counts))}
    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, failing(errno.ENOSPC))
        with pytest.raises(StoreError, match="disk is full"):
            save_complexity(tmp_path / "run", new)
        monkeypatch.undo()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50_000, limit[1]))
        with pytest.raises(StoreError, match="File too large"):
            save_complexity(tmp_path / "run", new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert listing(tmp_path / "run") == [".lock", "counts.parquet", "run.json"]
    save_complexity(tmp_path / "run", new)
    assert_columns(tmp_path / "run", old | new)


COLUMNS = """
import sys
import numpy as np
from pfmap import complexity
from pfmap.store import save_complexity
measure = getattr(complexity, sys.argv[2])
for i in range(int(sys.argv[3])):
    save_complexity(sys.argv[1], {measure: np.full(50_000, i)})
    print(i, flush=True)
"""


def writing_columns(run, measure, times):
    command = [sys.executable, "-c", COLUMNS, run, measure, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_kill_amid_writing_columns_loses_at_most_what_is_in_flight(tmp_path, request):
    counts = finished_run(tmp_path / "run", size=50_000)
    old = {complexity.entropy: complexity.entropy(counts.tables)}
    save_complexity(tmp_path / "run", old)
    rng = generator(0, request.node.name)
    for _ in range(4):
        with writing_columns(tmp_path / "run", "type_code", 10_000) as writer:
            writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))  # a save takes about 0.1 s
            writer.send_signal(signal.SIGKILL)
            last = int((writer.stdout.read().split() or ["0"])[-1])
        written = load_complexity(tmp_path / "run")["type_code"]
        assert written[0] in (last, last + 1)
        assert np.all(written == written[0])
        assert load_counts(tmp_path / "run") == counts
    save_complexity(tmp_path / "run", old)
    assert listing(tmp_path / "run") == [".lock", "counts.parquet", "run.json"]
    assert_columns(tmp_path / "run", old | {complexity.type_code: written})


def test_processes_that_write_columns_at_once_keep_each_other_s(tmp_path):
    finished_run(tmp_path / "run", size=50_000)
    with (
        writing_columns(tmp_path / "run", "type_code", 5) as one,
        writing_columns(tmp_path / "run", "entropy", 5) as other,
    ):
        assert (one.wait(), other.wait()) == (0, 0)
    columns = load_complexity(tmp_path / "run")
    assert set(columns) == {"type_code", "entropy"}
    assert all(np.all(K == 4) for K in columns.values())


def test_missing_and_wrong_folders(tmp_path):
    counts = some_counts(Cube(3))
    with pytest.raises(StoreError, match="no such file or folder"):
        save_counts(counts, tmp_path / "none" / "counts.parquet")
    with pytest.raises(StoreError, match="a folder stands where a file is needed"):
        save_counts(counts, tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "counts.parquet", tmp_path / "file"):
        with pytest.raises(StoreError), RunFolder(path, HEADER):
            pass
    with pytest.raises(StoreError, match="none does not exist; make it"), RunFolder(tmp_path / "none" / "run", HEADER):
        pass
    assert listing(tmp_path) == ["file"]


# Run folders


def read_block(run, index):
    """Words and counts of one block, in the order of their strings."""
    (piece,) = merge_blocks([check_block(run.path, run.run, index)], memory=1 << 26)
    return piece[0], piece[1][:, 0]


def test_a_run_from_start_to_result(tmp_path):
    counts = some_counts(Cube(7))
    with RunFolder(tmp_path / "run", HEADER) as run:
        assert run.result() is None
        for index in (3, 0, 11):
            run.write_block(index, *some_block(index))
    with pytest.raises(StoreError, match=r"not finished: 3 blocks are done; draw again .* to resume"):
        load_counts(tmp_path / "run")
    with RunFolder(tmp_path / "run", HEADER) as run:
        assert run.finished_blocks() == [0, 3, 11]
        for index in (0, 3, 11):
            words, numbers = some_block(index)
            order = np.lexsort(reversed_bits(words).T[::-1])
            for read, written in zip(read_block(run, index), (words[order], numbers[order]), strict=True):
                np.testing.assert_array_equal(read, written)
                assert read.dtype == written.dtype
        run.finish(counts)
        assert run.finished_blocks() == []
        assert run.result() == counts
    assert load_counts(tmp_path / "run") == counts
    assert listing(tmp_path / "run") == [".lock", "counts.parquet", "run.json"]


def test_what_a_kill_left_is_cleaned_up(tmp_path):
    counts = some_counts(Cube(7))
    with RunFolder(tmp_path / "run", HEADER) as run:
        run.write_block(0, *some_block())
        block = (tmp_path / "run" / "block-000000000").read_bytes()
        run.finish(counts)
    # Killed between writing the result and removing the blocks, and amid a write.
    (tmp_path / "run" / "block-000000000").write_bytes(block)
    (tmp_path / "run" / ".block-000000001.0badcafe.tmp").write_bytes(block[:9])
    with RunFolder(tmp_path / "run", HEADER) as run:
        assert run.result() == counts
    assert listing(tmp_path / "run") == [".lock", "counts.parquet", "run.json"]


def test_an_empty_block_and_odd_shapes(tmp_path):
    with RunFolder(tmp_path, HEADER) as run:
        run.write_block(0, np.zeros((0, 2), np.uint64), np.zeros(0, np.int64))
        assert list(run.merged()) == []
        for words, counts in ((np.zeros((2, 1), np.uint64), np.zeros(3, np.int64)), (np.zeros(2), np.zeros(2))):
            with pytest.raises(InvalidInput, match="do not fit"):
                run.write_block(1, words, counts)


def test_another_draw_is_refused_field_by_field(tmp_path):
    with RunFolder(tmp_path, HEADER):
        pass
    other = {**HEADER, "seed": 1, "map": {"map": "MLP", "sigma_w": 2.0}}
    with (
        pytest.raises(InvalidInput, match=r"map\.sigma_w is 1\.0 there, 2\.0 here; seed is 0 there, 1 here\. Choose"),
        RunFolder(tmp_path, other),
    ):
        pass
    with RunFolder(tmp_path, HEADER):  # the refusal let go of the lock
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"is not a pfmap run \(it holds 'thesis\.tex'\)"), RunFolder(tmp_path, HEADER):
        pass
    assert listing(tmp_path) == ["thesis.tex"]


def test_a_damaged_header_is_named(tmp_path):
    with RunFolder(tmp_path, HEADER):
        pass
    for text in ("{", "[]", '{"\udcff"'):
        (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(CorruptStore, match=r"run\.json is damaged"), RunFolder(tmp_path, HEADER):
            pass


def test_damaged_renamed_and_foreign_blocks_are_named(tmp_path):
    with RunFolder(tmp_path / "other", {**HEADER, "seed": 1}) as run:
        run.write_block(0, *some_block())
    with RunFolder(tmp_path / "run", HEADER) as run:
        run.write_block(0, *some_block(size=5))
        path = tmp_path / "run" / "block-000000000"
        data = path.read_bytes()
        for i in range(len(data)):
            damaged = bytearray(data)
            damaged[i] ^= 1 << (i % 8)
            path.write_bytes(damaged)
            with pytest.raises(CorruptStore, match=re.escape(f"{path} is damaged")):
                read_block(run, 0)
        for size in range(0, len(data), 13):
            path.write_bytes(data[:size])
            with pytest.raises(CorruptStore, match=r"is damaged .* delete that file and draw again"):
                read_block(run, 0)
        path.write_bytes((tmp_path / "other" / "block-000000000").read_bytes())
        with pytest.raises(CorruptStore, match="belongs to another draw"):
            read_block(run, 0)
        (tmp_path / "run" / "block-000000007").write_bytes(data)
        with pytest.raises(CorruptStore, match="holds block 0: it was renamed"):
            read_block(run, 7)
        with pytest.raises(StoreError, match="no such file"):
            read_block(run, 8)


def test_a_block_damaged_while_blocks_merge_is_named(tmp_path):
    """Frames of a block are read as they are needed, long after its checksum was looked at."""
    with RunFolder(tmp_path, HEADER) as run:
        run.write_block(0, *some_block(size=20_000))
        path = tmp_path / "block-000000000"
        data = path.read_bytes()
        for damaged in (data[: len(data) // 2], data[:5000] + bytes(len(data) - 5000)):
            path.write_bytes(data)
            pieces = run.merged(100_000)
            next(pieces)
            path.write_bytes(damaged)
            with pytest.raises(CorruptStore, match=re.escape(f"{path} changed while it was read; delete that file")):
                list(pieces)


def test_blocks_take_a_third_of_the_bytes_of_their_rows(tmp_path):
    """Functions of networks share most of their bits with their neighbours, and most came once."""
    counts = draw(maps.MLP(7, (40, 40)), 20_000, seed=0)
    with RunFolder(tmp_path, HEADER) as run:
        run.write_block(0, counts.tables.words(), counts.counts)
        assert (tmp_path / "block-000000000").stat().st_size < 24 * len(counts) / 2.5
        (piece,) = run.merged()
        assert piece[1].sum() == 20_000


def test_a_result_of_another_draw_is_named(tmp_path):
    counts = some_counts(Cube(7))
    with RunFolder(tmp_path / "other", {**HEADER, "seed": 1}) as run:
        run.finish(counts)
    with RunFolder(tmp_path / "run", HEADER) as run:
        (tmp_path / "run" / "counts.parquet").write_bytes((tmp_path / "other" / "counts.parquet").read_bytes())
        with pytest.raises(CorruptStore, match="belongs to another draw"):
            run.result()
    with pytest.raises(CorruptStore, match="belongs to another draw"):
        load_counts(tmp_path / "run")
    assert load_counts(tmp_path / "run" / "counts.parquet") == counts


WRITER = """
import sys
import numpy as np
from pfmap.store import RunFolder
with RunFolder(sys.argv[1], {"seed": 0}) as run:
    for index in range(10_000):
        if index not in run.finished_blocks():
            run.write_block(index, np.full((2000, 2), index, np.uint64), np.full(2000, index))
        print(index, flush=True)
"""


def test_one_process_at_a_time_and_a_kill_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    for round_ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True) as writer:
            while (line := writer.stdout.readline()) and int(line) < 20 * (round_ + 1):
                pass
            with pytest.raises(StoreError, match="another process is drawing into"), RunFolder(folder, {"seed": 0}):
                pass
            writer.send_signal(signal.SIGKILL)
        with RunFolder(folder, {"seed": 0}) as run:  # the lock went with the process
            finished = run.finished_blocks()
            assert finished == list(range(len(finished)))
            assert len(finished) > 20 * (round_ + 1)
            for index in finished:
                words, counts = read_block(run, index)
                assert np.all(words == index)
                assert np.all(counts == 2000 * index)  # one function, from 2000 rows
            assert not [name for name in listing(folder) if name.endswith(".tmp")]


def test_two_folders_of_one_process_are_kept_apart(tmp_path):
    with (
        RunFolder(tmp_path, HEADER),
        pytest.raises(StoreError, match="another process is drawing"),
        RunFolder(tmp_path, HEADER),
    ):
        pass


def test_a_newer_format_is_told_apart_from_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "FORMAT", 2)
    save_counts(some_counts(Cube(3)), tmp_path / "counts.parquet")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="has format 2; this pfmap reads 1") as caught:
        load_counts(tmp_path / "counts.parquet")
    assert not isinstance(caught.value, CorruptStore)


# Results larger than memory


def merged_file(folder, blocks, at_least=1, memory=1 << 27, clusters=1):
    """Merge blocks [(words, counts, squares)] into a folder; the counts as memory would hold them."""
    everything = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    words, counts, squares = everything
    n_samples = int(counts.sum())
    about = {"n_samples": n_samples, "n_clusters": n_samples // clusters, "provenance": {"map": {"map": "made up"}}}
    expected = FunctionCounts.from_unordered(
        TruthTables.from_words(words, Cube(7)),
        counts,
        about["provenance"],
        squares=squares if clusters > 1 else None,
        n_clusters=about["n_clusters"],
    )
    with RunFolder(folder, HEADER) as run:
        for index, block in enumerate(blocks):
            run.write_block(index, *block[: 3 if clusters > 1 else 2])
        run.finish_merged(domain=Cube(7), at_least=at_least, memory=memory, **about)
    return expected


def random_blocks(rng, n_blocks=7, size=3000, clusters=1):
    blocks = []
    for _ in range(n_blocks):
        words = np.unique(rng.integers(0, 60, (size, 2), np.uint64) << np.uint64(57), axis=0)
        counts = rng.integers(1, 4, len(words)) * clusters
        blocks.append((words, counts, counts * clusters))
    return blocks


@pytest.mark.parametrize("clusters", [1, 2])
def test_merged_blocks_are_the_counts_that_memory_would_hold(tmp_path, rng, clusters):
    expected = merged_file(tmp_path, random_blocks(rng, clusters=clusters), clusters=clusters)
    assert load_counts(tmp_path) == expected
    assert (tmp_path / "counts.parquet").exists()
    save_counts(expected, tmp_path / "in-memory.parquet")
    assert load_counts(tmp_path / "in-memory.parquet") == expected


@pytest.mark.parametrize("clusters", [1, 2])
def test_rare_functions_go_into_exact_totals(tmp_path, rng, clusters):
    blocks = random_blocks(rng, clusters=clusters)
    merged_file(tmp_path / "truncated", blocks, at_least=5, clusters=clusters)
    whole = merged_file(tmp_path / "whole", blocks, clusters=clusters)
    truncated = load_counts(tmp_path / "truncated")
    kept = whole.counts >= 5
    assert truncated.tables == whole.tables[np.flatnonzero(kept)]
    assert truncated.totals() == whole.totals()
    assert truncated == load_counts(tmp_path / "whole", at_least=5)
    for most in (1, 10, int(kept.sum()), len(whole) - 1):
        fewer = load_counts(tmp_path / "whole", at_most_functions=most)
        assert len(fewer) <= most
        assert fewer.totals() == whole.totals()
        assert np.count_nonzero(whole.counts >= fewer.at_least - 1) > most
    assert load_counts(tmp_path / "whole", at_most_functions=len(whole)) == whole


def test_a_table_is_read_piece_by_piece(tmp_path, rng):
    whole = merged_file(tmp_path, random_blocks(rng))
    pieces = list(iterate_counts(tmp_path, rows=1000))
    assert [len(k) for _, k in pieces[:-1]] == [1000] * (len(pieces) - 1)
    np.testing.assert_array_equal(np.concatenate([k for _, k in pieces]), whole.counts)
    assert concatenate([tables for tables, _ in pieces]) == whole.tables
    for rows in (0, 1.5, True):
        with pytest.raises(InvalidInput, match="rows is"):
            next(iterate_counts(tmp_path, rows=rows))
    for limit in ({"at_least": 0}, {"at_most_functions": 0}, {"at_least": 1.5}):
        with pytest.raises(InvalidInput, match="it needs an int of at least 1"):
            load_counts(tmp_path, **limit)


def test_too_little_memory_for_many_blocks_is_named(tmp_path, rng):
    with RunFolder(tmp_path, HEADER) as run:
        for index in range(50):
            run.write_block(index, *some_block(index))
        with pytest.raises(InvalidInput, match=r"merging 50 blocks of 16-byte functions needs 2,046,000 or more"):
            next(run.merged(1000))
        assert len(run.finished_blocks()) == 50


MERGE = """
import sys
import numpy as np
from harness import peak_memory
from pfmap.store import RunFolder
from pfmap.tables import Cube
rng = np.random.default_rng(0)
with RunFolder(sys.argv[1], {"seed": 0, "n_points": 128}) as run:
    for index in range(40):
        words = rng.integers(0, 2**63, (300_000, 2), np.uint64)
        words[:10_000] = np.arange(10_000, dtype=np.uint64)[:, None]
        run.write_block(index, words, np.ones(len(words), np.int64))
    before = peak_memory()
    run.finish_merged(domain=Cube(7), n_samples=12_000_000, n_clusters=12_000_000, at_least=1, provenance={},
        memory=int(sys.argv[2]))
    counts = run.result(int(sys.argv[2]))
print(peak_memory() - before, len(counts), counts.at_least, counts.totals().functions)
"""


def test_memory_stays_within_the_limit(tmp_path):
    """11.6 million functions are 280 MB of rows, and 1.1 GB as counts in the making."""
    limit = 512_000_000
    output = subprocess.run(
        [sys.executable, "-c", MERGE, tmp_path / "run", str(limit)],
        env=os.environ | {"PYTHONPATH": str(EXPERIMENTS)},
        stdout=subprocess.PIPE,
        check=True,
    )
    grown, listed, at_least, functions = map(int, output.stdout.split())
    assert grown < limit
    assert (listed, at_least, functions) == (10_000, 2, 11_610_000)
