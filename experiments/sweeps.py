"""What depth, width, sigma_w, sigma_b and activation make of the prior, and whether published claims of them hold."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from harness import run
from matplotlib.figure import Figure

import pfmap
from pfmap import Cube, complexity, maps, plots

N_INPUTS = 7
FAIR = maps.GaussianProcess.from_kernel(np.eye(1 << N_INPUTS), Cube(N_INPUTS))
"""All functions equally probable."""
NUMBERS = ("entropy", "constants", "mean_complexity", "slope", "simplicity_bias")
DRAWN = {"constants": "P of both constants", "mean_complexity": "Mean {}", "entropy": "H(P), bits"}
K_NAMES = {"lempel_ziv": "$C_{LZ}$", "entropy": "entropy of f, bits"}
VARIED = {
    "depth": "Hidden layers of ReLU",
    "sigma_b": r"$\sigma_b$ of a perceptron",
    "sigma_w": r"$\sigma_w$",
    "width": "Width of two layers",
    "activation": "Activation of two layers",
}
MORE_BIASED = {"constants": 1, "mean_complexity": -1, "entropy": -1}
LESS_BIASED = {name: -sign for name, sign in MORE_BIASED.items()}


@dataclass(frozen=True)
class Line:
    """The maps of one sweep, K, and the numbers asked whether they rise (+1) or fall (-1) from each map to the next."""

    maps: dict
    measure: complexity.ComplexityMeasure = complexity.lempel_ziv
    asked: dict = field(default_factory=dict)


def deep(activation, sigma_w, depth):
    """A network of arXiv 2304.06670, with its bias terms."""
    return maps.MLP(N_INPUTS, (40,) * depth, activation, sigma_w, 0.025, bias_scaling="fan_out")


def lines(depths, widths, sigmas_w, sigmas_b):
    """What is varied -> name -> Line. Depth and sigma_b are claims of arXiv 1909.11522, sigma_w one of 2304.06670."""
    of_entropy = {"measure": complexity.entropy, "asked": MORE_BIASED}
    return {
        "depth": {
            name: Line({d: maps.MLP(N_INPUTS, (40,) * d, sigma_b=s, inputs=x) for d in depths}, **of_entropy)
            for name, s, x in (("σb = 1", 1.0, "01"), ("no bias terms", 0.0, "01"), ("none, inputs ±1", 0.0, "pm1"))
        },
        "sigma_b": {
            name: Line({s: maps.Perceptron(N_INPUTS, sigma_b=s, inputs=x) for s in sigmas_b}, **of_entropy)
            for name, x in (("inputs 0, 1", "01"), ("inputs ±1", "pm1"))
        },
        "sigma_w": {
            f"{name}, {depth} layers": Line({s: deep(activation, s, depth) for s in sigmas_w}, asked=asked)
            for name, activation, depth, asked in (
                ("tanh", "tanh", 10, LESS_BIASED),
                ("tanh", "tanh", 2, LESS_BIASED),
                ("ReLU", "relu", 10, {}),
            )
        },
        "width": {
            name: Line(
                {str(w): maps.MLP(N_INPUTS, (w, w), name.lower()) for w in widths}
                | {"∞": maps.GaussianProcess(N_INPUTS, 2, name.lower())}
            )
            for name in ("ReLU", "erf")
        },
        "activation": {"": Line({a.replace("_", " "): maps.MLP(N_INPUTS, (40, 40), a) for a in maps.ACTIVATIONS})},
    }


def main(seed, n_samples, depths, widths, sigmas_w, sigmas_b):
    """Sweep by sweep; all intervals drawn hold at once with 95 %."""
    rows = lines(depths, widths, sigmas_w, sigmas_b)
    n_maps = 1 + sum(len(line.maps) for row in rows.values() for line in row.values())
    confidence = 1 - 0.05 / (len(DRAWN) * n_maps)
    fair = pfmap.summarize_prior(pfmap.draw(FAIR, n_samples, seed=seed), confidence=confidence)
    numbers = {"confidence_of_each": confidence, "fair_tables": record(fair)}
    figure = Figure(figsize=(7.0, 8.8))
    figure.subplots_adjust(left=0.075, right=0.99, bottom=0.085, top=0.985, wspace=0.3, hspace=0.42)
    for axes, (varied, row) in zip(figure.subplots(len(rows), len(DRAWN)), rows.items(), strict=True):
        numbers[varied] = {}
        for name, line in row.items():
            found = pfmap.sweep(line.maps, n_samples, measure=line.measure, confidence=confidence, seed=seed)
            print(varied, name, found, sep="\n", flush=True)
            of_maps = {str(label): record(s) for label, s in zip(found.labels, found.summaries, strict=True)}
            monotone = {column: monotony(found, column, sign) for column, sign in line.asked.items()}
            numbers[varied][name] = {"measure": found.measure, "maps": of_maps, "monotone": monotone}
            for ax, (column, label) in zip(axes, DRAWN.items(), strict=True):
                plots.sweep(found, column, ax=ax, label=VARIED[varied], name=name.replace("σb", r"$\sigma_b$") or None)
                ax.set_ylabel(label.format(K_NAMES[line.measure.name]), fontsize=7)
        dress(axes, varied, fair)
    for name, found in numbers["sigma_w"].items():
        found["mean_C_LZ_halfway"] = halfway(found["maps"], numbers["fair_tables"])
        print(name, found["mean_C_LZ_halfway"])
    return figure, numbers


def record(summary):
    """Every number with its interval, None where there is none."""
    found = {}
    for name in NUMBERS:
        number = getattr(summary, name)
        if isinstance(number, pfmap.HypothesisTest):
            low, high = number.effect_interval
            found[name] = {"value": number.effect, "low": low, "high": high, "p_value": number.p_value}
        else:
            found[name] = number and {"value": number.value, "low": number.low, "high": number.high}
    return found


def monotony(found, column, sign):
    """Whether a number goes the way asked from map to map: a step is sure where the intervals do not meet."""
    ends = [(number.low, number.high) for number in (getattr(summary, column) for summary in found.summaries)]

    def step(one, other):
        return sign * (int(other[0] > one[1]) - int(other[1] < one[0]))

    steps = [step(*pair) for pair in pairwise(ends)]
    sure, against = steps.count(1), steps.count(-1)
    if against:
        verdict = "refuted"
    elif sure == len(steps):
        verdict = "at every step"
    else:
        verdict = "from end to end, no step against" if step(ends[0], ends[-1]) == 1 else "undecided"
    asked = "rises" if sign > 0 else "falls"
    return {"asked": asked, "verdict": verdict, "steps": len(steps), "sure": sure, "against": against}


def halfway(of_maps, fair):
    """The sigma_w between which mean C_LZ surely passes the middle of a constant's and that of fair tables."""
    constant = complexity.lempel_ziv(pfmap.TruthTables.from_ints([0], N_INPUTS))[0]
    middle = (constant + fair["mean_complexity"]["value"]) / 2
    means = {float(s): found["mean_complexity"] for s, found in of_maps.items()}
    below = [s for s, mean in means.items() if mean["high"] < middle]
    above = [s for s, mean in means.items() if mean["low"] > middle]
    return {"C_LZ": middle, "sigma_w_above": max(below, default=None), "sigma_w_below": min(above, default=None)}


