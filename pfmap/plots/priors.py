"""The prior: probability against complexity, and against rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.bounds import AnyEstimate, LevinBound
from pfmap.counts import FunctionCounts
from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.plots.style import CHOSEN, FAINT, LINE, POINTS, SERIES, SMALL, TEXT, new_axes
from pfmap.prior import PriorEstimate
from pfmap.tables import Cube

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 10_000
"""More points than this are drawn as pixels in vector formats too."""

_LOG2_10 = math.log2(10.0)


def prior_against_complexity(
    prior: AnyEstimate,
    complexity: ArrayLike,
    *,
    bound: LevinBound | Sequence[LevinBound] | None = None,
    ax: Axes | None = None,
    label: str = "Complexity K",
    marginals: bool = True,
) -> Axes:
    """log2 P against K, with what a reader needs to judge it.

    Every function that came is a point; functions at one place are one point, its area growing with the logarithm of
    their number. The first function of each K in the order of `prior.tables` carries its interval. What is known of a
    function by bounds alone is drawn as bounds: a function without a count is a triangle that points down from its
    upper limit, one that did not converge has none but a triangle up at its lower and one down at its upper limit,
    where these say anything, and a line between. The right scale reads P in powers of ten. P = 2^-(2^n), the prior of a
    map without any preference, is a line, or a note where it lies off the picture.

    Args:
        prior: what `estimate_prior`, `estimate_functions`, `estimate_rare` or `orthant_probability` returns.
        complexity: K of each function, float[size].
        bound: bounds to draw with their equations, fitted ones solid and a priori ones dotted.
        ax: where to draw; a new figure of one print column if None.
        label: what K is, with its unit.
        marginals: histograms of functions per K (top) and of probability per decade of P (right).

    Returns:
        The Axes, with the points as its first collection.

    Raises:
        InvalidInput: complexity has another length than the prior, or holds NaN.

    Error: none, drawn as given. Cost: 0.5 s for 1e6 functions.
    """
    from matplotlib.ticker import MaxNLocator

    K = np.asarray(complexity, float)
    log2_p, log2_low, log2_high = prior.log2_p, prior.log2_low, prior.log2_high
    if K.shape != log2_p.shape or not np.all(np.isfinite(K)):
        raise InvalidInput(
            f"complexity is float{list(K.shape)}; it needs one finite value for each of the {len(log2_p)} functions, "
            "such as complexity.lempel_ziv(prior.tables)"
        )
    ax = new_axes() if ax is None else ax
    sampled = isinstance(prior, PriorEstimate)
    sure = np.broadcast_to(True, len(K)) if isinstance(prior, PriorEstimate) else prior.converged
    seen = sure & np.isfinite(log2_p)
    places, numbers = np.unique(K[seen] + 1j * log2_p[seen], return_counts=True)
    points = ax.scatter(
        places.real,
        places.imag,
        s=2.0 + 3.0 * np.log10(numbers),
        color=POINTS,
        linewidths=0,
        rasterized=len(places) > MANY,
        label="functions",
    )
    first = np.unique(K, return_index=True)[1]
    first = first[seen[first]]
    # An interval from P = 0 has no lower end on this scale; its bar leaves the picture.
    lowest = float(log2_p[seen].min(initial=0.0)) - 100.0
    ends = np.maximum(np.stack([log2_low[first], log2_high[first]]), lowest)
    bars = ax.errorbar(
        K[first],
        log2_p[first],
        yerr=np.abs(ends - log2_p[first]),
        fmt="o",
        color=CHOSEN,
        markersize=2.0,
        elinewidth=0.7,
        label=f"first of each K, {100 * prior.confidence:g} % interval{'*' if sampled and prior.caveat else ''}",
    )
    handles: list[Any] = [points, bars]
    # An upper limit of 1 says nothing, and P = 0 has no place on this scale.
    above = ~seen & np.isfinite(log2_high) & (sampled | (log2_high < 0.0))
    below = ~sure & np.isfinite(log2_low)
    ax.vlines(K[below], log2_low[below], log2_high[below], color=FAINT, linewidth=0.5, linestyle=":", zorder=0)
    limits = [
        (above, log2_high, "v", "without a count" if sampled else "upper limits"),
        (below, log2_low, "^", "lower limits"),
    ]
    for chosen, heights, marker, name in limits:
        if chosen.any():
            where = np.unique(K[chosen] + 1j * heights[chosen])
            name = f"{np.count_nonzero(chosen):,} {name}"
            handles.append(_triangles(ax, where, marker, name))
    bottom = min(log2_p[seen].min(initial=-1.0), log2_high[above].min(initial=-1.0), log2_low[below].min(initial=-1.0))
    width = np.ptp(K) or 1.0
    ax.set(xlim=(K.min() - 0.04 * width, K.max() + 0.04 * width), ylim=(1.08 * bottom, -0.04 * bottom))
    for line in (bound,) if isinstance(bound, LevinBound) else bound or ():
        ends = np.array(ax.get_xlim())
        equation = rf"{line.kind}: $\log_2 P = {-line.a:.3g}\,K {f'{-line.b:+.3g}' if line.b else ''}$"
        style = "-" if line.kind == "fitted" else ":"
        handles += ax.plot(ends, line.log2_p(ends), style, color=LINE, linewidth=1.0, label=equation)
    if isinstance(prior.tables.domain, Cube):
        handles += _uniform_prior(ax, prior.tables.domain.n_points)
    _legend(ax, handles)

    top, right = _marginals(ax, K, log2_p[seen]) if marginals else (ax, ax)
    powers = right.secondary_yaxis("right", functions=(_to_log10, _to_log2))
    powers.yaxis.set_major_locator(MaxNLocator(integer=True))
    powers.yaxis.set_major_formatter(lambda x, _: rf"$10^{{{x:.0f}}}$")
    powers.tick_params(labelsize=SMALL)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(label, fontsize=TEXT)
    ax.set_ylabel(r"Prior probability, $\log_2 P$", fontsize=TEXT)
    notes = []
    if not isinstance(prior, PriorEstimate):
        if not sure.all():
            notes.append(f"{np.count_nonzero(~sure)} not converged: bounds that need no mixing")
        if (impossible := int(np.count_nonzero(sure & np.isneginf(log2_p)))) > 0:
            notes.append(f"{impossible} of P = 0")
    else:
        unseen = prior.unseen
        if unseen.log2_high > -math.inf:
            low, mid, high = (100 * 2.0**x for x in (unseen.log2_low, unseen.log2_p, unseen.log2_high))
            notes.append(f"mass outside the sample {mid:.3g} % [{low:.3g}, {high:.3g}]")
        if prior.caveat:
            notes.append("* picked by the same sample")
    top.set_title("; ".join(notes), fontsize=SMALL, loc="left", pad=3.0)
    return ax


def rank(
    result: PriorEstimate | FunctionCounts,
    *,
    by: FunctionCounts | None = None,
    ax: Axes | None = None,
    label: str | None = None,
) -> Axes:
    """P against rank on logarithmic axes, with Zipf's law P(r) = 1 / (ln(N_O) r) as a line.

    Functions that came equally often cannot be ranked among themselves: each such run of ranks is one step, at the mean
    of P over the run, zeros included. Bars are the intervals of functions that have a step of their own. Counts
    without `by` are ranked and judged by one sample, so their last step cannot lie below one sample.

    Args:
        result: the judge: a prior, or counts for their observed frequencies (no intervals).
        by: the counts that ranked, with the tables of `result`; None ranks `result` by its own P.
        ax: where to draw, also beside another result; a new figure of one print column if None.
        label: name of the line in the legend; by default it says what ranked.

    Returns:
        The Axes, with the steps as its newest line.

    Raises:
        IncompatibleTables: `by` lists other tables than `result`, or the same in another order.

    Error: none, drawn as given. Cost: 0.2 s for 1e6 functions.
    Source: the line is that of Valle-Pérez, Camargo, Louis 2018, arXiv 1805.08522, with N_O = 2^(2^n).
    """
    ax = new_axes() if ax is None else ax
    own = result.counts / result.n_samples if isinstance(result, FunctionCounts) else np.exp2(result.log2_p)
    if by is None:
        order = np.argsort(-own, kind="stable")
        key, name = own[order], "one sample ranks and judges"
    elif by.tables == result.tables:
        order = np.arange(len(own))
        key, name = by.counts, "one half ranks, the other judges"
    else:
        raise IncompatibleTables(
            "`by` ranks other functions than the result holds; judge the functions that it lists: "
            "rank(estimate_prior(judge, at=pick.tables), by=pick)"
        )
    p = own[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    stops = np.append(starts[1:], len(p))
    means = np.add.reduceat(p, starts) / (stops - starts)
    color = SERIES[sum(line.get_gid() == "rank" for line in ax.lines) % len(SERIES)]
    # A step reaches from the middle before its first rank to the middle after its last.
    edges = np.append(starts, len(p)) + 0.5
    ax.step(
        edges, np.append(means, means[-1]), where="post", color=color, linewidth=1.0, label=label or name, gid="rank"
    )
    if not isinstance(result, FunctionCounts):
        alone = order[starts[stops - starts == 1]]
        ends = np.exp2(result.log2_low[alone]), np.exp2(result.log2_high[alone])
        at = starts[stops - starts == 1] + 1.0
        ax.vlines(at, np.maximum(ends[0], 1e-300), ends[1], color=color, alpha=0.35, linewidth=0.8)

    ax.set(xscale="log", yscale="log")
    heights = np.concatenate([np.asarray(line.get_ydata()) for line in ax.lines if line.get_gid() == "rank"])
    ax.set_ylim(0.3 * heights[heights > 0].min(initial=1.0), 1.5)
    if isinstance(result.tables.domain, Cube) and not any(line.get_gid() == "zipf" for line in ax.lines):
        n_points, r = result.tables.domain.n_points, np.array([1.0, len(p)])
        zipf = 1 / (n_points * math.log(2) * r)
        ax.plot(r, zipf, "--", color=LINE, linewidth=0.8, gid="zipf", label=rf"$1 / (r\,\ln 2^{{{n_points}}})$")
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel("Rank r of the function", fontsize=TEXT)
    ax.set_ylabel("Prior probability P", fontsize=TEXT)
    _legend(ax, sorted(ax.get_legend_handles_labels()[0], key=lambda line: line.get_gid() == "zipf"))
    return ax


def _triangles(ax: Axes, places: NDArray[np.complex128], marker: str, label: str) -> Any:
    return ax.scatter(
        places.real,
        places.imag,
        s=5.0,
        marker=marker,
        facecolors="none",
        edgecolors=FAINT,
        linewidths=0.5,
        rasterized=len(places) > MANY,
        label=label,
    )


def _to_log10(log2: Any) -> Any:
    return log2 / _LOG2_10


def _to_log2(log10: Any) -> Any:
    return log10 * _LOG2_10


def _legend(ax: Axes, handles: list[Any]) -> None:
    ax.legend(
        handles=handles,
        loc="upper right",
        fontsize=SMALL,
        frameon=False,
        handlelength=1.2,
        borderpad=0.1,
        labelspacing=0.25,
    )


def _uniform_prior(ax: Axes, n_points: int) -> list[Any]:
    text = rf"uniform: $P = 2^{{-{n_points}}}$"
    if -n_points >= ax.get_ylim()[0]:
        return [ax.axhline(-n_points, color=FAINT, linestyle="--", linewidth=0.8, label=text)]
    from matplotlib.lines import Line2D

    return [Line2D([], [], linestyle="none", label=f"{text}, far below")]


def _marginals(ax: Axes, K: NDArray[np.float64], log2_p: NDArray[np.float64]) -> tuple[Axes, Axes]:
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    divider: Any = make_axes_locatable(ax)
    top = divider.append_axes("top", size="18%", pad=0.06, sharex=ax)
    right = divider.append_axes("right", size="14%", pad=0.06, sharey=ax)
    levels, numbers = np.unique(K, return_counts=True)
    if len(levels) <= 100:
        width = 0.8 * np.diff(levels).min() if len(levels) > 1 else 1.0
        top.bar(levels, numbers, width=width, color=POINTS)
    else:
        top.hist(K, bins=50, color=POINTS)
    top.set_yscale("log")
    top.tick_params(labelsize=SMALL, labelbottom=False)
    top.set_ylabel("functions", fontsize=SMALL)
    decades = _LOG2_10 * np.arange(min(-1, math.floor(log2_p.min(initial=0.0) / _LOG2_10)), 1)
    right.hist(log2_p, bins=decades, weights=np.exp2(log2_p), orientation="horizontal", color=POINTS, rwidth=0.8)
    right.tick_params(labelsize=SMALL, left=False, labelleft=False)
    right.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10], prune="lower"))
    right.set_title("mass", fontsize=SMALL, pad=2.0)
    return top, right
