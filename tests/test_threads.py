"""Work on threads; a Ctrl-C at any moment is a KeyboardInterrupt, soon, and leaves neither a lock nor a temporary."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import numpy as np
import pytest

from pfmap import FunctionCounts, StoreError, TruthTables, save_counts
from pfmap.store import RunFolder, engine, table
from pfmap.store.files import replacing
from pfmap.tables import Cube
from pfmap.threads import interrupts_held, on_threads

HOURS = "SELECT sum(a.range::DOUBLE * b.range) FROM range(10000000) AS a, range(10000000) AS b"


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.001)  # a bytecode or two, for the handler to run


def some_counts():
    return FunctionCounts.from_unordered(TruthTables.from_strings(["0000", "0110"]), [2, 4])


def interrupted_at(moment, call, events=("line", "call", "return")):
    """Call, with a Ctrl-C before the event of Python with this number, in any module; returns how many there were."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if event in events:
            seen += 1
            if seen == moment:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return seen


@pytest.mark.parametrize("holds", [1, 2])
def test_it_waits_for_the_end(holds):
    steps = []

    def work():
        with ExitStack() as outer:
            for _ in range(holds - 1):
                outer.enter_context(interrupts_held())
            with interrupts_held():
                ctrl_c()
                steps.append("within")
            steps.append("after the inner one")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["within", "after the inner one"][:holds]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_is_raised_where_it_is_asked_for():
    steps = []

    def work():
        with interrupts_held() as held:
            held.check()
            steps.append("before")
            ctrl_c()
            held.check()
            steps.append("after")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["before"]


def test_an_error_within_does_not_swallow_it():
    def work():
        with interrupts_held():
            ctrl_c()
            raise StoreError("something else")

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, StoreError)


def test_the_handler_of_a_program_is_called_and_kept():
    came = []

    def handler(number, frame):
        came.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with interrupts_held():
            ctrl_c()
            assert not came
        assert came == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts_held():
            ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_left_alone():
    handlers = []

    def work():
        with interrupts_held() as held:
            handlers.append(signal.getsignal(signal.SIGINT))
            held.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def asked_for_hours(stop):
    """A query that another thread stops after a fifth of a second."""
    with engine.failed_writes(), engine.connected() as connection:
        timer = threading.Timer(0.2, stop or connection.interrupt)
        timer.start()
        connection.execute(HOURS).fetchall()


def test_a_query_of_hours_ends_at_once():
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        asked_for_hours(ctrl_c)
    assert time.monotonic() - start < 5


