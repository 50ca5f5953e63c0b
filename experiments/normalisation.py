"""Do the probabilities of all functions sum to 1? A network of 3 inputs and a Gaussian process of 4, class by class."""

import math

import numpy as np
from harness import run
from matplotlib.figure import Figure
from scipy import stats

import pfmap
from pfmap import TruthTables, maps
from pfmap.rare import orthant_probability
from pfmap.symmetry import canonicalize

COMMON = 2.0**-10
"""Mass of a class above which its share of the sum's error is worth more particles."""

COLORS = {"splitting": "#0072B2", "sampling": "#009E73", "tilting": "#009E73"}
KEYS = ("log2_p", "log2_low", "log2_high")


def main(seed, net_inputs, process_inputs, n_draws, net, process):
    """Every class of functions by splitting, and by direct sampling or minimax tilting; what each sums to."""
    network, gp = maps.MLP(net_inputs, (16,)), maps.GaussianProcess(process_inputs, 2)
    numbers = {}
    for name, pfm, settings, judge in (
        (f"network {net_inputs}-16-1", network, net, sampling),
        (f"process of {process_inputs} inputs", gp, process, tilting),
    ):
        tables, sizes = classes(pfm)
        found = {
            "splitting": splitting(pfm, tables, sizes, seed, **settings),
            judge.__name__: judge(pfm, tables, seed, n_draws),
        }
        numbers[name] = {
            "functions": int(sizes.sum()),
            "classes": len(sizes),
            "sum": {way: total(one, sizes) for way, one in found.items()},
            "agreement": agreement(*found.values()),
            "decades": {way: decades(one, sizes) for way, one in found.items()},
            "representatives": tables.strings(),
            "sizes": sizes,
            **{way: {key: finite(values) for key, values in one.items()} for way, one in found.items()},
        }
        print(name, numbers[name]["sum"], numbers[name]["agreement"], flush=True)
    return picture(numbers), numbers


def classes(pfm):
    """One function of each class under the symmetries that a map declares, and the sizes of the classes."""
    n = pfm.domain.n_inputs
    canonical = canonicalize(TruthTables.from_ints(range(1 << (1 << n)), n), group=pfm.symmetry)
    first = np.unique(canonical.representatives.packed, axis=0, return_index=True)[1]
    return canonical.representatives[first], canonical.orbit_sizes[first]


def splitting(pfm, tables, sizes, seed, common_particles, **settings):
    """Every class by splitting; those that hold much of a small sample, with more particles."""
    found = columns(pfmap.estimate_rare(pfm, tables, seed=seed, **settings))
    sample = pfmap.estimate_prior(pfmap.draw(pfm, 20_000, seed=seed, pool="orbits"), at=tables)
    common = np.flatnonzero(2.0**sample.log2_p * sizes > COMMON)
    settings["particles"] = common_particles
    again = columns(pfmap.estimate_rare(pfm, tables[common], seed=seed + 1, **settings))
    for key, values in again.items():
        found[key][common] = values
    return found


def sampling(net, tables, seed, n_draws):
    """Every class by its frequency in a draw that reuses hidden layers."""
    prior = pfmap.estimate_prior(pfmap.draw(net, n_draws, seed=seed + 2, reuse="auto", pool="orbits"), at=tables)
    return {key: getattr(prior, key) for key in KEYS}


def tilting(gp, tables, seed, n_draws):
    """Every class by minimax tilting."""
    return columns(orthant_probability(gp, tables, seed=seed, points=1 << 9))


def columns(estimate):
    """Probabilities and errors, as arrays that can be written to."""
    keys = (*KEYS, "relative_error", *(["converged"] if hasattr(estimate, "converged") else []))
    return {key: getattr(estimate, key).copy() for key in keys}


def total(found, sizes):
    """The sum of P over all functions, with a 95 % interval where each P has an error of its own."""
    mass = sizes * 2.0 ** found["log2_p"]
    result = {"value": float(mass.sum())}
    if "relative_error" in found:
        error = math.sqrt(np.square(mass * np.nan_to_num(found["relative_error"])).sum())
        reach = float(stats.norm.isf(0.025)) * error
        result |= {"low": float(mass.sum() - reach), "high": float(mass.sum() + reach)}
    return result


def agreement(ours, other):
    """How often the intervals of converged classes meet the other's, and by how much the two differ."""
    told = ours["converged"] & np.isfinite(other["log2_p"])
    meet = (ours["log2_low"] <= other["log2_high"]) & (other["log2_low"] <= ours["log2_high"])
    difference = (ours["log2_p"] - other["log2_p"])[told]
    return {
        "classes_converged": int(ours["converged"].sum()),
        "classes_compared": int(told.sum()),
        "intervals_that_meet": int((meet & told).sum()),
        "mean_difference_bits": float(difference.mean()),
        "rms_difference_bits": float(np.sqrt(np.square(difference).mean())),
        "least_log2_p": float(ours["log2_p"][told].min()),
    }


