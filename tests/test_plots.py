"""What is drawn is what was given: positions and texts are read back from the artists."""

import time

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pfmap import Cube, FunctionCounts, IncompatibleTables, InvalidInput, StoreError, TruthTables, complexity, plots
from pfmap.bounds import a_priori_levin_bound, fit_levin_bound
from pfmap.prior import estimate_prior
from pfmap.streams import generator


def sampled(n_inputs=4, n_samples=20_000, seed=0):
    """Functions of n inputs under Zipf's law, simplest first, with half of the sample to pick and half to judge."""
    rng = generator(seed, "plots")
    domain = Cube(n_inputs)
    words = rng.integers(0, 1 << min(63, domain.n_points), (n_samples, -(-domain.n_points // 64)), np.uint64)
    words[: n_samples // 2] &= np.uint64(rng.integers(0, 9))
    words[: n_samples // 4] = 0
    pick, judge = FunctionCounts.from_unordered(TruthTables.from_words(words, domain), np.ones(n_samples, int)).split()
    return pick, judge, estimate_prior(judge, at=pick.tables)


def own_axes(width=plots.WIDTH):
    figure = Figure(figsize=(width, 0.85 * plots.WIDTH))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.15, right=0.885, bottom=0.145, top=0.925)
    return figure.add_subplot()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def collection(ax, label):
    return next(c for c in ax.collections if label in c.get_label())


@pytest.fixture(scope="module")
def drawn():
    _, _, prior = sampled()
    K = complexity.lempel_ziv(prior.tables)
    bounds = fit_levin_bound(prior, K), a_priori_levin_bound(Cube(4), 30.0)
    return (
        prior,
        K,
        bounds,
        plots.prior_against_complexity(prior, K, bound=bounds, ax=own_axes(), label="C (words)"),
    )


class TestPriorAgainstComplexity:
    def test_points_are_the_functions(self, drawn):
        prior, K, _, ax = drawn
        points = collection(ax, "functions")
        seen = prior.counts > 0
        expected, numbers = np.unique(np.column_stack([K, prior.log2_p])[seen], axis=0, return_counts=True)
        np.testing.assert_array_equal(points.get_offsets(), expected)
        np.testing.assert_allclose(points.get_sizes(), 2 + 3 * np.log10(numbers))

    def test_the_first_function_of_each_complexity_carries_its_interval(self, drawn):
        prior, K, _, ax = drawn
        (bars,) = ax.containers
        first = [i for i in range(len(K)) if K[i] not in K[:i] and prior.counts[i] > 0]
        first = np.array(sorted(first, key=lambda i: K[i]))
        np.testing.assert_array_equal(bars.lines[0].get_xydata(), np.column_stack([K, prior.log2_p])[first])
        segments = np.array(bars.lines[2][0].get_segments())
        low = prior.log2_low[first]
        np.testing.assert_allclose(segments[:, 1, 1], prior.log2_high[first])
        np.testing.assert_allclose(segments[np.isfinite(low), 0, 1], low[np.isfinite(low)])

    def test_functions_without_a_count_stand_at_their_upper_limits(self, drawn):
        prior, K, _, ax = drawn
        missing = prior.counts == 0
        triangles = collection(ax, "without a count")
        expected = np.unique(np.column_stack([K, prior.log2_high])[missing], axis=0)
        np.testing.assert_array_equal(triangles.get_offsets(), expected)
        assert f"{missing.sum():,} without a count" in legend(ax)

    def test_bounds_are_lines_with_their_equations(self, drawn):
        _, _, bounds, ax = drawn
        for bound in bounds:
            (line,) = (line for line in ax.lines if str(line.get_label()).startswith(bound.kind))
            x, y = line.get_data()
            np.testing.assert_allclose(y, bound.log2_p(x))
            assert f"{-bound.a:.3g}" in line.get_label()

    def test_axes_say_what_they_show(self, drawn):
        prior, _, _, ax = drawn
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("C (words)", r"Prior probability, $\log_2 P$")
        titles = [a.get_title(loc="left") for a in ax.figure.axes]
        assert any(f"mass outside the sample {100 * 2**prior.unseen.log2_p:.3g} %" in t for t in titles)

    def test_the_right_scale_reads_the_same_probability_in_powers_of_ten(self, drawn):
        *_, ax = drawn
        ax.figure.canvas.draw()
        (right,) = (a for a in ax.figure.axes if a.get_title() == "mass")
        (scale,) = right.child_axes
        np.testing.assert_allclose(np.array(scale.get_ylim()) * np.log2(10), ax.get_ylim())
        assert "$10^{-2}$" in [t.get_text() for t in scale.get_yticklabels()]

    def test_marginals_hold_every_function_and_all_the_mass(self, drawn):
        prior, _, _, ax = drawn
        top = next(a for a in ax.figure.axes if a.get_ylabel() == "functions")
        right = next(a for a in ax.figure.axes if a.get_title() == "mass")
        assert sum(bar.get_height() for bar in top.patches) == len(prior)
        assert sum(bar.get_width() for bar in right.patches) == pytest.approx(prior.counts.sum() / prior.n_samples)

    @pytest.mark.parametrize(("n_inputs", "inside"), [(2, True), (7, False)])
    def test_the_uniform_prior_is_a_line_or_a_note(self, n_inputs, inside):
        _, _, prior = sampled(n_inputs)
        ax = plots.prior_against_complexity(prior, complexity.lempel_ziv(prior.tables), ax=own_axes())
        (entry,) = (text for text in legend(ax) if "uniform" in text)
        assert ("far below" in entry) != inside
        assert any(np.all(np.asarray(line.get_ydata()) == -(2**n_inputs)) for line in ax.lines) == inside

    def test_says_when_the_same_sample_picked(self):
        _, judge, _ = sampled()
        prior = estimate_prior(judge)
        ax = plots.prior_against_complexity(prior, complexity.lempel_ziv(prior.tables), ax=own_axes())
        assert any("picked by the same sample" in a.get_title(loc="left") for a in ax.figure.axes)

    @pytest.mark.parametrize("wrong", [[1.0, 2.0], np.nan])
    def test_refuses_complexities_that_do_not_fit(self, wrong):
        _, _, prior = sampled()
        K = wrong if isinstance(wrong, list) else np.full(len(prior), wrong)
        with pytest.raises(InvalidInput, match="one finite value for each"):
            plots.prior_against_complexity(prior, K)

    def test_nothing_overlaps_in_one_column(self, drawn):
        *_, ax = drawn
        canvas = ax.figure.canvas
        canvas.draw()
        texts = [t for a in ax.figure.axes for t in (a.xaxis.label, a.yaxis.label, a.title, a._left_title)]
        texts += [t for a in ax.figure.axes for t in [*a.get_xticklabels(), *a.get_yticklabels()] if t.get_visible()]
        inside = ax.figure.bbox
        shown = [t for t in texts if t.get_text() and t.get_window_extent().overlaps(inside)]
        boxes = [t.get_window_extent().shrunk(0.9, 0.7) for t in shown]
        for i, box in enumerate(boxes):
            for j in range(i):
                same = shown[i].get_text() == shown[j].get_text()
                assert same or not box.overlaps(boxes[j]), (shown[i].get_text(), shown[j].get_text())
        for label in (ax.xaxis.label, ax.yaxis.label):
            box = label.get_window_extent()
            assert inside.x0 <= box.x0
            assert box.x1 <= inside.x1
            assert inside.y0 <= box.y0

    def test_many_functions_are_quick_and_rasterised(self, tmp_path):
        _, _, prior = sampled(7, 400_000)
        K = np.arange(len(prior)) / 7.0  # every function at a place of its own
        assert len(prior) > 1e5
        start = time.process_time()
        ax = plots.prior_against_complexity(prior, K, ax=own_axes())
        path = plots.save(ax, tmp_path / "many.svg")
        assert time.process_time() - start < 30
        assert all(c.get_rasterized() for c in ax.collections if len(c.get_offsets()) > plots.MANY)
        assert path.stat().st_size < 1e6


class TestRank:
    def test_steps_are_means_over_functions_that_came_equally_often(self):
        pick, _, prior = sampled()
        (line, zipf) = plots.rank(prior, by=pick, ax=own_axes()).lines
        edges, heights = line.get_data()
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            run = slice(round(left - 0.5), round(right - 0.5))
            assert len(set(pick.counts[run])) == 1
            assert height == pytest.approx(np.exp2(prior.log2_p[run]).mean())
        assert (edges[0], edges[-1]) == (0.5, len(pick) + 0.5)
        np.testing.assert_allclose(np.prod(zipf.get_xydata(), axis=1), 1 / np.log(2.0**16))

    def test_counts_rank_and_judge_themselves(self):
        pick, _, _ = sampled()
        ax = plots.rank(pick, ax=own_axes())
        edges, heights = ax.lines[0].get_data()
        assert sum(np.diff(edges) * heights[:-1]) == pytest.approx(1.0)
        assert heights[-1] == pytest.approx(1 / pick.n_samples)
        assert legend(ax)[0] == "one sample ranks and judges"

    def test_a_prior_alone_is_ranked_by_itself(self):
        _, _, prior = sampled()
        heights = plots.rank(prior, ax=own_axes()).lines[0].get_ydata()
        assert np.all(np.diff(heights) <= 0)
        assert heights[0] == np.exp2(prior.log2_p.max())

    def test_bars_are_the_intervals_of_functions_with_a_rank_of_their_own(self):
        pick, _, prior = sampled()
        (bars,) = plots.rank(prior, by=pick, ax=own_axes()).collections
        segments = np.array(bars.get_segments())
        values, numbers = np.unique(pick.counts, return_counts=True)
        alone = np.isin(pick.counts, values[numbers == 1])
        np.testing.assert_allclose(segments[:, 0, 0] - 1, np.flatnonzero(alone))
        np.testing.assert_allclose(segments[:, 1, 1], np.exp2(prior.log2_high[alone]))

    def test_two_results_share_axes_and_one_zipf_line(self):
        pick, judge, prior = sampled()
        ax = plots.rank(prior, by=pick, ax=plots.rank(judge, ax=own_axes(), label="mine"))
        assert legend(ax)[0] == "mine"
        assert len(legend(ax)) == 3
        assert legend(ax)[-1].startswith("$1 / (r")
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("Rank r of the function", "Prior probability P")
        assert ax.get_xscale() == ax.get_yscale() == "log"

    def test_refuses_a_ranking_of_other_functions(self):
        _, judge, prior = sampled()
        with pytest.raises(IncompatibleTables, match=r"estimate_prior\(judge, at=pick.tables\)"):
            plots.rank(prior, by=judge)


class TestSave:
    @pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
    def test_the_same_figure_gives_the_same_bytes(self, tmp_path, ending):
        pick, _, prior = sampled()
        for name in ("one", "two"):
            path = plots.save(plots.rank(prior, by=pick, ax=own_axes()), tmp_path / f"{name}.{ending}")
            assert path.name == f"{name}.{ending}"
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()

    def test_takes_a_figure_too(self, tmp_path):
        ax = own_axes()
        assert plots.save(ax.figure, tmp_path / "a.png").read_bytes() == plots.save(ax, tmp_path / "b.png").read_bytes()

    def test_other_endings_and_missing_folders_are_named(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"ends in .png, .pdf or .svg"):
            plots.save(own_axes(), tmp_path / "a.gif")
        with pytest.raises(StoreError, match=r"missing/a\.png"):
            plots.save(own_axes(), tmp_path / "missing" / "a.png")


def test_makes_a_figure_of_one_column_and_leaves_the_backend_alone():
    from matplotlib import pyplot

    pick, _, prior = sampled()
    before = matplotlib.get_backend()
    ax = plots.rank(prior, by=pick)
    assert ax.figure.get_size_inches()[0] == plots.WIDTH
    assert matplotlib.get_backend() == before
    assert pyplot.gcf() is ax.figure
    pyplot.close(ax.figure)


@pytest.mark.parametrize("judged", ["0000", "0001"])
def test_one_function_or_none_of_those_picked_can_be_drawn(judged, tmp_path):
    counts = FunctionCounts.from_unordered(TruthTables.from_strings([judged]), [100])
    prior = estimate_prior(counts, at=TruthTables.from_strings(["0000"]))
    plots.save(plots.prior_against_complexity(prior, [2.0], ax=own_axes()), tmp_path / "prior.png")
    plots.save(plots.rank(prior, ax=own_axes()), tmp_path / "rank.png")
