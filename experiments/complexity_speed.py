"""Speed of every complexity measure on one core, against what a user writes or installs today, and exactness beside it.

`--rows` prints what README.md quotes of figures/complexity_speed.json: two tables' rows and some words.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import cycle

import numpy as np
from harness import FIGURES, run
from matplotlib.figure import Figure
from measures import measures_of
from numba import njit

import pfmap
from pfmap import TruthTables, complexity, maps
from pfmap.kernels.circuits import smallest_circuits
from pfmap.kernels.decomposition import decomposed_sizes
from pfmap.streams import generator
from pfmap.symmetry import canonicalize
from pfmap.tables import MAX_INPUTS, concatenate

N = 7
NAMES = [f"x{i}" for i in range(N)]
AT_LEAST = 64
KINDS = ("networks", "fair")
"""Distinct functions that random networks compute; tables of independent fair bits."""

TOGETHER = (
    *("entropy", "distance_to_constant", "type_code"),
    *("average_sensitivity", "max_sensitivity", "critical_sample_ratio", "generalization_complexity"),
    *("fourier_degree", "fourier_l1_norm", "fourier_sparsity", "total_influence", "noise_sensitivity"),
    *("anf_terms", "anf_degree"),
)
"""Counting, locality and spectrum; measures that walk subcubes, such as certificates, have targets of their own."""

CANONICAL = "canonical form"
GROUP = {"input_permutations", "complement"}
OURS, RIVAL = "#0072B2", "#D55E00"
BOUND = "circuit_size_bounds"
ALL_TOGETHER = f"{len(TOGETHER)} measures together"

TARGETS = {  # functions a second
    "lempel_ziv": 5e5,
    ALL_TOGETHER: 1e6,
    **dict.fromkeys(
        ("decision_tree_mixture", "decision_tree_size", "decision_tree_depth", "certificate_complexity", "robdd_size"),
        1e4,
    ),
    BOUND: 1e4,
    CANONICAL: 3e6,
}
EXACT_COUNTS = {  # functions of four inputs at each value, Knuth 7.1.2; none are published for De Morgan formulas
    "circuit_size": [10, 60, 456, 2474, 10624, 24184, 25008, 2720],
    "formula_size": [10, 60, 456, 2474, 10624, 24184, 24640, 3088],
    "circuit_depth": [10, 60, 1458, 56456, 7552],
    "de_morgan_formula_size": None,
}


def main(seed, rounds, seconds, n_networks, n_compared, n_random):
    """Functions a CPU second, everything in turn, round after round, at its best."""
    contenders = {}
    for n in sorted({inputs_of(measure) for measure in every_measure().values()}):
        for kind, tables in functions(n, seed, n_networks).items():
            for name, measure in every_measure().items():
                if inputs_of(measure) == n:
                    contenders[name, kind] = measure, tables
            if n == N:
                contenders.update({(name, kind): contender for name, contender in others(tables).items()})
                contenders.update({(name, kind): contender for name, contender in rivals(tables).items()})
    best = best_rates(contenders, rounds, seconds)
    speeds = {name: {kind: best[name, kind] for kind in KINDS} for name, _ in contenders}
    of_rivals = {name: speeds.pop(name) for name in list(speeds) if " by " in name}
    measured = {
        "functions_per_second": speeds,
        "inputs": {name: inputs_of(measure) for name, measure in every_measure().items() if inputs_of(measure) != N},
        "together": TOGETHER,
        "rivals": of_rivals,
        "times_rival": {
            name: {kind: speeds[name.split(" by ")[0]][kind] / rate[kind] for kind in KINDS}
            for name, rate in of_rivals.items()
        },
        "targets": {name: {"functions_per_second": rate, **speeds[name]} for name, rate in TARGETS.items()},
        "exact_tables_seconds": exact_tables_seconds(),
    }
    samples = {kind: tables[:n_compared] for kind, tables in functions(N, seed, n_networks).items()}
    numbers = {
        "values_that_differ_from_rivals": disagreements(samples),
        "exact_tables": exact_tables_counts(),
        "circuit_bound": circuit_bound(seed, n_random),
        "diagrams": diagrams(samples),
    }
    for name, value in (*measured.items(), *numbers.items()):
        print(name, json.dumps(value), flush=True)
    return picture(measured), numbers, measured


def every_measure():
    """Those of seven inputs and those that answer for fewer or for more only."""
    return {name: m for n in range(1, MAX_INPUTS + 1) for name, m in measures_of(n).items()}


def inputs_of(measure):
    """Seven, or the nearest number of inputs that the measure answers for."""
    return min(max(N, measure.min_inputs), measure.max_inputs)


def functions(n, seed, n_networks):
    """Distinct functions of n-40-40-1 networks in random order, and as many tables of fair bits."""
    rng = generator(seed, f"complexity-speed-{n}")
    found = pfmap.draw(maps.MLP(n, (40, 40)), n_networks, seed=seed, progress=False).tables
    fair = TruthTables.from_bits(rng.integers(0, 2, (len(found), 1 << n), np.uint8))
    return {"networks": found[rng.permutation(len(found))], "fair": fair}


def best_rates(contenders, rounds, seconds):
    """Items a CPU second of each (call, items): the best round, each of at least `seconds` and `AT_LEAST` items."""
    calls = {name: (call, batches(call, items, seconds)) for name, (call, items) in contenders.items()}
    best = dict.fromkeys(calls, 0.0)
    for _ in range(rounds):
        for name, (call, pieces) in calls.items():
            wanted = min(AT_LEAST, sum(map(len, pieces)))
            done, start = 0, time.process_time()
            for piece in cycle(pieces):
                call(piece)
                done += len(piece)
                if done >= wanted and (spent := time.process_time() - start) >= seconds:
                    break
            best[name] = max(best[name], done / spent)
    return best


def batches(call, items, seconds):
    """The items in batches of the size that gets them done quickest."""
    call(items[:2])
    chosen, best, size, spent = 1, 0.0, 1, 0.0
    while size <= len(items) and (spent < seconds or chosen == size // 4):
        start = time.process_time()
        call(items[:size])
        spent = time.process_time() - start
        if size > 1.1 * best * spent:
            chosen, best = size, size / spent
        size *= 4
    return [items[at : at + chosen] for at in range(0, len(items) - chosen + 1, chosen)]


def others(tables):
    """What has a target and is no single measure."""
    measures = [getattr(complexity, name) for name in TOGETHER]
    return {
        ALL_TOGETHER: (lambda some: [measure(some) for measure in measures], tables),
        BOUND: (complexity.circuit_size_bounds, tables),
        CANONICAL: (lambda some: canonicalize(some, group=GROUP), tables),
    }


def rivals(tables):
    """What users take today: "NAME by RIVAL" does what NAME does, but sifting need not find the fewest nodes."""
    strings = tables[:2000].strings()
    lists = [[int(entry) for entry in string] for string in strings]  # indexed faster than strings
    words = np.concatenate([tables.words()] * (1 + 20_000 // len(tables)))
    return {
        "lempel_ziv by textbook scan": (lambda rows: [textbook_lempel_ziv(s) for s in rows], lists),
        "lempel_ziv by substring search": (lambda rows: [searched_lempel_ziv(s) for s in rows], strings),
        "robdd_size by dd.autoref": (lambda rows: sifted(rows, "autoref"), strings),
        "robdd_size by dd.cudd": (lambda rows: sifted(rows, "cudd"), strings),
        "robdd_size by dd.cudd, small cache": (lambda rows: sifted(rows, "cudd", initial_cache_size=256), strings),
        "robdd_size by dd.cudd, all orders": (every_order, strings[:4]),
        f"{CANONICAL} by numpy": (numpy_brute_force, words),
        f"{CANONICAL} by numba": (numba_brute_force, words),
    }


def textbook_lempel_ziv(s):
    """C_LZ of a string or a list: Kaspar and Schuster's scan in both directions."""
    if len(set(s)) == 1:
        return np.log2(len(s))
    return (scanned_words(s) + scanned_words(s[::-1])) * np.log2(len(s)) / 2


