"""Sizes of the smallest circuits of all functions of up to five inputs by NPN class: the builder of pfmap's table.

Level r, the classes whose smallest circuits have r gates, comes from

    one gate more, on an input or joining two inputs, than the functions of level r - 1,
    the search of pfmap.kernels.gate_sets, up to the level SEARCHED, for every other circuit of r gates,
    walks among circuits of r gates (pfmap.kernels.circuit_walks) on the level after SEARCHED,

and on levels beyond from the first alone. So sizes up to SEARCHED are exact by search, and any other function takes
SEARCHED + 1 gates at least. That walks and single gates more miss none is known by the published numbers of classes.
It needs 3 GiB of memory.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from harness import run
from matplotlib.figure import Figure

from pfmap.complexity import tabulated
from pfmap.kernels import circuit_walks, gate_sets
from pfmap.kernels.canonical import canonical_tables
from pfmap.streams import generator

# Knuth, The Art of Computer Programming 4A, section 7.1.2; at n = 4 from the same tables by class.
PUBLISHED = {
    4: [2, 2, 5, 20, 34, 75, 72, 12],
    5: [2, 2, 5, 20, 93, 389, 1988, 11382, 60713, 221541, 293455, 26535, 1],
}
CLASSES = {1: 2, 2: 4, 3: 14, 4: 222, 5: 616126}
THREADS = 2
BITMAP_BYTES = 1 << 28
WALKERS = 20_000


def canonical(functions, n):
    """NPN classes of some functions, each once: their canonical tables, ascending."""
    parts = np.array_split(functions.astype(np.uint64)[:, None], THREADS)

    def of_part(words):
        return np.unique(
            canonical_tables(words, n, permutations=True, flips=True, reversal=False, complement=True)[0][:, 0]
        )

    with ThreadPoolExecutor(THREADS) as pool:
        return np.unique(np.concatenate(list(pool.map(of_part, parts))))


def with_one_gate_more(classes, n, with_xor):
    """Classes of f op x_i and of f with x_j replaced by x_i op x_j."""
    everything = np.uint64((1 << (1 << n)) - 1)
    inputs = (gate_sets.INPUTS[5 - n :].astype(np.uint64)) & everything
    made = []
    for j, x in enumerate(inputs):
        made += [classes & x, classes & ~x, classes | x, classes | ~x & everything]
        stride = np.uint64(1 << (n - 1 - j))
        zero, one = classes & ~x, classes & x
        zero, one = zero | zero << stride, one | one >> stride
        instead = [op for y in np.delete(inputs, j) for y in (y, ~y & everything) for op in (x & y, x | y)]
        if with_xor:
            made.append(classes ^ x)
            instead += [x ^ y for y in np.delete(inputs, j)]
        made += [gate & one | ~gate & zero for gate in instead]
    return canonical(np.concatenate(made), n)


def searched(sets, n, n_gates, with_xor, known):
    """Classes that the search reaches with n_gates, other than those known."""
    reached = np.zeros((THREADS, BITMAP_BYTES), np.uint8)
    visited = np.zeros((THREADS, n_gates), np.int64)
    with ThreadPoolExecutor(THREADS) as pool:
        for i in range(THREADS):
            work = gate_sets.workspace(n, with_xor=with_xor)
            pool.submit(gate_sets.search, sets[i::THREADS], n_gates, reached[i], work, visited[i])
    marked = np.bitwise_or.reduce(reached)
    if n < 5:
        functions = np.arange(0, 1 << (1 << n), 2, dtype=np.int64)
        among_five = among_five_inputs(functions, n)
        functions = functions[marked[among_five >> 4] >> (among_five >> 1 & 7) & 1 == 1]
        found = canonical(functions, n) if len(functions) else functions.astype(np.uint64)
    else:
        gate_sets.mark_orbits(known.astype(np.int64), known_functions := np.zeros(BITMAP_BYTES, np.uint8))
        found = canonical(functions_marked(marked & ~known_functions), n)
    return np.setdiff1d(found, known), visited.sum(0)


def larger(sets, n, with_xor, most_gates):
    """All sets of one gate more, up to symmetry, that circuits of at most most_gates may hold."""
    work, size = gate_sets.workspace(n, with_xor=with_xor), sets.shape[1] + 1
    room = 50 * len(sets) + 1000
    while True:
        found = np.empty((room, size), np.int64)
        n_found = gate_sets.larger_sets(sets, most_gates - size + 1, work, found)
        if n_found <= room:
            return np.unique(found[:n_found], axis=0)
        room = n_found


def walked(level, known, much_simpler, n, with_xor, n_gates, seed, most_seconds, wanted):
    """Classes other than those given that circuits of n_gates on random walks compute, until there are so many.

    The walks keep out of functions that are much simpler.
    """
    kinds = 5 if with_xor else 4
    simpler = np.zeros(BITMAP_BYTES, np.uint8)
    gate_sets.mark_orbits(among_five_inputs(much_simpler, n), simpler)
    reached = simpler.copy()
    gate_sets.mark_orbits(among_five_inputs(np.concatenate([known, level]), n), reached)
    rng = generator(seed, "circuit-walks")
    walkers = np.empty((WALKERS, n_gates, 3), np.uint8)
    circuit_walks.random_circuits(n, kinds, rng, simpler, walkers)
    found = np.empty(0, np.uint64)
    start = time.perf_counter()

    def explore(part, seed):
        return circuit_walks.explore(part, n, kinds, simpler, reached, int(seed))

    with ThreadPoolExecutor(THREADS) as pool:
        while len(found) < wanted and time.perf_counter() - start < most_seconds:
            parts = np.array_split(walkers, THREADS)
            circuits = np.concatenate(list(pool.map(explore, parts, rng.integers(1, 1 << 62, THREADS))))
            if len(circuits):
                classes = canonical(circuit_walks.functions_of(circuits, n) & (1 << (1 << n)) - 1, n)
                new = np.setdiff1d(classes, found)
                gate_sets.mark_orbits(among_five_inputs(new, n), reached)
                found = np.union1d(found, new)
                walkers[rng.permutation(WALKERS)[: len(circuits)]] = circuits[:WALKERS]
    return found


def among_five_inputs(functions, n):
    """Functions of n inputs as those of five that ignore the first ones."""
    functions = functions.astype(np.int64)
    for fewer in range(n, 5):
        functions = functions | functions << (1 << fewer)
    return functions


def functions_marked(bitmap):
    """The functions of a bitmap by f >> 1."""
    words = np.flatnonzero(bitmap.view(np.uint64))
    found = []
    for some in np.array_split(words, len(words) // 1_000_000 + 1):
        bits = np.unpackbits(bitmap.reshape(-1, 8)[some], axis=1, bitorder="little")
        row, bit = np.nonzero(bits)
        found.append((64 * some[row] + bit) << 1)
    return np.concatenate(found)


def classes_by_size(n, with_xor, most_searched, wanted, most_seconds_walking, seed):
    """Classes of functions of at most n inputs by the gates of their smallest circuits, and what each level took.

    Walks on the level after most_searched end when it has the wanted number of classes, or after so many seconds.
    """
    if n == 1:
        return [canonical(np.array([0, 2]), 1)], []
    fewer_inputs, _ = classes_by_size(n - 1, with_xor, 99, 0, 0, seed)
    embedded = [canonical(classes | classes << np.uint64(1 << (n - 1)), n) for classes in fewer_inputs]
    levels, steps = [embedded[0]], []
    sets = [None, gate_sets.first_sets(with_xor=with_xor)]
    while sum(map(len, levels)) < CLASSES[n]:
        size, start = len(levels), time.perf_counter()
        known = np.concatenate(levels)
        level = with_one_gate_more(levels[-1], n, with_xor)
        if size < len(embedded):
            level = np.union1d(level, embedded[size])
        level = np.setdiff1d(level, known)
        step = {"gates": size, "by_one_gate_more": len(level)}
        if 3 <= size <= most_searched:
            if len(sets) <= min(size - 2, 5):
                sets.append(larger(sets[-1], n, with_xor, most_searched))
            more, visited = searched(sets[min(size - 2, 5)], n, size, with_xor, np.concatenate([known, level]))
            level = np.union1d(level, more)
            step["by_search"], step["sets_searched"] = len(more), int(visited.sum())
        elif size == most_searched + 1 and len(level) < wanted:
            more = walked(
                level,
                known,
                np.concatenate(levels[:-2]),
                n,
                with_xor,
                size,
                seed,
                most_seconds_walking,
                wanted - len(level),
            )
            level = np.union1d(level, more)
            step["by_walks"] = len(more)
        if len(level) == 0 and size > most_searched:
            break
        levels.append(level)
        step["classes"] = len(level)
        steps.append((step, round(time.perf_counter() - start, 1)))
        print(n, step, steps[-1][1], "s", flush=True)
    return levels, steps


def proven_bounds(levels, n_exact):
    """Canonical tables, ascending, with 16 * high + low; levels after n_exact hold what is only bounded from above."""
    classes = np.concatenate(levels)
    high = np.repeat(np.arange(len(levels)), [len(level) for level in levels])
    order = np.argsort(classes)
    return classes[order], (16 * high + np.minimum(high, n_exact))[order].astype(np.uint8)


def main(seed, most_searched, most_seconds_walking, write):
    """Build the tables, compare them with the published numbers of classes, and write pfmap's file if asked to."""
    numbers, seconds = {"published": {f"n = {n}": counts for n, counts in PUBLISHED.items()}}, {}
    levels = {}
    for n, searched_to, wanted in ((4, 7, 0), (5, most_searched, PUBLISHED[5][min(most_searched + 1, 12)])):
        levels[n], steps = classes_by_size(n, True, searched_to, wanted, most_seconds_walking, seed)
        numbers[f"n = {n}"] = [step for step, _ in steps]
        seconds[f"n = {n}"] = [spent for _, spent in steps]
    if write:
        classes, bounds = proven_bounds(levels[5], most_searched + 1)
        tabulated.write_tables(classes.astype(np.uint32), bounds)
    return draw({n: list(map(len, found)) for n, found in levels.items()}), numbers, seconds


def draw(found):
    """Classes on each level, found and published."""
    figure = Figure(figsize=(5.4, 2.7), layout="constrained")
    for ax, n in zip(figure.subplots(1, 2), (4, 5), strict=True):
        ax.plot(PUBLISHED[n], "o", markersize=7, markerfacecolor="none", color="#0072B2", label="published")
        ax.plot(found[n], ".", color="#D55E00", label="found")
        ax.set(yscale="log", xlabel="Circuit size C, gates", title=f"n = {n}")
    figure.axes[0].set_ylabel("NPN classes")
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"most_searched": 6, "most_seconds_walking": 0, "write": False},
        full={"most_searched": 9, "most_seconds_walking": 2400, "write": True},
    )
