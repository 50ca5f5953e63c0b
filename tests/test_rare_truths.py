"""The benchmark of rare functions counts what it says it counts."""

import numpy as np
import pytest

from pfmap import estimate_rare
from pfmap.rare import orthant_probability


@pytest.fixture
def truths(experiment):
    return experiment("rare_truths")


def run(log2_p, reach, converged=True):
    """An interval for log2 P, as splitting gives it."""
    ends = {"log2_low": log2_p - reach, "log2_high": log2_p + reach}
    bounds = {"log2_floor": log2_p - 9, "log2_ceiling": 0.0}
    return {"log2_p": log2_p, **ends, **bounds, "converged": converged, "evaluations": 10}


def test_misses_and_doubts_are_told_apart(truths):
    runs = [run(-30.2, 0.5), run(-30.8, 0.5), run(-32, 0.5), run(-40, 0.5, converged=False)]
    found = truths.coverage(runs, -30.0)
    assert (found["runs"], found["covered"], found["not_converged"], found["wrong"]) == (4, 1, 1, 1)
    assert found["mean_width_bits"] == pytest.approx(1.0)
    assert found["mean_error_bits"] == pytest.approx(-3.25)
    assert found["rms_error_bits"] == pytest.approx(np.sqrt((0.04 + 0.64 + 4 + 100) / 4))
    assert found["floors_above_truth"] == 0
    assert truths.coverage(runs, -50.0)["floors_above_truth"] == 4


@pytest.mark.parametrize("name", ["30 negative weights", "one factor, 16 of 32 positive"])
def test_truths_are_what_tilting_says(truths, name):
    pfm, table, truth = truths.TRUTHS[name]
    assert orthant_probability(pfm, table).log2_p[0] == pytest.approx(truth, abs=0.01)


def test_the_map_of_negative_weights_asks_for_them(truths):
    pfm, table, truth = truths.TRUTHS["60 negative weights"]
    assert truth == -60.0
    assert pfm.n_latents == 60
    assert not table.bits().any()


def test_the_rival_is_asked_the_same_question(truths, seed):
    """At P = 2^-6 any method is right to 0.1 bits; a level of another table would be off by bits."""
    pytest.importorskip("openturns")
    pfm, table = truths.signs(np.eye(6), 0)
    found = truths.rival(pfm, table, -6.0, 40_000, seed % 2**31, 2)
    assert found["rms_error_bits"] < 0.5
    assert 20_000 < found["mean_evaluations"] < 80_000
    assert estimate_rare(pfm, table, seed=seed).log2_p[0] == pytest.approx(-6.0, abs=0.5)


def test_a_rival_that_goes_on_and_on_is_stopped(truths):
    pytest.importorskip("openturns")
    found = truths.rival(*truths.signs(np.eye(6), 0), -6.0, 100, 1, 2)
    assert (found["runs"], found["ended"], found["covered"], found["wrong"]) == (2, 0, 0, 0)
    assert found["rms_error_bits"] is None
    assert found["log2_p"] == [None, None]


def test_what_is_finished_is_not_repeated(truths, tmp_path, monkeypatch):
    monkeypatch.setitem(truths.TRUTHS, "few", (*truths.signs(np.eye(6), 0), -6.0))
    runs = {"splitting": 2, "tilting": 1, "SubsetSampling": 0}
    first = truths.measure("few", 3, runs, 1, tmp_path)
    (tmp_path / "few, splitting 4.json").unlink()
    assert len(list(tmp_path.iterdir())) == 2
    again = truths.measure("few", 3, runs, 1, tmp_path)
    assert again[0] == first[0] == truths.measure("few", 3, runs, 1, None)[0]
    monkeypatch.setattr(truths, "once", None)
    assert truths.measure("few", 3, runs, 1, tmp_path) == again
