"""Which simple functions does each machine hate? A panel of named functions across maps, and one map's blind spots."""

import math
from pathlib import Path

from harness import run
from matplotlib.figure import Figure
from networks import machines

import pfmap
from pfmap import Cube, complexity, families, maps, plots
from pfmap.hypotheses.laws import levels_of
from pfmap.rare import orthant_probability

RANKED = "ReLU, 2 layers"


def main(seed, n_inputs, n_samples, law_samples, width, depths, max_gates, max_moves, folder):
    """P of the panel on every machine, deficits from its best law in circuit size; all of few gates on one machine."""
    named = families.panel(n_inputs)
    tables = pfmap.concatenate(list(named.values()))
    nets = {name: net for name, net in machines(n_inputs, width).items() if depth_of(net) in depths}
    largest = levels_of([complexity.circuit_size], Cube(n_inputs)).values.max()
    a_priori = pfmap.a_priori_levin_bound(Cube(n_inputs), float(largest))
    found, numbers = {}, {}
    for name, net in nets.items():
        law = pfmap.best_law(pfmap.draw(net, law_samples, seed=seed + 1), complexity.circuit_size)
        estimate = measured(name, net, tables, n_samples, seed, max_moves, folder)
        found[name] = pfmap.blind_spots(estimate, complexity.circuit_size(tables), law)
        numbers[name] = record(found[name], named)
        print(name, "; ".join(numbers[name]["most hated"]), flush=True)
    simple = pfmap.simple_functions(n_inputs, max_gates, group=nets[RANKED].symmetry)
    estimate = measured(RANKED, nets[RANKED], simple, n_samples, seed, max_moves, folder)
    ranking = pfmap.blind_spots(estimate, complexity.circuit_size(simple), a_priori)
    print(ranking, flush=True)
    summary = {
        "machine": RANKED,
        "max_gates": max_gates,
        "orbits": len(simple),
        "line": {"a": a_priori.a, "b": a_priori.b},
        "surely_below": int((ranking.deficit_low > 0).sum()),
        "confidence": ranking.confidence,
        "first": [row(ranking, i) for i in range(min(20, len(ranking)))],
    }
    return picture(found, named, ranking), {"panel": numbers, "ranking": summary}


def depth_of(net):
    """Hidden layers."""
    return len(net.hidden) if isinstance(net, maps.MLP) else net.depth


def measured(name, net, tables, n_samples, seed, max_moves, folder):
    """P with intervals that hold all at once: orthants of a Gaussian process, samples and splitting of the others.

    What a perceptron cannot compute no walk reaches, however long. Of ten layers there are samples alone.
    """
    if isinstance(net, maps.GaussianProcess):
        return orthant_probability(net, tables, seed=seed, confidence=1 - 0.05 / len(tables))
    if depth_of(net) > 2:
        counts = pfmap.draw(net, n_samples, seed=seed, reuse="auto", only=tables, pool="orbits", workers=1)
        return pfmap.estimate_prior(counts, at=tables, simultaneous=True)
    out = None
    if folder is not None:
        out = Path(folder) / f"{name} {len(tables)} {n_samples} {seed}".replace(", ", "-").replace(" ", "-")
        out.mkdir(parents=True, exist_ok=True)
    max_moves = max_moves if depth_of(net) else min(16, max_moves)
    return pfmap.estimate_functions(
        net, tables, n_samples, seed=seed, simultaneous=True, max_moves=max_moves, workers=1, out=out
    )


def record(found, named):
    """Every function of the panel by name, and the three that lie furthest below the law."""
    names = {table.strings()[0]: name for name, table in named.items()}
    order = [names[table] for table in found.tables.strings()]
    rows = {name: row(found, i) for i, name in enumerate(order)}
    hated = [
        f"{name} by {'at least ' if at['is_bound'] else ''}{at['bits_at_least' if at['is_bound'] else 'bits']:.1f} bits"
        for name, at in list(rows.items())[:3]
    ]
    law = {"a": found.bound.a, "a_low": found.bound.a_low, "a_high": found.bound.a_high, "b": found.bound.b}
    functions = {name: rows[name] for name in named}
    return {"law": law, "confidence": found.confidence, "most hated": hated, "functions": functions}


def row(found, i):
    """One function: P and deficit with their intervals, None for an infinity."""
    representative = found.npn_representatives.strings()[i]
    return {
        "table": found.tables.strings()[i],
        "formula": found.formula(i),
        "K": found.complexity[i],
        "log2_p": finite(found.log2_p[i]),
        "log2_low": finite(found.log2_low[i]),
        "log2_high": finite(found.log2_high[i]),
        "bits": finite(found.deficit[i]),
        "bits_at_least": finite(found.deficit_low[i]),
        "bits_at_most": finite(found.deficit_high[i]),
        "is_bound": bool(found.is_bound[i]),
        "npn_class": {"representative": representative, "size": int(found.npn_sizes[i])},
        "rests_on": found.verdicts[i],
    }


def finite(value):
    """A number for JSON, which knows no infinities."""
    return float(value) if math.isfinite(value) else None


def picture(found, named, ranking):
    """The panel above, the ranking with its circuits below."""
    figure = Figure(figsize=(2 * plots.WIDTH, 9.4))
    above, below = figure.add_axes((0.185, 0.575, 0.72, 0.295)), figure.add_axes((0.5, 0.05, 0.46, 0.45))
    plots.contrast(found, named, ax=above, label="bits below the best law\nof circuit size K")
    plots.blind_spots(ranking, ax=below)
    figure.text(0.01, 0.975, "a", fontweight="bold")
    figure.text(0.01, 0.505, "b", fontweight="bold")
    figure.text(0.04, 0.505, f"{RANKED}, functions of at most {int(ranking.complexity.max())} gates", fontsize=8)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={
            "n_inputs": 3,
            "n_samples": 3_000_000,
            "law_samples": 100_000,
            "width": 8,
            "depths": [0, 1, 2],
            "max_gates": 2,
            "max_moves": 16,
            "folder": None,
        },
        full={
            "n_inputs": 4,
            "n_samples": 300_000_000,
            "law_samples": 1_000_000,
            "width": 16,
            "depths": [0, 1, 2, 10],
            "max_gates": 3,
            "max_moves": 128,
            "folder": "runs/blind_spots",
        },
    )
