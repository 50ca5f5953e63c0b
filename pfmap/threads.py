"""Threads that share out work, and Ctrl-C, which waits for a place where nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


def on_threads(items: Iterable[T], workers: int, work: Callable[[T, Callable[[], bool]], U]) -> Generator[U]:
    """Call work(item, stopped) on threads of this process: what it returns, as it is done.

    An error, a Ctrl-C or a reader that leaves sets `stopped()`, cancels what has not begun and waits for what has.
    """
    waiting, stopped = iter(items), False

    def stop() -> None:
        nonlocal stopped
        stopped = True

    pool, running = ThreadPoolExecutor(workers), set[Future[U]]()
    try:
        while True:
            with interrupts_held(stop):  # amid a submit it would leave a lock that the threads wait for
                # Two items a worker in flight keep every thread busy and memory bounded.
                room = 2 * workers - len(running)
                running |= {pool.submit(work, item, lambda: stopped) for item in islice(waiting, room)}
                done, running = wait(running, return_when=FIRST_COMPLETED)
            if not done:
                return
            for future in done:
                yield future.result()
    finally:
        stop()
        with interrupts_held():
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def interrupts_held(stop: Callable[[], object] | None = None) -> Iterator[HeldInterrupt]:
    """Hold a Ctrl-C that comes within until its end, or until `check` of what it yields.

    KeyboardInterrupt raised amid compiled code comes out of it as an error of that code's own (a disk error of duckdb,
    for one), raised amid a lock's taking leaves it taken, and raised between the making of a temporary and the `try`
    that removes it leaves it there. Only the main thread gets signals: in others this does nothing.

    Args:
        stop: called when a Ctrl-C comes, to end what is waited for; it must neither raise nor take a lock.
    """
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or threading.current_thread() is not threading.main_thread():
        yield HeldInterrupt(lambda number, frame: None, None)
    elif isinstance(previous, HeldInterrupt):  # whose end it is then raised at
        with previous.also(stop):
            yield previous
    else:
        held = HeldInterrupt(previous, stop)
        signal.signal(signal.SIGINT, held)
        try:
            yield held
        finally:
            signal.signal(signal.SIGINT, previous)
            held.check()


class HeldInterrupt:
    """The handler of SIGINT within `interrupts_held`: it notes that one came, and raises nothing."""

    def __init__(self, previous: Callable[[int, FrameType | None], Any], stop: Callable[[], object] | None) -> None:
        self._previous = previous
        self._stop = stop
        self._came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """What Python calls when one comes."""
        self._came = True
        self._stop_now()

    def check(self) -> None:
        """Let one that came go to the handler before, which raises KeyboardInterrupt unless a program set another."""
        if self._came:
            self._came = False
            self._previous(signal.SIGINT, None)

    @contextmanager
    def also(self, stop: Callable[[], object] | None) -> Iterator[None]:
        """Stop something else meanwhile, if there is something; one that came before stops it at once."""
        outer, self._stop = self._stop, stop or self._stop
        if self._came:
            self._stop_now()
        try:
            yield
        finally:
            self._stop = outer

    def _stop_now(self) -> None:
        if self._stop is not None and self._previous is signal.default_int_handler:  # another may want to go on
            self._stop()
