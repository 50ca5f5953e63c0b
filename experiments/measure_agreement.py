"""Do complexity measures agree? Rank correlations over functions that networks compute, and over all functions."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from measures import measures_of
from networks import GAUSSIAN
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

import pfmap
from pfmap import TruthTables
from pfmap.tables import concatenate

N_ALL = 4
"""Inputs of the functions that are all compared: the most for which exact formulas and depths are known."""


def main(seed, n_networks, repeats):
    """Spearman correlations over distinct functions of random 7-40-40-1 networks, beside those over all functions."""
    every = TruthTables.from_ints(range(1 << (1 << N_ALL)), N_ALL)
    ranked = {name: ranks(measure(every)) for name, measure in measures_of(N_ALL).items()}
    of_all = np.corrcoef(list(ranked.values()))
    order = leaves_list(linkage(squareform(1 - of_all, checks=False), "average", optimal_ordering=True))
    names, of_all = [list(ranked)[i] for i in order], of_all[np.ix_(order, order)]

    found = [pfmap.draw(GAUSSIAN, n_networks, seed=seed + i).tables for i in range(repeats)]
    of_samples = spearman(found, names)
    sampled, error = of_samples.mean(axis=0), of_samples.std(axis=0, ddof=1) / np.sqrt(repeats)
    answered = np.flatnonzero(np.isfinite(sampled).any(axis=0))
    numbers = {
        "measures": names,
        "functions_in_each_sample": [len(tables) for tables in found],
        "sampled": rounded(sampled),
        "standard_error": rounded(error),
        "largest_standard_error": float(np.nanmax(error).round(4)),
        "all": rounded(of_all),
        "median_over_pairs": {
            "sampled": median_over_pairs(sampled[np.ix_(answered, answered)]),
            "all_same_measures": median_over_pairs(of_all[np.ix_(answered, answered)]),
        },
    }
    mean_size = np.mean([len(tables) for tables in found])
    titles = (
        f"about {mean_size:,.0f} functions of random 7-40-40-1 networks",
        f"all {len(every):,} functions of {N_ALL} inputs",
    )
    return picture(names, sampled, of_all, titles), numbers


def ranks(values):
    """Average ranks; Spearman's correlation is Pearson's of these."""
    return rankdata(values)


def spearman(samples, names):
    """Correlations in each sample: [sample, measure, measure], NaN where a measure answers for fewer inputs only."""
    measures = measures_of(samples[0].n_inputs)
    ends = np.cumsum([len(tables) for tables in samples])[:-1]
    together = concatenate(samples)
    values = {name: np.split(measures[name](together), ends) for name in names if name in measures}
    at = [i for i, name in enumerate(names) if name in values]
    found = np.full((len(samples), len(names), len(names)), np.nan)
    for i in range(len(samples)):
        found[i][np.ix_(at, at)] = np.corrcoef([ranks(of_samples[i]) for of_samples in values.values()])
    return found


def median_over_pairs(matrix):
    """Median correlation of two different measures."""
    return float(np.median(matrix[np.triu_indices(len(matrix), 1)]).round(4))


def rounded(matrix):
    """Four digits, null where there is no number."""
    return [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in matrix]


def picture(names, sampled, of_all, titles):
    """Both matrices in the order that clusters the second."""
    figure = Figure(figsize=(7.0, 3.1))
    figure.subplots_adjust(left=0.162, right=0.918, bottom=0.04, top=0.945, wspace=0.05)
    axes, at = figure.subplots(1, 2, sharey=True), range(len(names))
    for ax, matrix, title in zip(axes, (sampled, of_all), titles, strict=True):
        ax.set_facecolor("0.85")
        image = ax.imshow(matrix, cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=7, pad=3)
        ax.set_xticks(at, [i + 1 for i in at], fontsize=4)
        ax.set_yticks(at, [f"{name.replace('_', ' ')}  {i + 1}" for i, name in enumerate(names)], fontsize=5)
        ax.tick_params(length=0, pad=1.5)
        ax.spines[:].set_visible(False)
    if np.isnan(sampled).any():
        axes[0].plot([], [], "s", color="0.85", markersize=4, label="exact for fewer inputs only")
        axes[0].legend(loc="upper right", bbox_to_anchor=(0, 0), fontsize=5, frameon=False, handletextpad=0)
    position = axes[1].get_position()
    bar = figure.colorbar(image, cax=figure.add_axes((0.93, position.y0, 0.014, position.height)))
    bar.set_label("Spearman correlation", fontsize=6, labelpad=1)
    bar.ax.tick_params(labelsize=5, length=2, pad=1.5)
    bar.outline.set_visible(False)
    return figure


if __name__ == "__main__":
    run(main, quick={"n_networks": 1_000, "repeats": 4}, full={"n_networks": 6_000, "repeats": 8})
