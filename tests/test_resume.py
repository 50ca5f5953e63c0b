"""A draw into a folder, stopped in every way there is, goes on to the same bytes.

PFMAP_KILLS sets the number of kills at random moments, 12 by default.
"""

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pfmap
from pfmap import CorruptStore, InvalidInput, StoreError, maps
from pfmap.store import COUNTS_FILE, RUN_FILE, RunFolder

KILLS = int(os.environ.get("PFMAP_KILLS", "12"))
NET, N_SAMPLES, SEED = maps.MLP(5, (16,), "tanh"), 40_000, 3

# Starts once, then forks a child a line: the child draws into the folder it is told and says how that ended. So every
# kill hits a process that is drawing, not one that is importing. A child is reaped when asked for, and can be sent
# signals until then.
NURSERY = f"""
import os, resource, signal, sys
import pfmap
from pfmap import maps
net = maps.{NET!r}
pfmap.draw(net, 100, seed=0)
print("ready", flush=True)
while line := sys.stdin.readline():
    folder, limit = line.split()
    child = os.fork()
    if child == 0:
        os.write(1, f"child {{os.getpid()}}\\n".encode())
        if limit != "none":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)
        try:
            counts = pfmap.draw(net, {N_SAMPLES}, seed={SEED}, out=folder, workers=2)
            ending = f"done {{len(counts.tables)}}"
        except BaseException as error:
            ending = f"{{type(error).__name__}} {{error}}"
        os.write(1, (ending + "\\n").encode())
        os._exit(0)
    sys.stdin.readline()
    status = os.waitpid(child, 0)[1]
    os.write(1, f"status {{status}}\\n".encode())
"""


class Nursery:
    """Drawing processes, one at a time."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.line() == "ready"

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def start(self, folder, file_size="none"):
        """Begin a draw; returns its process id."""
        self.process.stdin.write(f"{folder} {file_size}\n")
        return int(self.line().removeprefix("child "))

    def ending(self):
        """What the draw said at its end, if anything, and its exit status."""
        self.process.stdin.write("reap\n")
        said, line = "", self.line()
        while not line.startswith("status "):
            said, line = said + line, self.line()
        return said, int(line.split()[1])

    def running(self):
        return not select.select([self.process.stdout], [], [], 0)[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    """The result's bytes, and the seconds one draw takes."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    start = time.monotonic()
    nursery.start(folder)
    assert nursery.ending()[0].startswith("done")
    return (folder / COUNTS_FILE).read_bytes(), time.monotonic() - start


def resumed(folder):
    """The bytes after one more call, which must leave nothing but the result."""
    pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    assert {path.name for path in folder.iterdir()} == {COUNTS_FILE, RUN_FILE, ".lock"}
    return (folder / COUNTS_FILE).read_bytes()


def blocks_of(folder):
    return sorted(path for path in folder.iterdir() if path.name.startswith("block-")) if folder.exists() else []


def stopped_by(nursery, folder, number, delay=0.0, blocks=0):
    """Start a draw and send it a signal `delay` seconds after so many blocks are there; returns how it ended."""
    process = nursery.start(folder)
    while len(blocks_of(folder)) < blocks and nursery.running():
        time.sleep(0.0005)
    time.sleep(delay)
    os.kill(process, number)
    return nursery.ending()


def interrupted_draw(nursery, folder, blocks=5):
    said, status = stopped_by(nursery, folder, signal.SIGKILL, blocks=blocks)
    assert (said, status) == ("", signal.SIGKILL)
    assert len(blocks_of(folder)) >= blocks
    return blocks_of(folder)


# Kills


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_kill_at_any_moment_is_resumed_to_the_same_bytes(kill, nursery, undisturbed, tmp_path, rng):
    expected, seconds = undisturbed
    folder = tmp_path / "run"
    for _ in range(1 + kill % 3):  # some are killed again while they resume
        stopped_by(nursery, folder, signal.SIGKILL, delay=rng.uniform(0, 1.1 * seconds))
    assert resumed(folder) == expected


def test_a_kill_while_the_result_is_written_is_resumed(nursery, undisturbed, tmp_path, rng):
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        process = nursery.start(folder)
        while nursery.running() and not any(COUNTS_FILE in path.name for path in folder.glob(".*.tmp")):
            pass
        time.sleep(rng.uniform(0, 0.02))
        os.kill(process, signal.SIGKILL)
        nursery.ending()
        assert resumed(folder) == undisturbed[0]


def test_the_assertion_sees_a_swapped_block(nursery, undisturbed, tmp_path, monkeypatch):
    # The fault planted: a reader that takes whatever stands under a block's name.
    first, second, *_ = interrupted_draw(nursery, tmp_path / "run")
    check = pfmap.store.folder.check_block
    monkeypatch.setattr(
        pfmap.store.folder, "check_block", lambda path, run, index: check(path, run, max(index, int(second.name[6:])))
    )
    assert int(first.name[6:]) < int(second.name[6:])
    assert resumed(tmp_path / "run") != undisturbed[0]


