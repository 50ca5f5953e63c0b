"""How often each test rejects at 0.05: where its null is true, and where simplicity bias is planted."""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from measures import measures_of

import pfmap
from pfmap import FunctionCounts, TruthTables, complexity
from pfmap.prior import lower_limit, upper_limit
from pfmap.streams import generator

N_INPUTS = 4
EVERY = TruthTables.from_ints(range(1 << 16), N_INPUTS)
WEIGHT = EVERY.hamming_weight()
BACKWARD = EVERY.permute_inputs(range(N_INPUTS - 1, -1, -1)).words()[:, 0].astype(np.int64)
STRENGTHS = (0.1, 0.3, 1.0)
ALPHA = 0.05
COLORS = {"uniform": "#0072B2", "Zipf": "#D55E00", "T alone": "#009E73"}


@complexity.measure(unit="words × log2 N", invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv_backward(tables):
    """C_LZ with the inputs in the opposite order."""
    return complexity.lempel_ziv(tables.permute_inputs(range(tables.n_inputs - 1, -1, -1)))


PAIR = (complexity.lempel_ziv, lempel_ziv_backward)


def zipf(rng):
    """1 / rank, ranks dealt out to functions at random, then made even under the opposite order of inputs."""
    p = 1 / (1.0 + rng.permutation(1 << 16))
    return p + p[BACKWARD]


LAWS = {
    "uniform": lambda rng: np.ones(1 << 16),
    "Zipf": zipf,
    "T alone": lambda rng: 1 / np.bincount(WEIGHT)[WEIGHT],
}
# Simple functions are unbalanced, so a P of T alone is no null of the tests that do not look within T.
NULLS = {
    "simplicity bias": ("uniform", "Zipf"),
    "within one T": ("uniform", "Zipf", "T alone"),
    "slope against its control": ("uniform", "Zipf"),
    "two measures equal": ("uniform", "Zipf", "T alone"),
}


def main(seed, n_runs, n_samples, n_planted, n_planted_samples):
    """Reject at 0.05 under priors without simplicity bias; plant 2^(-a C); plant each measure and ask which it is."""
    rng = generator(seed, "hypotheses calibration")
    C = complexity.circuit_size(EVERY)
    levels = {
        name: {law: rejections(rng, test, LAWS[law], n_runs, n_samples) for law in NULLS[name]}
        for name, test in TESTS.items()
    }
    power = {
        name: {str(a): rejections(rng, test, lambda _, a=a: 2.0 ** (-a * C), n_runs, n_samples) for a in STRENGTHS}
        for name, test in TESTS.items()
        if test is not equal_measures
    }
    power["two measures equal"] = {
        str(a): rejections(rng, equal_measures, lambda _, a=a: 2.0 ** (-a * PAIR[0](EVERY) / 4), n_runs, n_samples)
        for a in STRENGTHS
    }
    named = planted_measures(rng, n_planted, n_planted_samples)
    return draw(levels, power), {"level": levels, "power": power, "planted_measure_among_the_contenders": named}


def rejections(rng, test, law, n_runs, n_samples):
    """How often a test rejects, with an interval; a sample that is too small to tell rejects nothing."""
    k = too_few = 0
    for _ in range(n_runs):
        p = law(rng)
        try:
            k += test(sampled(rng, p / p.sum(), n_samples), int(rng.integers(1 << 32))) <= ALPHA
        except pfmap.TooFewSamples:
            too_few += 1
    low, high = (float(2.0 ** limit(np.array([k]), n_runs, 0.025)[0]) for limit in (lower_limit, upper_limit))
    return {"rejected": int(k), "too_few": too_few, "runs": n_runs, "rate": k / n_runs, "low": low, "high": high}


def sampled(rng, p, n_samples):
    """A sample of functions with these probabilities."""
    counts = rng.multinomial(n_samples, p)
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(EVERY[came], counts[came])


def judged(counts):
    """The prior at the functions of one half by the other, and their circuit sizes."""
    pick, judge = counts.split(seed=1)
    prior = pfmap.estimate_prior(judge, at=pick.tables)
    return prior, complexity.circuit_size(prior.tables)


def simplicity_bias(counts, seed):
    """p-value."""
    return pfmap.simplicity_bias_test(*judged(counts), permutations=199, seed=seed).p_value


def within_weight(counts, seed):
    """p-value."""
    return pfmap.simplicity_bias_test(*judged(counts), within="hamming_weight", permutations=199, seed=seed).p_value


def slope(counts, seed):
    """p-value."""
    return pfmap.levin_slope_test(*judged(counts), permutations=19, seed=seed).p_value


def equal_measures(counts, seed):
    """p-value."""
    return pfmap.which_complexity(counts, PAIR).difference(*(m.name for m in PAIR)).p_value


TESTS = dict(zip(NULLS, (simplicity_bias, within_weight, slope, equal_measures), strict=True))


def planted_measures(rng, n_planted, n_samples):
    """P proportional to 2^(-K0 / sd of K0): how often K0 may be the best, and the sizes of these sets together."""
    measures = list(measures_of(N_INPUTS).values())
    found = {}
    for measure in measures:
        K = measure(EVERY)
        p = 2.0 ** (-K / K.std())
        sets = [
            pfmap.which_complexity(sampled(rng, p / p.sum(), n_samples), measures).contenders for _ in range(n_planted)
        ]
        found[measure.name] = {
            "named": sum(measure.name in names for names in sets),
            "runs": n_planted,
            "size_of_the_sets": sum(map(len, sets)),
        }
    return found


def draw(levels, power):
    """Rejections with their intervals: left where the null is true, right against the planted strength."""
    figure = Figure(figsize=(6.8, 2.6))
    figure.subplots_adjust(left=0.2, right=0.985, bottom=0.19, top=0.84, wspace=0.3)
    left, right = figure.subplots(1, 2)
    for row, found in enumerate(levels.values()):
        for law, rate in found.items():
            at = row + 0.2 * (list(COLORS).index(law) - 1)
            left.plot([rate["low"], rate["high"]], [at, at], color=COLORS[law], linewidth=1)
            left.plot(rate["rate"], at, "o", color=COLORS[law], markersize=3)
    left.axvline(ALPHA, color="black", linewidth=0.8)
    left.set_yticks(range(len(levels)), levels, fontsize=7)
    left.set_xlim(0, None)
    left.invert_yaxis()
    left.set_xlabel("Rejected at 0.05, null true", fontsize=8)
    handles = [Line2D([], [], color=c, marker="o", markersize=3, linewidth=1) for c in COLORS.values()]
    left.legend(handles, COLORS, ncols=3, fontsize=6.5, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    for (name, found), marker in zip(power.items(), "os^D", strict=True):
        right.plot(STRENGTHS, [r["rate"] for r in found.values()], marker=marker, markersize=3, linewidth=1, label=name)
    right.set_xscale("log")
    right.set_xticks(STRENGTHS, [str(a) for a in STRENGTHS])
    right.minorticks_off()
    right.set_ylim(-0.03, 1.03)
    right.set_xlabel("Planted strength a, bits a unit of K", fontsize=8)
    right.set_ylabel("Rejected at 0.05", fontsize=8)
    right.legend(fontsize=6.5, frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for ax in (left, right):
        ax.tick_params(labelsize=7)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"n_runs": 20, "n_samples": 10_000, "n_planted": 1, "n_planted_samples": 100_000},
        full={"n_runs": 2_000, "n_samples": 10_000, "n_planted": 100, "n_planted_samples": 1_000_000},
    )
