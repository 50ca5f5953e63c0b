"""The picture of bits explained: every number where it belongs, and the best measures filled."""

import numpy as np
import pytest

import pfmap
from pfmap import InvalidInput, complexity, maps, plots

MEASURES = [complexity.entropy, complexity.circuit_size, complexity.average_sensitivity]


@pytest.fixture(scope="module")
def found():
    return {
        f"{depth} layers": pfmap.which_complexity(pfmap.draw(maps.MLP(4, (8,) * depth), 5_000, seed=depth), MEASURES)
        for depth in (1, 3)
    }


def test_a_dot_for_each_map_and_measure_with_its_interval(found):
    ax = plots.bits_explained(found, order=[m.name for m in MEASURES], ax=plots.column_axes())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["entropy", "circuit size", "average sensitivity"]
    lines = [line for line in ax.lines if line.get_gid() == "map"]
    assert [line.get_label() for line in lines] == list(found)
    for line, bars, comparison in zip(lines, ax.collections, found.values(), strict=True):
        rows = [comparison.names.index(m.name) for m in MEASURES]
        np.testing.assert_array_equal(line.get_xdata(), comparison.fraction[rows])
        np.testing.assert_array_equal(np.round(line.get_ydata()), [0, 1, 2])
        ends = np.array([segment[:, 0] for segment in bars.get_segments()])
        np.testing.assert_array_equal(ends.T, [comparison.fraction_low[rows], comparison.fraction_high[rows]])


def test_what_may_be_the_best_is_filled(found):
    ax = plots.bits_explained(found, ax=plots.column_axes())
    for line, comparison in zip((line for line in ax.lines if line.get_gid() == "best"), found.values(), strict=True):
        best = [comparison.fraction[comparison.names.index(name)] for name in comparison.contenders]
        assert sorted(line.get_xdata()) == sorted(best)
        assert len(best) < len(MEASURES)


def test_measures_stand_in_the_order_of_their_mean_and_rows_are_shaded(found):
    ax = plots.bits_explained(found, marked={"circuit_size"}, ax=plots.column_axes())
    names = [tick.get_text().replace(" ", "_") for tick in ax.get_yticklabels()]
    mean = [np.mean([c.fraction[c.names.index(name)] for c in found.values()]) for name in names]
    assert mean == sorted(mean, reverse=True)
    assert ax.get_ylim() == (2.5, -0.5)
    (shade,) = ax.patches
    assert shade.get_y() + 0.5 == names.index("circuit_size")


def test_axes_of_its_own(found):
    from matplotlib import pyplot

    figure = plots.bits_explained(found).get_figure()
    assert figure.get_figwidth() == plots.WIDTH
    pyplot.close(figure)


def test_mistakes_are_explained(found):
    with pytest.raises(InvalidInput, match="no maps came"):
        plots.bits_explained({})
    with pytest.raises(InvalidInput, match="3 layers was not compared with lempel_ziv; compare all maps alike"):
        plots.bits_explained({"3 layers": found["3 layers"]}, order=["entropy", "lempel_ziv"])
