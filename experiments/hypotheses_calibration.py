"""How often each test rejects at 0.05: where its null is true, and where simplicity bias is planted."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
from harness import run
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from measures import measures_of
from scipy import stats

import pfmap
from pfmap import FunctionCounts, TruthTables, complexity
from pfmap.bounds import LevinBound
from pfmap.prior import lower_limit, upper_limit
from pfmap.streams import generator

N_INPUTS = 4
EVERY = TruthTables.from_ints(range(1 << 16), N_INPUTS)
C = complexity.circuit_size(EVERY)
T = complexity.type_code(EVERY)
BACKWARD = EVERY.permute_inputs(range(N_INPUTS - 1, -1, -1)).words()[:, 0].astype(np.int64)
STRENGTHS = (0.1, 0.3, 1.0)
ALPHA = 0.05
FUNCTIONS_A_LEVEL = 40
SHADES = ("#9ECAE1", "#4292C6", "#08306B")
COLORS = {"uniform": "#0072B2", "Zipf": "#D55E00", "T alone": "#009E73"}


@complexity.measure(unit="words × log2 N", invariance={"complement", "reversal"}, is_code_length=False)
def lempel_ziv_backward(tables):
    """C_LZ with the inputs in the opposite order."""
    return complexity.lempel_ziv(tables.permute_inputs(range(tables.n_inputs - 1, -1, -1)))


PAIR = (complexity.lempel_ziv, lempel_ziv_backward)


@dataclass(frozen=True)
class Law:
    """P over all functions up to a factor, and what tests that need more than C and P are asked about it."""

    p: np.ndarray
    p_pair: np.ndarray  # for the tests of PAIR
    base: complexity.ComplexityMeasure  # of which C is asked whether it adds to it
    K: np.ndarray  # of the bound
    bound: LevinBound


def line(a, b):
    """A bound known beforehand."""
    return LevinBound(a, b, a, a, b, b, 1.0, "a priori")


def uniform(rng):
    """All functions are equally probable, 2^-16, on a flat bound."""
    return Law(np.ones(1 << 16), np.ones(1 << 16), complexity.type_code, C, line(0.0, 16.0))


def zipf(rng):
    """1 / rank in octaves, 2^-floor(log2 rank), ranks dealt out to functions at random: on the bound of that K."""
    octave = np.floor(np.log2(1.0 + rng.permutation(1 << 16)))
    p = 2.0**-octave

    @complexity.measure(unit="bits", invariance=set(), is_code_length=False)
    def octave_of_rank(tables):
        return at_tables(octave, tables)

    return Law(p, p + p[BACKWARD], octave_of_rank, octave, line(1.0, math.log2(p.sum())))


def of_weight(rng):
    """All T are equally probable: P is 2^-K of the type code, on its bound."""
    p = 2.0**-T
    return Law(p, p, complexity.type_code, T, line(1.0, 0.0))


def planted(a):
    """2^(-a C), and 2^(-a C_LZ / 4) for the pair; the bound is that of equally probable functions."""
    return Law(2.0 ** (-a * C), 2.0 ** (-a * PAIR[0](EVERY) / 4), complexity.type_code, C, line(0.0, 16.0))


LAWS = {"uniform": uniform, "Zipf": zipf, "T alone": of_weight}
NOMINAL, AT_MOST = "0.05", "at most 0.05"
EVERY_LAW, UNRELATED = dict.fromkeys(LAWS, NOMINAL), {"uniform": NOMINAL, "Zipf": NOMINAL}
# Simple functions are unbalanced, so a P of T alone is no null of the tests that do not look within T. Tests of a bound
# assume nothing of functions below it, and on the uniform law two measures that explain nothing differ by nothing.
NULLS = {
    "simplicity bias": UNRELATED,
    "  within one T": EVERY_LAW,
    "  within one entropy": EVERY_LAW,
    "  within one orbit size": UNRELATED,
    "slope against its control": UNRELATED,
    "any of these, Holm": dict.fromkeys(UNRELATED, AT_MOST),
    "above a bound": dict.fromkeys(LAWS, AT_MOST),
    "slope of a bound": dict.fromkeys(LAWS, AT_MOST),
    "offset of a bound": dict.fromkeys(LAWS, AT_MOST),
    "two measures equal": {**EVERY_LAW, "uniform": AT_MOST},
    "one is the best": {**EVERY_LAW, "uniform": AT_MOST},
    "a second adds nothing": EVERY_LAW,
    "two maps have one prior": EVERY_LAW,
    "unrelated at fixed K": UNRELATED,
}
STRATA = {
    "simplicity bias": (),
    **{
        f"  within one {w}": s
        for w, s in (("T", "hamming_weight"), ("entropy", "entropy"), ("orbit size", "orbit_size"))
    },
}


def main(seed, n_runs, n_two_maps, n_power, n_samples, n_bound_samples, n_planted, n_planted_samples):
    """Reject at 0.05 under priors without simplicity bias; plant 2^(-a C); plant each measure and ask which it is."""
    rng = generator(seed, "hypotheses calibration")
    of_one = partial(p_values, rng, n_samples=n_samples, n_bound_samples=n_bound_samples)
    of_two = partial(p_values_of_two_maps, rng, n_samples=n_samples)
    levels, power = {name: {} for name in NULLS}, {name: {} for name in NULLS}
    for name, law in LAWS.items():
        alike = {
            **rejections(lambda law=law: of_one(law(rng)), n_runs),
            **rejections(lambda law=law: of_two(law(rng), law(rng)), n_two_maps),
        }
        for test, found in alike.items():
            if name in NULLS[test]:
                levels[test][name] = against_the_nominal(found, NULLS[test][name])
        print(f"{name}: {n_runs:,} samples", flush=True)
    for a in STRENGTHS:
        law = planted(a)
        biased = {
            **rejections(lambda law=law: of_one(law), n_power),
            **rejections(lambda law=law: of_two(law, law, other=uniform(rng)), n_power),
        }
        for test, found in biased.items():
            power[test][str(a)] = found
        print(f"planted a = {a}: {n_power:,} samples", flush=True)
    named = planted_measures(rng, n_planted, n_planted_samples)
    show(levels, power, named)
    return draw(levels, power), {"level": levels, "power": power, "planted_measure": named}


def rejections(p_values_of_a_run, n_runs):
    """How often each test rejects, with an interval."""
    rejected = Counter()
    for _ in range(n_runs):
        rejected.update({name: int(p <= ALPHA + 1e-12) for name, p in p_values_of_a_run().items()})
    return {name: rate(k, n_runs) for name, k in rejected.items()}


def rate(k, n):
    """A rate with its Clopper-Pearson interval."""
    low, high = (float(2.0 ** limit(np.array([k]), n, 0.025)[0]) for limit in (lower_limit, upper_limit))
    return {"rejected": k, "runs": n, "rate": k / n, "low": low, "high": high}


def against_the_nominal(found, nominal):
    """Whether Binomial(runs, 0.05) gives so many in 99.9 % of experiments, or more, where it is a limit."""
    least, most = stats.binom.interval(0.999, found["runs"], ALPHA)
    is_within = found["rejected"] <= most and (nominal == AT_MOST or found["rejected"] >= least)
    return {**found, "nominal": nominal, "is_within": bool(is_within)}


def p_values(rng, law, n_samples, n_bound_samples):
    """The p-value of each test of one map, by name, from one sample of each size."""
    seed = int(rng.integers(1 << 32))
    prior, K = judged(sampled(rng, law.p, n_samples), C)
    family = {
        name: attempt(pfmap.simplicity_bias_test, prior, K, within=within, permutations=199, seed=seed)
        for name, within in STRATA.items()
    }
    many = rng.multinomial(n_bound_samples, law.p / law.p.sum())
    family["slope against its control"] = pfmap.levin_slope_test(*chosen(rng, many, C), permutations=19, seed=seed)
    corrected = pfmap.correct_family([test for test in family.values() if test is not None])
    at_bound = *chosen(rng, many, law.K), law.bound
    slope, offset = pfmap.levin_line_tests(*at_bound)
    compared = pfmap.which_complexity(sampled(rng, law.p_pair, n_samples), PAIR)
    backward = compared.names.index(lempel_ziv_backward.name)
    added = pfmap.added_complexity_test(sampled(rng, law.p, n_samples), law.base, complexity.circuit_size)
    return {
        **{name: 1.0 if test is None else test.p_value for name, test in family.items()},
        "any of these, Holm": min(test.adjusted_p_value for test in corrected),
        "above a bound": pfmap.levin_bound_test(*at_bound).p_value,
        "slope of a bound": slope.p_value,
        "offset of a bound": offset.p_value,
        "two measures equal": compared.difference(*(m.name for m in PAIR)).p_value,
        "one is the best": compared.best_tests()[backward].p_value,
        "a second adds nothing": added.p_value,
    }


def p_values_of_two_maps(rng, law, independent, n_samples, other=None):
    """The p-value of each test of two maps, by name: of one law twice, and of laws dealt out independently."""
    seed = int(rng.integers(1 << 32))
    counts = [sampled(rng, p, n_samples) for p in (law.p, (law if other is None else other).p)]
    one, two = sampled(rng, law.p_pair, n_samples), sampled(rng, independent.p_pair, n_samples)
    pick, judge = one.split(seed=1)
    priors = [pfmap.estimate_prior(judging, at=pick.tables) for judging in (judge, two)]
    at_fixed_K = pfmap.hypotheses.correlation_at_fixed_complexity_test
    unrelated = attempt(at_fixed_K, *priors, at_tables(C, pick.tables), permutations=199, seed=seed)
    return {
        "two maps have one prior": pfmap.hypotheses.same_prior_test(*counts, permutations=199, seed=seed).p_value,
        "unrelated at fixed K": 1.0 if unrelated is None else unrelated.p_value,
    }


def attempt(test, *arguments, **options):
    """The test, or None where the sample is too small for it."""
    try:
        return test(*arguments, **options)
    except pfmap.TooFewSamples:
        return None


def sampled(rng, p, n_samples):
    """A sample of functions with these probabilities."""
    counts = rng.multinomial(n_samples, p / p.sum())
    came = np.flatnonzero(counts)
    return FunctionCounts.from_unordered(EVERY[came], counts[came])


def at_tables(of_all, tables):
    """Entries of a list over all functions."""
    return of_all[tables.words()[:, 0].astype(np.int64)]


def judged(counts, of_all):
    """The prior at the functions of one half by the other, and their complexities."""
    pick, judge = counts.split(seed=1)
    prior = pfmap.estimate_prior(judge, at=pick.tables)
    return prior, at_tables(of_all, prior.tables)


def chosen(rng, counts, of_all):
    """The prior at up to 40 functions of each complexity, chosen at random, and their complexities."""
    shuffled = rng.permutation(len(of_all))
    order = shuffled[np.argsort(of_all[shuffled], kind="stable")]
    first = np.unique(of_all[order], return_index=True, return_inverse=True)
    rows = order[np.arange(len(order)) - first[1][first[2]] < FUNCTIONS_A_LEVEL]
    listed = FunctionCounts.from_unordered(EVERY[rows], counts[rows], n_samples=int(counts.sum()), at_least=0)
    prior = pfmap.estimate_prior(listed, at=listed.tables)
    return prior, at_tables(of_all, prior.tables)


def planted_measures(rng, n_planted, n_samples):
    """P proportional to 2^(-K0 / sd of K0): how often which_complexity names K0, or one that is not told from it."""
    measures = list(measures_of(N_INPUTS).values())
    found = {}
    for measure in measures:
        K = measure(EVERY)
        p = 2.0 ** (-K / K.std())
        results = [pfmap.which_complexity(sampled(rng, p, n_samples), measures) for _ in range(n_planted)]
        first = [result.names[0] for result in results]
        told_apart = [
            name != measure.name and not includes_0(result.difference(name, measure.name))
            for name, result in zip(first, results, strict=True)
        ]
        sets = [result.contenders for result in results]
        found[measure.name] = {
            "runs": n_planted,
            "first": first.count(measure.name),
            "first_or_not_told_from_the_first": n_planted - sum(told_apart),
            "among_the_contenders": sum(measure.name in names for names in sets),
            "mean_number_of_contenders": sum(map(len, sets)) / max(n_planted, 1),
        }
    return found


def includes_0(test):
    """Whether the interval of the effect does."""
    return test.effect_interval[0] <= 0 <= test.effect_interval[1]


def show(levels, power, named):
    """Print every rate."""
    print(
        f"{'rejected at 0.05':28}"
        + "".join(f"{name:>22}" for name in (*LAWS, *(f"planted a = {a}" for a in STRENGTHS)))
    )
    for test in NULLS:
        cells = [levels[test].get(law) for law in LAWS] + [power[test][str(a)] for a in STRENGTHS]
        print(f"{test:28}" + "".join(f"{'' if c is None else cell(c):>22}" for c in cells))
    for name, found in named.items():
        print(f"planted {name:26}" + ", ".join(f"{key} {value:g}" for key, value in found.items()))


def cell(found):
    """Rate and interval, marked where it is off."""
    return (
        f"{found['rate']:.4f} ({found['low']:.3f} to {found['high']:.3f}){'' if found.get('is_within', True) else '!'}"
    )


def draw(levels, power):
    """Rejections with their intervals: left where the null is true, right with simplicity bias planted."""
    figure = Figure(figsize=(7.0, 3.6))
    figure.subplots_adjust(left=0.185, right=0.985, bottom=0.115, top=0.93, wspace=0.05)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    n_runs = next(iter(levels["simplicity bias"].values()))["runs"]
    least, most = (k / n_runs for k in stats.binom.interval(0.999, n_runs, ALPHA))
    left.axvspan(least, most, color="0.9", linewidth=0)
    left.axvline(ALPHA, color="black", linewidth=0.8)
    for row, name in enumerate(levels):
        for law, found in levels[name].items():
            is_limit = found["nominal"] == AT_MOST
            mark(left, found, row + 0.25 * (list(COLORS).index(law) - 1), COLORS[law], "white" if is_limit else None)
        for i, found in enumerate(power[name].values()):
            mark(right, found, row + 0.25 * (i - 1), SHADES[i])
    left.set_yticks(range(len(levels)), levels, fontsize=6.5)
    left.set_ylim(len(levels) - 0.5, -0.5)
    left.set_xlim(-0.002, max(0.09, 1.05 * most))
    right.set_xlim(-0.02, 1.02)
    left.set_xlabel("Rejected at 0.05, null true", fontsize=7)
    right.set_xlabel("Rejected at 0.05, P ∝ $2^{-aK}$ planted", fontsize=7)
    handle = partial(Line2D, [], [], marker="o", markersize=3, linewidth=1)
    of_levels = [handle(color=c) for c in COLORS.values()] + [handle(color="0.4", mfc="white")]
    of_power = [handle(color=c) for c in SHADES]
    for ax, handles, names in (
        (left, of_levels, (*COLORS, "0.05 is a limit")),
        (right, of_power, [f"a = {a}" for a in STRENGTHS]),
    ):
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.985), "columnspacing": 1, "handlelength": 1.5}
        ax.legend(handles, names, ncols=4, fontsize=6.5, frameon=False, **place)
        ax.tick_params(labelsize=6.5)
        ax.grid(axis="y", color="0.93", linewidth=0.5)
        ax.set_axisbelow(True)
    right.tick_params(left=False)
    return figure


def mark(ax, found, at, color, face=None):
    """A rate with its interval."""
    ax.plot([found["low"], found["high"]], [at, at], color=color, linewidth=1)
    ax.plot(found["rate"], at, "o", color=color, markersize=2.8, mfc=face or color, mew=0.7)


if __name__ == "__main__":
    run(
        main,
        quick={
            "n_runs": 20,
            "n_two_maps": 5,
            "n_power": 5,
            "n_samples": 10_000,
            "n_bound_samples": 3_000_000,
            "n_planted": 1,
            "n_planted_samples": 100_000,
        },
        full={
            "n_runs": 2_000,
            "n_two_maps": 2_000,
            "n_power": 200,
            "n_samples": 10_000,
            "n_bound_samples": 3_000_000,
            "n_planted": 100,
            "n_planted_samples": 1_000_000,
        },
    )
