"""Sizes of the smallest circuits of all functions of up to five inputs by NPN class: the builder of pfmap's table.

Level r, the classes whose smallest circuits have r gates, comes from

    one gate more, on an input or joining two inputs, than the functions of level r - 1,
    the search of pfmap.kernels.gate_sets, up to level most_searched, for every other circuit of r gates,

and on levels beyond from what proves a bound from above, but does not reach every class:

    one gate more, as before,
    one gate that joins two functions of r - 1 gates in all, with no gate in common,
    on level most_searched + 1, walks among circuits of r gates (pfmap.kernels.circuit_walks), and what pfmap's file of
    an earlier build has there.

So sizes up to most_searched are exact, any other function takes more gates, and one on the next level as many as that.
It needs 3 GiB of memory.
"""

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from harness import run
from matplotlib.figure import Figure

from pfmap.complexity import tabulated
from pfmap.kernels import circuit_walks, gate_sets
from pfmap.kernels.canonical import canonical_tables
from pfmap.streams import generator

# Knuth, The Art of Computer Programming 4A, section 7.1.2; at n = 4 from the same tables by class.
PUBLISHED = {
    "n = 4": [2, 2, 5, 20, 34, 75, 72, 12],
    "n = 5": [2, 2, 5, 20, 93, 389, 1988, 11382, 60713, 221541, 293455, 26535, 1],
}
CLASSES = {1: 2, 2: 4, 3: 14, 4: 222, 5: 616126}
THREADS = 2
BITMAP_BYTES = 1 << 28
WALKERS = 20_000
SETS_A_PART = 5_000


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


