"""Tests of sweeps and of the pictures of several maps."""

import math

import numpy as np
import pytest

import pfmap
from pfmap import (
    FunctionCounts,
    IncompatibleTables,
    InvalidInput,
    Points,
    TruthTables,
    complexity,
    estimate_prior,
    maps,
    plots,
)
from tests.statistics import assert_binomial, smallest_fault


class TestSummary:
    def test_the_perceptron_s_constants_are_the_theorem_s(self, seed):
        """Law: Binomial(20000, 2^-5) samples of a constant without bias term (arXiv 1909.11522, theorem 4.1).

        Smallest fault caught: a third of P more. With a bias term as large as a weight the law fails.
        """
        n = 20_000
        plain, biased = (
            pfmap.sweep({0: maps.Perceptron(5, sigma_b=s)}, n, seed=seed).summaries[0] for s in (0.0, 0.45)
        )
        assert_binomial(round(plain.constants.value * n), n, 2**-5)
        assert smallest_fault(n, 2**-5)[1] < 4 / 3 * 2**-5
        with pytest.raises(AssertionError, match="p-value"):
            assert_binomial(round(biased.constants.value * n), n, 2**-5)

    def test_each_number_is_its_own_estimate(self):
        counts = pfmap.draw(maps.MLP(4, (8,)), 5_000, seed=3)
        summary = pfmap.summarize_prior(counts, measure=complexity.circuit_size, seed=5)
        K = complexity.circuit_size(counts.tables)
        assert summary.mean_complexity.value == pytest.approx(np.average(K, weights=counts.counts))
        pick, judge = counts.split(seed=5)
        prior = estimate_prior(judge, at=pick.tables)
        bound = pfmap.fit_levin_bound(prior, complexity.circuit_size(pick.tables))
        assert (summary.slope.value, summary.slope.low, summary.slope.high) == (bound.a, bound.a_low, bound.a_high)
        test = pfmap.simplicity_bias_test(prior, complexity.circuit_size(pick.tables), permutations=999, seed=5)
        assert summary.simplicity_bias == test
        assert summary.entropy == pfmap.estimate_entropy(counts.pooled({"input_permutations", "complement"}), seed=5)

    def test_what_too_few_samples_cannot_say_is_none(self):
        counts = FunctionCounts.from_unordered(TruthTables.from_ints(range(1, 41), 5), [1] * 40)
        summary = pfmap.summarize_prior(counts)
        assert summary.slope is None
        assert summary.simplicity_bias is None
        assert summary.constants.value == 0
        assert summary.entropy.high > 16

    def test_on_points(self):
        tables = TruthTables.from_strings(["010", "110", "111"], Points(3))
        summary = pfmap.summarize_prior(
            FunctionCounts.from_unordered(tables, [500, 300, 200]), measure=complexity.distance_to_constant
        )
        assert summary.constants.value == 0.2
        assert summary.mean_complexity.value == pytest.approx(0.8)

    def test_mistakes_are_explained(self):
        counts = pfmap.draw(maps.Perceptron(3), 500)
        with pytest.raises(InvalidInput, match="counts of functions"):
            pfmap.summarize_prior(counts.pooled({"input_permutations"}))
        with pytest.raises(InvalidInput, match="at_least=1"):
            pfmap.summarize_prior(counts.truncated(2))
        with pytest.raises(InvalidInput, match="no maps came"):
            pfmap.sweep({}, 100)
        with pytest.raises(InvalidInput, match="seed"):
            pfmap.sweep({0: maps.Perceptron(3)}, 100, seed=-1)


@pytest.fixture(scope="module")
def depths():
    return pfmap.sweep({d: maps.MLP(4, (8,) * d) for d in (1, 2, 4)}, 3_000, measure=complexity.entropy)


class TestSweep:
    def test_deeper_relu_networks_are_more_often_constant_and_of_lower_entropy(self, depths):
        for name, sign in (("constants", 1), ("mean_complexity", -1)):
            values = [sign * getattr(summary, name).value for summary in depths.summaries]
            assert values == sorted(values)
        assert depths.labels == (1, 2, 4)
        assert len(depths) == 3

    def test_maps_are_drawn_from_seeds_of_their_own(self):
        twice = pfmap.sweep({"a": maps.Perceptron(3), "b": maps.Perceptron(3)}, 1_000, seed=7)
        first, second = (pfmap.summarize_prior(pfmap.draw(maps.Perceptron(3), 1_000, seed=s), seed=7) for s in (7, 8))
        assert twice.summaries == (first, second)

    def test_it_prints_as_a_table(self, depths):
        lines = str(depths).splitlines()
        assert lines[0].split() == ["map", "entropy", "constants", "mean_complexity", "slope"]
        assert [line.split()[0] for line in lines[1:]] == ["1", "2", "4"]