def scanned_words(s):
    """Words of the LZ76 history by the scan of Kaspar and Schuster 1987."""
    n = len(s)
    i, start, longest, words = 0, 1, 1, 1
    length = 1
    while True:
        if s[i + length - 1] == s[start + length - 1]:
            length += 1
            if start + length > n:
                return words + 1
        else:
            longest = max(longest, length)
            i += 1
            if i == start:
                words += 1
                start += longest
                if start + 1 > n:
                    return words
                i, longest = 0, 1
            length = 1


def searched_lempel_ziv(s):
    """C_LZ of a string by `in`, which searches in C: quicker than the scan, if less known."""
    if len(set(s)) == 1:
        return np.log2(len(s))
    return (searched_words(s) + searched_words(s[::-1])) * np.log2(len(s)) / 2


def searched_words(s):
    """Words of the LZ76 history: each the shortest that does not occur before its own last symbol."""
    start, words = 0, 0
    while start < len(s):
        end = start + 1
        while end <= len(s) and s[start:end] in s[: end - 1]:
            end += 1
        start, words = end, words + 1
    return words


def manager(package, **settings):
    """The module of dd, a manager of diagrams of seven inputs, and the inputs, last one first."""
    module = importlib.import_module(f"dd.{package}")
    bdd = module.BDD(**settings)
    bdd.declare(*NAMES)
    if package == "cudd":
        bdd.configure(reordering=False)  # sifted once a function, not whenever CUDD sees fit
    return module, bdd, [bdd.var(name) for name in reversed(NAMES)]


