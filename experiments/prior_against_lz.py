"""P(f) against Lempel-Ziv complexity for 7-40-40-1 ReLU networks: arXiv 1805.08522's figure and a Gaussian twin."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import NETWORKS

import pfmap
from pfmap import complexity, plots

CONSTANT = {"uniform": 0.105, "Gaussian": 0.364}
"""P of each constant function: read off the paper's figure, and sampled from the same net elsewhere."""

HIGHEST_P = {
    17.5: 6.9e-4,
    21.0: 5.3e-4,
    24.5: 5.6e-4,
    28.0: 7.8e-5,
    35.0: 1.0e-5,
    45.5: 1.65e-6,
    56.0: 1.9e-7,
    66.5: 4e-8,
}
"""Highest frequency among 1e8 samples of the uniform net at each C_LZ, read off the same figure."""

READ_OFF = 0.03
"""Relative error of reading a value off the figure."""


def main(seed, n_samples):
    """Draw both nets, judge by one half of the sample what the other picked, and compare with the published values."""
    figure = Figure(figsize=(7.0, 3.3))
    figure.subplots_adjust(left=0.073, right=0.95, bottom=0.13, top=0.93, wspace=0.36)
    numbers = {}
    for ax, (name, net) in zip(figure.subplots(1, 2), NETWORKS.items(), strict=True):
        counts = pfmap.draw(net, n_samples, seed=seed)
        pick, judge = counts.split(seed=seed)
        prior = pfmap.estimate_prior(judge, at=pick.tables)
        lz = complexity.lempel_ziv(prior.tables)
        bound = pfmap.fit_levin_bound(prior, lz)
        plots.prior_against_complexity(
            prior, lz, bound=bound, ax=ax, label=rf"$C_{{LZ}}$ (words $\times$ $\log_2 N$), {name} weights"
        )
        numbers[name] = {
            "functions_seen": len(counts),
            "unseen_mass": interval(2.0**prior.unseen.log2_p, 2.0**prior.unseen.log2_low, 2.0**prior.unseen.log2_high),
            "fit": {
                "a": {"value": bound.a, "low": bound.a_low, "high": bound.a_high},
                "b": {"value": bound.b, "low": bound.b_low, "high": bound.b_high},
            },
            "constants": constants(judge, CONSTANT[name]),
        }
        if name == "uniform":
            numbers[name]["highest_P_by_complexity"] = highest(counts, prior, lz)
    return figure, numbers


def constants(judge, published):
    """Both constant functions against the published P of each."""
    both = pfmap.estimate_prior(judge, at=pfmap.TruthTables.from_ints([0, 2**128 - 1], 7))
    return {f: compare(both, i, published) for i, f in enumerate(("False", "True"))}


def highest(counts, prior, lz):
    """At each published C_LZ: the function that the other half saw most often, and the published way of reading it."""
    all_lz = complexity.lempel_ziv(counts.tables)
    found = {}
    for K, published in HIGHEST_P.items():
        at = np.flatnonzero(lz == K)
        in_all = counts.counts[all_lz == K]
        # Tables stand most frequent first, so the first one is the choice of the half that picked.
        found[str(K)] = compare(prior, at[0], published) if len(at) else None
        if found[str(K)] is not None:
            found[str(K)]["highest_frequency_in_all"] = in_all[0] / counts.n_samples
            found[str(K)]["functions_seen_in_all"] = len(in_all)
    return found


def compare(prior, i, published):
    """One published value, with its error of reading, against one function's interval.

    "agrees" is null where the judging half holds no such function: its upper limit says nothing for or against.
    """
    least, most = published * (1 - READ_OFF), published * (1 + READ_OFF)
    low, high = 2.0 ** prior.log2_low[i], 2.0 ** prior.log2_high[i]
    return {
        "published": published,
        "published_from": least,
        "published_to": most,
        **interval(2.0 ** prior.log2_p[i], low, high),
        "count": prior.counts[i],
        "ratio": 2.0 ** prior.log2_p[i] / published,
        "agrees": bool(low <= most and least <= high) if prior.counts[i] else None,
    }


def interval(p, low, high):
    """A probability with its 95 % interval."""
    return {"p": p, "low": low, "high": high}


if __name__ == "__main__":
    run(main, quick={"n_samples": 1_000_000}, full={"n_samples": 30_000_000})
