"""How deep 1e8 independent networks see with orbits pooled; and the quicker ways of drawing held against them."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import GAUSSIAN as NET
from scipy.stats import norm

import pfmap
from pfmap.symmetry import canonicalize

KNOWN = 2.0  # bits from one end of an interval to the other: P within a factor of 2 either way
WAYS = {"reuse": False, "fixed set": False, "reuse, pooled": True, "fixed set, pooled": True}
COLORS = dict(zip(WAYS, ("#0072b2", "#009e73", "#d55e00", "#cc79a7"), strict=True))


def main(seed, n_samples, n_functions, smallest, n_checked):
    """One half picks orbits and the other judges; four quicker ways, and splitting, against all of the sample."""
    counts = pfmap.draw(NET, n_samples, seed=seed)
    pick, judge = (half.pooled(counts.provenance["symmetry"]) for half in counts.split(seed=1))
    size = canonicalize(pick.tables, group=pick.orbits).orbit_sizes
    picked = np.log10(pick.counts / pick.n_samples / size)
    prior = pfmap.estimate_prior(judge, at=pick.tables)
    decades = table(np.floor(picked).astype(int), size, prior)
    print(*decades, sep="\n", flush=True)
    del pick, judge
    scores = agreement(counts, seed, n_functions, smallest)
    for way, found in scores.items():
        print(way, {key: value for key, value in found.items() if key != "quantiles"}, flush=True)
    checked = by_splitting(prior, picked, seed, n_checked)
    numbers = {"decades": decades, "agreement": scores, "by_splitting": checked}
    return picture(numbers, n_samples), numbers


def table(decade, size, prior):
    """By decade of P(f) as one half saw it: orbits, their functions, and how well the other half knows them."""
    width = prior.log2_high - prior.log2_low
    rows = []
    for d in np.unique(decade)[::-1]:
        here = decade == d
        rows.append(
            {
                "from": f"1e{d}",
                "orbits": int(here.sum()),
                "functions": int(size[here].sum()),
                "known_within_a_factor_of_2": int((width[here] <= KNOWN).sum()),
                "median_interval_bits": finite(np.median(width[here])),
                "smallest_known_log2_p": finite(prior.log2_p[here & (width <= KNOWN)].min(initial=np.inf)),
            }
        )
    return rows


def finite(x):
    """For JSON."""
    return float(x) if np.isfinite(x) else None


def agreement(counts, seed, n_functions, smallest):
    """z-scores over every function, or orbit, of P >= smallest as a draw of its own saw it."""
    group = counts.provenance["symmetry"]
    reference = {False: counts, True: counts.pooled(group)}
    scores = {}
    for pooled in (False, True):
        ask = {"reuse": "auto", **({"pool": "orbits"} if pooled else {})}
        pilot = pfmap.draw(NET, n_functions, seed=seed + 1, at_least=2, **ask)
        often = pilot.tables[pilot.counts >= smallest * pilot.n_samples]
        k, n = reference[pooled].at(often), counts.n_samples
        for own_seed, (way, only) in enumerate((("reuse", None), ("fixed set", often)), start=seed + 2):
            found = pfmap.draw(NET, n_functions, seed=own_seed, only=only, **ask)
            z = differences(*found.columns_at(often), found.n_samples, found.n_clusters, k, n)
            scores[way + ", pooled" * pooled] = {
                "compared": len(z),
                "rms": float(np.sqrt(np.mean(z**2))),
                "mean": float(z.mean()),
                "error_of_the_mean": float(1 / np.sqrt(len(z))),
                "largest": float(abs(z).max()),
                "expected_largest": float(norm.isf(0.25 / len(z))),  # exceeded by half of all samples
                "quantiles": np.quantile(z, np.linspace(0, 1, 101)),
            }
    return scores


def differences(counts, squares, n, n_clusters, reference, n_reference):
    """Scores of differences of frequencies; clusters show their variance, no less than independent samples would."""
    p, q = counts / n, reference / n_reference
    R = n // n_clusters
    variance = np.maximum(squares / (R * n) - p**2, p * (1 - p) / R) / n_clusters
    return (p - q) / np.sqrt(variance + q * (1 - q) / n_reference)


def by_splitting(prior, picked, seed, n_checked):
    """Orbits spread evenly over log P below 1e-6 that are known within a factor of 2, measured again by splitting."""
    if not n_checked:
        return {}
    known = np.flatnonzero((prior.log2_high - prior.log2_low <= KNOWN) & (picked < -6))
    order = known[np.argsort(-picked[known], kind="stable")]
    at = np.linspace(picked[order[0]], picked[order[-1]], n_checked)
    chosen = order[np.searchsorted(-picked[order], -at).clip(0, len(order) - 1)]
    rare = pfmap.estimate_rare(NET, prior.tables[chosen], seed=seed)
    low, high = prior.log2_low[chosen], prior.log2_high[chosen]
    return {
        "functions": prior.tables[chosen].strings(),
        "log2_p_pooled": prior.log2_p[chosen],
        "pooled_low": low,
        "pooled_high": high,
        "log2_p": [finite(x) for x in rare.log2_p],
        "log2_low": [finite(x) for x in rare.log2_low],
        "log2_high": [finite(x) for x in rare.log2_high],
        "converged": rare.converged,
        "intervals_that_meet": int(((low <= rare.log2_high) & (rare.log2_low <= high)).sum()),
    }


def picture(numbers, n_samples):
    """Orbits by decade, z-scores against a standard normal, pooled frequencies against splitting."""
    figure = Figure(figsize=(7.4, 2.7), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    rows = numbers["decades"]
    x = np.arange(len(rows))
    left.bar(x, [row["orbits"] for row in rows], color="0.8", label="came in one half")
    left.bar(x, [row["known_within_a_factor_of_2"] for row in rows], color="#0072b2", label="known within a factor 2")
    left.set_yscale("log")
    left.set_xticks(x, [row["from"].removeprefix("1e").replace("-", "\N{MINUS SIGN}") for row in rows])
    left.set(xlabel=r"$\log_{10} P$ of a function, rounded down", ylabel="Orbits", title=f"{n_samples:,} networks")
    expected = norm.ppf(np.linspace(0.01, 0.99, 99))
    for way, found in numbers["agreement"].items():
        z = np.asarray(found["quantiles"])[1:-1]
        middle.plot(expected, z, color=COLORS[way], linewidth=1, label=f"{way} ({found['compared']:,})")
    middle.plot(expected, expected, color="black", linewidth=0.6, linestyle="--")
    middle.set(xlabel="Quantile of the normal law", ylabel="Quantile of z", title="Against independent networks")
    checked = numbers["by_splitting"]
    if checked:
        rare_orbits(right, checked)
    right.set_visible(bool(checked))
    for ax in figure.axes:
        ax.tick_params(labelsize=7)
        ax.title.set_fontsize(8)
        ax.xaxis.label.set_size(8)
        ax.yaxis.label.set_size(8)
    left.legend(fontsize=6.5, frameon=False)
    middle.legend(fontsize=6.5, frameon=False, loc="lower right", handlelength=1.2)
    left.tick_params(axis="x", labelsize=6)
    return figure


def rare_orbits(ax, checked):
    """Splitting against pooled frequencies."""
    x, y = np.asarray(checked["log2_p_pooled"], float), np.asarray(checked["log2_p"], float)
    ax.errorbar(
        x,
        y,
        xerr=[x - checked["pooled_low"], np.asarray(checked["pooled_high"]) - x],
        yerr=[y - np.array(checked["log2_low"], float), np.array(checked["log2_high"], float) - y],
        fmt="o",
        markersize=2.5,
        elinewidth=0.7,
        color="#0072b2",
    )
    ends = [min(x.min(), np.nanmin(y)) - 1, max(x.max(), np.nanmax(y)) + 1]
    ax.plot(ends, ends, color="black", linewidth=0.6, linestyle="--")
    ax.set(xlabel=r"$\log_2 P$, pooled orbits", ylabel=r"$\log_2 P$, splitting", title="Rare orbits again")


if __name__ == "__main__":
    run(
        main,
        quick={"n_samples": 1_000_000, "n_functions": 4_000_000, "smallest": 1e-4, "n_checked": 0},
        full={"n_samples": 100_000_000, "n_functions": 100_000_000, "smallest": 1e-6, "n_checked": 10},
    )