def dress(axes, varied, fair):
    """Scales, legends, and fair tables where chaos tends to them."""
    for ax in axes:
        ax.tick_params(labelsize=6.5)
        if varied == "sigma_w":
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        elif varied == "activation":
            ax.tick_params(axis="x", rotation=60)
    if varied == "sigma_w":
        for ax, level in zip(axes[1:], (fair.mean_complexity.value, 1 << N_INPUTS), strict=True):
            ax.axhline(level, color="0.5", linestyle=":", linewidth=0.8)
            ax.text(0.5, level, "fair tables", fontsize=6, color="0.4", va="bottom")
            ax.set_ylim(top=1.12 * level)
    if axes[0].get_legend_handles_labels()[1]:
        axes[0].legend(fontsize=6, frameon=False, labelspacing=0.3, handlelength=1.5)


if __name__ == "__main__":
    run(
        main,
        quick={
            "n_samples": 5_000,
            "depths": [0, 1, 2, 4],
            "widths": [2, 8, 32],
            "sigmas_w": [0.5, 1, 2, 4, 8],
            "sigmas_b": [0.0, 0.5, 1.0, 2.0],
        },
        full={
            "n_samples": 100_000,
            "depths": [0, 1, 2, 3, 4, 6, 8, 10],
            "widths": [1, 2, 4, 8, 16, 32, 64, 128],
            "sigmas_w": [0.5, 0.6, 0.71, 0.84, 1, 1.19, 1.41, 2, 2.83, 4, 5.66, 8],
            "sigmas_b": [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0],
        },
    )
