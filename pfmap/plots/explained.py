"""Which complexity a map follows: how much of its prior each measure explains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.plots.style import SMALL, TEXT, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pfmap.hypotheses import ComplexityComparison


def bits_explained(
    found: Mapping[str, ComplexityComparison],
    *,
    order: Sequence[str] | None = None,
    marked: Collection[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """The fraction of KL(P || uniform) that the best law 2^(-a K) of each measure explains, with its interval.

    A row a measure, in it a dot a map, from the first, dark, to the last. Dots are filled where the measure may be the
    best of those compared (`contenders`).

    Args:
        found: for each map, what `which_complexity` returns.
        order: measures from the top down; by default the one of the largest mean fraction first.
        marked: measures whose rows are shaded.
        ax: where to draw; new Axes of one print column, as high as the rows need, if None.

    Returns:
        The Axes, with a line a map.

    Raises:
        InvalidInput: no maps, or a map for which a measure was not compared.

    Error: none, drawn as given. Cost: 0.1 s.
    """
    from matplotlib import colormaps, pyplot

    if not found:
        raise InvalidInput("no maps came; name at least one, such as {'ReLU': which_complexity(counts, measures)}")
    names = list(order or next(iter(found.values())).names)
    for name, comparison in found.items():
        if missing := set(names) - set(comparison.names):
            raise InvalidInput(f"{name} was not compared with {', '.join(sorted(missing))}; compare all maps alike")
    of_maps = [(comparison, [comparison.names.index(name) for name in names]) for comparison in found.values()]
    if order is None:
        mean = np.mean([comparison.fraction[rows] for comparison, rows in of_maps], axis=0)
        best = np.argsort(-mean, kind="stable")
        names, of_maps = [names[i] for i in best], [(one, [rows[i] for i in best]) for one, rows in of_maps]
    if ax is None:
        height = 0.7 + 0.13 * len(names)
        figure = pyplot.figure(figsize=(WIDTH, height))
        ax = figure.add_axes((0.45, 0.45 / height, 0.52, 0.13 * len(names) / height))
    y = np.arange(len(names))
    for row in (names.index(name) for name in marked):
        ax.axhspan(row - 0.5, row + 0.5, color="0.88", linewidth=0)
    colors = colormaps["viridis"](np.linspace(0.0, 0.85, len(of_maps)))
    for i, (name, (comparison, rows)) in enumerate(zip(found, of_maps, strict=True)):
        at = y + (0.7 * (i + 0.5) / len(of_maps) - 0.35)
        ax.hlines(at, comparison.fraction_low[rows], comparison.fraction_high[rows], color=colors[i], linewidth=0.9)
        may_be_best = np.isin(names, comparison.contenders)
        style = {"color": colors[i], "markersize": 2.6, "markeredgewidth": 0.6}
        ax.plot(comparison.fraction[rows], at, "o", markerfacecolor="white", label=name, gid="map", **style)
        ax.plot(comparison.fraction[rows][may_be_best], at[may_be_best], "o", gid="best", **style)
    ax.set_yticks(y, [name.replace("_", " ") for name in names])
    ax.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(labelsize=SMALL)
    ax.grid(axis="y", color="0.93", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("fraction of KL(P || uniform)", fontsize=TEXT)
    return ax
