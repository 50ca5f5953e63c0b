"""P(f) against complexity from 1 down to the rarest functions: the line of arXiv 2304.06670, figure 1g, measured."""

import math
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from harness import run
from matplotlib.figure import Figure

import pfmap
from pfmap import Cube, TruthTables, complexity, concatenate, maps, plots
from pfmap.rare import orthant_probability
from pfmap.streams import generator

N_INPUTS = 7
GATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LOG2_10 = math.log2(10)

SEEN, UNSEEN = -8 * LOG2_10, -38 * LOG2_10
"""Where the sample behind figure 1g ends, and where its straight line does."""

AFFORDABLE = -130.0
"""Circuits and drawn functions whose P in the limit lies below 2^this are not split: cost grows like (log P)^2."""


def deep_tanh(sigma_w):
    """The network of arXiv 2304.06670, ten hidden layers, with bias terms scaled as by its released sampler."""
    return maps.MLP(N_INPUTS, (40,) * 10, "tanh", sigma_w, 0.025, bias_scaling="fan_out")


NETS = {"ReLU": maps.MLP(N_INPUTS, (40, 40)), "tanh, 1": deep_tanh(1.0), "tanh, 8": deep_tanh(8.0)}


def main(seed, n_samples, networks, n_circuits, targets, effort, points, widths, folder):
    """Sample, split and bound each network's functions, compare with a straight line, and with wider networks."""
    numbers = {}
    for name, net in NETS.items():
        limit = maps.GaussianProcess.limit_of(net) if name == "ReLU" else tanh_limit(net)
        functions = candidates(net, seed, networks, n_circuits)
        line, judged = sampled(name, functions, seed, n_samples, folder)
        split, wide = {}, {}
        for kind, (tables, z) in functions.items():
            # Which functions are shown follows from their complexity, which are split from that and from the limit.
            coarse = orthant_probability(limit, tables, points=32, randomisations=4).log2_p
            near = nearest(tables, range(21, 160, 10) if kind != "uniform" else (147,))
            chosen = targets.get(name, {}).get(kind, ())
            within = np.flatnonzero(coarse > AFFORDABLE) if kind != "uniform" else np.arange(len(tables))
            at = within[nearest(tables[within], chosen)]
            if len(at):
                pinned = z[at] if z is not None and name == "ReLU" else None
                split[kind] = (at, splitting(name, kind, tables[at], pinned, seed, effort[name], folder))
            shown = np.union1d(near, at).astype(int)
            wide[kind] = (shown, orthant_probability(limit, tables[shown], points=points, randomisations=8))
        numbers[name] = {"line": line, "functions": rows(functions, judged, split, wide, line)}
        numbers[name]["off"] = decades_off(numbers[name]["functions"])
        numbers[name]["overlap"] = overlap(numbers[name]["functions"])
        numbers[name]["split"] = of_split(numbers[name]["functions"])
        print(name, line, numbers[name]["off"], numbers[name]["overlap"], flush=True)
    numbers["widths"] = by_width(numbers["ReLU"]["functions"], seed, n_samples, widths)
    return picture(numbers), numbers


# Which functions


def candidates(net, seed, networks, n_circuits):
    """Functions to choose from by their complexity, by origin, with the latents that gave them where there are any."""
    rng = generator(seed, "whole range, networks")
    z = rng.standard_normal((networks, net.n_latents), dtype=np.float32)
    drawn = TruthTables.from_bits((net.logits(torch.from_numpy(z)) > 0).numpy(), net.domain)
    rng = generator(seed, "whole range, tables")
    uniform = TruthTables.from_bits(rng.integers(2, size=(3, 2**N_INPUTS), dtype=bool), net.domain)
    return {"prior": (drawn, z), "circuit": (circuits(n_circuits, seed), None), "uniform": (uniform, None)}