def test_a_file_that_takes_hours_ends_at_once(tmp_path):
    start = time.monotonic()

    def work():
        with engine.connected() as connection:
            threading.Timer(0.2, ctrl_c).start()
            table._copy(connection, tmp_path / "counts.parquet", {}, HOURS, n_columns=1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - start < 5
    assert not list(tmp_path.iterdir())


def test_a_query_that_ends_for_another_reason_is_no_ctrl_c():
    with pytest.raises(OSError, match="Input/output error"):
        asked_for_hours(None)


# Threads


def test_work_is_shared_out_and_all_of_it_done():
    with closing(on_threads(range(100), 3, lambda item, stopped: (item, threading.get_ident()))) as results:
        items, threads = zip(*results, strict=True)
    assert sorted(items) == list(range(100))
    assert threading.get_ident() not in threads
    assert not list(on_threads([], 3, lambda item, stopped: item))


@pytest.mark.parametrize("end", ["error", "left", "ctrl_c"])
def test_threads_are_told_to_stop_and_waited_for(end):
    """Whatever ends it: a thread's error, a reader that leaves, a Ctrl-C in the wait."""
    started, told = [], []

    def work(item, stopped):
        started.append(item)
        if item == 0:
            return item
        if item == 2 and end == "error":
            raise StoreError("in a thread")
        while not stopped():
            time.sleep(0.001)
        told.append(item)
        return item

    timer = threading.Timer(0.1 if end == "ctrl_c" else 0, ctrl_c if end == "ctrl_c" else int)
    before = threading.active_count()
    results = on_threads(range(1000), 2, work)
    if end != "error":  # which may come before what was done
        assert next(results) == 0
    timer.start()
    if end == "left":
        results.close()
    else:
        with pytest.raises(StoreError if end == "error" else KeyboardInterrupt):
            list(results)
    timer.join()
    assert sorted(told) == sorted(item for item in started if item and (item, end) != (2, "error"))
    assert len(started) < 10
    assert threading.active_count() == before


SWEEP = f"""
import faulthandler, signal, sys, threading
from contextlib import nullcontext
import pfmap.threads
from pfmap.threads import HeldInterrupt, on_threads

if sys.argv[1:] == ["unheld"]:  # the fault planted
    pfmap.threads.interrupts_held = lambda stop=None: nullcontext(HeldInterrupt(print, None))


{inspect.getsource(interrupted_at)}
moments = interrupted_at(0, lambda: list(on_threads(range(3), 1, lambda item, stopped: item)))
stopped = 0
for moment in range(1, moments):
    faulthandler.dump_traceback_later(5, exit=True)
    try:
        interrupted_at(moment, lambda: list(on_threads(range(3), 1, lambda item, stopped: item)))
    except KeyboardInterrupt:
        stopped += 1
    while threading.active_count() > 1:
        pass
faulthandler.cancel_dump_traceback_later()
print(stopped)
"""


def test_no_moment_of_a_ctrl_c_leaves_threads_that_wait_for_ever():
    """One before each line, call and return of Python in the thread that waits; without the holding, it hangs."""
    held = subprocess.run([sys.executable, "-c", SWEEP], capture_output=True, text=True)
    assert held.returncode == 0, held.stderr
    assert int(held.stdout) > 100
    unheld = subprocess.run([sys.executable, "-c", SWEEP, "unheld"], capture_output=True, text=True)
    assert unheld.returncode != 0
    assert "KeyboardInterrupt" in unheld.stderr


# Files


def test_no_line_of_a_save_makes_it_another_error(tmp_path):
    path, counts = tmp_path / "counts.parquet", some_counts()
    save_counts(counts, path)
    whole = path.read_bytes()
    lines = interrupted_at(0, lambda: save_counts(counts, path), ["line"])
    assert lines > 100
    for line in range(1, lines):
        path.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            interrupted_at(line, lambda: save_counts(counts, path), ["line"])
        assert [entry.name for entry in tmp_path.iterdir()] in ([], [path.name])
        assert not path.exists() or path.read_bytes() == whole


IMPORT = """
import os, signal, sys
from pfmap.store import engine

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "_duckdb":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
try:
    engine.load_duckdb()
except KeyboardInterrupt:
    print("duckdb" in sys.modules)
"""


def test_the_engine_is_imported_whole_or_not_at_all():
    """Amid its import a KeyboardInterrupt may end the process."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_a_name_is_not_left_half_made(tmp_path):
    def work():
        with replacing(tmp_path / "file") as temporary:
            ctrl_c()
            temporary.write_text("whole")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "whole"


def test_merging_stops_between_two_pieces(tmp_path):
    """Not at the end of a merge that may take an hour."""
    pieces = 0

    def endless():
        nonlocal pieces
        while True:
            pieces += 1
            if pieces == 3:
                ctrl_c()
            yield np.array([[pieces]], np.uint64), np.array([[1]], np.int64)

    told = {"domain": Cube(2), "n_samples": 10, "n_clusters": 10, "at_least": 1, "provenance": {}, "run": ""}
    with pytest.raises(KeyboardInterrupt):
        table.write_merged(endless(), tmp_path / "counts.parquet", **told, memory=1 << 28)
    assert pieces == 3
    assert not list(tmp_path.iterdir())
    with RunFolder(tmp_path / "run", {"n_points": 4}) as folder:  # and the next call finds the folder free
        assert folder.result() is None
