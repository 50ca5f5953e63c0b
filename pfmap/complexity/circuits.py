"""Circuits and formulas of two-input gates, exact for every function of at most four inputs, bounded for up to ten.

NOT is free: a gate may compute any of the functions of its two operands, and negated inputs cost nothing. Tables over
all 65,536 functions of four inputs are built once a process, when first asked for. What is proven of sizes at five
inputs, exact for most functions, ships with pfmap by NPN class.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity import tabulated as shipped
from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.errors import InvalidInput
from pfmap.kernels import circuits as tabulated
from pfmap.kernels.decomposition import decomposed_sizes
from pfmap.tables import Cube, TruthTables, require_one_function, require_tables

if TYPE_CHECKING:
    import networkx as nx

MAX_EXACT_INPUTS = 4
MAX_LISTED_INPUTS = 5
MAX_BOUNDED_INPUTS = 10

_INSTEAD = "complexity.circuit_size_bounds, or complexity.robdd_size for another measure that is exact"
_DECISIONS_INSTEAD = "complexity.robdd_size up to 12 inputs (its decision nodes take 3 gates each, at most)"

_smallest_circuits = cache(tabulated.smallest_circuits)
_smallest_formulas = cache(tabulated.smallest_formulas)
_smallest_depths = cache(tabulated.smallest_depths)


@measure(unit="gates", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_EXACT_INPUTS, instead=_INSTEAD)
def circuit_size(tables: TruthTables) -> Values:
    """Boolean circuit complexity C(f): gates of the smallest circuit, any two-input gates, results shared freely.

    NOT is free, and constants, inputs and negated inputs cost 0. Also called combinational complexity over the full
    binary basis; `minimal_circuit` gives such a circuit.

    Args:
        tables: functions on a cube of at most 4 inputs.

    Returns:
        float64[size], 0 to 7.

    Raises:
        InvalidInput: more than 4 inputs. At 5, `circuit_size_bounds` is exact for most functions, and says which.

    Error: exact, by exhaustive search. Cost: 2 s once a process, then 1e8 functions/s on one core.
    Source: Knuth, The Art of Computer Programming 4A, section 7.1.2: 10, 60, 456, 2474, 10624, 24184, 25008 and 2720
    functions of four inputs have C = 0 to 7.

    Example:
        >>> circuit_size(TruthTables.from_strings(["00001111", "00010111", "01101001"]))
        array([0., 4., 2.])
    """
    return _smallest_circuits()[0][_of_four_inputs(tables)].astype(np.float64)


@measure(unit="gates", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_EXACT_INPUTS, instead=_INSTEAD)
def formula_size(tables: TruthTables) -> Values:
    """Formula length L(f): gates of the smallest tree of any two-input gates, so that no result is used twice.

        L(f) = 0 for constants, inputs and negated inputs, else min over f = g op h of L(g) + L(h) + 1

    NOT is free. The tree has L + 1 leaves. L >= C, and L > C for 368 functions of four inputs.

    Args:
        tables: functions on a cube of at most 4 inputs.

    Returns:
        float64[size], 0 to 7.

    Raises:
        InvalidInput: more than 4 inputs.

    Error: exact. Cost: 0.03 s once a process, then 1e8 functions/s on one core. Source: Knuth, The Art of Computer
    Programming 4A, section 7.1.2: 10, 60, 456, 2474, 10624, 24184, 24640 and 3088 functions have L = 0 to 7.

    Example:
        >>> formula_size(TruthTables.from_strings(["00001111", "00010111", "01101001"]))
        array([0., 4., 2.])
    """
    return _smallest_formulas(with_xor=True)[_of_four_inputs(tables)].astype(np.float64)


@measure(
    unit="literals", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_EXACT_INPUTS, instead=_INSTEAD
)
def de_morgan_formula_size(tables: TruthTables) -> Values:
    """De Morgan formula length: literals of the shortest formula of AND and OR over inputs and negated inputs.

        1 for an input or its negation, else min over f = g AND h, f = g OR h of the sum over g and h; 0 for constants

    NOT anywhere else changes nothing, since De Morgan's laws push it to the inputs. Gates are one fewer than literals.

    Args:
        tables: functions on a cube of at most 4 inputs.

    Returns:
        float64[size], 0 to 16.

    Raises:
        InvalidInput: more than 4 inputs.

    Error: exact. Cost: 2 s once a process, then 1e8 functions/s on one core. Source: Khrapchenko 1971: parity of n
    inputs needs n^2 literals at least, reached at n = 2 and 4.

    Example:
        >>> de_morgan_formula_size(TruthTables.from_strings(["00001111", "00010111", "01101001"]))
        array([ 1.,  5., 10.])
    """
    which = _of_four_inputs(tables)
    gates = _smallest_formulas(with_xor=False)[which].astype(np.float64)
    return np.where((which == 0) | (which == 0xFFFF), 0.0, gates + 1)


@measure(unit="gates", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_EXACT_INPUTS, instead=_INSTEAD)
def and_or_circuit_size(tables: TruthTables) -> Values:
    """Gates of the smallest circuit of AND and OR gates, results shared freely; NOT is free.

    `circuit_size` with every gate but XOR and its complement, which take 3 gates here; so it lies between C and 3 C.

    Args:
        tables: functions on a cube of at most 4 inputs.

    Returns:
        float64[size], 0 to 10.

    Raises:
        InvalidInput: more than 4 inputs.
        CorruptStore: pfmap's file of circuit sizes is damaged.

    Error: exact, by exhaustive search in experiments/circuit_tables.py: 10, 48, 256, 940, 2336, 6464, 10616, 18984,
    17680, 7882 and 320 functions of four inputs take 0 to 10 gates. Cost: 0.01 s once a process, then 7e7 functions/s
    on one core. Source: Schnorr 1974: parity of n inputs takes 3 (n - 1) gates.

    Example:
        >>> and_or_circuit_size(TruthTables.from_strings(["00001111", "00010111", "01101001"]))
        array([0., 4., 6.])
    """
    return shipped.read_tables()[2][_of_four_inputs(tables)].astype(np.float64)


@measure(unit="levels", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_EXACT_INPUTS, instead=_INSTEAD)
def circuit_depth(tables: TruthTables) -> Values:
    """Circuit depth: gates on the longest path from an input to the output, in the circuit where that is shortest.

        D(f) = 0 for constants, inputs and negated inputs, else min over f = g op h of 1 + max(D(g), D(h))

    Any two-input gates; NOT is free; formulas are as shallow as circuits.

    Args:
        tables: functions on a cube of at most 4 inputs.

    Returns:
        float64[size], 0 to 4.

    Raises:
        InvalidInput: more than 4 inputs.

    Error: exact. Cost: 0.01 s once a process, then 1e8 functions/s on one core. Source: Knuth, The Art of Computer
    Programming 4A, section 7.1.2: 10, 60, 1458, 56456 and 7552 functions of four inputs have depth 0 to 4.

    Example:
        >>> circuit_depth(TruthTables.from_strings(["00001111", "00010111", "01101001"]))
        array([0., 3., 2.])
    """
    return _smallest_depths()[_of_four_inputs(tables)].astype(np.float64)


def circuit_size_bounds(tables: TruthTables) -> tuple[Values, Values]:
    """Two values that the circuit size C(f) of `circuit_size` lies between: (not below, attained by a circuit).

    Up to 4 inputs both are C, and at 5 wherever C <= 9 and for most functions of C = 10; the others at 5 inputs are
    known to take 10 gates at least, and 11 or 12 at most. Beyond, the first is the number of inputs that f depends on,
    less one. The second counts the gates of a circuit found by Shannon and Davio decomposition: a dynamic program over
    all ways to fix inputs to 0, 1 or "xor" (the sum of both) builds f from its parts at up to 3 gates a step, from
    parts of four inputs whose circuits are exact; gates that compute the same function are then counted once. At 6
    inputs both also look at what is known of the parts of five: C(f) > C(f with x = c) for an input x that f reads.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        (low, high), each float64[size], in gates.

    Raises:
        InvalidInput: no TruthTables, or more than 10 inputs.
        CorruptStore: pfmap's file of circuit sizes at 5 inputs is damaged.

    Error: at 5 inputs (C, C) for 94 % of classes and of functions. Decomposition alone, over classes of 5 inputs, is
    1.16 times exact on average; of random functions of 6 inputs, the means are 11.0 and 19.6. Cost: at 5 inputs 3e6
    functions/s; beyond, O(4^n) a function: 80000 random functions/s at n = 6, 36000 at n = 7, 200 at n = 10 on one
    core, after 2 s once a process. Source: Kebschull, Schubert, Rosenstiel 1992 for the decompositions (Kronecker
    diagrams); Knuth 4A, 7.1.2 for C.

    Example:
        >>> parity = TruthTables.from_callables(lambda x: x.sum() % 2, 7)
        >>> circuit_size_bounds(parity)
        (array([6.]), array([6.]))
    """
    require_tables("circuit_size_bounds", tables)
    n = tables.n_inputs
    if n > MAX_BOUNDED_INPUTS:
        raise InvalidInput(
            f"circuit_size_bounds came with functions of {n} inputs; it answers for at most {MAX_BOUNDED_INPUTS}; "
            f"use {_DECISIONS_INSTEAD}"
        )
    if n <= MAX_EXACT_INPUTS:
        return circuit_size(tables), circuit_size(tables)
    if n == MAX_LISTED_INPUTS:
        below, above = shipped.bounds_of_five_inputs(tables.words()[:, 0])
        return below.astype(np.float64), above.astype(np.float64)
    bits = tables.bits()
    depends = np.empty((len(tables), n), bool)
    for i in range(n):
        halves = bits.reshape(len(bits), 1 << i, 2, -1)
        depends[:, i] = np.any(halves[:, :, 0] != halves[:, :, 1], axis=(1, 2))
    low = np.maximum(depends.sum(1) - 1, 0)
    high = decomposed_sizes(bits, n, *_smallest_circuits())
    if n == MAX_LISTED_INPUTS + 1:
        by_parts = _bounds_by_parts_of_five(tables.words()[:, 0], depends)
        low, high = np.maximum(low, by_parts[0]), np.minimum(high, by_parts[1])
    return low.astype(np.float64), high.astype(np.float64)


@measure(
    unit="gates",
    invariance={"complement"},
    is_code_length=False,
    max_inputs=MAX_BOUNDED_INPUTS,
    instead=_DECISIONS_INSTEAD,
)
def circuit_size_bound(tables: TruthTables) -> Values:
    """Gates of a small circuit, which circuit size C(f) cannot exceed: the upper of `circuit_size_bounds`.

    It is C itself up to 4 inputs, and at 5 for most functions. Beyond, unlike C, it can depend on the order and the
    signs of the inputs.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size].

    Raises:
        InvalidInput: more than 10 inputs.

    Error: an upper bound, as of `circuit_size_bounds`. Cost: likewise. Source: Kebschull, Schubert, Rosenstiel 1992 for
    the decompositions.

    Example:
        >>> circuit_size_bound(TruthTables.from_callables(lambda x: x.sum() % 2, 7))
        array([6.])
    """
    return circuit_size_bounds(tables)[1]


def _bounds_by_parts_of_five(words: NDArray[np.uint64], depends: NDArray[np.bool_]) -> NDArray[np.int64]:
    # Of functions of six inputs; `depends` tells which.
    bounds = np.array([np.zeros(len(words), np.int64), np.full(len(words), 99)])
    for i in range(6):
        zero, one = _cofactors(words, 5 - i)
        xor = zero ^ one
        (low_zero, of_zero), (low_one, of_one), (_, of_xor) = map(shipped.bounds_of_five_inputs, (zero, one, xor))
        bounds[0] = np.maximum(bounds[0], np.maximum(low_zero, low_one) + depends[:, i])
        full = np.uint64(0xFFFFFFFF)
        flat_zero, flat_one, flat_xor = ((part == 0) | (part == full) for part in (zero, one, xor))
        gates = np.minimum(of_zero + of_one + 3, np.minimum(of_zero, of_one) + of_xor + 2)
        gates = np.where(flat_zero | flat_one, of_zero + of_one + 1, gates)
        gates = np.where(flat_xor, of_zero + ((xor == full) & ~flat_zero), gates)
        bounds[1] = np.minimum(bounds[1], gates)
    return bounds


def _cofactors(words: NDArray[np.uint64], bit: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    # The two functions of five inputs left where an index bit is 0, and where it is 1.
    halves = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    halves = halves.reshape(len(words), -1, 2, 1 << bit)
    packed = [np.packbits(halves[:, :, c].reshape(len(words), 32), axis=1, bitorder="little") for c in (0, 1)]
    zero, one = (np.ascontiguousarray(p).view("<u4")[:, 0].astype(np.uint64) for p in packed)
    return zero, one


def minimal_circuit(table: TruthTables) -> nx.DiGraph:
    """A circuit of `circuit_size` gates for one function of at most four inputs.

    Nodes are inputs "x0", "x1", … and gates "g1", "g2", …, each gate after its operands. A gate carries `operands`, a
    tuple of nodes, and `gate`, its truth table as a string over their values: "0001" is AND. The free NOT of an input
    has one operand and gate "10"; a constant has none and gate "0" or "1". Edges run from operand to gate, and
    graph["output"] names the node that computes the function. Of several smallest circuits, it is always the same one.

    Args:
        table: one function on a cube of at most 4 inputs.

    Returns:
        networkx.DiGraph; `circuit_table` evaluates it and `circuit_formula` prints it.

    Raises:
        InvalidInput: more than one function, or more than 4 inputs.

    Error: exact. Cost: 2 s once a process, then 0.2 ms. Source: as `circuit_size`.

    Example:
        >>> circuit = minimal_circuit(TruthTables.from_strings(["01101001"]))
        >>> print(circuit_formula(circuit))
        f = x2 ^ (x0 ^ x1)
        >>> circuit_table(circuit).strings()
        ['01101001']
    """
    import networkx as nx

    require_one_function("minimal_circuit", table)
    n = table.n_inputs
    if n > MAX_EXACT_INPUTS:
        raise InvalidInput(
            f"minimal_circuit came with a function of {n} inputs; exact circuits are known for at most "
            f"{MAX_EXACT_INPUTS}; for more, use {_INSTEAD}"
        )
    target = int(_of_four_inputs(table)[0])
    computed = {f"x{i}": int(f) for i, f in enumerate(tabulated.INPUTS[MAX_EXACT_INPUTS - n :])}
    circuit = nx.DiGraph(n_inputs=n)
    circuit.add_nodes_from(computed)
    chain = [int(f) for f in _smallest_circuits()[1][target] if f]
    for number, function in enumerate(chain, 1):
        wanted = target if number == len(chain) else function
        name, (gate, operands) = f"g{number}", _gate_for(wanted, computed)
        _add_gate(circuit, name, gate, operands)
        computed[name] = wanted
    if not chain:
        negated = {0xFFFF ^ f: name for name, f in computed.items()}
        if target in (0, 0xFFFF):
            _add_gate(circuit, "g1", str(target & 1), ())
        elif target in negated:
            _add_gate(circuit, "g1", "10", (negated[target],))
    names = {f: name for name, f in computed.items()}
    circuit.graph["output"] = names.get(target, "g1")
    return circuit


def circuit_table(circuit: nx.DiGraph) -> TruthTables:
    """The function that a circuit computes, as one table on Cube(n); the circuit is a DAG as of `minimal_circuit`.

    Error: exact. Cost: O(gates 2^n).
    """
    import networkx as nx

    points = Cube(circuit.graph["n_inputs"]).points()
    values: dict[str, NDArray[np.uint8]] = {f"x{i}": points[:, i] for i in range(points.shape[1])}
    for node in nx.topological_sort(circuit):
        if node not in values:
            rows = np.zeros(len(points), np.intp)
            for operand in circuit.nodes[node]["operands"]:
                rows = 2 * rows + values[operand]
            values[node] = np.frombuffer(circuit.nodes[node]["gate"].encode(), np.uint8)[rows] - ord("0")
    return TruthTables.from_bits(values[circuit.graph["output"]][None])


_FORMULAS = {
    "0": "0",
    "1": "1",
    "10": "~{0}",
    "0001": "{0} & {1}",
    "0010": "{0} & ~{1}",
    "0100": "~{0} & {1}",
    "0110": "{0} ^ {1}",
    "0111": "{0} | {1}",
    "1000": "~({0} | {1})",
    "1001": "~({0} ^ {1})",
    "1011": "{0} | ~{1}",
    "1101": "~{0} | {1}",
    "1110": "~({0} & {1})",
}


def circuit_formula(circuit: nx.DiGraph) -> str:
    """A circuit as text: one line for each gate that is used more than once, then f; the operators are Python's.

    Example:
        >>> print(circuit_formula(minimal_circuit(TruthTables.from_strings(["0111110110110110"]))))
        g2 = x1 ^ x2
        f = (~(x0 & x1) & g2) | (g2 ^ (x0 ^ x3))
    """
    import networkx as nx

    output = circuit.graph["output"]
    text: dict[str, str] = {}
    lines = []
    for node in nx.topological_sort(circuit):
        if "gate" not in circuit.nodes[node]:
            text[node] = node
            continue
        formula = _FORMULAS[circuit.nodes[node]["gate"]].format(*(text[o] for o in circuit.nodes[node]["operands"]))
        if node == output:
            text[node] = formula
        elif circuit.out_degree(node) > 1:
            lines.append(f"{node} = {formula}")
            text[node] = node
        else:
            text[node] = f"({formula})"
    return "\n".join([*lines, f"f = {text[output]}"])


def _of_four_inputs(tables: TruthTables) -> NDArray[np.int64]:
    # The function of fewer inputs as the one of four that ignores the first ones.
    which = tables.words()[:, 0].astype(np.int64)
    for n in range(tables.n_inputs, MAX_EXACT_INPUTS):
        which |= which << (1 << n)
    return which


def _gate_for(wanted: int, computed: dict[str, int]) -> tuple[str, tuple[str, str]]:
    names = list(computed)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            f, g = computed[one], computed[other]
            cells = (0xFFFF ^ (f | g), ~f & g, f & ~g, f & g)
            if all(wanted & cell in (0, cell) for cell in cells):
                return "".join(str(int(wanted & cell != 0)) for cell in cells), (one, other)
    raise RuntimeError(f"the tabulated circuit of {wanted:#06x} is no circuit")


def _add_gate(circuit: nx.DiGraph, name: str, gate: str, operands: tuple[str, ...]) -> None:
    circuit.add_node(name, gate=gate, operands=operands)
    circuit.add_edges_from((operand, name) for operand in operands)
