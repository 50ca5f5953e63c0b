"""What is on disk comes back exactly, or is refused by name; a kill at any moment leaves a draw that resumes."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars
import pytest

from pfmap import store
from pfmap.counts import FunctionCounts
from pfmap.errors import CorruptStore, InvalidInput, StoreError
from pfmap.store import RunFolder, load_counts, save_counts
from pfmap.streams import generator
from pfmap.tables import Cube, Points, TruthTables

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
            for read, written in zip(run.read_block(index), some_block(index), strict=True):
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
        assert [a.shape for a in run.read_block(0)] == [(0, 2), (0,)]
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
                run.read_block(0)
        for size in range(0, len(data), 13):
            path.write_bytes(data[:size])
            with pytest.raises(CorruptStore, match=r"is damaged .* delete that file and draw again"):
                run.read_block(0)
        path.write_bytes((tmp_path / "other" / "block-000000000").read_bytes())
        with pytest.raises(CorruptStore, match="belongs to another draw"):
            run.read_block(0)
        (tmp_path / "run" / "block-000000007").write_bytes(data)
        with pytest.raises(CorruptStore, match="holds block 0: it was renamed"):
            run.read_block(7)
        with pytest.raises(StoreError, match="no such file"):
            run.read_block(8)


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
                words, counts = run.read_block(index)
                assert np.all(words == index)
                assert np.all(counts == index)
            assert not [name for name in listing(folder) if name.endswith(".tmp")]


def test_two_folders_of_one_process_are_kept_apart(tmp_path):
    with (
        RunFolder(tmp_path, HEADER),
        pytest.raises(StoreError, match="another process is drawing"),
        RunFolder(tmp_path, HEADER),
    ):
        pass


def test_a_newer_format_is_told_apart_from_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FORMAT", 2)
    save_counts(some_counts(Cube(3)), tmp_path / "counts.parquet")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="has format 2; this pfmap reads 1") as caught:
        load_counts(tmp_path / "counts.parquet")
    assert not isinstance(caught.value, CorruptStore)