def sifted(strings, package, **settings):
    """The order of inputs that dd sifts each function's diagram to; one manager for all is the quickest way."""
    module, bdd, inputs = manager(package, **settings)
    orders = []
    for string in strings:
        root = diagram(bdd, inputs, string, {"0": bdd.false, "1": bdd.true})  # named, so that its nodes live
        module.reorder(bdd)
        orders.append(sorted(range(N), key=lambda i: bdd.level_of_var(NAMES[i])))
        del root
        if package == "autoref":
            bdd.collect_garbage()
    return orders


def every_order(strings):
    """Fewest nodes of each function, exact as `robdd_size` is (but with negated edges), by trying all orders in dd."""
    module, bdd, inputs = manager("cudd", initial_cache_size=256)
    fewest = []
    for string in strings:
        root = diagram(bdd, inputs, string, {"0": bdd.false, "1": bdd.true})
        order, sizes = sorted(NAMES, key=bdd.level_of_var), [len(root)]
        for i in SWAPS:
            order[i], order[i + 1] = order[i + 1], order[i]
            module.reorder(bdd, {name: level for level, name in enumerate(order)})
            sizes.append(len(root))
        fewest.append(min(sizes))
    return fewest


def diagram(bdd, inputs, string, known):
    """The diagram of a table, from those of its halves."""
    if string not in known:
        half = len(string) // 2
        zero, one = (diagram(bdd, inputs, part, known) for part in (string[:half], string[half:]))
        known[string] = bdd.ite(inputs[half.bit_length() - 1], one, zero)
    return known[string]


def adjacent_swaps(n):
    """Neighbours to swap, one pair a step, so that all n! orders come by once (plain changes)."""
    if n == 1:
        return []
    steps, down = [], True
    for step in [*adjacent_swaps(n - 1), None]:
        steps += range(n - 2, -1, -1) if down else range(n - 1)
        if step is not None:
            steps.append(step + down)
        down = not down
    return steps


SWAPS = np.array(adjacent_swaps(N))
MASKS = np.array(
    [sum(1 << j for j in range(64) if j >> bit & 1 and (bit == 5 or not j >> bit + 1 & 1)) for bit in range(6)],
    np.uint64,
)
"""Entries of a word to trade when index bits `bit` and `bit` + 1 trade places: those with 1 and 0 there."""


