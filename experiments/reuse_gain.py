"""Effective samples a CPU second by decade of P: independent networks, reused hidden layers, a fixed set, orbits."""

import json
import math
import time

import numpy as np
from harness import run
from matplotlib.figure import Figure

import pfmap
from pfmap import maps
from pfmap.kernels.members import find_members, index_members
from pfmap.sampling.reuse import Reuse, choose_reuse
from pfmap.symmetry import canonicalize

NETS = {
    "sigma_w = 1, sigma_b = 1": maps.MLP(7, (40, 40)),
    "sigma_w = sqrt 2, sigma_b = 0.2": maps.MLP(7, (40, 40), sigma_w=math.sqrt(2.0), sigma_b=0.2),
}
TARGETS = {  # gains over independent networks
    "sigma_w = 1, sigma_b = 1": {
        "reuse": {"1e-5": 50, "1e-6": 70},
        "fixed set": {"1e-5": 100, "1e-6": 100},
        "reuse, pooled": {"1e-5": 4_000, "1e-6": 20_000},
    },
    "sigma_w = sqrt 2, sigma_b = 0.2": {"reuse": {"1e-3": 20, "1e-4": 50}},
}
WAYS = ("reuse", "fixed set", "reuse, pooled", "fixed set, pooled")
CUTS = [Reuse(2, 16), Reuse(2, 24), Reuse(2, 32), Reuse(2, 48), Reuse(4, 4), Reuse(4, 6)]
GROUP = ("input_permutations", "complement")
DECADES = [f"1e-{k}" for k in range(1, 8)]


def main(seed, rounds, n_pilot, n_functions, n_timed):
    """Design effects from the squares of a run of its own; rates of draw() in interleaved rounds, at their best."""
    numbers, measured = {"targets": TARGETS, "networks": {}}, {}
    for name, net in NETS.items():
        pilot = Pilot(net, seed + 1, n_pilot)
        chosen = choose_reuse(net)
        ways = pilot.asked()
        effects = {cut: {} for cut in CUTS}
        for cut in CUTS:
            for way, asked in ways.items():
                everything = {key: value for key, value in asked.items() if key != "at_least"}
                counts = pfmap.draw(net, n_functions, seed=seed, reuse=cut, **everything)
                effects[cut][way] = pilot.design_effects(counts)
        rates = functions_a_second(net, ways, seed, rounds, n_timed)
        gains = {
            label(cut): {
                way: {d: rates[label(cut)][way] / effect / rates["independent"] for d, effect in by_decade.items()}
                for way, by_decade in ways.items()
            }
            for cut, ways in effects.items()
        }
        numbers["networks"][name] = {
            "reuse": label(chosen),
            "design_effects": {label(cut): ways for cut, ways in effects.items()},
        }
        measured[name] = {"functions_a_cpu_second": rates, "gains": gains}
        print(name, json.dumps(measured[name], indent=1), flush=True)
    return picture(numbers, measured), numbers, measured


def label(cut):
    """As a key of the JSON."""
    return f"G = {cut.groups}, m = {cut.draws}"


class Pilot:
    """Orbits and their probabilities from a seed of their own: decades, and the sets to count."""

    def __init__(self, net, seed, n_functions):
        counts = pfmap.draw(net, n_functions, seed=seed, reuse="auto", pool="orbits", at_least=20)
        self.tables = counts.tables
        self.p = counts.counts / counts.n_samples / canonicalize(counts.tables, group=GROUP).orbit_sizes
        keys = self.tables.words()
        self.index = index_members([(keys, np.arange(len(keys)))], len(keys), len(keys), net.domain.n_points)
        self.decade = np.ceil(-np.log10(self.p)).astype(int)

    def asked(self):
        """What draw is asked for, by way; the fixed sets are at most 2,000 functions and 100 orbits a decade."""
        functions, orbits = (
            self.tables[np.concatenate([np.flatnonzero(self.decade == d)[:most] for d in range(1, len(DECADES) + 1)])]
            for most in (2_000, 100)
        )
        return {
            "reuse": {"at_least": 2},
            "fixed set": {"only": functions},
            "reuse, pooled": {"at_least": 2, "pool": "orbits"},
            "fixed set, pooled": {"only": orbits, "pool": "orbits"},
        }

    def design_effects(self, counts):
        """By decade of P(f): variance of the estimates of P(f) over that of as many independent samples of functions.

        An orbit's share of its functions' variance is that of the orbit's count over the square of its size.
        """
        canonical = canonicalize(counts.tables, group=GROUP)
        rows = find_members(canonical.representatives.words(), self.index.slots)
        R, N, k = counts.cluster_size, counts.n_samples, counts.counts
        size = canonical.orbit_sizes if counts.orbits else np.ones(len(counts))
        variance = counts.squares / (R * N) - (k / N) ** 2  # of a cluster's share
        effects = {}
        for d, name in enumerate(DECADES, start=1):
            here = (rows >= 0) & (self.decade[rows] == d)
            if k[here].sum() >= 1_000:
                p = k[here] / N / size[here]
                effects[name] = R * float(np.sum(variance[here] / size[here]) / np.sum(size[here] * p * (1 - p)))
        return effects


def functions_a_second(net, ways, seed, rounds, n_timed):
    """Functions a CPU second of one thread, from the call of draw to its result; the best of interleaved rounds."""
    calls = {"independent": {"": (n_timed // 64, {})}}
    for cut in CUTS:
        calls[label(cut)] = {way: (n_timed, {"reuse": cut, **asked}) for way, asked in ways.items()}
    best = {key: dict.fromkeys(ways, 0.0) for key, ways in calls.items()}
    for r in range(-1, rounds):  # the first compiles
        for key, ways in calls.items():
            for way, (n, asked) in ways.items():
                start = time.process_time()
                counts = pfmap.draw(net, max(n, 1) if r >= 0 else 1_000, seed=seed + r + 9, workers=1, **asked)
                rate = counts.n_samples / (time.process_time() - start)
                best[key][way] = max(best[key][way], rate if r >= 0 else 0.0)
    return {"independent": best.pop("independent")[""], **best}


def picture(numbers, measured):
    """Effective samples a CPU second by decade, one panel a network."""
    figure = Figure(figsize=(6.8, 3.0), layout="constrained")
    colours = {"reuse": "#0072b2", "fixed set": "#009e73", "reuse, pooled": "#d55e00", "fixed set, pooled": "#cc79a7"}
    for ax, (name, found) in zip(figure.subplots(1, 2, sharey=True), measured.items(), strict=True):
        chosen, plain = numbers["networks"][name]["reuse"], found["functions_a_cpu_second"]["independent"]
        ax.axhline(plain, color="0.5", label="independent")
        for way in WAYS:
            gains = found["gains"][chosen][way]
            ax.plot([float(d) for d in gains], [plain * g for g in gains.values()], ".-", color=colours[way], label=way)
        ax.set(xscale="log", yscale="log", xlabel="P of a function, decade from", title=name)
        ax.title.set_fontsize(8)
        ax.invert_xaxis()
    figure.axes[0].set_ylabel("effective samples a CPU second")
    figure.axes[0].legend(fontsize=6)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={
            "rounds": 1, "n_pilot": 2_000_000, "n_functions": 2_000_000, "n_timed": 400_000,
        },
        full={
            "rounds": 3, "n_pilot": 50_000_000, "n_functions": 20_000_000, "n_timed": 20_000_000,
        },
    )  # fmt: skip