def searched(sets, n, n_gates, with_xor, known, saved=None):
    """Classes that the search reaches with n_gates, other than those known, and how many sets of gates it looked at.

    Parts of the search that are done are kept in files named after `saved`, if given; the third result is the CPU
    seconds that earlier runs spent on parts found there.
    """
    known_functions = orbits(known, n)
    reached = np.zeros((THREADS, BITMAP_BYTES), np.uint8)
    parts = [sets[i :: len(sets) // SETS_A_PART + 1] for i in range(len(sets) // SETS_A_PART + 1)]
    found, visited, spent_before = [], 0, 0.0

    def search(some):
        of_part, bitmap = some
        counts = np.zeros(n_gates, np.int64)
        gate_sets.search(of_part, n_gates, bitmap, gate_sets.workspace(n, with_xor=with_xor), counts)
        return counts.sum()

    with ThreadPoolExecutor(THREADS) as pool:
        for number, part in enumerate(parts):
            file = saved and saved.with_name(f"{saved.stem}_part_{number}_of_{len(parts)}.npz")
            if file and file.exists():
                with np.load(file) as stored:
                    new, looked_at = stored["classes"], int(stored["sets_searched"])
                    spent_before += float(stored["cpu_seconds"])
            else:
                start = time.process_time()
                looked_at = int(sum(pool.map(search, [(part[i::THREADS], reached[i]) for i in range(THREADS)])))
                functions = functions_of_either(reached, known_functions, n)
                new = canonical(functions & (1 << (1 << n)) - 1, n) if len(functions) else np.empty(0, np.uint64)
                spent = time.process_time() - start
                if file:
                    np.savez(file, classes=new, sets_searched=looked_at, cpu_seconds=spent)
                if len(parts) > 1:
                    part_name = f"part {number + 1} of {len(parts)}"
                    print(f"{n} inputs, {n_gates} gates, {part_name}: {spent:.0f} CPU s", flush=True)
            gate_sets.mark_orbits(among_five_inputs(new, n), known_functions)
            found.append(new)
            visited += looked_at
    return np.concatenate(found), visited, spent_before


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


def of_two_parts(levels, reached, n, with_xor):
    """Classes not yet reached of f = g op h on the next level, where g and h share no gate; marks them as reached."""
    kinds = 5 if with_xor else 4
    found = np.empty(0, np.uint64)
    for fewer in range(1, (len(levels) + 1) // 2):
        simpler = functions_marked(orbits(levels[fewer], n))
        simpler = simpler[simpler == among_five_inputs(simpler & (1 << (1 << n)) - 1, n)]
        classes = among_five_inputs(levels[len(levels) - 1 - fewer], n)
        classes = np.where(classes & 1, classes ^ 0xFFFFFFFF, classes)
        while len(functions := gate_sets.joined(classes, simpler, kinds, reached)):
            new = canonical(functions & (1 << (1 << n)) - 1, n)
            gate_sets.mark_orbits(among_five_inputs(new, n), reached)
            found = np.union1d(found, new)
    return found


def walked(much_simpler, reached, n, with_xor, n_gates, seed, most_seconds, wanted):
    """Classes not yet reached that circuits of n_gates on random walks compute, until there are so many; marks them.

    The walks keep out of functions that are much simpler.
    """
    kinds = 5 if with_xor else 4
    simpler = orbits(much_simpler, n)
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
                new = canonical(circuit_walks.functions_of(circuits, n) & (1 << (1 << n)) - 1, n)
                gate_sets.mark_orbits(among_five_inputs(new, n), reached)
                found = np.union1d(found, new)
                walkers[rng.permutation(WALKERS)[: len(circuits)]] = circuits[:WALKERS]
    return found


def orbits(classes, n):
    """A bitmap of all functions of some classes, as `gate_sets` has them."""
    gate_sets.mark_orbits(among_five_inputs(classes, n), reached := np.zeros(BITMAP_BYTES, np.uint8))
    return reached


def among_five_inputs(functions, n):
    """Functions of n inputs as those of five that ignore the first ones."""
    functions = functions.astype(np.int64)
    for fewer in range(n, 5):
        functions = functions | functions << (1 << fewer)
    return functions


def functions_of_either(bitmaps, without, n):
    """The functions that any of some bitmaps has, and another has not."""
    if n == 5:
        return functions_marked(np.bitwise_or.reduce(bitmaps) & ~without)
    functions = among_five_inputs(np.arange(0, 1 << (1 << n), 2), n)
    at = functions >> 4
    return functions[(np.bitwise_or.reduce(bitmaps[:, at]) & ~without[at]) >> (functions >> 1 & 7) & 1 == 1]


def functions_marked(bitmap):
    """The functions of a bitmap by f >> 1."""
    words = np.flatnonzero(bitmap.view(np.uint64))
    found = []
    for some in np.array_split(words, len(words) // 1_000_000 + 1):
        bits = np.unpackbits(bitmap.reshape(-1, 8)[some], axis=1, bitorder="little")
        row, bit = np.nonzero(bits)
        found.append((64 * some[row] + bit) << 1)
    return np.concatenate(found)


def classes_by_size(
    n, with_xor, most_searched, most_gates=99, wanted=0, most_seconds_walking=0, seed=0, shipped=(), checkpoints=None
):
    """Classes of functions of at most n inputs by the gates of their smallest circuits, and what each level took.

    Args:
        n: inputs.
        with_xor: whether gates are all of two inputs, or AND and OR.
        most_searched: gates up to which levels are exact.
        most_gates: the last level built.
        wanted: how many classes end the walks on the level after most_searched.
        most_seconds_walking: there.
        seed: of the walks.
        shipped: classes of that level which earlier walks found.
        checkpoints: a folder that keeps levels, or None.
    """
    if n == 1:
        return [canonical(np.array([0, 2]), 1)], []
    fewer_inputs, _ = classes_by_size(n - 1, with_xor, 99)
    embedded = [canonical(classes | classes << np.uint64(1 << (n - 1)), n) for classes in fewer_inputs]
    levels, steps = [embedded[0]], []
    sets = [None, gate_sets.first_sets(with_xor=with_xor)]
    while sum(map(len, levels)) < CLASSES[n] and len(levels) <= most_gates:
        size, start = len(levels), time.process_time()
        saved = checkpoints and checkpoints / f"inputs_{n}_xor_{with_xor:d}_gates_{size}.npz"
        if saved and saved.exists():
            with np.load(saved) as stored:
                levels.append(stored["classes"])
                steps.append(json.loads(str(stored["step"])))
            continue
        known = np.concatenate(levels)
        level = with_one_gate_more(levels[-1], n, with_xor)
        if size < len(embedded):
            level = np.union1d(level, embedded[size])
        level = np.setdiff1d(level, known)
        step = {"gates": size, "by_one_gate_more": len(level)}
        if 3 <= size <= most_searched:
            while len(sets) <= min(size - 2, 5):
                sets.append(larger(sets[-1], n, with_xor, most_searched))
            more, visited, spent_before = searched(
                sets[min(size - 2, 5)], n, size, with_xor, np.concatenate([known, level]), saved
            )
            start -= spent_before
            level = np.union1d(level, more)
            step["by_search"], step["sets_searched"] = len(more), visited
        elif size > most_searched and len(known) + len(level) < CLASSES[n]:
            reached = orbits(np.concatenate([known, level]), n)
            more = of_two_parts(levels, reached, n, with_xor)
            level = np.union1d(level, more)
            step["by_two_parts"] = len(more)
            if size == most_searched + 1:
                kept = np.setdiff1d(np.asarray(shipped, np.uint64), np.concatenate([known, level]))
                gate_sets.mark_orbits(among_five_inputs(kept, n), reached)
                level = np.union1d(level, kept)
                more = walked(
                    np.concatenate(levels[:-2]),
                    reached,
                    n,
                    with_xor,
                    size,
                    seed,
                    most_seconds_walking,
                    wanted - len(level),
                )
                level = np.union1d(level, more)
                step["kept"], step["by_walks"] = len(kept), len(more)
        if len(level) == 0 and size > most_searched:
            break
        levels.append(level)
        step["classes"] = len(level)
        steps.append((step, round(time.process_time() - start, 1)))
        print(f"{n} inputs:", step, steps[-1][1], "CPU s", flush=True)
        if saved:
            np.savez(saved, classes=level, step=json.dumps(steps[-1]))
    return levels, steps


def proven_bounds(levels, n_exact):
    """Canonical tables, ascending, with 16 * high + low; levels after n_exact hold what is only bounded from above."""
    classes = np.concatenate(levels)
    high = np.repeat(np.arange(len(levels)), [len(level) for level in levels])
    order = np.argsort(classes)
    return classes[order], (16 * high + np.minimum(high, n_exact))[order].astype(np.uint8)


def of_every_function_of_four(levels):
    """The level of each function of four inputs: uint8[65,536]."""
    tables = np.arange(1 << 16, dtype=np.uint64)[:, None]
    canonical_of, _ = canonical_tables(tables, 4, permutations=True, flips=True, reversal=False, complement=True)
    sizes = np.zeros(1 << 16, np.uint8)
    for size, classes in enumerate(levels):
        sizes[classes.astype(np.int64)] = size
    return sizes[canonical_of[:, 0].astype(np.int64)]


def main(seed, most_searched, most_seconds_walking, write):
    """Build the tables, compare them with the published numbers of classes, and write pfmap's file if asked to.

    Without writing, what is not searched is left out. With it, levels are kept in a folder, and a run that was stopped
    goes on from there; the CPU seconds of a level are those of the run that built it.
    """
    resumed = []
    of_four_and_or, of_five = {"most_gates": most_searched}, {"most_gates": most_searched}
    if write:
        checkpoints = Path(tempfile.gettempdir()) / f"pfmap_circuit_tables_{seed}_{most_searched}"
        checkpoints.mkdir(exist_ok=True)
        resumed = sorted(file.stem for file in checkpoints.glob("inputs_*_gates_*.npz"))
        classes, bounds, _ = tabulated.read_tables()
        of_four_and_or = {"checkpoints": checkpoints}
        of_five = {
            "wanted": PUBLISHED["n = 5"][most_searched + 1],
            "most_seconds_walking": most_seconds_walking,
            "seed": seed,
            "shipped": classes[bounds >> 4 == most_searched + 1],
            "checkpoints": checkpoints,
        }
    levels, steps = {}, {}
    levels["n = 4"], steps["n = 4"] = classes_by_size(4, True, 99)
    levels["n = 4, AND and OR"], steps["n = 4, AND and OR"] = classes_by_size(4, False, 99, **of_four_and_or)
    levels["n = 5"], steps["n = 5"] = classes_by_size(5, True, most_searched, **of_five)
    if write:
        tables, bounds = proven_bounds(levels["n = 5"], most_searched + 1)
        and_or_sizes = of_every_function_of_four(levels["n = 4, AND and OR"])
        tabulated.write_tables(tables.astype(np.uint32), bounds, and_or_sizes)
    numbers = {name: [step for step, _ in of] for name, of in steps.items()}
    seconds = {name: [spent for _, spent in of] for name, of in steps.items()}
    found = {name: list(map(len, of)) for name, of in levels.items()}
    measured = {"cpu_seconds_by_level": seconds, "levels_from_earlier_runs": resumed}
    return draw(found, most_searched + 1), {"published": PUBLISHED, **numbers}, measured


def draw(found, n_exact):
    """Classes on each level, found and published; after n_exact, those with no smaller circuit found."""
    figure = Figure(figsize=(5.4, 2.7), layout="constrained")
    for ax, (name, published) in zip(figure.subplots(1, 2, sharey=True), PUBLISHED.items(), strict=True):
        sizes = range(len(found[name]))
        ax.plot(published, "o", markersize=7, markerfacecolor="none", color="#0072B2", label="published")
        ax.plot(sizes[: n_exact + 1], found[name][: n_exact + 1], ".", color="#D55E00", label="found, exact")
        ax.plot(sizes[n_exact + 1 :], found[name][n_exact + 1 :], "x", color="#D55E00", label="found, upper bound")
        ax.set(yscale="log", xlabel="Circuit size C, gates", title=name)
    figure.axes[0].set_ylabel("NPN classes")
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(
        main,
        quick={"most_searched": 6, "most_seconds_walking": 0, "write": False},
        full={"most_searched": 9, "most_seconds_walking": 60, "write": True},
    )