def test_ctrl_c_stops_promptly_and_is_resumed(nursery, undisturbed, tmp_path, rng):
    expected, seconds = undisturbed
    stopped = 0
    for attempt in range(6):
        folder = tmp_path / str(attempt)
        process = nursery.start(folder)
        time.sleep(rng.uniform(0, seconds))
        start = time.monotonic()
        os.kill(process, signal.SIGINT)
        said, _ = nursery.ending()
        assert time.monotonic() - start < 5
        assert said.startswith(("KeyboardInterrupt", "done"))
        stopped += said.startswith("KeyboardInterrupt")
        assert not list(folder.glob(".*.tmp"))
        assert resumed(folder) == expected
    assert stopped > 0


def test_a_finished_draw_is_read_back(nursery, undisturbed, tmp_path):
    folder = tmp_path / "run"
    one = pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    written = (folder / COUNTS_FILE).stat().st_mtime_ns
    again = pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    assert (folder / COUNTS_FILE).stat().st_mtime_ns == written
    assert (folder / COUNTS_FILE).read_bytes() == undisturbed[0]
    assert (
        one.tables == again.tables == pfmap.load_counts(folder).tables == pfmap.draw(NET, N_SAMPLES, seed=SEED).tables
    )
    assert one.provenance == again.provenance


@pytest.mark.parametrize("cut", [{"workers": 1}, {"workers": 5}, {"batch": 7}, {"batch": 100_000}], ids=str)
def test_a_resume_may_cut_the_work_otherwise(cut, nursery, undisturbed, tmp_path):
    interrupted_draw(nursery, tmp_path / "run")
    pfmap.draw(NET, N_SAMPLES, seed=SEED, out=tmp_path / "run", **cut)
    assert (tmp_path / "run" / COUNTS_FILE).read_bytes() == undisturbed[0]


def test_the_bar_begins_where_the_draw_was_stopped(nursery, tmp_path, capsys):
    interrupted_draw(nursery, tmp_path / "run")
    pfmap.draw(NET, N_SAMPLES, seed=SEED, out=tmp_path / "run", progress=True)
    assert "40.0k/40.0k" in capsys.readouterr().err


# Blocks that are not to be trusted


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


