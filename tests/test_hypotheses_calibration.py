"""The calibration of the tests at a tiny size: it runs, repeats itself and bounds its own rates."""

import importlib
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.fixture
def calibration(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    before = set(sys.modules)
    yield importlib.import_module("hypotheses_calibration")
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == EXPERIMENTS:
            del sys.modules[name]


def test_it_repeats_itself_and_every_rate_lies_in_its_interval(calibration, seed):
    sizes = {"n_runs": 1, "n_samples": 2_000, "n_planted": 0, "n_planted_samples": 1_000}
    one, two = (calibration.main(seed, **sizes)[1] for _ in range(2))
    assert one == two
    assert set(one["level"]) == set(one["power"]) == set(calibration.NULLS)
    for found in (*one["level"].values(), *one["power"].values()):
        for rate in found.values():
            assert 0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1
    assert one["planted_measure_among_the_contenders"]["lempel_ziv"]["runs"] == 0


def test_the_measures_swapped_are_one_measure_on_swapped_functions(calibration):
    lz, backward = (measure(calibration.EVERY) for measure in calibration.PAIR)
    assert (lz[calibration.BACKWARD] == backward).all()
    assert (lz != backward).any()