def circuits(number, seed):
    """Tables of random circuits of 1 to 32 gates: each gate reads the one before and any node, each negated or not."""
    rng = generator(seed, "whole range, circuits")
    tables = []
    for size in np.repeat(GATES, number // len(GATES)):
        nodes = list(Cube(N_INPUTS).points().astype(bool).T)
        a = int(rng.integers(N_INPUTS))
        for _ in range(size):
            b = rng.choice(np.delete(np.arange(len(nodes)), a))
            first, second = nodes[a] ^ rng.integers(2, dtype=bool), nodes[b] ^ rng.integers(2, dtype=bool)
            nodes.append(first ^ second if rng.integers(2) else first & second)
            a = len(nodes) - 1
        tables.append(nodes[-1])
    return TruthTables.from_bits(np.array(tables), Cube(N_INPUTS))


def nearest(tables, targets):
    """Index of the first table whose complexity is nearest to each target, none twice."""
    K, found = complexity.lempel_ziv_truncated(tables), []
    for target in targets:
        distance = np.abs(K - target)
        distance[found] = np.inf
        found.append(int(np.argmin(distance)))
    return found


# What each way of measuring says


def place(folder, name):
    """Where finished parts of a run wait, so that one that was stopped goes on; nowhere without a folder."""
    if folder is None:
        return None
    path = Path(gettempdir()) / folder / name.replace(", ", "-")
    path.parent.mkdir(exist_ok=True)
    return path


def sampled(name, functions, seed, n_samples, folder):
    """The line through the sampled range, and the estimate of all candidates, both judged by draws that picked nothing.

    The line is fitted to the most frequent function of each complexity, as a draw of another seed ranks them, where its
    P is 1e-8 and more: by least squares, and as a Levin bound.
    """
    net, reuse = NETS[name], {"reuse": "auto", "workers": 1}
    out = place(folder, f"{name} pick {seed} {n_samples}")
    pick = pfmap.draw(net, n_samples // 5, seed=seed + 1, at_least=3, out=out, **reuse)
    tops = np.unique(complexity.lempel_ziv_truncated(pick.tables), return_index=True)[1] if len(pick) else []
    listed = [tables for tables, _ in functions.values()]
    every = concatenate([pick.tables[tops], *listed] if len(tops) else listed)
    out = place(folder, f"{name} judge {seed} {n_samples}")
    judge = pfmap.draw(net, n_samples, seed=seed + 2, pool="orbits", only=distinct(every, net), out=out, **reuse)
    line = None
    if len(tops):
        prior = pfmap.estimate_prior(judge, at=pick.tables[tops])
        kept = prior.log2_p >= SEEN
        if kept.sum() > 2:
            prior = pfmap.estimate_prior(judge, at=prior.tables[kept])
            K = complexity.lempel_ziv_truncated(prior.tables)
            slope, offset = np.polyfit(K, prior.log2_p, 1)
            bound = pfmap.fit_levin_bound(prior, K)
            line = {
                "least_squares": {"slope": slope, "offset": offset},
                "levin_bound": {"slope": -bound.a, "offset": -bound.b},
                "functions": len(K),
                "K_to": K.max(),
                "K": K,
                "log2_p": prior.log2_p,
            }
    return line, {kind: pfmap.estimate_prior(judge, at=tables) for kind, (tables, _) in functions.items()}


def distinct(tables, net):
    """One function of each orbit."""
    orbits = pfmap.canonicalize(tables, group=net.symmetry).representatives
    return orbits[np.unique(orbits.positions_in(orbits))]


def splitting(name, kind, tables, latents, seed, effort, folder):
    """P by splitting, with fewer replicates than by default, and particles and moves as told, for the sake of cost."""
    if kind == "uniform":  # out of reach, and few moves show it
        effort = effort | {"max_moves": 16}
    return pfmap.estimate_rare(
        NETS[name],
        tables,
        latents=latents,
        seed=seed,
        replicates=4,
        workers=1,
        out=place(folder, f"{name} {kind} {seed} {'-'.join(map(str, effort.values()))}"),
        **effort,
    )


def tanh_limit(net, nodes=321):
    """The Gaussian process of such a network as its layers widen and its bias terms stay as they are.

    E[tanh(u) tanh(v)] has no closed form; the trapezoidal rule in two dimensions gives it to 1e-9 for sigma_w <= 8.
    """
    at = np.linspace(-8, 8, nodes)
    weights = np.exp(-at * at / 2)
    weights /= weights.sum()
    x = net.domain.points().astype(np.float64)
    K = net.layers[0].bias_std ** 2 + net.sigma_w**2 * (x @ x.T) / net.n_inputs
    for layer in net.layers[1:]:
        size = np.broadcast_to(np.sqrt(K.diagonal()), K.shape)
        # Few triples are distinct: K depends on the weights of x, x' and x AND x' alone.
        triples = np.stack([np.minimum(size, size.T), np.maximum(size, size.T), K], axis=-1).round(12)
        triples, which = np.unique(triples.reshape(-1, 3), axis=0, return_inverse=True)
        means = np.empty(len(triples))
        for i, (first, second, product) in enumerate(triples):
            cosine = min(1.0, product / (first * second))
            v = cosine * at[:, None] + math.sqrt(1 - cosine**2) * at
            means[i] = weights @ (np.tanh(first * at)[:, None] * np.tanh(second * v)) @ weights
        K = layer.bias_std**2 + net.sigma_w**2 * means[which].reshape(K.shape)
    return maps.GaussianProcess.from_kernel((K + K.T) / 2, net.domain)


# What they say together


def rows(functions, judged, split, wide, line):
    """One record a function that came, was split or has its limit shown; None stands for a P or a bound of 0 or 1."""
    found = []
    for kind, (tables, _) in functions.items():
        K, prior = complexity.lempel_ziv_truncated(tables), judged[kind]
        at, rare = split.get(kind, ((), None))
        shown, limit = wide[kind]
        for i in range(len(tables)):
            if not (prior.counts[i] or i in at or i in shown):
                continue
            row = {"kind": kind, "function": tables[i].strings()[0], "K": K[i]}
            row["sampled"] = {"count": prior.counts[i], **interval(prior, i), "converged": bool(prior.counts[i])}
            if i in at:
                j = list(at).index(i)
                row["split"] = {**interval(rare, j), "converged": rare.converged[j], "verdict": rare.verdicts[j]}
                row["split"]["evaluations"] = rare.evaluations[j]
            if i in shown:
                j = list(shown).index(i)
                row["limit"] = {**interval(limit, j), "converged": limit.converged[j]}
            if line is not None:
                row["line"] = {
                    way: line[way]["slope"] * K[i] + line[way]["offset"] for way in ("least_squares", "levin_bound")
                }
            found.append(row)
    return found


def interval(estimate, i):
    """log2 of P and of the ends of its interval; where that is the bracket of one that did not converge, no P."""
    sure = getattr(estimate, "converged", np.isfinite(estimate.log2_p))[i]
    values = {"log2_p": estimate.log2_p[i] if sure else -math.inf}
    values |= {"log2_low": estimate.log2_low[i], "log2_high": estimate.log2_high[i]}
    return {key: float(value) if math.isfinite(value) else None for key, value in values.items()}


def decades_off(functions):
    """By how many decades split functions below 1e-8 lie above (+) or below (-) the lines, each at its complexity."""
    rare = [row for row in functions if row.get("split", {}).get("converged") and row["split"]["log2_p"] < SEEN]
    found = {"K": [row["K"] for row in rare], "kind": [row["kind"] for row in rare]}
    for line in ("least_squares", "levin_bound"):
        found[line] = [(row["split"]["log2_p"] - row["line"][line]) / LOG2_10 for row in rare]
    return found


def overlap(functions):
    """How many functions were seen by sampling and split too, and how many of the two 95 % intervals meet."""
    both = [row for row in functions if row.get("split", {}).get("converged") and row["sampled"]["converged"]]
    return {"functions": len(both), "meet": sum(meet(row["sampled"], row["split"]) for row in both)}


def of_split(functions):
    """How many functions were split and converged, the rarest of them, and bits by which P exceeds its limit."""
    converged = [row for row in functions if row.get("split", {}).get("converged")]
    over = [row["split"]["log2_p"] - row["limit"]["log2_p"] for row in converged if row["limit"]["converged"]]
    return {
        "functions": sum("split" in row for row in functions),
        "converged": len(converged),
        "rarest_log2_p": min((row["split"]["log2_p"] for row in converged), default=None),
        "bits_above_the_limit": over,
    }


def meet(one, other):
    """Whether two intervals have a point in common."""
    ends = [(x["log2_low"] or -math.inf, x["log2_high"] or 0.0) for x in (one, other)]
    return max(low for low, _ in ends) <= min(high for _, high in ends)


def by_width(functions, seed, n_samples, widths):
    """P of a few functions as the hidden layers widen, by sampling, and in the limit."""
    limits = [row for row in functions if row.get("limit", {}).get("converged")]
    limits = [row for row in limits if -30 < row["limit"]["log2_p"] < -10]
    limits.sort(key=lambda row: -row["limit"]["log2_p"])
    chosen = [limits[i] for i in np.unique(np.linspace(0, len(limits) - 1, 5).round().astype(int))] if limits else []
    tables = TruthTables.from_strings([row["function"] for row in chosen], Cube(N_INPUTS))
    found = {"K": [row["K"] for row in chosen], "limit": [row["limit"]["log2_p"] for row in chosen], "widths": {}}
    for width in widths:
        net = maps.MLP(N_INPUTS, (width, width))
        only = distinct(tables, net)
        counts = pfmap.draw(net, n_samples // 5, seed=seed + 3, reuse="auto", pool="orbits", only=only, workers=1)
        prior = pfmap.estimate_prior(counts, at=tables)
        found["widths"][width] = [interval(prior, i) for i in range(len(tables))]
    return found


# The picture

SAMPLED, SPLIT, LIMIT, GREY = "#0072B2", "#D55E00", "#009E73", "0.6"
TITLES = {
    "ReLU": r"7-40-40-1 ReLU, $\sigma_w = \sigma_b = 1$",
    "tanh, 1": r"7-[40]×10-1 tanh, $\sigma_w = 1$",
    "tanh, 8": r"7-[40]×10-1 tanh, $\sigma_w = 8$",
}


def picture(numbers):
    """Three networks, and how P goes to its limit as the first of them widens."""
    figure = Figure(figsize=(6.8, 5.2))
    figure.subplots_adjust(left=0.085, right=0.925, bottom=0.085, top=0.955, wspace=0.42, hspace=0.31)
    axes = figure.subplots(2, 2).ravel()
    for ax, name in zip(axes, NETS, strict=False):
        panel(ax, numbers[name])
        ax.set_title(TITLES[name], fontsize=8)
    widths(axes[3], numbers["widths"])
    handles = axes[0].get_legend_handles_labels()
    axes[2].legend(
        *handles, fontsize=6, frameon=False, loc="lower right", handlelength=1.6, borderpad=0.1, labelspacing=0.3
    )
    return figure


def panel(ax, found):
    """One network: what was sampled, split, and holds in the limit, with the line and its range in figure 1g."""
    ax.axhspan(UNSEEN, SEEN, color="0.93", linewidth=0, label="extrapolated in figure 1g")
    ax.axhline(-(2**N_INPUTS), color=GREY, linestyle=":", linewidth=0.8)
    ax.annotate(r"uniform, $2^{-128}$", (3, -128), (0, -7), textcoords="offset points", fontsize=6, color="0.4")
    ways = (
        ("limit", LIMIT, "s", "infinitely wide"),
        ("sampled", SAMPLED, ".", "sampled"),
        ("split", SPLIT, "o", "split"),
    )
    for way, color, marker, label in ways:
        have = [(row["K"], row[way]) for row in found["functions"] if way in row]
        sure = [(K, x) for K, x in have if x["converged"]]
        face = "none" if way == "limit" else color
        if sure:
            K, p = np.array([(K, x["log2_p"]) for K, x in sure]).T
            low, high = (np.array([x[key] or p for x, p in ends]) for key, ends in both_ends(sure))
            style = {"markersize": 3.5, "markerfacecolor": face, "elinewidth": 0.7, "markeredgewidth": 0.7}
            ax.errorbar(K, p, [p - low, high - p], fmt=marker, color=color, label=label, **style)
        if way != "sampled":
            brackets(ax, [(K, x) for K, x in have if not x["converged"]], color)
    bounds = {
        "color": "0.4",
        "markerfacecolor": "none",
        "markersize": 4,
        "linewidth": 0.6,
        "label": "not converged: bounds",
    }
    ax.plot([], [], "^:", **bounds)
    unseen = [row for row in found["functions"] if not row["sampled"]["converged"] and "split" not in row]
    if unseen:
        limits = np.array([(row["K"], row["sampled"]["log2_high"]) for row in unseen])
        style = {
            "markerfacecolor": "none",
            "markersize": 2.5,
            "markeredgewidth": 0.5,
            "label": "never sampled: P is less",
        }
        ax.plot(*limits.T, "v", color=SAMPLED, **style)
    if found["line"] is not None:
        ends = np.array([7.0, found["line"]["K_to"]]), np.array([found["line"]["K_to"], 160.0])
        for x, style, label in zip(ends, ("-", "--"), ("least squares, P ≥ 1e-8", "extrapolated"), strict=True):
            fit = found["line"]["least_squares"]
            ax.plot(x, fit["slope"] * x + fit["offset"], style, color="black", linewidth=0.9, label=label)
    ax.set(xlim=(0, 165), ylim=(-260, 8))
    ax.set_xlabel(r"$C_{LZ}$ (words $\times$ $\log_2 N$)", fontsize=8)
    ax.set_ylabel(r"Prior probability, $\log_2 P$", fontsize=8)
    powers = ax.secondary_yaxis("right", functions=(lambda y: y / LOG2_10, lambda y: y * LOG2_10))
    powers.yaxis.set_major_formatter(lambda y, _: rf"$10^{{{y:.0f}}}$")
    for axis in (ax, powers):
        axis.tick_params(labelsize=7)


def both_ends(sure):
    """The ends of intervals, each beside its P, which stands in where an end is 0 or 1."""
    return [(key, [(x, x["log2_p"]) for _, x in sure]) for key in ("log2_low", "log2_high")]


def brackets(ax, unsure, color):
    """Bounds alone: up from a floor, down from a ceiling."""
    for K, x in unsure:
        for end, marker in ((x["log2_low"], "^"), (x["log2_high"], "v")):
            if end is not None:
                ax.plot(K, end, marker, color=color, markerfacecolor="none", markersize=4, markeredgewidth=0.8)
        if x["log2_low"] is not None:
            ax.vlines(K, x["log2_low"], x["log2_high"] or 0.0, color=color, linewidth=0.6, linestyle=":")


def widths(ax, found):
    """log2 of P over its limit, against width."""
    for i, (K, limit) in enumerate(zip(found["K"], found["limit"], strict=True)):
        seen = [(int(w), x[i]) for w, x in found["widths"].items() if x[i]["log2_p"] is not None]
        if seen:
            w, p, low, high = np.array([(w, x["log2_p"], x["log2_low"] or -999, x["log2_high"]) for w, x in seen]).T
            color = plots.style.SERIES[i % len(plots.style.SERIES)]
            label = rf"$C_{{LZ}}$ = {K:g}, limit $2^{{{limit:.1f}}}$"
            ax.errorbar(w, p - limit, [p - low, high - p], fmt=".-", color=color, linewidth=0.7, label=label)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xticks([int(w) for w in found["widths"]], list(found["widths"]))
    ax.minorticks_off()
    ax.set_title("ReLU nets of two hidden layers as they widen", fontsize=8)
    ax.set_xlabel("Width of the hidden layers", fontsize=8)
    ax.set_ylabel(r"$\log_2$ of P over P of the limit", fontsize=8)
    ax.legend(fontsize=6, frameon=False, loc="lower right")
    ax.tick_params(labelsize=7)


if __name__ == "__main__":
    run(
        main,
        quick={
            "n_samples": 200_000,
            "networks": 20,
            "n_circuits": 20,
            "targets": {"ReLU": {"circuit": [24.5]}},
            "effort": {"ReLU": {"particles": 50, "max_moves": 16}},
            "points": 32,
            "widths": [10, 40],
            "folder": None,
        },
        full={
            "n_samples": 20_000_000,
            "networks": 256,
            "n_circuits": 120,
            "targets": {
                "ReLU": {"prior": [52, 80, 94, 122], "circuit": [31.5, 42, 59.5, 84, 105], "uniform": [147]},
                "tanh, 1": {"circuit": [21]},
                "tanh, 8": {"prior": [108.5], "circuit": [31.5], "uniform": [147]},
            },
            "effort": {
                "ReLU": {"particles": 500, "max_moves": 64},
                "tanh, 1": {"particles": 200, "max_moves": 16},
                "tanh, 8": {"particles": 150, "max_moves": 16},  # a hundred levels of 0.1 ms an evaluation
            },
            "points": 256,
            "widths": [10, 20, 40, 80, 160],
            "folder": "pfmap-whole-range",
        },
    )