DAMAGE = {
    "a flipped bit": lambda block, others: flipped(block),
    "cut short": lambda block, others: block.write_bytes(block.read_bytes()[:-9]),
    "cut to its header": lambda block, others: block.write_bytes(block.read_bytes()[:40]),
    "empty": lambda block, others: block.write_bytes(b""),
    "longer": lambda block, others: block.write_bytes(block.read_bytes() + b"\0"),
    "another block's content": lambda block, others: shutil.copy(others["block"], block),
    "another seed's block": lambda block, others: shutil.copy(others["seed"], block),
    "another map's block": lambda block, others: shutil.copy(others["map"], block),
    "something else": lambda block, others: block.write_text("block"),
}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A first block of another seed and one of another map, each kept from a draw that failed at its end."""
    blocks = {}
    for name, net, seed in (("seed", NET, SEED + 1), ("map", maps.MLP(5, (17,), "tanh"), SEED)):
        folder = tmp_path_factory.mktemp("foreign") / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunFolder, "finish_merged", lambda *_, **__: None)
            pfmap.draw(net, N_SAMPLES, seed=seed, out=folder)
        blocks[name] = blocks_of(folder)[0]
    return blocks


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_block_is_named_and_never_merged(damage, nursery, undisturbed, foreign, tmp_path):
    folder = tmp_path / "run"
    block, other, *_ = interrupted_draw(nursery, folder)
    DAMAGE[damage](block, {**foreign, "block": other})
    kept = {path: path.read_bytes() for path in blocks_of(folder)}
    for _ in range(2):  # the error changes nothing
        with pytest.raises(CorruptStore, match=f"{block}.*delete that file"):
            pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
        assert {path: path.read_bytes() for path in blocks_of(folder)} == kept
        assert not (folder / COUNTS_FILE).exists()
    block.unlink()
    assert resumed(folder) == undisturbed[0]


def test_a_renamed_block_is_named(nursery, undisturbed, tmp_path):
    folder = tmp_path / "run"
    block = interrupted_draw(nursery, folder)[0]
    moved = folder / "block-000000078"
    assert not moved.exists()
    block.rename(moved)
    with pytest.raises(CorruptStore, match=f"{moved}.*renamed"):
        pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    moved.rename(block)
    assert resumed(folder) == undisturbed[0]


def test_a_block_beyond_the_last_is_never_merged(nursery, undisturbed, tmp_path):
    folder = tmp_path / "run"
    block = interrupted_draw(nursery, folder)[0]
    shutil.copy(block, folder / "block-000099999")
    with pytest.raises(CorruptStore, match="block-000099999"):
        pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    (folder / "block-000099999").unlink()
    assert resumed(folder) == undisturbed[0]


def test_a_damaged_result_is_named(nursery, undisturbed, tmp_path):
    folder = tmp_path / "run"
    assert resumed(folder) == undisturbed[0]
    flipped(folder / COUNTS_FILE)
    with pytest.raises(CorruptStore, match=str(folder / COUNTS_FILE)):
        pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    (folder / COUNTS_FILE).unlink()
    assert resumed(folder) == undisturbed[0]


# Folders that cannot be used


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "seed is 3 there, 4 here"),
        ({"n_samples": 50_000}, "n_samples is 40000 there, 50000 here"),
        ({"pfm": maps.MLP(5, (16,), "relu")}, "'tanh' there, 'relu' here"),
    ],
    ids=str,
)
def test_the_folder_of_another_draw_is_refused(change, message, nursery, undisturbed, tmp_path):
    interrupted_draw(nursery, tmp_path / "run")
    with pytest.raises(InvalidInput, match=message):
        pfmap.draw(**{"pfm": NET, "n_samples": N_SAMPLES, "seed": SEED, "out": tmp_path / "run", **change})
    assert resumed(tmp_path / "run") == undisturbed[0]


def test_equal_maps_are_one_draw_however_their_numbers_are_written(tmp_path):
    one = pfmap.draw(maps.MLP(4, (3,), sigma_w=1), 1000, out=tmp_path / "run")
    other = pfmap.draw(maps.MLP(4, (3,), sigma_w=1.0), 1000, out=tmp_path / "run")
    assert one.tables == other.tables


def test_one_process_at_a_time(nursery, undisturbed, tmp_path):
    folder = tmp_path / "run"
    process = nursery.start(folder)
    while not blocks_of(folder):
        time.sleep(0.0005)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(StoreError, match=f"another process is drawing into {folder}"):
        pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder)
    os.kill(process, signal.SIGCONT)
    assert nursery.ending()[0].startswith("done")
    assert resumed(folder) == undisturbed[0]


def test_missing_folders_and_files_in_the_way_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for out, message in (
        (tmp_path / "missing" / "run", "missing does not exist; make it"),
        (tmp_path / "file", "file"),
        (tmp_path / "file" / "run", "file"),
        (tmp_path / "full", "not a pfmap run .*notes.txt.*choose a new folder"),
        (Path("/proc/run"), "/proc/run"),
    ):
        with pytest.raises(StoreError, match=message):
            pfmap.draw(NET, 100, out=out)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["file", "full", "full/notes.txt"]


def read_only_mount(folder):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True).returncode == 0


def test_a_read_only_folder_is_refused(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    mounted = os.geteuid() == 0 and read_only_mount(folder)  # root may write into any other folder
    folder.chmod(0o500) if not mounted else None
    try:
        if os.geteuid() == 0 and not mounted:
            pytest.skip("root writes everywhere, and may not mount here")
        for out in (folder, folder / "run"):
            with pytest.raises(StoreError, match=r"read-only|permission denied"):
                pfmap.draw(NET, 100, out=out)
        assert not list(folder.iterdir())
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)
        else:
            folder.chmod(0o700)


# Full disks


@pytest.mark.parametrize("limit", [100, 600, 4_000, 20_000])
def test_a_file_that_may_not_grow_is_an_error_and_resumed(limit, nursery, undisturbed, tmp_path):
    # Below a run.json, below a block, below a file to sort in, below the result.
    folder = tmp_path / "run"
    nursery.start(folder, limit)
    said, _ = nursery.ending()
    assert said.startswith("StoreError")
    assert "run the same call again to resume" in said
    assert not list(folder.glob(".*.tmp"))
    assert resumed(folder) == undisturbed[0]


@pytest.mark.parametrize("blocks", [0, 1, 20])
def test_a_full_disk_is_an_error_and_resumed(blocks, nursery, undisturbed, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    written, write = [], Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            if len(written) >= blocks:
                self.file.write(bytes(data)[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if len(data) == 32:  # the checksum is a block's last part
                written.append(self.file.name)
            return self.file.write(data)

    def opened(path, mode="r", *args, **kwargs):
        file = write(path, mode, *args, **kwargs)
        return Full(file) if "block-" in path.name and mode == "wb" else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(StoreError, match=r"disk is full.*free space and run the same call again"):
        pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder, workers=1)
    monkeypatch.undo()
    assert len(blocks_of(folder)) == blocks
    assert not list(folder.glob(".*.tmp"))
    assert resumed(folder) == undisturbed[0]


@pytest.mark.parametrize("kilobytes", [8, 64, 150])
def test_a_disk_that_is_really_full(kilobytes, nursery, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", disk]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        nursery.start(disk / "run")
        said, _ = nursery.ending()
        assert said.startswith("StoreError")
        assert "the disk is full" in said
        assert not list((disk / "run").glob(".*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        assert resumed(disk / "run") == undisturbed[0]
    finally:
        subprocess.run(["umount", disk], check=True)
