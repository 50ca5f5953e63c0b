"""What is drawn is what was given: positions and texts are read back from the artists."""

import time

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch, Rectangle

from pfmap import (
    Cube,
    FunctionCounts,
    IncompatibleTables,
    InvalidInput,
    StoreError,
    TruthTables,
    complexity,
    estimate_rare,
    maps,
    plots,
)
from pfmap.bounds import a_priori_levin_bound, fit_levin_bound
from pfmap.prior import estimate_prior
from pfmap.rare import orthant_probability
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
    def test_rare_functions_are_drawn_with_what_they_rest_on(self):
        tables = TruthTables.from_strings(["0000", "0101", "0110"])
        rare = estimate_rare(maps.Perceptron(2), tables, seed=1)
        ax = plots.prior_against_complexity(rare, [1.0, 2.0, 3.0], ax=own_axes())
        drawn = collection(ax, "functions").get_offsets()
        np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(rare.log2_p[:2]))
        (limit,) = collection(ax, "1 upper limits").get_offsets()
        np.testing.assert_allclose(limit, [3.0, rare.log2_high[2]])
        title = ax.figure.axes[1].get_title(loc="left")
        assert title == "1 not converged: bounds that need no mixing"

    def test_functions_that_did_not_converge_are_bounds_and_no_points(self):
        """Seven inputs: the constant converges, majority does not with so few points."""
        majority = Cube(7).points().sum(axis=1) > 3
        tables = TruthTables.from_bits(np.array([np.zeros(128, bool), majority]), Cube(7))
        gp = maps.GaussianProcess(7, 2)
        orthant = orthant_probability(gp, tables, points=4, randomisations=8)
        np.testing.assert_array_equal(orthant.converged, [True, False])
        ax = plots.prior_against_complexity(orthant, [7.0, 70.0], ax=own_axes())
        np.testing.assert_allclose(collection(ax, "functions").get_offsets(), [[7.0, orthant.log2_p[0]]])
        np.testing.assert_allclose(collection(ax, "1 upper").get_offsets(), [[70.0, orthant.log2_ceiling[1]]])
        np.testing.assert_allclose(collection(ax, "1 lower").get_offsets(), [[70.0, orthant.log2_floor[1]]])
        assert "1 not converged" in ax.figure.axes[1].get_title(loc="left")

    def test_what_cannot_be_has_no_place_and_is_named(self):
        gp = maps.GaussianProcess.from_kernel(np.ones((2, 2)), Cube(1))
        orthant = orthant_probability(gp, TruthTables.from_strings(["00", "01"]))
        ax = plots.prior_against_complexity(orthant, [1.0, 2.0], ax=own_axes())
        assert len(collection(ax, "functions").get_offsets()) == 1
        assert ax.figure.axes[1].get_title(loc="left") == "1 of P = 0"

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


@pytest.fixture(scope="module")
def circuits():
    """(function, picture of its smallest circuit): functions of every number of inputs, hardest ones among them."""
    some = generator(0, "circuits").integers(0, 1 << 16, 12)
    hardest = np.flatnonzero(complexity.circuit_size(TruthTables.from_ints(range(1 << 16), 4)) == 7)[::400]
    lists = [TruthTables.from_ints(range(1 << (1 << n)), n) for n in (1, 2)]
    lists += [TruthTables.from_ints(range(5, 256, 19), 3), TruthTables.from_ints([*some, *hardest], 4)]
    tables = [tables[i] for tables in lists for i in range(len(tables))]
    with matplotlib.rc_context({"figure.max_open_warning": 0}):
        drawn = [(table, plots.circuit(complexity.minimal_circuit(table))) for table in tables]
    yield drawn
    for _, ax in drawn:
        pyplot.close(ax.figure)


def artists(ax, kind):
    return [patch for patch in ax.patches if type(patch) is kind]


