"""Are two maps different? ReLU networks against themselves, other weights and tanh; and how often the test errs."""

import numpy as np
from harness import run
from matplotlib.figure import Figure

import pfmap
from pfmap import FunctionCounts, TruthTables, complexity, maps, plots
from pfmap.prior import lower_limit, upper_limit
from pfmap.streams import generator

RELU = maps.MLP(7, (40, 40))
OTHERS = {
    "ReLU, another seed": RELU,
    "ReLU, uniform weights": maps.MLP(7, (40, 40), weights="uniform"),
    "tanh": maps.MLP(7, (40, 40), "tanh"),
}
GROUP = RELU.symmetry
AT_LEAST = 4
ALPHA = 0.05
STRENGTHS = (0.05, 0.1, 0.2)
EVERY = TruthTables.from_ints(range(1 << 16), 4)
C = complexity.circuit_size(EVERY)
WEIGHT = EVERY.hamming_weight()
LAWS = {
    "uniform": np.ones(1 << 16),
    "Zipf": 1 / (1.0 + np.arange(1 << 16)),
    "T alone": 1 / np.bincount(WEIGHT)[WEIGHT],
}


def main(seed, n_samples, n_runs, n_small):
    """Compare 7-40-40-1 ReLU networks with three others, orbit by orbit; then simulate the test where it should err."""
    figure = Figure(figsize=(7.0, 2.75))
    figure.subplots_adjust(left=0.065, right=0.99, bottom=0.155, top=0.91, wspace=0.27)
    drawn = pfmap.draw(RELU, n_samples, seed=seed)
    numbers, tests = {}, []
    for i, (ax, (name, net)) in enumerate(zip(figure.subplots(1, 3), OTHERS.items(), strict=True)):
        other = pfmap.draw(net, n_samples, seed=seed + 1 + i)
        found, test = compare(drawn, other, seed)
        numbers[name], tests = found, [*tests, test]
        scatter(ax, drawn, other, name, seed)
    for found, test in zip(numbers.values(), pfmap.correct_family(tests), strict=True):
        found["p_value_after_holm"] = test.adjusted_p_value
    rng = generator(seed, "two maps")
    level = {law: rejections(rng, p, p, n_runs, n_small) for law, p in LAWS.items()}
    power = {str(a): rejections(rng, LAWS["Zipf"], LAWS["Zipf"] * 2.0 ** (-a * C), n_runs, n_small) for a in STRENGTHS}
    return figure, {"with_7-40-40-1_ReLU": numbers, "level": level, "power_against_a_planted_2^(-aC)": power}


def compare(one, other, seed):
    """The test of one prior and the distances, of functions and of orbits."""
    pooled = one.pooled(GROUP), other.pooled(GROUP)
    test = pfmap.same_prior_test(*pooled, seed=seed)
    priors = pfmap.paired_priors(*pooled, at_least=AT_LEAST, seed=seed)
    related = pfmap.correlation_at_fixed_complexity_test(*priors, complexity.lempel_ziv(priors[0].tables), seed=seed)
    print(test, related, sep="\n")
    numbers = {"sentence": str(test), "p_value": test.p_value}
    for kind, pair in (("functions", (one, other)), ("orbits", pooled)):
        found = pfmap.estimate_divergences(*pair, seed=seed)
        numbers[kind] = {
            "total_variation": ends(found.total_variation),
            "kl_bits": ends(found.kl),
            "reverse_kl_bits": ends(found.reverse_kl),
        }
    low, high = related.effect_interval
    numbers["correlation_at_fixed_C_LZ"] = {
        "value": related.effect,
        "low": low,
        "high": high,
        "p_value": related.p_value,
        "evidence": related.evidence,
    }
    return numbers, test


def ends(estimate):
    """A number with its interval; null for an end that no sample gives."""
    high = estimate.high if np.isfinite(estimate.high) else None
    return {"value": estimate.value, "low": estimate.low, "high": high}


def scatter(ax, one, other, name, seed):
    """P against P of orbits' representatives, judged by the halves that did not pick them."""
    priors = pfmap.paired_priors(one.pooled(GROUP), other.pooled(GROUP), at_least=AT_LEAST, seed=seed)
    plots.prior_against_prior(*priors, ax=ax, labels=("ReLU", name))


def rejections(rng, p, q, n_runs, n_samples):
    """How often the test rejects at 0.05, with an interval."""
    k = sum(
        pfmap.same_prior_test(
            sampled(rng, p / p.sum(), n_samples), sampled(rng, q / q.sum(), n_samples), permutations=99, seed=i
        ).p_value
        <= ALPHA
        for i in range(n_runs)
    )
    low, high = (float(2.0 ** limit(np.array([k]), n_runs, 0.025)[0]) for limit in (lower_limit, upper_limit))
    return {"rejected": int(k), "runs": n_runs, "rate": k / n_runs, "low": low, "high": high}


def sampled(rng, p, n_samples):
    """A sample of functions with these probabilities."""
    counts = rng.multinomial(n_samples, p)
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(EVERY[came], counts[came])


if __name__ == "__main__":
    run(
        main,
        quick={"n_samples": 100_000, "n_runs": 20, "n_small": 3_000},
        full={"n_samples": 2_000_000, "n_runs": 2_000, "n_small": 3_000},
    )
