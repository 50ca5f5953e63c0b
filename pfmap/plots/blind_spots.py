"""Blind spots: the worst of one map with their circuits, and a panel of functions across maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pfmap.complexity.circuits import MAX_EXACT_INPUTS
from pfmap.errors import InvalidInput
from pfmap.plots.circuits import circuit
from pfmap.plots.style import CHOSEN, LINE, SMALL, TEXT, WIDTH
from pfmap.tables import TruthTables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pfmap.hypotheses import BlindSpots

_SCALE = 20.0


def blind_spots(found: BlindSpots, *, top: int = 6, ax: Axes | None = None) -> Axes:
    """The functions furthest below the line, each deficit with its interval, and a smallest circuit left of it.

    A function known by an upper bound alone is a triangle at the deficit that it has at least. Beyond four inputs a
    function has no circuit but its formula or, where that is long, its table.

    Args:
        found: what `blind_spots` returns.
        top: functions to draw, at least 1.
        ax: where to draw; circuits stand left of it, over as much width as it has. New Axes of two print columns if
            None.

    Returns:
        The Axes of the deficits; circuits are its child Axes.

    Raises:
        InvalidInput: top is no number from 1 up.

    Error: none, drawn as given. Cost: 0.1 s a circuit, and 2 s once a process.
    """
    from matplotlib import pyplot

    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InvalidInput(f"top is {top!r}; it needs an int of at least 1")
    size = min(top, len(found))
    if ax is None:
        figure = pyplot.figure(figsize=(2 * WIDTH, 0.6 + 0.7 * size))
        ax = figure.add_axes((0.52, 0.5 / (0.6 + 0.7 * size), 0.45, 0.7 * size / (0.6 + 0.7 * size)))
    rows = np.arange(size)
    low, point, high = (values[:size] for values in (found.deficit_low, found.deficit, found.deficit_high))
    known = ~found.is_bound[:size]
    right = np.max(np.where(known, high, low), initial=1.0, where=np.isfinite(np.where(known, high, low)))
    left = min(0.0, float(np.min(low)))
    span = (left - 0.04 * (right - left), right + 0.3 * (right - left))
    ends = np.clip([(point - low)[known], (np.minimum(high, 2 * span[1]) - point)[known]], 0.0, None)
    ax.errorbar(
        point[known], rows[known], xerr=ends, fmt="o", color=CHOSEN, markersize=3.0, elinewidth=0.9, label="deficit"
    )
    ax.plot(low[~known], rows[~known], ">", color=CHOSEN, markersize=4.0, markerfacecolor="white", label="at least")
    for i in range(size):
        notes = [f"$K$ = {found.complexity[i]:g}"]
        if found.npn_sizes is not None:
            notes.append(f"{found.npn_sizes[i]:,} in its NPN class")
        limit = f"$P < 2^{{{found.log2_high[i]:.1f}}}$" if found.is_bound[i] else f"$P = 2^{{{found.log2_p[i]:.1f}}}$"
        ax.text(0.02 * (span[1] - span[0]), i + 0.34, ", ".join([limit, *notes]), fontsize=SMALL, va="center")
        _beside(found, i, size, ax)
    ax.axvline(0.0, color=LINE, linewidth=0.8)
    ax.set(xlim=span, ylim=(size - 0.4, -0.6), yticks=[])
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(f"bits below the line, {100 * found.confidence:g} % intervals all at once", fontsize=TEXT)
    return ax


def _beside(found: BlindSpots, i: int, size: int, ax: Axes) -> None:
    height = 1 / size
    inset = ax.inset_axes((-1.02, 1 - (i + 1) * height + 0.06 * height, 1.0, 0.88 * height))
    if found.npn_sizes is not None and found.tables.n_inputs <= MAX_EXACT_INPUTS:
        circuit(found.circuit(i), ax=inset)
        return
    inset.set_axis_off()
    formula = found.formula(i)
    text = formula if 0 < len(formula) <= 48 else found.tables[i].strings()[0]
    inset.text(0.5, 0.5, text if len(text) <= 48 else text[:47] + "…", fontsize=SMALL, ha="center", va="center")


def contrast(
    found: Mapping[str, BlindSpots],
    named: Mapping[str, TruthTables],
    *,
    ax: Axes | None = None,
    label: str = "bits below the line",
) -> Axes:
    """Named functions against maps: log2 P in each cell, on the colour of its deficit.

    Red lies below the line that each map was held against, blue above it. A cell with "<" is an upper bound, its colour
    that of the deficit it has at least. Behind each name stands K.

    Args:
        found: for each map, what `blind_spots` returns of these functions.
        named: one function a name, such as `families.panel(4)`.
        ax: where to draw; new Axes of two print columns if None. Its figure gets a colour scale.
        label: what the colours are.

    Returns:
        The Axes, with the cells as its first image.

    Raises:
        InvalidInput: no maps, no functions, or a function that a map was not asked for.
        IncompatibleTables: functions on another domain.

    Error: none, drawn as given; colours end 20 bits off the line. Cost: 0.2 s.
    """
    from matplotlib import pyplot

    if not found or not named:
        raise InvalidInput(f"{len(found)} maps and {len(named)} functions came; a panel needs at least one of each")
    if ax is None:
        ax = pyplot.figure(figsize=(2 * WIDTH, 0.6 * WIDTH + 0.16 * len(found))).add_axes((0.2, 0.05, 0.72, 0.62))
    deficit = np.empty((len(found), len(named)))
    texts, K = np.empty(deficit.shape, object), np.empty(len(named))
    for y, (name, spots) in enumerate(found.items()):
        for x, (function, table) in enumerate(named.items()):
            at = int(table.positions_in(spots.tables)[0])
            if at < 0:
                raise InvalidInput(f"{name} was not asked for {function}; pass blind spots of all functions named")
            bound, K[x] = bool(spots.is_bound[at]), spots.complexity[at]
            deficit[y, x] = (spots.deficit_low if bound else spots.deficit)[at]
            text = f"<{spots.log2_high[at]:.0f}" if bound else f"{spots.log2_p[at]:.0f}"
            texts[y, x] = text.replace("-", "\N{MINUS SIGN}")
    image = ax.imshow(deficit, cmap="RdBu_r", vmin=-_SCALE, vmax=_SCALE, aspect="auto")
    for (y, x), text in np.ndenumerate(texts):
        color = "white" if abs(deficit[y, x]) > 0.65 * _SCALE else LINE
        ax.text(x, y, text, ha="center", va="center", fontsize=SMALL - 1.5, color=color)
    columns = [f"{name.replace('_', ' ')} ({k:g})" for name, k in zip(named, K, strict=True)]
    ax.set_xticks(range(len(named)), columns, rotation=60, ha="left", rotation_mode="anchor")
    ax.set_yticks(range(len(found)), list(found))
    ax.tick_params(labelsize=SMALL, length=0, labeltop=True, labelbottom=False, top=False, bottom=False, left=False)
    ax.set_xlabel(r"in the cells $\log_2 P$, an upper bound where there is a <; behind the names K", fontsize=SMALL)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.015, fraction=0.03, extend="both")
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return ax
