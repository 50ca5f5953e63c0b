"""Fixtures that every test may ask for."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pfmap.streams import generator
from tests.statistics import seed_of

EXPERIMENTS = Path(__file__).parent.parent / "experiments"

# A shell's background jobs begin with Ctrl-C ignored, and so would these tests and all processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The test's own seed, from its id."""
    return seed_of(request.node.nodeid)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator of the test's own seed."""
    return generator(seed, "test")


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import a script as it runs, with its own folder on the path, and forget it after the test."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == EXPERIMENTS:
            del sys.modules[name]