def function_drawn(ax):
    """The function of a picture: every gate by its name, from wires that end where it or its bubbles begin."""
    operation = {"AND": all, "OR": any, "XOR": lambda v: sum(v) % 2, "NOT": lambda v: not v[0]}
    operation |= {"NAND": lambda v: not all(v), "NOR": lambda v: not any(v), "XNOR": lambda v: not sum(v) % 2}
    operation |= {"0": lambda v: 0, "1": lambda v: 1}
    names = {text.get_gid(): text for text in ax.texts}
    tips = [
        (wire.get_gid(), *point)
        for wire in artists(ax, PathPatch)
        for point in wire.get_path().vertices[4::5]  # where each of its curves ends
    ]
    bubbles = [(*bubble.center, bubble.radius) for bubble in artists(ax, Circle)]
    boxes = {box.get_gid(): box for box in artists(ax, Rectangle)}

    def read(x, low, high):
        """(node, negated) of every wire that ends at x between two heights."""
        return [
            (node, negated)
            for node, tip, y in tips
            for negated in {False, any(np.hypot(tip + r - bx, y - by) < 1e-9 for bx, by, r in bubbles)}
            if low < y < high and abs(tip + 2 * negated * (bubbles[0][2] if bubbles else 0) - x) < 1e-9
        ]

    def value(node, point):
        if node not in boxes:
            return point[int(node[1:])]
        box = boxes[node]
        operands = read(box.get_x(), box.get_y(), box.get_y() + box.get_height())
        return int(operation[names[node].get_text()]([value(n, point) ^ negated for n, negated in operands]))

    ((output, _),) = [(node, y) for node, tip, y in tips if tip == max(t for _, t, _ in tips)]
    n_inputs = sum(text.get_text().startswith("$x_") for text in ax.texts)
    return "".join(str(value(output, point)) for point in Cube(n_inputs).points())


class TestCircuit:
    def test_the_picture_computes_the_function(self, circuits):
        assert len({len(artists(ax, Rectangle)) for _, ax in circuits}) == 8
        for table, ax in circuits:
            assert function_drawn(ax) == table.strings()[0]

    def test_a_picture_of_another_circuit_is_told_apart(self):
        wrong = complexity.minimal_circuit(TruthTables.from_strings(["00010111"]))
        wrong.nodes["g1"]["gate"] = "0010"
        drawn = function_drawn(plots.circuit(wrong, ax=own_axes()))
        assert drawn == complexity.circuit_table(wrong).strings()[0] != "00010111"

    def test_nothing_lies_on_anything_else(self, circuits):
        for _, ax in circuits:
            ax.figure.canvas.draw()
            boxes = [box.get_window_extent() for box in artists(ax, Rectangle)]
            texts = {text.get_gid(): text.get_window_extent() for text in ax.texts}
            things = boxes + [texts[node] for node in texts if not node.startswith("g")]
            for i, one in enumerate(things):
                assert not any(one.overlaps(other) for other in things[:i])
                assert ax.figure.bbox.contains(*one.min)
                assert ax.figure.bbox.contains(*one.max)
            for box in artists(ax, Rectangle):
                name, outside = texts[box.get_gid()], box.get_window_extent()
                assert outside.contains(*name.min)
                assert outside.contains(*name.max)
            for wire in artists(ax, PathPatch):
                for points in wire.get_path().to_polygons(closed_only=False):
                    along = ax.transData.transform(np.linspace(points[:-1], points[1:], 9).reshape(-1, 2))
                    assert not any(box.padded(-1).contains(*point) for box in boxes for point in along)

    def test_inputs_that_nothing_reads_are_grey(self):
        ax = plots.circuit(complexity.minimal_circuit(TruthTables.from_strings(["00110011"])), ax=own_axes())
        colors = {text.get_gid(): text.get_color() for text in ax.texts}
        assert colors["x1"] == colors["f"] != colors["x0"] == colors["x2"]

    def test_wires_of_a_tree_do_not_cross(self):
        parity = TruthTables.from_callables(lambda x: x.sum() % 2, 4)
        ax = plots.circuit(complexity.minimal_circuit(parity), ax=own_axes())
        wires = [wire.get_path().vertices for wire in artists(ax, PathPatch)]
        by_begin = sorted(wires, key=lambda v: (v[0, 0], v[0, 1]))
        by_end = sorted(wires, key=lambda v: (v[-1, 0], v[-1, 1]))
        assert [v[0, 1] for v in by_begin] == [v[0, 1] for v in by_end]

    def test_a_figure_of_one_column_and_the_same_bytes_each_time(self, tmp_path):
        circuit = complexity.minimal_circuit(TruthTables.from_strings(["01101001"]))
        for name in ("one.svg", "two.svg"):
            ax = plots.circuit(circuit)
            assert ax.figure.get_size_inches()[0] == plots.WIDTH
            plots.save(ax, tmp_path / name)
            pyplot.close(ax.figure)
        assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()

    @pytest.mark.parametrize("fault", ["operands", "gate", "output", "cycle"])
    def test_refuses_what_is_no_circuit(self, fault):
        circuit = complexity.minimal_circuit(TruthTables.from_strings(["0110"]))
        if fault == "output":
            del circuit.graph["output"]
        elif fault == "cycle":
            circuit.add_edge("g1", "x0")
        else:
            circuit.nodes["g1"][fault] = "0"
        for wrong in (circuit, "x0 ^ x1"):
            with pytest.raises(InvalidInput, match=r"needs a DAG .* complexity.minimal_circuit"):
                plots.circuit(wrong)