def numpy_brute_force(words):
    """Least table over all input orders and complement, all tables at once, one step of the orders after the other."""
    low, high = complemented(words)
    best_low, best_high = low.copy(), high.copy()
    for bit in SWAPS:
        shift, mask = np.uint64(1 << bit), MASKS[bit]
        if bit == 5:
            moved = (low ^ (high << shift)) & mask
            low ^= moved
            high ^= moved >> shift
        else:
            for word in (low, high):
                moved = (word ^ (word >> shift)) & mask
                word ^= moved | moved << shift
        less = (high < best_high) | ((high == best_high) & (low < best_low))
        np.copyto(best_low, low, where=less)
        np.copyto(best_high, high, where=less)
    return np.stack([best_low, best_high], axis=1)


def numba_brute_force(words):
    """The same, one table after the other, in registers."""
    low, high = complemented(words)
    return least_tables(low, high, SWAPS, MASKS)


@njit(nogil=True)
def least_tables(low, high, swaps, masks):
    """Least table of each over all input orders."""
    found = np.empty((len(low), 2), np.uint64)
    for row in range(len(low)):
        a, b = low[row], high[row]
        best_a, best_b = a, b
        for bit in swaps:
            shift, mask = np.uint64(1 << bit), masks[bit]
            if bit == 5:
                moved = (a ^ (b << shift)) & mask
                a ^= moved
                b ^= moved >> shift
            else:
                moved = (a ^ (a >> shift)) & mask
                a ^= moved | moved << shift
                moved = (b ^ (b >> shift)) & mask
                b ^= moved | moved << shift
            if b < best_b or (b == best_b and a < best_a):
                best_a, best_b = a, b
        found[row] = best_a, best_b
    return found


def complemented(words):
    """Both words of each table, complemented where the last entry, which no order moves, is 1."""
    negated = np.where(words[:, 1] >> np.uint64(63), ~np.uint64(0), np.uint64(0))
    return words[:, 0] ^ negated, words[:, 1] ^ negated


def exact_tables_seconds():
    """CPU seconds of the exact tables in a Python of its own: without compiled code in numba's cache, and with."""
    with tempfile.TemporaryDirectory() as empty:
        cold = {**os.environ, "NUMBA_CACHE_DIR": empty}
        return {cache: exact_tables_in_a_fresh_process(cold) for cache in ("cold", "warm")}


