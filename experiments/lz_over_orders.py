"""How much of C_LZ is the order in which the inputs happen to stand? All 5,040 orders of functions of seven inputs."""

from itertools import pairwise, permutations

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import GAUSSIAN
from scipy import stats

import pfmap
from pfmap import complexity
from pfmap.tables import concatenate

CONFIDENCE = 0.95
OVER_ORDERS, ACROSS, GIVEN = "#0072B2", "#D55E00", "0.35"


def main(seed, n_networks, repeats, every, n_more):
    """Spread of C_LZ over input orders, within each function that random networks compute, beside that across them.

    Of the 5,040 orders, in lexicographic order, one in `every` is taken. The spread across functions is that of the
    distinct functions of a sample and falls as the sample grows, so that of `n_more` networks stands beside it. The
    picture shows the first sample.
    """
    samples = [pfmap.draw(GAUSSIAN, n_networks, seed=seed + i).tables for i in range(repeats)]
    functions = concatenate(samples)
    orders = list(permutations(range(functions.n_inputs)))[::every]
    lz = np.array([complexity.lempel_ziv(functions.permute_inputs(order)) for order in orders], np.float32).T

    starts = np.cumsum([0, *(len(tables) for tables in samples)])
    parts = [lz[start:end].astype(float) for start, end in pairwise(starts)]
    more = [pfmap.draw(GAUSSIAN, n_more, seed=seed + i).tables for i in range(3)]
    quantiles = [np.quantile(part.std(axis=1), (0.05, 0.5, 0.95)) for part in parts]
    numbers = {
        "orders": len(orders),
        "functions_in_each_sample": [len(part) for part in parts],
        "functions_of_more_networks": [len(tables) for tables in more],
        "confidence": CONFIDENCE,
        "sd_over_orders_5_percent": interval([q[0] for q in quantiles]),
        "sd_over_orders_median": interval([q[1] for q in quantiles]),
        "sd_over_orders_95_percent": interval([q[2] for q in quantiles]),
        "sd_over_orders_rms": interval([np.sqrt(within(part)) for part in parts]),
        "sd_across_functions_as_given": interval([part[:, 0].std() for part in parts]),
        "sd_across_functions_of_more_networks": interval([complexity.lempel_ziv(tables).std() for tables in more]),
        "sd_across_functions_of_mean_over_orders": interval([part.mean(axis=1).std() for part in parts]),
        "share_of_variance_that_is_the_order": interval([within(part) / part.var() for part in parts]),
    }
    return picture(parts[0], numbers), numbers


def within(values):
    """Mean over functions of the variance over orders."""
    return values.var(axis=1).mean()


def interval(of_samples):
    """Mean over independent samples of networks, with Student's interval."""
    mean = float(np.mean(of_samples))
    half = stats.sem(of_samples) * stats.t.isf((1 - CONFIDENCE) / 2, len(of_samples) - 1)
    return {"value": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def picture(lz, numbers):
    """Every function at its mean over orders: left its range over them, right its standard deviation."""
    figure = Figure(figsize=(7.0, 2.8))
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.145, top=0.97, wspace=0.2)
    spread, deviation = figure.subplots(1, 2)
    mean = lz.mean(axis=1)

    low, high = np.quantile(lz, (0.05, 0.95), axis=1)
    spread.vlines(mean, low, high, color=OVER_ORDERS, linewidth=0.5, alpha=0.35, label="5 % to 95 % of the orders")
    spread.plot(mean, lz[:, 0], ".", color=GIVEN, markersize=1.2, label="the order as given")
    spread.set_ylabel(r"$C_{LZ}$ (words $\times$ $\log_2 N$)", fontsize=8)

    across = numbers["sd_across_functions_as_given"]["value"]
    more = numbers["sd_across_functions_of_more_networks"]["value"]
    n_few, n_more = (np.mean(numbers[f"functions_{which}"]) for which in ("in_each_sample", "of_more_networks"))
    deviation.plot(mean, lz.std(axis=1), ".", color=OVER_ORDERS, markersize=1.5, label="of one function, over orders")
    deviation.axhline(across, color=ACROSS, linewidth=1.2, label=f"across {n_few:,.0f} functions, the order as given")
    deviation.axhline(
        more, color=ACROSS, linewidth=1.0, linestyle="--", label=f"across {n_more:,.0f} functions, likewise"
    )
    deviation.set_ylabel(r"Standard deviation of $C_{LZ}$", fontsize=8)
    deviation.set_ylim(0, 1.4 * across)
    for ax in (spread, deviation):
        ax.set_xlabel(r"Mean of $C_{LZ}$ over all input orders", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="upper left", fontsize=7, frameon=False, markerscale=5, handlelength=1.4)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"n_networks": 1_000, "repeats": 4, "every": 10, "n_more": 100_000},
        full={"n_networks": 3_000, "repeats": 8, "every": 1, "n_more": 4_000_000},
    )