class TestPictures:
    @pytest.mark.parametrize("column", ["entropy", "constants", "mean_complexity", "slope", "simplicity_bias"])
    def test_sweep_stands_at_its_labels(self, depths, column):
        ax = plots.sweep(depths, column, ax=plots.column_axes(), label="Hidden layers")
        (line,) = ax.lines
        assert line.get_xdata().tolist() == [1, 2, 4]
        numbers = [getattr(summary, column) for summary in depths.summaries]
        values = [n.effect if column == "simplicity_bias" else n.value for n in numbers]
        assert line.get_ydata().tolist() == values
        assert ax.get_xlabel() == "Hidden layers"
        bars = ax.collections[0].get_segments()
        assert bars[0][:, 1].tolist() == (
            list(numbers[0].effect_interval) if column == "simplicity_bias" else [numbers[0].low, numbers[0].high]
        )

    def test_entropies_are_intervals_side_by_side(self, depths):
        ax = plots.sweep(depths, "entropy", ax=plots.column_axes())
        plots.sweep(depths, "entropy", ax=ax)
        assert [line.get_linestyle() for line in ax.lines] == ["None", "None"]
        at = [artist.get_transform().transform((1, 5)) for artist in (*ax.lines, *ax.collections)]
        points = ax.get_figure().dpi / 72
        np.testing.assert_allclose(np.array(at) - at[0], points * np.array([[0, 0], [2, 0], [0, 0], [2, 0]]))
        lowest = min(summary.entropy.low for summary in depths.summaries)
        assert ax.get_ylim()[0] <= lowest

    def test_labels_that_are_words_stand_side_by_side(self):
        found = pfmap.sweep({a: maps.MLP(3, (4,), a) for a in ("relu", "tanh")}, 500)
        ax = plots.sweep(found, "constants", ax=plots.column_axes())
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["relu", "tanh"]
        assert ax.lines[0].get_xdata().tolist() == [0, 1]
        assert "P of both constants" in ax.get_ylabel()

    def test_a_number_that_is_none_is_left_out(self):
        counts = FunctionCounts.from_unordered(TruthTables.from_ints(range(1, 41), 5), [1] * 40)
        result = pfmap.Sweep((1.0,), (pfmap.summarize_prior(counts),), "C_LZ")
        ax = plots.sweep(result, "slope", ax=plots.column_axes())
        assert math.isnan(ax.lines[0].get_ydata()[0])
        assert not ax.collections[0].get_segments()

    def test_another_column_is_explained(self, depths):
        with pytest.raises(InvalidInput, match="mean_complexity, slope"):
            plots.sweep(depths, "depth")

    def test_prior_against_prior(self):
        tables = TruthTables.from_strings(["00", "01", "10", "11"])
        one, other = (
            estimate_prior(FunctionCounts.from_unordered(tables[: len(k)], k), at=tables)
            for k in ([40, 30, 20, 10], [50, 25, 25])
        )
        ax = plots.prior_against_prior(one, other, ax=plots.column_axes(), labels=("ReLU", "tanh"))
        points = sorted(map(tuple, ax.collections[0].get_offsets().tolist()))
        expected = sorted(zip(np.log2([0.4, 0.3, 0.2]), np.log2([0.5, 0.25, 0.25]), strict=True))
        np.testing.assert_allclose(points, expected)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == ["functions", "first 3, 95 % intervals*", "1 without a count: tanh", "equal"]
        assert ax.get_title(loc="left") == "* picked by the same sample"
        assert "ReLU" in ax.get_xlabel()
        assert ax.get_xlim() == ax.get_ylim()
        with pytest.raises(IncompatibleTables, match="paired_priors"):
            plots.prior_against_prior(one, estimate_prior(FunctionCounts.from_unordered(tables, [1, 2, 3, 4])))
