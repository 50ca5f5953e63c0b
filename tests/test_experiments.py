"""Each experiment at a tiny size: its figure and its numbers, twice the same."""

import json
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from scipy import stats

import pfmap
from pfmap import TruthTables, complexity, maps
from tests.statistics import LEVEL, assert_multinomial

TINY = {
    "bits_explained": {"n_samples": 2_000, "widths": {"3": 4}, "depths": [1]},
    "blind_spots": {
        "n_inputs": 2,
        "n_samples": 100_000,
        "law_samples": 10_000,
        "width": 4,
        "depths": [2],
        "max_gates": 1,
        "max_moves": 16,
        "folder": None,
    },
    "deep_rank": {"n_samples": 100_000},
    "lz_over_orders": {"n_networks": 50, "repeats": 2, "every": 1000, "n_more": 500},
    "measure_agreement": {"n_networks": 60, "repeats": 2},
    "orbits_by_decade": {"n_samples": 20_000, "n_functions": 100_000, "smallest": 1e-3, "n_checked": 0},
    "perceptron_weight": {"n_samples": 5_000},
    "prior_against_lz": {"n_samples": 20_000},
    "rank_plot": {"n_samples": 5_000},
    "stratified_bias": {"n_samples": 20_000, "most": 20, "weights": [16, 64], "shown": [16, 64]},
    "sweeps": {"n_samples": 300, "depths": [0, 1], "widths": [2], "sigmas_w": [1], "sigmas_b": [0.0, 2.0]},
    "two_maps": {"n_samples": 30_000},
    "whole_range": {
        "n_samples": 50_000,
        "networks": 20,
        "n_circuits": 10,
        "targets": {},
        "effort": {},
        "points": 32,
        "widths": [10],
        "folder": None,
    },
}


def pixels(png):
    """Height and width in pixels."""
    return int.from_bytes(png[20:24]), int.from_bytes(png[16:20])


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
    height, width = pixels(pictures[0])
    assert len(pictures[0]) < 0.2 * height * width  # bytes a pixel; noise would take 3


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


def test_scores_of_clusters_against_independent_samples_are_normal(experiment, rng):
    """Law: 2,000 scores of 400 clusters of 16, a cluster's P drawn from Beta(2, 18), against Binomial(1e5, 0.1).

    Their squares add up to a chi square of 2,000. Smallest fault caught: P off by 5 %, or dependence left out.
    """
    R, n_clusters, n = 16, 400, 100_000
    k = rng.binomial(R, rng.beta(2, 18, (2_000, n_clusters)))
    counts, squares = k.sum(axis=1), (k**2).sum(axis=1)

    def level(p, squares):
        z = experiment("orbits_by_decade").differences(
            counts, squares, R * n_clusters, n_clusters, rng.binomial(n, p, 2_000), n
        )
        return 2 * min(stats.chi2.sf(z @ z, 2_000), stats.chi2.cdf(z @ z, 2_000))

    assert level(0.1, squares) >= LEVEL
    assert level(0.105, squares) < LEVEL
    assert level(0.1, np.zeros_like(squares)) < LEVEL


def test_a_finished_draw_is_not_drawn_again_for_its_cost(experiment, tmp_path, monkeypatch):
    script = experiment("cost_against_n")
    monkeypatch.chdir(tmp_path)
    sizes = {"samples": {"reuse": [20_000]}, "folder": "kept"}
    _, numbers, measured = script.main(0, **sizes)
    assert numbers["reuse"][0]["n_samples"] >= 20_000
    assert measured["reuse"][0]["cpu_seconds"] > 0
    monkeypatch.setattr(script.subprocess, "run", None)
    assert script.main(0, **sizes)[1:] == (numbers, measured)
    (tmp_path / "kept" / "reuse 20000 0.json").unlink()  # as where a draw was killed
    with pytest.raises(TypeError, match="not callable"):
        script.main(0, **sizes)


def test_measures_part_over_all_functions_as_published(experiment, tmp_path):
    """Facts of section 5: with exact C the tree mixture correlates .56, C_LZ .21, the entropy .19."""
    numbers = written_by(experiment, "measure_agreement", tmp_path)["numbers"]
    at = numbers["measures"].index
    with_exact = dict(zip(numbers["measures"], numbers["all"][at("circuit_size")], strict=True))
    published = {"circuit_size": 1.0, "decision_tree_mixture": 0.56, "lempel_ziv": 0.21, "entropy": 0.19}
    assert {name: round(with_exact[name], 2) for name in published} == published
    unanswered = {name for name in numbers["measures"] if numbers["sampled"][at("entropy")][at(name)] is None}
    assert unanswered >= {"circuit_depth", "formula_size"}
    assert not unanswered & {"lempel_ziv", "robdd_size", "threshold_degree"}