def exact_tables_in_a_fresh_process(environment):
    """Seconds of the four tables, and of the whole process, imports included."""
    command = [sys.executable, __file__, "--only-exact-tables"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(answer)


def seconds_of_exact_tables():
    """What the process of `exact_tables_in_a_fresh_process` prints."""
    every, start = TruthTables.from_ints(range(1 << 16), 4), time.process_time()
    for name in EXACT_COUNTS:
        getattr(complexity, name)(every)
    end = time.process_time()
    return {"tables": end - start, "process": end}


def exact_tables_counts():
    """Functions of four inputs at each value from the least on, and whether they are those published."""
    every = TruthTables.from_ints(range(1 << 16), 4)
    counts = {name: np.bincount(getattr(complexity, name)(every).astype(int)).tolist() for name in EXACT_COUNTS}
    return {
        name: {"functions": counts[name], "as_published": published and counts[name] == published}
        for name, published in EXACT_COUNTS.items()
    }


def circuit_bound(seed, n_random):
    """The decomposition bound against exact C: all functions of four inputs, and NPN classes of five where C is known.

    Random functions come from a class in proportion to its size, so each weighs 1 over it: means are over classes.
    """
    every = TruthTables.from_ints(range(1 << 16), 4)
    found = {"four_inputs": {"below_exact": below(complexity.circuit_size_bounds(every)[1], every)}}
    if complexity.circuit_size.max_inputs >= 5:
        bits = generator(seed, "complexity-speed-bound").integers(0, 2, (n_random, 32), np.uint8)
        tables = TruthTables.from_bits(bits)
        bound, exact = decomposed_sizes(bits, 5, *smallest_circuits()), complexity.circuit_size(tables)
        weight = 1 / canonicalize(tables).orbit_sizes
        ratio = np.average(bound, weights=weight) / np.average(exact, weights=weight)
        error = np.sqrt(np.sum((weight * (bound - ratio * exact)) ** 2)) / np.sum(weight * exact)
        found["five_inputs"] = {
            "random_functions": n_random,
            "below_exact": below(bound, tables),
            "equal_to_exact": float(np.average(bound == exact, weights=weight)),
            "mean_over_mean_exact": float(ratio),
            "standard_error": float(error),
        }
    return found


def below(bound, tables):
    """Functions whose bound is less than C, which a bound never is."""
    return int(np.sum(bound < complexity.circuit_size(tables)))


def diagrams(samples):
    """Nodes at the input order that dd sifts to, over those of the best order, counted alike: without negated edges."""
    found = {}
    for kind, tables in samples.items():
        fewest = complexity.robdd_size(tables)
        found[kind] = {"functions": len(tables), "mean_fewest_nodes": float(fewest.mean())}
        for package in ("autoref", "cudd"):
            orders = sifted(tables.strings(), package)
            nodes = np.array([nodes_in_order(f, order) for f, order in zip(tables.bits(), orders, strict=True)])
            found[kind][package] = {
                "mean_nodes": float(nodes.mean()),
                "reached_the_fewest": float(np.mean(nodes == fewest)),
                "below_the_fewest": int(np.sum(nodes < fewest)),
            }
    return found


def nodes_in_order(bits, order):
    """Decision nodes of the reduced diagram of one function in one order."""
    n = len(order)
    table = bits.reshape((2,) * n).transpose(order)
    parts = (np.unique(table.reshape(1 << i, 2, -1), axis=0) for i in range(n))
    return sum(int(np.any(rows[:, 0] != rows[:, 1], axis=1).sum()) for rows in parts)


def disagreements(samples):
    """Functions whose C_LZ a rival finds another value of, or that it groups with others by their canonical tables."""
    found = {}
    for kind, tables in samples.items():
        lz, strings = complexity.lempel_ziv(tables), tables.strings()
        twice = concatenate([tables, tables.permute_inputs([3, 0, 6, 1, 5, 2, 4]).complement()])
        classes = class_numbers(canonicalize(twice, group=GROUP).representatives.words())
        found[kind] = {
            "functions": len(tables),
            "lempel_ziv": sum(
                int(np.sum(lz != [rival(s) for s in strings])) for rival in (textbook_lempel_ziv, searched_lempel_ziv)
            ),
            CANONICAL: sum(
                int(np.sum(classes != class_numbers(rival(twice.words()))))
                for rival in (numpy_brute_force, numba_brute_force)
            ),
        }
    return found


def class_numbers(words):
    """For each row, the first row that equals it."""
    _, first, which = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return first[which.reshape(-1)]


def picture(measured):
    """Functions a second: measures from the quickest down, with rivals and targets where there are some."""
    speeds = dict(sorted(measured["functions_per_second"].items(), key=lambda item: item[1]["networks"]))
    figure = Figure(figsize=(6.4, 0.9 + 0.125 * len(speeds)))
    figure.subplots_adjust(left=0.29, right=0.97, bottom=0.075, top=0.925)
    ax, rows = figure.subplots(), np.arange(len(speeds))
    for row, name in enumerate(speeds):
        by = sorted(
            (rate["networks"], rival.split(" by ")[1])
            for rival, rate in measured["rivals"].items()
            if rival.startswith(f"{name} by ")
        )
        for i, (rate, rival) in enumerate(by):
            ax.plot(rate, row, "x", color=RIVAL, markersize=3, label="rivals")
            ax.annotate(rival, (rate, row), (3, (-4, 1)[i % 2]), textcoords="offset points", fontsize=4, color=RIVAL)
    ax.plot([s["fair"] for s in speeds.values()], rows, "o", mfc="white", mec=OURS, ms=4, label="fair tables")
    ax.plot([s["networks"] for s in speeds.values()], rows, "o", color=OURS, ms=3, label="functions of networks")
    targets = {list(speeds).index(name): target["functions_per_second"] for name, target in measured["targets"].items()}
    ax.plot(targets.values(), targets.keys(), "|", color="black", markersize=7, markeredgewidth=1.4, label="target")
    inputs = measured["inputs"]
    ax.set_yticks(rows, [f"{name}, n = {inputs[name]}" if name in inputs else name for name in speeds], fontsize=6)
    ax.set_ylim(-0.8, len(speeds) - 0.2)
    ax.set_xscale("log")
    ax.set_xlabel(f"functions a CPU second, one core, {N} inputs unless said", fontsize=7)
    ax.tick_params(labelsize=6, length=2)
    ax.grid(axis="both", color="0.92", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="upper center", ncols=4, fontsize=7, frameon=False)
    return figure


def readme_rows(measured):
    """The rows of README.md's table of measures: what each says of itself, its cost as measured, its source."""
    rows = []
    for name, measure in sorted(every_measure().items()):
        kept = ", ".join(sorted(symmetry.replace("_", " ") for symmetry in measure.invariance)) or "nothing"
        n = inputs_of(measure)
        cost = two_digits(1e6 / measured["functions_per_second"][name]["networks"]) + (f" (n = {n})" if n != N else "")
        cells = (
            f"`{name}`",
            measure.unit,
            "yes" if measure.is_code_length else "no",
            kept,
            f"{measure.min_inputs} to {measure.max_inputs}",
            cost,
            source(measure),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def rival_rows(measured):
    """The rows of README.md's table of rivals: functions a second and how many times the rival's, of both kinds."""
    rows = []
    for pair, times in measured["times_rival"].items():
        name, rival = pair.split(" by ")
        speed = measured["functions_per_second"][name]
        cells = (
            f"`{name}`" if name != CANONICAL else name,
            rival,
            *(" / ".join(two_digits(values[kind]) for kind in KINDS) for values in (speed, times)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def claims(record):
    """What README.md says of the same run in words."""
    measured, sifting = record["run"]["measured"], record["numbers"]["diagrams"]
    speed, tables = measured["functions_per_second"], measured["exact_tables_seconds"]
    five = record["numbers"]["circuit_bound"].get("five_inputs")
    of_networks, fair = (100 * sifting[kind]["cudd"]["reached_the_fewest"] for kind in KINDS)
    return [
        f"{two_digits(speed[ALL_TOGETHER]['networks'] / 1e6)} million functions a second for {len(TOGETHER)} measures",
        f"built in {two_digits(tables['warm']['process'])} s, {two_digits(tables['cold']['process'])} s where",
        f"{of_networks:.0f} % of functions of networks and {fair:.0f} % of fair tables",
        *([f"{five['mean_over_mean_exact']:.2f} times exact C over classes of five inputs"] if five else []),
    ]


NAME = r"(?:de )?[A-Z][\w'-]+"
WORK = rf"({NAME}(?:(?:, | and ){NAME})*(?: et al\.)?) ((?:18|19|20)\d\d)\b|Knuth, [\w ]+ 4A|arXiv [\d.]+\d|RFC \d+"


def source(measure):
    """The first work that the docstring's "Source:" names: authors and year, or what stands for them."""
    found = re.search(WORK, " ".join(measure.__doc__.split("Source:")[1].split()))
    authors, year = found.groups()
    names = re.split(", | and ", authors or "")
    return f"{names[0]} et al. {year}" if len(names) > 2 else found[0]


def two_digits(value):
    """As a reader takes it in: 0.031, 1.2, 25, 9,400."""
    return f"{float(f'{value:.2g}'):,.10g}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--only-exact-tables"]:
        print(json.dumps(seconds_of_exact_tables()))
    elif sys.argv[1:] == ["--rows"]:
        record = json.loads((FIGURES / "complexity_speed.json").read_text(encoding="utf-8"))
        measured = record["run"]["measured"]
        print(*readme_rows(measured), *rival_rows(measured), *claims(record), sep="\n")
    else:
        run(
            main,
            quick={"rounds": 1, "seconds": 0.05, "n_networks": 20_000, "n_compared": 50, "n_random": 2_000},
            full={"rounds": 5, "seconds": 0.2, "n_networks": 200_000, "n_compared": 1000, "n_random": 100_000},
        )