def decades(found, sizes):
    """Mass and its 95 % interval by decade of P, from 10^0 down: functions of 10^-k-1 < P <= 10^-k are entry k."""
    p, mass = 2.0 ** found["log2_p"], sizes * 2.0 ** found["log2_p"]
    error = np.nan_to_num(found.get("relative_error", np.zeros(len(p)))) * mass
    decade = np.floor(-np.log10(np.maximum(p, 1e-300))).astype(int)
    masses, reaches = [], []
    for k in range(decade[p > 0].max() + 1):
        masses.append(float(mass[(decade == k) & (p > 0)].sum()))
        reaches.append(float(stats.norm.isf(0.025) * math.sqrt(np.square(error[decade == k]).sum())))
    return {"mass": masses, "reach": reaches}


def finite(values):
    """Six digits for JSON, which knows no infinities: None in their place."""
    return [x if isinstance(x, bool) else float(f"{x:.6g}") if math.isfinite(x) else None for x in values.tolist()]


def picture(numbers):
    """Differences between the two ways, and mass by decade of P, a row a map."""
    figure = Figure(figsize=(7.2, 4.8))
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.095, top=0.95, hspace=0.42, wspace=0.24)
    for row, (name, found) in zip(figure.subplots(2, 2), numbers.items(), strict=True):
        ours, other = (key for key in found if key in COLORS)
        p, low, high = (np.array(found[ours][key], float) for key in KEYS)
        q = np.array(found[other]["log2_p"], float)
        converged = np.array(found["splitting"]["converged"], bool)
        left, right = row
        for which, color, label in ((~converged, "0.6", "not converged"), (converged, COLORS[ours], "converged")):
            if which.any():
                ends = [np.nan_to_num((p - low)[which], nan=9.0), (high - p)[which]]
                left.errorbar(q[which], (p - q)[which], yerr=ends, fmt="none", elinewidth=0.2, ecolor=color, alpha=0.35)
                left.plot(q[which], (p - q)[which], ".", markersize=2, color=color, label=label)
        ends = [np.array(found[other][key], float) - q for key in KEYS[1:]]
        left.errorbar(q, 0 * q, yerr=np.abs(ends), fmt="none", elinewidth=0.7, ecolor=COLORS[other], label=other)
        left.axhline(0, color="black", linewidth=0.6, zorder=3)
        left.set(ylim=(-3, 3), xlabel=rf"$\log_2 P$ by {other}", ylabel=f"splitting less {other}, bits")
        left.legend(fontsize=7, frameon=False, loc="lower right", ncols=3, markerscale=3)
        left.set_title(f"{name}: {found['functions']:,} functions in {found['classes']:,} classes", fontsize=8)
        for way, shift in ((ours, -0.12), (other, 0.12)):
            mass, reach = (np.array(found["decades"][way][key]) for key in ("mass", "reach"))
            k = np.arange(len(mass)) + shift
            right.errorbar(k, mass, yerr=reach, fmt="o", markersize=2, elinewidth=0.7, color=COLORS[way], label=way)
        right.set_yscale("log", nonpositive="mask")
        right.set(xlabel=r"decade: $10^{-k-1} < P \leq 10^{-k}$, k =", ylabel="mass")
        right.legend(fontsize=7, frameon=False, loc="upper right")
        sums = (
            f"{way} {one['value']:.4f} ± {one['high'] - one['value']:.1g}"
            for way, one in found["sum"].items()
            if "high" in one  # frequencies sum to 1 by themselves
        )
        right.set_title(f"sum of P: {', '.join(sums)}", fontsize=7.5)
        for ax in row:
            ax.tick_params(labelsize=6.5)
            ax.xaxis.label.set_size(8)
            ax.yaxis.label.set_size(8)
    return figure


if __name__ == "__main__":
    quick = {"particles": 60, "replicates": 4, "max_moves": 16, "common_particles": 200}
    run(
        main,
        quick={"net_inputs": 2, "process_inputs": 3, "n_draws": 1_000_000, "net": quick, "process": quick},
        full={
            "net_inputs": 3,
            "process_inputs": 4,
            "n_draws": 100_000_000,
            "net": {"common_particles": 2_000},
            "process": {"particles": 100, "replicates": 4, "max_moves": 16, "common_particles": 5_000},
        },
    )