def test_spread_over_orders_is_that_of_a_loop_over_them(experiment):
    found = experiment("lz_over_orders").main(0, n_networks=20, repeats=2, every=700, n_more=50)[1]
    rms, given = [], []
    for seed in (0, 1):
        tables = pfmap.draw(maps.MLP(7, (40, 40)), 20, seed=seed).tables
        orders = list(permutations(range(7)))[::700]
        lz = np.array([complexity.lempel_ziv(tables.permute_inputs(order)) for order in orders])
        rms.append(np.sqrt(np.mean([np.var(of_one) for of_one in lz.T])))
        given.append(np.std(complexity.lempel_ziv(tables)))
    assert found["orders"] == len(orders) == 8
    assert found["sd_over_orders_rms"]["value"] == pytest.approx(np.mean(rms), abs=1e-4)
    assert found["sd_across_functions_as_given"]["value"] == pytest.approx(np.mean(given), abs=1e-4)
    assert found["sd_over_orders_rms"]["low"] < np.mean(rms) < found["sd_over_orders_rms"]["high"]


class TestComplexitySpeed:
    """The rivals of the benchmark do what they are timed for, and its other numbers are right."""

    @pytest.fixture
    def speed(self, experiment):
        return experiment("complexity_speed")

    def test_rivals_find_the_same(self, speed):
        samples = {kind: tables[:8] for kind, tables in speed.functions(7, 0, 200).items()}
        for found in speed.disagreements(samples).values():
            assert found == {"functions": 8, "lempel_ziv": 0, "canonical form": 0}

    def test_a_rival_that_errs_is_noticed(self, speed, monkeypatch):
        monkeypatch.setattr(speed, "searched_words", len)
        monkeypatch.setattr(speed, "numpy_brute_force", lambda words: words)
        samples = {kind: tables[:8] for kind, tables in speed.functions(7, 0, 200).items()}
        for found in speed.disagreements(samples).values():
            assert found["lempel_ziv"] > 0
            assert found["canonical form"] > 0

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
    def test_neighbours_are_swapped_into_every_order_once(self, speed, n):
        order, seen = list(range(n)), {tuple(range(n))}
        for i in speed.adjacent_swaps(n):
            order[i], order[i + 1] = order[i + 1], order[i]
            seen.add(tuple(order))
        assert len(seen) == len(speed.adjacent_swaps(n)) + 1 == factorial(n)

    def test_fewest_nodes_over_all_orders_are_the_measure_s(self, speed):
        tables = TruthTables.from_ints(range(0, 256, 7), 3)
        fewest = [min(speed.nodes_in_order(f, o) for o in permutations(range(3))) for f in tables.bits()]
        np.testing.assert_array_equal(fewest, complexity.robdd_size(tables))

    def test_sifting_ends_in_an_order_and_never_below_the_fewest(self, speed):
        found = speed.diagrams({"networks": speed.functions(7, 0, 100)["networks"][:5]})["networks"]
        for package in ("autoref", "cudd"):
            assert found[package]["mean_nodes"] >= found["mean_fewest_nodes"]
            assert found[package]["below_the_fewest"] == 0

    def test_exact_tables_are_as_published(self, speed):
        found = speed.exact_tables_counts()
        assert [found[name]["as_published"] for name in speed.EXACT_COUNTS] == [True, True, True, None]
        assert all(sum(counts["functions"]) == 1 << 16 for counts in found.values())

    def test_the_circuit_bound_is_never_below_exact(self, speed):
        for found in speed.circuit_bound(0, 500).values():
            assert found["below_exact"] == 0

    @pytest.mark.parametrize(("factor", "ratio", "below"), [(0.5, 2.0, 0), (2.0, 0.5, 500)])
    def test_the_circuit_bound_is_compared_with_exact_sizes_of_five_inputs(
        self, speed, monkeypatch, factor, ratio, below
    ):
        """Sizes that are the bound times a factor: the ratio is its inverse, without error."""

        def sizes(tables):
            return factor * speed.decomposed_sizes(tables.bits(), tables.n_inputs, *speed.smallest_circuits())

        sizes.max_inputs = 5
        monkeypatch.setattr(speed.complexity, "circuit_size", sizes)
        found = speed.circuit_bound(0, 500)["five_inputs"]
        assert found["mean_over_mean_exact"] == pytest.approx(ratio)
        assert found["standard_error"] == pytest.approx(0)
        assert found["below_exact"] == below

    def test_rates_are_those_of_the_clock(self, speed, monkeypatch):
        """A clock that only the call moves: 2 ms an item, and 10 ms a call."""
        now = [0.0]
        monkeypatch.setattr(speed.time, "process_time", lambda: now[0])

        def call(items):
            now[0] += 0.010 + 0.002 * len(items)

        rate = speed.best_rates({"call": (call, list(range(256)))}, 2, 0.1)["call"]
        assert 0.9 < rate * (0.010 + 0.002 * 256) / 256 <= 1


def test_out_must_exist(experiment, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        written_by(experiment, "rank_plot", tmp_path / "missing")
    assert stopped.value.code == 2
    assert "no folder" in capsys.readouterr().err
