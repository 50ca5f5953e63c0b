"""Each experiment at a tiny size: its figure and its numbers, twice the same."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pfmap import maps
from tests.statistics import LEVEL, assert_multinomial

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
TINY = {
    "perceptron_weight": {"n_samples": 5_000},
    "prior_against_lz": {"n_samples": 20_000},
    "rank_plot": {"n_samples": 5_000},
}


@pytest.fixture
def experiment(monkeypatch):
    """Import a script as it runs: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == EXPERIMENTS:
            del sys.modules[name]


def written_by(experiment, name, out, *arguments):
    script = experiment(name)
    harness = experiment("harness")
    sizes = TINY[name]
    harness.run(script.main, quick=sizes, full=sizes, arguments=["--out", str(out), *arguments])
    return json.loads((out / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TINY)
def test_writes_a_picture_and_the_same_numbers_every_time(experiment, name, tmp_path, capsys):
    records = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        records.append(written_by(experiment, name, tmp_path / folder, "--quick"))
        assert f"{name}.png" in capsys.readouterr().out.splitlines()[-1]
    one, two = ({key: value for key, value in record.items() if key != "run"} for record in records)
    assert one == two
    assert set(records[0]) == {"numbers", "sizes", "seed", "run"}
    assert set(records[0]["run"]) == {"seconds", "versions", "python", "machine"}
    pictures = [(tmp_path / folder / f"{name}.png").read_bytes() for folder in ("one", "two")]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 300_000


def test_every_published_value_is_compared(experiment, tmp_path, seed):
    """Law: 1e4 judged samples of a constant are Binomial(1e4, P), P near the value read off the figure (3 %).

    Smallest fault caught: one of 30 % at P = 0.105, such as the other network's 0.364.
    """
    numbers = written_by(experiment, "prior_against_lz", tmp_path, "--seed", str(seed))["numbers"]
    script = experiment("prior_against_lz")
    for net, published in script.CONSTANT.items():
        for found in numbers[net]["constants"].values():
            assert found["published"] == published
            assert stats.binom.sf(found["count"] - 1, 10_000, found["published_to"]) >= LEVEL / 8
            assert stats.binom.cdf(found["count"], 10_000, found["published_from"]) >= LEVEL / 8
            assert stats.binom.cdf(found["count"], 10_000, 1.3 * published) < LEVEL / 8
    assert set(numbers["uniform"]["highest_P_by_complexity"]) == {str(K) for K in script.HIGHEST_P}


def test_the_theorem_holds_for_each_law_and_not_with_a_bias_term(experiment, tmp_path, seed):
    """Law: T of 5e3 perceptrons is uniform on 0 … 2^n - 1, six times. A bias term as large as a weight is caught."""
    seed %= 1 << 63
    numbers = written_by(experiment, "perceptron_weight", tmp_path, "--seed", str(seed))["numbers"]
    assert len(numbers) == 6
    for found in numbers.values():
        assert found["came_with_T_of_2_to_the_n"] == 0
        observed = np.rint(5_000 * np.array(found["frequency"]))
        assert_multinomial(observed, np.full(len(observed), found["theorem"]), level=LEVEL / 6)
    with_bias_term = experiment("perceptron_weight").weight_law(maps.Perceptron(3, sigma_b=1.0), 5_000, seed)
    with pytest.raises(AssertionError, match="Bonferroni"):
        assert_multinomial(np.rint(5_000 * with_bias_term["frequency"]), np.full(8, 1 / 8), level=LEVEL / 6)


def test_rank_plot_shows_what_a_sample_that_ranks_itself_gets_wrong(experiment, tmp_path):
    ranks = written_by(experiment, "rank_plot", tmp_path)["numbers"]["uniform"]["ranks"]
    assert ranks["1"]["functions_tied"] >= 1
    last = ranks[max(ranks, key=int)]
    assert last["r_times_judged_P"] < 0.5 * last["r_times_own_frequency"]


def test_out_must_exist(experiment, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        written_by(experiment, "rank_plot", tmp_path / "missing")
    assert stopped.value.code == 2
    assert "no folder" in capsys.readouterr().err
