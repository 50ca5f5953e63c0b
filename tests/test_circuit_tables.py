"""The shipped table of circuit sizes, its builder's searches, and what is answered from the table."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pfmap import InvalidInput, TruthTables, complexity
from pfmap.complexity import tabulated
from pfmap.errors import CorruptStore
from pfmap.kernels import circuit_walks, gate_sets
from pfmap.kernels.circuits import smallest_circuits
from pfmap.streams import generator
from pfmap.symmetry import canonicalize

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
# NPN classes of at most five inputs with C = 0, 1, …: Knuth, The Art of Computer Programming 4A, section 7.1.2.
PUBLISHED = [2, 2, 5, 20, 93, 389, 1988, 11382, 60713, 221541, 293455, 26535, 1]


@pytest.fixture
def builder(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("circuit_tables", EXPERIMENTS / "circuit_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("harness", None)


def shipped_levels():
    _, bounds, _ = tabulated.read_tables()
    return bounds & 15, bounds >> 4


def test_shipped_classes_are_as_many_as_published():
    low, high = shipped_levels()
    assert len(low) == 616126 == sum(PUBLISHED)
    exact = np.bincount(high[low == high], minlength=13)
    assert exact[:10].tolist() == PUBLISHED[:10]
    assert exact[10] <= PUBLISHED[10]
    # Of the others it is known that they take 10 gates or more: as many as published, once all are settled.
    others = low < high
    assert np.all(low[others] == 10)
    assert np.all(high[others] >= 11)
    assert exact.sum() + others.sum() == 616126
    assert np.sum(high <= 11) >= PUBLISHED[10] + exact[:10].sum()


def test_shipped_classes_are_the_canonical_tables_of_this_version():
    """A change of what is canonical cannot pass: every key has to be its own canonical table."""
    classes, _, _ = tabulated.read_tables()
    assert np.all(np.diff(classes.astype(np.int64)) > 0)
    tables = TruthTables.from_words(classes.astype(np.uint64)[:, None], TruthTables.from_ints([0], 5).domain)
    np.testing.assert_array_equal(canonicalize(tables).representatives.words(), tables.words())


def test_functions_on_each_level_are_as_many_as_published():
    """Knuth's numbers of functions, not of classes: orbit sizes weigh the classes."""
    of_five = [12, 100, 1140, 11570, 109826, 995240, 8430800, 63401728, 383877392, 1519125536]
    classes, _, _ = tabulated.read_tables()
    tables = TruthTables.from_words(classes.astype(np.uint64)[:, None], TruthTables.from_ints([0], 5).domain)
    _, high = shipped_levels()
    functions = np.bincount(high, canonicalize(tables).orbit_sizes).astype(np.int64)
    assert functions[:10].tolist() == of_five
    assert functions.sum() == 1 << 32


def test_four_inputs_among_five_cost_what_they_cost_alone():
    alone = TruthTables.from_ints(range(1 << 16), 4)
    among_five = TruthTables.from_bits(np.repeat(alone.bits(), 2, axis=1))
    for bound in complexity.circuit_size_bounds(among_five):
        np.testing.assert_array_equal(bound, complexity.circuit_size(alone))


def test_damage_of_the_shipped_file_is_named(tmp_path):
    good = tabulated.PATH.read_bytes()
    for name, content in {
        "cut": good[:-100],
        "flipped": good[:5000] + bytes([good[5000] ^ 1]) + good[5001:],
        "no": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CorruptStore, match=f"{re.escape(str(path))}.*reinstall pfmap"):
            tabulated.read_tables(path)
    with pytest.raises(CorruptStore, match=r"absent.*reinstall pfmap"):
        tabulated.read_tables(tmp_path / "absent")


