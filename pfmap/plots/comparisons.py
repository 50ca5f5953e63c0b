"""Several maps: one prior against another, and what becomes of the prior along a sweep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.hypotheses import Estimate, HypothesisTest, Sweep
from pfmap.plots.priors import MANY
from pfmap.plots.style import CHOSEN, FAINT, LINE, POINTS, SERIES, SMALL, TEXT, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pfmap.prior import PriorEstimate

Column: TypeAlias = Literal["entropy", "constants", "mean_complexity", "slope", "simplicity_bias"]

_WITH_INTERVALS = 40
_NAMES: dict[Column, str] = {
    "entropy": "Entropy of the prior, bits",
    "constants": "P of both constants",
    "mean_complexity": "Mean K, {}",
    "slope": "Slope a, bits a unit of K",
    "simplicity_bias": "Rank correlation of P and K",
}


def prior_against_prior(
    one: PriorEstimate, other: PriorEstimate, *, ax: Axes | None = None, labels: tuple[str, str] = ("one", "other")
) -> Axes:
    """log2 P of one map against log2 P of another, with the diagonal on which both would be equal.

    Every function that came in both is a point; the first 40 in the order of the tables carry both intervals. A
    function that one map's judging half lacks is a triangle at its upper limit there, pointing to 0.

    Args:
        one: the prior across.
        other: the prior upward, with the same tables; `paired_priors` gives both.
        ax: where to draw; a new figure of one print column if None.
        labels: what the maps are called.

    Returns:
        The Axes, with the points as its first collection.

    Raises:
        IncompatibleTables: the priors list other tables.

    Error: none, drawn as given. Cost: 0.3 s for 1e5 functions.
    """
    if one.tables != other.tables:
        raise IncompatibleTables("the priors list other functions; take both from paired_priors, or with the same `at`")
    ax = new_axes() if ax is None else ax
    seen = np.isfinite(one.log2_p), np.isfinite(other.log2_p)
    both = seen[0] & seen[1]
    x, y = (np.where(came, p.log2_p, p.log2_high) for came, p in zip(seen, (one, other), strict=True))
    places = np.unique(x[both] + 1j * y[both])
    style: dict[str, Any] = {"color": POINTS, "linewidths": 0, "rasterized": len(places) > MANY}
    handles: list[Any] = [ax.scatter(places.real, places.imag, s=3.0, label="functions", **style)]
    first = np.flatnonzero(both[:_WITH_INTERVALS])
    lowest = min(float(np.append(x, y).min(initial=0.0)), 0.0) - 100.0
    ends = [np.maximum(np.stack([p.log2_low, p.log2_high])[:, first], lowest) for p in (one, other)]
    bars = ax.errorbar(
        x[first],
        y[first],
        xerr=np.abs(ends[0] - x[first]),
        yerr=np.abs(ends[1] - y[first]),
        fmt="o",
        color=CHOSEN,
        markersize=2.0,
        elinewidth=0.7,
        label=f"first {len(first)}, {100 * one.confidence:g} % intervals{'*' if one.caveat or other.caveat else ''}",
    )
    handles.append(bars)
    for marker, alone, name in (("<", seen[1] & ~seen[0], labels[0]), ("v", seen[0] & ~seen[1], labels[1])):
        at = np.unique(x[alone] + 1j * y[alone])
        if len(at):
            text = f"{np.count_nonzero(alone):,} without a count: {name}"
            handles.append(
                ax.scatter(
                    at.real,
                    at.imag,
                    s=6.0,
                    marker=marker,
                    facecolors="none",
                    edgecolors=FAINT,
                    linewidths=0.5,
                    label=text,
                )
            )
    shown = both | seen[0] | seen[1]
    least = float(np.append(x[shown], y[shown]).min(initial=-1.0))
    span = (1.06 * least, -0.05 * least)
    handles += ax.plot(span, span, "-", color=LINE, linewidth=0.7, label="equal")
    ax.set(xlim=span, ylim=span)
    if one.caveat or other.caveat:
        ax.set_title("* picked by the same sample", fontsize=SMALL, loc="left", pad=3.0)
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(rf"$\log_2 P$, {labels[0]}", fontsize=TEXT)
    ax.set_ylabel(rf"$\log_2 P$, {labels[1]}", fontsize=TEXT)
    ax.legend(handles=handles, loc="upper left", fontsize=SMALL, frameon=False, handlelength=1.2, labelspacing=0.25)
    return ax


def sweep(
    result: Sweep,
    column: Column,
    *,
    ax: Axes | None = None,
    label: str = "",
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """One number of every map of a sweep, with its interval.

    Labels that are numbers stand at their values, others side by side. An interval without an end leaves the picture;
    a map that has no such number is left out. Of an entropy the interval is what is known: its value is a dash on it,
    without a line, and intervals of several sweeps stand side by side.

    Args:
        result: what `pfmap.sweep` returns.
        column: a field of its summaries.
        ax: where to draw, also beside another sweep; a new figure of one print column if None.
        label: what the maps are labelled by.
        name: name of the line in a legend.
        color: of line and bars; by default the next of the palette.

    Returns:
        The Axes, with the sweep as its newest line.

    Raises:
        InvalidInput: another column.

    Error: none, drawn as given. Cost: milliseconds.
    """
    from matplotlib.transforms import offset_copy

    if column not in get_args(Column):
        raise InvalidInput(f"column is {column!r}; it needs one of {', '.join(get_args(Column))}")
    ax = new_axes() if ax is None else ax
    numeric = all(isinstance(at, int | float | np.number) for at in result.labels)
    at = np.array(result.labels if numeric else range(len(result)), np.float64)
    values, low, high = np.array([_ends(getattr(summary, column)) for summary in result.summaries]).T
    before = sum(line.get_gid() == "sweep" for line in ax.lines)
    color = color or SERIES[before % len(SERIES)]
    style = "_" if column == "entropy" else "o-" if numeric else "o"
    drawn = ax.plot(at, values, style, color=color, markersize=3, linewidth=0.8, label=name, gid="sweep")
    bounded = np.isfinite(low) & np.isfinite(high)
    bars = ax.vlines(at[bounded], low[bounded], high[bounded], color=color, alpha=0.6, linewidth=1.2)
    if column == "entropy":
        for artist in (*drawn, bars):
            artist.set_transform(offset_copy(ax.transData, ax.get_figure(root=True), x=2.0 * before, units="points"))
    if not numeric:
        ax.set_xticks(at, [str(text) for text in result.labels])
        ax.set_xlim(-0.5, len(result) - 0.5)
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(label, fontsize=TEXT)
    ax.set_ylabel(_NAMES[column].format(result.measure), fontsize=TEXT)
    return ax


def _ends(number: Estimate | HypothesisTest | None) -> tuple[float, float, float]:
    if number is None:
        return math.nan, math.nan, math.nan
    if isinstance(number, HypothesisTest):
        return number.effect, *number.effect_interval
    return number.value, number.low, number.high
