"""Pictures of blind spots: what is drawn is what was found, read back from the artists."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pfmap import (
    FunctionCounts,
    InvalidInput,
    TruthTables,
    a_priori_levin_bound,
    blind_spots,
    complexity,
    concatenate,
    estimate_prior,
    families,
    plots,
)

PANEL = families.panel(3)


def found_of(tables, counts, n_samples=10**6):
    counts = FunctionCounts.from_unordered(tables, counts, n_samples=n_samples, at_least=0)
    K = complexity.circuit_size_bound(tables)
    return blind_spots(estimate_prior(counts, at=tables, simultaneous=True), K, a_priori_levin_bound(tables, 4))


@pytest.fixture
def found():
    counts = np.arange(len(PANEL)) * 1_000
    return found_of(concatenate(list(PANEL.values())), counts)


def own_axes():
    figure = Figure(figsize=(2 * plots.WIDTH, 5.0))
    FigureCanvasAgg(figure)
    return figure.add_axes((0.5, 0.1, 0.45, 0.85))


class TestBlindSpots:
    def test_deficits_and_their_intervals(self, found):
        ax = plots.blind_spots(found, top=4, ax=own_axes())
        points, bounds = ax.lines[0], next(line for line in ax.lines if line.get_label() == "at least")
        known = ~found.is_bound[:4]
        assert np.allclose(points.get_xdata(), found.deficit[:4][known])
        assert np.allclose(bounds.get_xdata(), found.deficit_low[:4][~known])
        assert sorted([*points.get_ydata(), *bounds.get_ydata()]) == [0, 1, 2, 3]
        (bars,) = ax.collections
        ends = np.array([path.vertices[:, 0] for path in bars.get_paths()])
        assert np.allclose(ends, np.stack([found.deficit_low[:4], found.deficit_high[:4]], axis=1)[known])
        texts = [text.get_text() for text in ax.texts]
        assert len(texts) == 4
        assert all((f"2^{{{found.log2_high[i]:.1f}}}" in texts[i]) == found.is_bound[i] for i in range(4))

    def test_circuits_stand_beside_their_deficits(self, found):
        ax = plots.blind_spots(found, top=3, ax=own_axes())
        assert len(ax.child_axes) == 3
        for i, inset in enumerate(ax.child_axes):
            gates = [data["gate"] for _, data in found.circuit(i).nodes(data=True) if "gate" in data]
            assert len(inset.patches) >= len(gates)
            box = inset.get_window_extent()
            assert box.x1 <= ax.get_window_extent().x0
            y = ax.transData.transform((0, i))[1]
            assert box.y0 < y < box.y1

    def test_five_inputs_have_formulas_or_tables(self):
        tables = concatenate([families.parity(5, 2), families.parity(5)])
        ax = plots.blind_spots(found_of(tables, [100, 0]), top=9, ax=own_axes())
        texts = {inset.texts[0].get_text() for inset in ax.child_axes}
        assert families.parity(5).strings()[0] in texts
        assert any(text.startswith("f = ") for text in texts)

    def test_makes_its_own_figure(self, found, tmp_path):
        ax = plots.blind_spots(found, top=2)
        one = plots.save(ax, tmp_path / "one.png").read_bytes()
        pyplot.close(ax.figure)
        ax = plots.blind_spots(found, top=2)
        assert plots.save(ax, tmp_path / "two.png").read_bytes() == one
        pyplot.close(ax.figure)

    @pytest.mark.parametrize("top", [0, 1.5, True])
    def test_refuses_other_numbers(self, found, top):
        with pytest.raises(InvalidInput, match="at least 1"):
            plots.blind_spots(found, top=top)


class TestContrast:
    def test_cells_are_the_functions(self, found):
        other = found_of(found.tables, np.full(len(found), 500))
        ax = plots.contrast({"one": found, "other": other}, PANEL, ax=own_axes(), label="bits")
        values = ax.images[0].get_array()
        assert values.shape == (2, len(PANEL))
        cells = iter(ax.texts)
        for y, spots in enumerate((found, other)):
            for x, table in enumerate(PANEL.values()):
                i, text = int(table.positions_in(spots.tables)[0]), next(cells).get_text()
                bound = spots.is_bound[i]
                assert values[y, x] == (spots.deficit_low if bound else spots.deficit)[i]
                assert text.startswith("<") == bound
                shown = float(text.removeprefix("<").replace("\N{MINUS SIGN}", "-"))
                assert abs(shown - (spots.log2_high if bound else spots.log2_p)[i]) <= 0.5
        names = [label.get_text() for label in ax.get_xticklabels()]
        assert "parity 3 (2)" in names
        assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "other"]

    def test_makes_its_own_figure(self, found):
        ax = plots.contrast({"one": found}, PANEL)
        assert len(ax.figure.axes) == 2
        pyplot.close(ax.figure)

    def test_refuses_what_was_not_asked(self, found):
        with pytest.raises(InvalidInput, match="was not asked for more"):
            plots.contrast({"one": found}, {"more": TruthTables.from_ints([3], 3)}, ax=own_axes())
        with pytest.raises(InvalidInput, match="at least one"):
            plots.contrast({}, PANEL)
