"""Are two maps different? 7-40-40-1 ReLU networks against themselves, uniform weights, infinite width and tanh."""

import math

from harness import run
from matplotlib.figure import Figure
from networks import GAUSSIAN as RELU

import pfmap
from pfmap import complexity, maps, plots

OTHERS = {
    "ReLU, another seed": RELU,
    "ReLU, uniform weights": maps.MLP(7, (40, 40), weights="uniform"),
    "ReLU, infinitely wide": maps.GaussianProcess.limit_of(RELU),
    "tanh": maps.MLP(7, (40, 40), "tanh"),
}
GROUP = RELU.symmetry
AT_LEAST = 30
"""Times that a function came in a half that chooses, to be drawn and correlated."""


def main(seed, n_samples):
    """The test of one prior, distances of functions and of orbits, and the rank correlation at fixed C_LZ."""
    figure = Figure(figsize=(7.0, 6.4))
    figure.subplots_adjust(left=0.07, right=0.99, bottom=0.065, top=0.965, wspace=0.2, hspace=0.27)
    drawn = pfmap.draw(RELU, n_samples, seed=seed)
    numbers, tests, related = {}, [], []
    for i, (ax, (name, net)) in enumerate(zip(figure.subplots(2, 2).flat, OTHERS.items(), strict=True)):
        pair = drawn, pfmap.draw(net, n_samples, seed=seed + 1 + i)
        pooled = tuple(counts.pooled(GROUP) for counts in pair)
        priors = pfmap.paired_priors(*pooled, at_least=AT_LEAST, seed=seed)
        K = complexity.lempel_ziv_over_orders(priors[0].tables)
        tests.append(pfmap.same_prior_test(*pooled, seed=seed))
        related.append(pfmap.correlation_at_fixed_complexity_test(*priors, K.round(), group=GROUP, seed=seed))
        numbers[name] = {"functions": distances(*pair, seed), "orbits": distances(*pooled, seed)}
        plots.prior_against_prior(*priors, ax=ax, labels=("ReLU", name))
        ax.set_title(verdict(tests[-1]), fontsize=7, loc="left", pad=3)
    for key, family in (("same_prior", tests), ("correlation_at_fixed_C_LZ", related)):
        for found, test in zip(numbers.values(), pfmap.correct_family(family), strict=True):
            print(test, flush=True)
            found[key] = record(test)
    return figure, {"with_7-40-40-1_ReLU": numbers}


def distances(one, other, seed):
    """Total variation and both divergences with their intervals; null for an end that no sample gives."""
    found = pfmap.estimate_divergences(one, other, seed=seed)
    named = {"total_variation": found.total_variation, "kl_bits": found.kl, "reverse_kl_bits": found.reverse_kl}
    return {
        name: {"value": e.value, "low": e.low, "high": e.high if math.isfinite(e.high) else None}
        for name, e in named.items()
    }


def record(test):
    """A test of a family, as it prints and as numbers."""
    low, high = test.effect_interval
    return {
        "sentence": str(test),
        "p_value": test.p_value,
        "p_value_after_holm": test.adjusted_p_value,
        "effect": test.effect,
        "low": low,
        "high": high,
    }


def verdict(test):
    """P-value and distance for a panel's title."""
    low, high = test.effect_interval
    confidence = f"{100 * test.confidence:g} %"
    return f"one prior: p = {test.p_value:.2g}; total variation {low:.2g} to {high:.2g} ({confidence})"


if __name__ == "__main__":
    run(main, quick={"n_samples": 100_000}, full={"n_samples": 4_000_000})
