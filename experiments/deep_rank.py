"""P against rank of arXiv 1805.08522 as deep as its 1e10 samples and beyond: reused hidden layers, pooled orbits."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import UNIFORM
from scipy import stats

import pfmap
from pfmap.symmetry import canonicalize

PUBLISHED_SAMPLES = 1e10
# Read off the paper's figure of P against C_LZ, to about 3 %: each constant, and the most frequent of all others.
PUBLISHED = {"ranks": [1.5, 3.0], "P": [0.105, 6.9e-4]}
BINS_A_DECADE = 4
REPEATS = 8


def main(seed, n_samples):
    """One draw ranks orbits, eight others judge them; the spread of the eight is the error."""
    asked = {"reuse": "auto", "pool": "orbits"}
    pick = pfmap.draw(UNIFORM, n_samples, seed=seed, at_least=4, memory="3GB", **asked)
    size = canonicalize(pick.tables, group=pick.orbits).orbit_sizes
    order = np.argsort(-pick.counts / size, kind="stable")
    last_rank = np.cumsum(size[order])
    n_bins = int(np.log10(last_rank[-1]) * BINS_A_DECADE)
    edges = np.unique(np.round(10 ** (np.arange(n_bins + 1) / BINS_A_DECADE)))
    # An orbit stands in the bin of its middle rank.
    where = np.searchsorted(edges, last_rank - (size[order] - 1) / 2, side="right") - 1
    inside = where < len(edges) - 1
    functions = np.bincount(where[inside], size[order][inside], minlength=len(edges) - 1)

    bins, effective = [], []
    for repeat in range(REPEATS):
        judge = pfmap.draw(UNIFORM, n_samples // REPEATS, seed=seed + 1 + repeat, only=pick.tables, **asked)
        counts, squares = judge.columns_at(pick.tables[order])
        bins.append(np.bincount(where[inside], counts[inside], minlength=len(edges) - 1) / judge.n_samples)
        effective.append(judge.n_samples * counts / np.maximum(squares, 1) * size[order])
    filled = functions > 0
    mass = np.array(bins)[:, filled]
    rank = np.bincount(where[inside], (last_rank - (size[order] - 1) / 2)[inside] * size[order][inside])
    rank = rank[: len(filled)][filled] / functions[filled]
    P = mass / functions[filled]
    error = stats.t.ppf(0.975, REPEATS - 1) * P.std(axis=0, ddof=1) / np.sqrt(REPEATS)
    depth = np.sum(effective, axis=0)  # independent samples that would say as much of each function
    numbers = {
        "zipf": 1 / (128 * np.log(2)),
        "ranks": rank,
        "P": P.mean(axis=0),
        "P_95_percent": error,
        "orbits": len(pick),
        "functions": last_rank[-1],
        "samples_to_judge": n_samples // REPEATS * REPEATS,
        "effective_samples": {
            name: np.quantile(depth[inside & (np.sum(effective, axis=0) > 0)], q)
            for name, q in (("least_tenth", 0.1), ("median", 0.5))
        },
        "published_samples": PUBLISHED_SAMPLES,
        "published": PUBLISHED,
    }
    return picture(numbers), numbers


def picture(numbers):
    """The curve with its error, the published reference line, and where 1e10 independent samples would end."""
    figure = Figure(figsize=(4.6, 3.2))
    figure.subplots_adjust(left=0.15, right=0.97, bottom=0.14, top=0.97)
    ax = figure.subplots()
    rank, P, error = (np.asarray(numbers[name]) for name in ("ranks", "P", "P_95_percent"))
    ax.errorbar(
        rank, P, error, fmt=".", markersize=4, linewidth=0.8, label="functions around rank r (95 % bars within dots)"
    )
    published = numbers["published"]
    ax.plot(published["ranks"], published["P"], "s", color="C3", mfc="none", markersize=6, label="published values")
    ends = np.array([1.0, rank[-1]])
    ax.plot(
        ends, numbers["zipf"] / ends, "--", color="0.4", linewidth=0.8, label=r"$1 / (r\,\ln 2^{128})$, published line"
    )
    ax.axhline(1 / PUBLISHED_SAMPLES, color="0.6", linewidth=0.8, linestyle=":")
    ax.annotate(
        "one count in 1e10 independent samples",
        (1.0, 1 / PUBLISHED_SAMPLES),
        (2, 3),
        textcoords="offset points",
        fontsize=7,
    )
    ax.set(xscale="log", yscale="log", xlabel="Rank r of the function", ylabel="Prior probability P")
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)
    return figure


if __name__ == "__main__":
    run(main, quick={"n_samples": 4_000_000}, full={"n_samples": 100_000_000})
