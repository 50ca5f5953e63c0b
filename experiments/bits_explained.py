"""Which complexity does a map follow? The share of each machine's prior that the best law 2^(-a K) explains."""

from harness import run
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from measures import measures_of
from networks import machines

import pfmap
from pfmap import complexity, plots
from pfmap.symmetry import NPN

CIRCUITS = {
    "circuit_size",
    "circuit_size_bound",
    "and_or_circuit_size",
    "circuit_depth",
    "formula_size",
    "de_morgan_formula_size",
}


def main(seed, n_samples, widths, depths):
    """Every measure on every machine, functions one by one and averaged over NPN classes; circuit size against all."""
    found, numbers, tests = {}, {}, []
    for n, width in widths.items():
        measures, circuit_size = compared(int(n))
        found[n], numbers[n] = {}, {"circuit_size": circuit_size.name, "machines": {}}
        for name, net in machines(int(n), width, depths).items():
            counts = pfmap.draw(net, n_samples, seed=seed)
            found[n][name] = pfmap.which_complexity(counts, measures)
            ways = {"functions": found[n][name], "NPN classes": pfmap.which_complexity(counts, measures, average=NPN)}
            own = {way: record(one) for way, one in ways.items()}
            numbers[n]["machines"][name] = {**own, "together": together(counts, circuit_size)}
            for way, one in ways.items():
                tests.append((own[way], one.best_tests()[one.names.index(circuit_size.name)]))
                print(f"{n} inputs, {name}, {way}: {one}; may be the best: {', '.join(one.contenders)}", flush=True)
    for (place, _), test in zip(tests, pfmap.correct_family([test for _, test in tests]), strict=True):
        place["no_measure_explains_more_than_circuit_size"] = of_test(test)
    return picture(found), numbers


def compared(n_inputs):
    """Measures whose law over all functions is known, each once, and which of them is circuit size."""
    measures = measures_of(n_inputs)
    del measures["total_influence"]  # it is average_sensitivity
    if n_inputs <= 4:
        del measures["circuit_size_bound"]  # there it is circuit_size itself
        return list(measures.values()), complexity.circuit_size
    bound = complexity.circuit_size_bound  # of five inputs exact for 94 % of the classes, and known for every class
    return [m for m in measures.values() if m is bound or m.invariance >= NPN], bound


def record(found):
    """Every measure by name, the first explains most; and those that may be the best."""
    columns = {
        "a": (found.a, found.a_low, found.a_high),
        "bits": (found.bits, found.bits_low, found.bits_high),
        "fraction": (found.fraction, found.fraction_low, found.fraction_high),
    }
    return {
        "total_bits": {"value": found.total_bits, "low": found.total_low, "high": found.total_high},
        "may_be_the_best": found.contenders,
        "measures": {
            name: {
                column: dict(zip(("value", "low", "high"), (float(x[i]) for x in ends), strict=True))
                for column, ends in columns.items()
            }
            for i, name in enumerate(found.names)
        },
    }


def together(counts, circuit_size):
    """What circuit size adds to the entropy of the table, which is its balance of ones, and the other way round."""
    pairs = {"circuit size to entropy": (complexity.entropy, circuit_size)}
    pairs["entropy to circuit size"] = circuit_size, complexity.entropy
    return {name: of_test(pfmap.added_complexity_test(counts, *pair)) for name, pair in pairs.items()}


def of_test(test):
    """A test as it prints, and as numbers."""
    low, high = test.effect_interval
    found = {"sentence": str(test), "bits": test.effect, "low": low, "high": high, "p_value": test.p_value}
    return found if test.adjusted_p_value is None else found | {"adjusted_p_value": test.adjusted_p_value}


def picture(found):
    """A panel a number of inputs; rows of circuit measures are shaded."""
    figure = Figure(figsize=(2 * plots.WIDTH, 8.2))
    for i, (n, machines_of) in enumerate(found.items()):
        ax = figure.add_axes((0.205 + 0.5 * i, 0.05, 0.285, 0.865))
        marked = CIRCUITS & set(next(iter(machines_of.values())).names)
        plots.bits_explained(machines_of, marked=marked, ax=ax)
        ax.set_title(f"{n} inputs", fontsize=plots.style.TEXT)
    dots = [line for line in ax.get_lines() if line.get_gid() == "map"]
    handles = [Line2D([], [], marker="o", linestyle="", markersize=3, color=dot.get_color()) for dot in dots]
    names = [*(dot.get_label() for dot in dots), "may not be the best"]
    handles.append(Line2D([], [], marker="o", linestyle="", markersize=3, color="0.4", markerfacecolor="white"))
    figure.legend(handles, names, loc="upper center", ncols=4, fontsize=6.5, frameon=False, handletextpad=0.2)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"n_samples": 100_000, "widths": {"3": 8, "4": 16}, "depths": [1, 2]},
        full={"n_samples": 1_000_000, "widths": {"4": 16, "5": 32}, "depths": [1, 2, 10]},
    )
