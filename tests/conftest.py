"""Fixtures that every test may ask for."""

from __future__ import annotations

import numpy as np
import pytest

from pfmap.streams import generator
from tests.statistics import seed_of


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The test's own seed, from its id."""
    return seed_of(request.node.nodeid)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A generator of the test's own seed."""
    return generator(seed, "test")
