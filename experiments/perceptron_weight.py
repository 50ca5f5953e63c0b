"""P(T = t) = 2^-n for t < 2^n: the weight of a perceptron without bias term (arXiv 1909.11522, theorem 4.1)."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from scipy.stats import chisquare

import pfmap
from pfmap import maps
from pfmap.prior import lower_limit, upper_limit

CONFIDENCE = 0.95
COLORS = {"Gaussian": "#0072B2", "uniform": "#D55E00"}


def main(seed, n_samples):
    """Draw perceptrons of 3, 5 and 7 inputs under two weight laws, from two seeds, and test P(T = t) = 2^-n."""
    figure = Figure(figsize=(3.4, 3.9))
    figure.subplots_adjust(left=0.165, right=0.97, bottom=0.1, top=0.91, hspace=0.32)
    numbers = {}
    for ax, n in zip(figure.subplots(3, sharex=True), (3, 5, 7), strict=True):
        for shift, weights in enumerate(COLORS):
            found = weight_law(maps.Perceptron(n, weights=weights.lower()), n_samples, seed + shift)
            numbers[f"{weights}, n = {n}"] = found
            draw_law(ax, n, found, weights, (shift - 0.5) * 0.2)
        ax.axhline(0, color="black", linewidth=0.8, label="theorem 4.1")
        ax.set_title(f"n = {n}", loc="left", fontsize=8, pad=2)
        ax.tick_params(labelsize=7)
    ax.set_xlabel(r"Ones in the table, $T / 2^n$", fontsize=8)
    figure.text(0.012, 0.5, r"$P(T)$ above $2^{-n}$, per cent of it", fontsize=8, rotation=90, va="center")
    figure.legend(
        *ax.get_legend_handles_labels(), loc="upper center", ncols=3, fontsize=7, frameon=False, handlelength=1.4
    )
    return figure, numbers


def weight_law(net, n_samples, seed):
    """Frequencies of T, intervals that all hold at once, and Pearson's test of the theorem."""
    counts = pfmap.draw(net, n_samples, seed=seed)
    n_points = net.domain.n_points
    of_weight = np.bincount(counts.tables.hamming_weight(), counts.counts, n_points + 1).astype(np.int64)
    alpha = (1 - CONFIDENCE) / (2 * n_points)
    return {
        "frequency": of_weight[:-1] / n_samples,
        "low": np.exp2(lower_limit(of_weight[:-1], n_samples, alpha)),
        "high": np.exp2(upper_limit(of_weight[:-1], n_samples, alpha)),
        "confidence_of_all_intervals": CONFIDENCE,
        "theorem": 1 / n_points,
        "came_with_T_of_2_to_the_n": int(of_weight[-1]),
        "chi_square": float(chisquare(of_weight[:-1]).statistic),
        "p_value": float(chisquare(of_weight[:-1]).pvalue),
    }


def draw_law(ax, n, found, label, shift):
    """P(T) / 2^-n - 1 in per cent, with its intervals."""
    frequency, low, high = (100 * (2**n * found[key] - 1) for key in ("frequency", "low", "high"))
    ax.errorbar(
        (np.arange(2**n) + shift) / 2**n,
        frequency,
        yerr=[frequency - low, high - frequency],
        fmt="o",
        markersize=1.2,
        elinewidth=0.6,
        color=COLORS[label],
        label=f"{label} weights",
    )


if __name__ == "__main__":
    run(main, quick={"n_samples": 200_000}, full={"n_samples": 10_000_000})
