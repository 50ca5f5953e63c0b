"""P against rank for 7-40-40-1 ReLU networks, with the Zipf line of arXiv 1805.08522."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import NETWORKS

import pfmap
from pfmap import plots

RANKS = (1, 2, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


def main(seed, n_samples):
    """Rank by one half of the sample and judge by the other, beside the usual ranking of a sample by itself."""
    figure = Figure(figsize=(7.0, 2.8))
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.15, top=0.92, wspace=0.25)
    numbers = {}
    for ax, (name, net) in zip(figure.subplots(1, 2), NETWORKS.items(), strict=True):
        counts = pfmap.draw(net, n_samples, seed=seed)
        pick, judge = counts.split(seed=seed)
        prior = pfmap.estimate_prior(judge, at=pick.tables)
        plots.rank(counts, ax=ax)
        plots.rank(prior, by=pick, ax=ax)
        ax.set_title(f"{name} weights", fontsize=8)
        numbers[name] = {"zipf": 1 / (128 * np.log(2)), "ranks": ranks(counts, pick, prior)}
    return figure, numbers


def ranks(counts, pick, prior):
    """At chosen ranks r: r P(r) by the sample that ranked, and as the other half judges the functions tied there."""
    found = {}
    for r in (r for r in RANKS if r <= len(pick)):
        tied = pick.counts == pick.counts[r - 1]
        found[str(r)] = {
            "r_times_own_frequency": r * counts.counts[r - 1] / counts.n_samples,
            "r_times_judged_P": r * np.exp2(prior.log2_p[tied]).mean(),
            "functions_tied": np.count_nonzero(tied),
        }
    return found


if __name__ == "__main__":
    run(main, quick={"n_samples": 1_000_000}, full={"n_samples": 10_000_000})
