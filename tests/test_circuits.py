"""Circuits, formulas and depths of few inputs against slow definitions and the published counts of all functions."""

import re

import networkx as nx
import numpy as np
import pytest

from pfmap import InvalidInput, TruthTables, complexity
from pfmap.kernels import circuits as tabulated

EVERY_OF_FOUR = TruthTables.from_ints(range(1 << 16), 4)


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


def counts(measure):
    return np.bincount(measure(EVERY_OF_FOUR).astype(int)).tolist()


def literals(n):
    inputs = TruthTables.from_callables([lambda x, i=i: x[i] for i in range(n)], n)
    return [*inputs.ints(), *inputs.complement().ints()]


def sizes_by_gate_sets(n):
    """C by breadth-first search over sets of gates, all ten gates of two operands spelled out, until all is reached."""
    everything = (1 << (1 << n)) - 1
    size = dict.fromkeys([0, everything, *literals(n)], 0)
    level, gates = {frozenset()}, 0
    while len(size) <= everything:
        gates += 1
        larger = set()
        for chosen in level:
            have = [*literals(n), *chosen, *(everything ^ f for f in chosen)]
            for i, f in enumerate(have):
                for g in have[:i]:
                    for made in (f & g, f | g, f ^ g):
                        if made not in (0, everything) and made not in have:
                            size.setdefault(made, gates)
                            size.setdefault(everything ^ made, gates)
                            larger.add(chosen | {min(made, everything ^ made)})
        level = larger
    return [size[f] for f in range(everything + 1)]


def relaxed(n, leaf, with_xor, combine):
    """The least cost(f) = min over f = g op h of combine(cost(g), cost(h)), relaxed to a fixed point."""
    functions = np.arange(1 << (1 << n))
    f, g = functions[:, None], functions[None, :]
    cost = np.full(len(functions), np.inf)
    cost[literals(n)] = leaf
    cost[[0, -1]] = 0
    while True:
        before = cost.copy()
        for made in (f & g, f | g, f ^ g) if with_xor else (f & g, f | g):
            np.minimum.at(cost, made.ravel(), combine(before[f], before[g]).ravel())
        if np.array_equal(cost, before):
            return cost


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_few_inputs(n):
    tables = every_function(n)
    np.testing.assert_array_equal(complexity.circuit_size(tables), sizes_by_gate_sets(n))
    np.testing.assert_array_equal(complexity.formula_size(tables), relaxed(n, 0, True, lambda a, b: a + b + 1))
    np.testing.assert_array_equal(complexity.de_morgan_formula_size(tables), relaxed(n, 1, False, np.add))
    np.testing.assert_array_equal(
        complexity.circuit_depth(tables), relaxed(n, 0, True, lambda a, b: np.maximum(a, b) + 1)
    )


def test_published_counts_of_all_functions_of_four_inputs():
    assert counts(complexity.circuit_size) == [10, 60, 456, 2474, 10624, 24184, 25008, 2720]
    assert counts(complexity.formula_size) == [10, 60, 456, 2474, 10624, 24184, 24640, 3088]
    assert counts(complexity.circuit_depth) == [10, 60, 1458, 56456, 7552]
    shared = complexity.formula_size(EVERY_OF_FOUR) - complexity.circuit_size(EVERY_OF_FOUR)
    assert np.bincount(shared.astype(int)).tolist() == [(1 << 16) - 368, 368]


def test_de_morgan_formulas_lie_between_their_bounds():
    length = complexity.de_morgan_formula_size(EVERY_OF_FOUR)
    assert np.all(length[1:-1] >= complexity.formula_size(EVERY_OF_FOUR)[1:-1] + 1)
    parities = [TruthTables.from_callables(lambda x: x.sum() % 2, n) for n in (2, 3, 4)]
    assert [complexity.de_morgan_formula_size(t)[0] for t in parities] == [4, 10, 16]
    # Khrapchenko 1971: at least (pairs of neighbours that differ)^2 / (zeros * ones).
    bits = EVERY_OF_FOUR.bits()[1:-1].astype(int)
    pairs = sum((bits[:, j] != bits[:, j ^ (1 << i)]).astype(int) for i in range(4) for j in range(16)) // 2
    ones = bits.sum(1)
    assert np.all(length[1:-1] >= pairs**2 / (ones * (16 - ones)))


def test_fewer_inputs_cost_what_they_cost_among_four():
    among_four = TruthTables.from_bits(np.repeat(every_function(3).bits(), 2, axis=1))  # ignores x_3
    for measure in (complexity.circuit_size, complexity.de_morgan_formula_size, complexity.circuit_depth):
        np.testing.assert_array_equal(measure(every_function(3)), measure(among_four))


def classes_of_four():
    """One function of each class under permuting and negating inputs and complement: 222."""
    low, high = tabulated._symmetries()
    f = np.arange(1 << 16)
    images = low[:, f & 255] | high[:, f >> 8]
    canonical = np.minimum(images, 0xFFFF - images).min(axis=0)
    return EVERY_OF_FOUR[np.unique(canonical)]


def test_circuits_of_all_classes_evaluate_back():
    classes = classes_of_four()
    assert len(classes) == 222
    moved = classes.permute_inputs([2, 0, 3, 1]).flip_inputs([1, 2])
    for tables in (classes, moved, moved.complement(), every_function(2), every_function(1)):
        for i, (gates, s) in enumerate(zip(complexity.circuit_size(tables), tables.strings(), strict=True)):
            circuit = complexity.minimal_circuit(tables[i])
            assert nx.is_directed_acyclic_graph(circuit)
            two_inputs = [node for node, d in circuit.nodes(data=True) if len(d.get("gate", "")) == 4]
            assert len(two_inputs) == gates == sum(circuit.in_degree(node) == 2 for node in circuit)
            assert complexity.circuit_table(circuit).strings() == [s]


def test_formulas_run_as_python():
    for i in range(0, 1 << 16, 97):
        text = complexity.circuit_formula(complexity.minimal_circuit(EVERY_OF_FOUR[i]))
        names = {f"x{j}": int(f) for j, f in enumerate(tabulated.INPUTS)}
        exec(text, {}, names)  # our own formula
        value = names["f"] * 0xFFFF if re.fullmatch("f = [01]", text) else names["f"]
        assert value & 0xFFFF == i


def test_circuits_of_other_things_are_refused():
    with pytest.raises(InvalidInput, match="came with 2 functions"):
        complexity.minimal_circuit(TruthTables.from_strings(["01", "10"]))
    with pytest.raises(InvalidInput, match="came with a str"):
        complexity.minimal_circuit("0110")
    with pytest.raises(InvalidInput, match=r"5 inputs; .* at most 4; for more, use"):
        complexity.minimal_circuit(TruthTables.from_ints([1], 5))
