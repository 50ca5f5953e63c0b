"""Is it only class balance? P against C_LZ among functions with one number of ones T, machine by machine.

For the perceptron arXiv 1909.11522 shows it; for networks with hidden layers nothing was published.
"""

import numpy as np
from harness import run
from matplotlib.figure import Figure
from networks import GAUSSIAN

import pfmap
from pfmap import complexity, maps, plots

N_INPUTS = 7
MACHINES = {
    "perceptron": maps.Perceptron(N_INPUTS),
    "ReLU, 1 layer": maps.MLP(N_INPUTS, (40,)),
    "ReLU, 2 layers": GAUSSIAN,
    "ReLU, 4 layers": maps.MLP(N_INPUTS, (40,) * 4),
    "tanh, 2 layers": maps.MLP(N_INPUTS, (40, 40), "tanh"),
}
COLORS = dict(zip(MACHINES, ("#000000", "#56B4E9", "#0072B2", "#009E73", "#D55E00"), strict=True))
SHOWN = "ReLU, 2 layers"
GROUP = ("input_permutations",)
"""What leaves P of every machine here as it is, and T."""

QUESTIONS = {"over all": (), "within T": "hamming_weight", "within T and orbit size": ("hamming_weight", "orbit_size")}


def main(seed, n_samples, most, weights, shown):
    """One half of a sample picks the most frequent orbits of each T, the other judges them; Holm corrects all tests."""
    numbers, tests, drawn = {}, [], {}
    for name, net in MACHINES.items():
        pick, judge = (half.pooled(GROUP) for half in pfmap.draw(net, n_samples, seed=seed).split(seed=1))
        T = pick.tables.hamming_weight()
        chosen = {t: pick.tables[np.flatnonzero(t == T)[:most]] for t in weights}
        priors = {t: pfmap.estimate_prior(judge, at=tables) for t, tables in chosen.items() if len(tables) > 2}
        K = {t: complexity.lempel_ziv_over_orders(prior.tables) for t, prior in priors.items()}
        every = pfmap.estimate_prior(judge, at=pfmap.concatenate([prior.tables for prior in priors.values()]))
        numbers[name] = {"orbits": len(every), "by_T": {}}
        of_all = np.concatenate(list(K.values()))
        own = [(numbers[name], question, every, of_all, within) for question, within in QUESTIONS.items()]
        own += [(numbers[name]["by_T"], str(t), prior, K[t], ()) for t, prior in priors.items()]
        for place, key, prior, complexities, within in own:
            try:
                test = pfmap.simplicity_bias_test(prior, complexities, within=within, group=GROUP, seed=seed)
            except pfmap.TooFewSamples:
                continue  # P is the same for all, or K
            tests.append((place, key, test))
        if name == SHOWN:
            drawn = {t: (K[t], priors[t]) for t in shown}
        print(name, *(test for place, _, test in tests if place is numbers[name]), sep="\n", flush=True)
    corrected = pfmap.correct_family([test for *_, test in tests])
    for (place, key, _), test in zip(tests, corrected, strict=True):
        low, high = test.effect_interval
        place[key] = {"correlation": test.effect, "low": low, "high": high, "adjusted_p_value": test.adjusted_p_value}
    for found in numbers.values():
        negative = [row["correlation"] < 0 and row["adjusted_p_value"] < 0.05 for row in found["by_T"].values()]
        found["T_with_bias_after_Holm"] = sum(negative)
        found["T_tested"] = len(negative)
    return picture(numbers, drawn), numbers


def picture(numbers, drawn):
    """P against C_LZ at several T of one machine; the rank correlation within each T of all."""
    figure = Figure(figsize=(2 * plots.WIDTH, 3.0))
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.145, top=0.93, wspace=0.24)
    left, right = figure.subplots(1, 2)
    for color, (t, (K, prior)) in zip(plots.style.SERIES, drawn.items(), strict=False):
        came = np.isfinite(prior.log2_p)
        left.plot(K[came], prior.log2_p[came], ".", color=color, markersize=2, label=f"T = {t}", rasterized=True)
    left.set_title(f"7-40-40-1 {SHOWN.split(',')[0]}: functions with T ones", fontsize=8)
    left.set_xlabel("$C_{LZ}$, mean over input orders", fontsize=8)
    left.set_ylabel(r"$\log_2 P$ of a function", fontsize=8)
    left.legend(fontsize=7, frameon=False, markerscale=3)
    for i, (name, found) in enumerate(numbers.items()):
        T = np.array([int(t) for t in found["by_T"]])
        ends = ("correlation", "low", "high")
        r, low, high = (np.array([row[key] for row in found["by_T"].values()]) for key in ends)
        style = {"fmt": "o", "markersize": 2, "elinewidth": 0.6, "color": COLORS[name], "label": name}
        right.errorbar(T + 0.5 * (i - 2), r, [r - low, high - r], **style)
    right.axhline(0, color="0.5", linewidth=0.8)
    right.set(ylim=(-1, 0.25), xticks=range(0, 129, 16))
    right.set_title("within one T", fontsize=8)
    right.set_xlabel("Ones in the table, T", fontsize=8)
    right.set_ylabel("rank correlation of P and $C_{LZ}$", fontsize=8)
    place = {"loc": "upper center", "facecolor": "white", "framealpha": 1.0, "edgecolor": "none"}
    right.legend(fontsize=6.5, ncols=3, columnspacing=1, handletextpad=0.1, **place)
    for ax in (left, right):
        ax.tick_params(labelsize=7)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"n_samples": 100_000, "most": 100, "weights": list(range(8, 128, 8)), "shown": [16, 32, 64]},
        full={"n_samples": 4_000_000, "most": 500, "weights": list(range(4, 128, 4)), "shown": [8, 16, 32, 64]},
    )