def test_shipped_file_is_small_and_reads_back(tmp_path):
    assert tabulated.PATH.stat().st_size < 2_000_000
    tabulated.write_tables(*tabulated.read_tables(), tmp_path / "copy")
    for one, other in zip(tabulated.read_tables(), tabulated.read_tables(tmp_path / "copy"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_search_finds_the_classes_of_three_and_four_inputs(builder):
    """Circuit sizes of all functions of four inputs, from another search that visits sets of gates one by one."""
    levels, _ = builder.classes_by_size(4, True, 99)
    sizes, _ = smallest_circuits()
    expected = [np.unique(builder.canonical(np.flatnonzero(sizes == size), 4)) for size in range(8)]
    assert [len(level) for level in levels] == builder.PUBLISHED["n = 4"]
    for level, classes in zip(levels, expected, strict=True):
        np.testing.assert_array_equal(level, classes)


def test_two_parts_without_a_common_gate_are_joined_in_every_way(builder):
    """Against all pairs: functions of four inputs with C = 6 that are g op h with C(g) + C(h) = 5."""
    sizes, _ = smallest_circuits()
    levels = [builder.canonical(np.flatnonzero(sizes == size), 4) for size in range(6)]
    found = builder.of_two_parts(levels, builder.orbits(np.concatenate(levels), 4), 4, True)
    expected = set()
    for fewer in (1, 2):
        g = np.flatnonzero(sizes == fewer)[:, None]
        h = np.flatnonzero(sizes == 5 - fewer)[None, :]
        expected.update(np.unique([g & h, g | h, g ^ h]))
    expected = np.array(sorted(expected))
    np.testing.assert_array_equal(found, builder.canonical(expected[sizes[expected] == 6], 4))
    assert len(found) > 10


def test_a_quick_build_stops_where_its_search_does(builder):
    figure, numbers, measured = builder.main(0, most_searched=4, most_seconds_walking=0, write=False)
    assert [step["classes"] for step in numbers["n = 4"]] == builder.PUBLISHED["n = 4"][1:]
    assert [step["classes"] for step in numbers["n = 5"]] == builder.PUBLISHED["n = 5"][1:5]
    assert len(measured["cpu_seconds_by_level"]["n = 5"]) == 4
    assert len(figure.axes) == 2


def test_a_build_goes_on_from_its_checkpoints(builder, tmp_path, capsys):
    levels, steps = builder.classes_by_size(3, False, 99, checkpoints=tmp_path)
    assert "3 inputs: " in capsys.readouterr().out
    again, steps_again = builder.classes_by_size(3, False, 99, checkpoints=tmp_path)
    assert "3 inputs: " not in capsys.readouterr().out
    assert [tuple(step) for step in steps_again] == steps
    for one, other in zip(again, levels, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_search_goes_on_from_the_parts_that_are_done(builder, tmp_path, monkeypatch):
    """In one part, in many, and with some of these read back: 31 classes take seven AND/OR gates and no fewer."""
    sizes = complexity.and_or_circuit_size(TruthTables.from_ints(range(1 << 16), 4))
    known = builder.canonical(np.flatnonzero(sizes < 7), 4)
    sets = gate_sets.first_sets(with_xor=False)
    for _ in range(3):
        sets = builder.larger(sets, 4, False, 7)
    whole, visited, _ = builder.searched(sets, 4, 7, False, known)
    monkeypatch.setattr(builder, "SETS_A_PART", len(sets) // 4)
    saved = tmp_path / "level.npz"
    for gone in ([], [1, 3]):
        for number in gone:
            next(tmp_path.glob(f"level_part_{number}_of_*.npz")).unlink()
        found, looked_at, _ = builder.searched(sets, 4, 7, False, known, saved)
        np.testing.assert_array_equal(np.sort(found), whole)
        assert looked_at == visited
    assert len(list(tmp_path.iterdir())) >= 4
    np.testing.assert_array_equal(np.intersect1d(whole, builder.canonical(np.flatnonzero(sizes == 7), 4)), whole)


def test_circuits_of_and_and_or_are_those_of_the_search(builder):
    """Levels of seven gates and fewer, and all of three inputs."""
    every = TruthTables.from_ints(range(1 << 16), 4)
    sizes = complexity.and_or_circuit_size(every)
    levels, _ = builder.classes_by_size(4, False, 7, most_gates=7)
    assert list(map(len, levels)) == [2, 1, 2, 7, 9, 24, 30, 61]
    for size, level in enumerate(levels):
        np.testing.assert_array_equal(level, builder.canonical(np.flatnonzero(sizes == size), 4))
    assert np.bincount(sizes.astype(int))[8:].tolist() == [17680, 7882, 320]


def test_circuits_of_and_and_or_lie_between_their_bounds():
    every = TruthTables.from_ints(range(1 << 16), 4)
    sizes, of_any_gates = complexity.and_or_circuit_size(every), complexity.circuit_size(every)
    assert np.all(of_any_gates <= sizes)
    assert np.all(sizes <= 3 * of_any_gates)
    assert np.all(sizes <= np.maximum(complexity.de_morgan_formula_size(every) - 1, 0))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_parity_takes_three_gates_an_input_more(n):
    """Schnorr 1974."""
    parity = TruthTables.from_callables(lambda x: x.sum() % 2, n)
    assert complexity.and_or_circuit_size(parity) == 3 * (n - 1)


def test_walks_meet_circuits_of_what_they_say():
    simpler, reached = (np.zeros(1 << 28, np.uint8) for _ in range(2))
    walkers = np.empty((20, 6, 3), np.uint8)
    circuit_walks.random_circuits(4, 5, generator(0, "walkers"), simpler, walkers)
    circuits = circuit_walks.explore(walkers, 4, 5, simpler, reached, 7)
    functions = circuit_walks.functions_of(circuits, 4)
    assert len(np.unique(functions)) == len(functions) > 100
    assert np.all(smallest_circuits()[0][functions & 0xFFFF] <= 6)


def test_orbits_are_marked_whole():
    reached = np.zeros(1 << 28, np.uint8)
    functions = TruthTables.from_ints([0x96696996, 0x80000000, 0x12345678], 5)
    gate_sets.mark_orbits(functions.words()[:, 0].astype(np.int64), reached)
    assert np.bitwise_count(reached.view(np.uint64)).sum() * 2 == canonicalize(functions).orbit_sizes.sum()


def test_bounds_of_six_inputs_use_parts_of_five(rng):
    tables = TruthTables.from_bits(rng.random((300, 64)) < 0.5)
    low, high = complexity.circuit_size_bounds(tables)
    bits = tables.bits().reshape(-1, 2, 32)
    parts = [
        complexity.circuit_size_bounds(TruthTables.from_bits(part))
        for part in (bits[:, 0], bits[:, 1], bits[:, 0] ^ bits[:, 1])
    ]
    assert np.all(low >= np.maximum(parts[0][0], parts[1][0]) + 1)
    assert np.all(high <= parts[0][1] + parts[1][1] + 3)
    assert np.all(high <= parts[0][1] + parts[2][1] + 2)
    assert np.all(low <= high)


def test_circuit_size_stops_at_four_inputs_and_says_where_to_go_on():
    with pytest.raises(InvalidInput, match=r"5 inputs; .* at most 4; use complexity.circuit_size_bounds"):
        complexity.circuit_size(TruthTables.from_ints([1], 5))
