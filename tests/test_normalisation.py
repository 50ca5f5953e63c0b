"""The probabilities of all functions, class by class, sum to 1; classes that are not what they should be do not."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from pfmap import maps
from pfmap.symmetry import canonicalize
from tests.statistics import LEVEL

REPLICATES = 16
SETTINGS = {"particles": 100, "replicates": REPLICATES, "max_moves": 16, "common_particles": 4_000}


@pytest.fixture
def normalisation(experiment):
    return experiment("normalisation")


def sums_to_one(total):
    """Whether 1 lies within Student's interval at 1 - 1e-6, of the fewest degrees of freedom there can be."""
    error = (total["high"] - total["value"]) / stats.norm.isf(0.025)
    return abs(total["value"] - 1) < stats.t.isf(LEVEL / 2, REPLICATES - 1) * error


def test_all_functions_of_two_inputs_sum_to_one(normalisation, seed):
    """Law: unbiased estimates of all P sum to 1. Caught: a class that is left out, sizes of 1, classes too large."""
    gp = maps.GaussianProcess(2, 1)
    tables, sizes = normalisation.classes(gp)
    assert len(tables) == 6
    assert sizes.sum() == 16
    found = normalisation.splitting(gp, tables, sizes, seed, **SETTINGS)
    assert sums_to_one(normalisation.total(found, sizes))
    for left_out in np.flatnonzero(sizes * 2.0 ** found["log2_p"] > 0.04):
        assert not sums_to_one(normalisation.total(found, np.where(np.arange(6) == left_out, 0, sizes)))
    assert not sums_to_one(normalisation.total(found, np.ones(6)))
    too_large = canonicalize(tables, group={*gp.symmetry, "input_flips"}).orbit_sizes  # which this map lacks
    assert not sums_to_one(normalisation.total(found, too_large))


def test_the_interval_of_a_sum_is_that_of_independent_parts(normalisation):
    found = {"log2_p": np.array([-1.0, -2.0, -np.inf]), "relative_error": np.array([0.1, 0.4, np.nan])}
    total = normalisation.total(found, np.array([1, 2, 5]))
    assert total["value"] == 1.0
    assert total["high"] - 1 == pytest.approx(1.959964 * math.hypot(0.5 * 0.1, 0.5 * 0.4))
    assert 1 - total["low"] == pytest.approx(total["high"] - 1)


def test_decades_hold_all_mass(normalisation):
    found = {"log2_p": np.log2([0.5, 0.02, 0.03, 2e-3, 2e-5])}
    held = normalisation.decades(found, np.array([1, 1, 2, 3, 4]))["mass"]
    assert held == pytest.approx([0.5, 0.08, 0.006, 0, 8e-5])


def test_the_same_numbers_every_time(experiment, tmp_path):
    settings = {"particles": 50, "replicates": 4, "max_moves": 16, "common_particles": 60}
    sizes = {"net_inputs": 1, "process_inputs": 2, "n_draws": 10_000, "net": settings, "process": settings}
    script, harness = experiment("normalisation"), experiment("harness")
    records = []
    for _ in range(2):
        harness.run(script.main, quick=sizes, full=sizes, arguments=["--out", str(tmp_path)])
        records.append(json.loads((tmp_path / "normalisation.json").read_text(encoding="utf-8")))
        del records[-1]["run"]
    assert records[0] == records[1]
    found = records[0]["numbers"]["process of 2 inputs"]
    assert found["functions"] == 16
    assert abs(found["sum"]["tilting"]["value"] - 1) < 0.01
    assert sum(found["decades"]["tilting"]["mass"]) == pytest.approx(found["sum"]["tilting"]["value"])
