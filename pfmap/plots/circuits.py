"""Circuits as pictures: gates in columns, on wires that are as straight and cross as little as a short search finds."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, islice, pairwise, permutations
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.plots.style import FAINT, LINE, TEXT, WIDTH

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

# A gate's truth table: the name in its box, and the operand that is negated on its way in.
_GATES: dict[str, tuple[str, int | None]] = {
    "0": ("0", None),
    "1": ("1", None),
    "10": ("NOT", None),
    "0001": ("AND", None),
    "0010": ("AND", 1),
    "0100": ("AND", 0),
    "0110": ("XOR", None),
    "0111": ("OR", None),
    "1000": ("NOR", None),
    "1001": ("XNOR", None),
    "1011": ("OR", 1),
    "1101": ("OR", 0),
    "1110": ("NAND", None),
}
_OUTPUT = "f"

# In units of at most 26 points: columns apart, half a box across and up, operands off its middle, a bubble's radius.
_COLUMN, _ACROSS, _UP, _OPERAND, _BUBBLE = 1.75, 0.5, 0.34, 0.17, 0.08
_UNIT = 26.0
_ROWS = (0.5, 0.75, 1.0)  # rows apart, by how many of the two are nodes rather than wires
_STARTS = 24  # orders of the inputs that are tried: all, of four

_Columns: TypeAlias = list[list[str]]  # from the top down: nodes, and those whose wires pass


class _Wire(NamedTuple):
    source: str  # whose value it carries
    column: int  # where it begins; it ends in the next
    target: str  # the node that it enters, or its source again where it passes that column
    operand: int


def circuit(circuit: nx.DiGraph, *, ax: Axes | None = None) -> Axes:
    """A circuit of two-input gates, from its inputs on the left to its output f on the right.

    A box is a gate, in the column of its depth. A bubble where a wire enters negates that operand: AND with one bubble
    is "x and not y". All wires out of a node carry its value. Inputs that nothing reads are grey.

    Args:
        circuit: a DAG as `complexity.minimal_circuit` returns.
        ax: where to draw; a new figure of one print column, as high as needed, if None.

    Returns:
        The Axes, without scales; the gid of each wire, box and bubble is the node that it leaves or belongs to.

    Raises:
        InvalidInput: no such DAG.

    Error: none, drawn as given; fewer crossings may be possible. Cost: 0.1 s for 7 gates. Source: columns, their order
    and heights in turn, as in Sugiyama, Tagawa, Toda 1981, IEEE Trans. Syst. Man Cybern. 11:109.
    """
    operands = _operands(circuit)
    column = _columns(operands)
    wires = _wires(column, operands)
    columns = _ordered(column, wires)
    entries = _entries(columns, column, operands)
    height = _heights(columns, column, wires, entries)
    low, high = min(height.values()) - 2 * _UP, max(height.values()) + 2 * _UP
    left, right = -1.1 * _ACROSS, _COLUMN * column[_OUTPUT] + 1.1 * _ACROSS
    ax = _new_axes(right - left, high - low) if ax is None else ax
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    ax.set_axis_off()
    ax.apply_aspect()
    pixels = ax.get_window_extent().height / (high - low)
    size = min(TEXT, 0.27 * pixels * 72 / ax.get_figure(root=True).dpi)  # type: ignore[union-attr]

    gates = {node: _GATES[data["gate"]] for node, data in circuit.nodes(data=True) if "gate" in data}
    negated = {(node, operand) for node, (_, operand) in gates.items() if operand is not None}
    _draw_wires(ax, wires, entries, height, negated)
    read = {wire.source for wire in wires}
    for node, at in column.items():
        x, y = _COLUMN * at, height[node, at]
        if node in gates:
            _draw_gate(ax, node, x, y, gates[node][0], size)
        else:
            side, x = ("left", x - 0.8 * _ACROSS) if node == _OUTPUT else ("right", x + 0.8 * _ACROSS)
            text = "$f$" if node == _OUTPUT else f"$x_{{{node[1:]}}}$"
            color = LINE if node == _OUTPUT or node in read else FAINT
            ax.text(x, y, text, ha=side, va="center_baseline", fontsize=1.2 * size, color=color, gid=node)
    return ax


def _operands(circuit: nx.DiGraph) -> dict[str, tuple[str, ...]]:
    """The operands of every node, each after its own, and of the output."""
    import networkx as nx

    try:
        operands = {node: tuple(circuit.nodes[node].get("operands", ())) for node in nx.topological_sort(circuit)}
        gates = {node: data["gate"] for node, data in circuit.nodes(data=True) if "gate" in data}
        drawable = all(gate in _GATES and 1 << len(operands[node]) == len(gate) for node, gate in gates.items())
        operands[_OUTPUT] = (circuit.graph["output"],)
        drawable &= all(source in operands for read in operands.values() for source in read)
    except (AttributeError, KeyError, TypeError, nx.NetworkXException):
        drawable = False
    if not drawable:
        raise InvalidInput(
            f"circuit came with {circuit!r}; it needs a DAG whose gates carry `gate` and `operands`, such as "
            "complexity.minimal_circuit(tables[0])"
        )
    return operands


def _columns(operands: dict[str, tuple[str, ...]]) -> dict[str, int]:
    column: dict[str, int] = {}
    for node, read in operands.items():  # the output comes last, to stand right of everything
        nearer = column if node == _OUTPUT else read
        column[node] = max((1 + column[source] for source in nearer), default=0)
    return column


def _wires(column: dict[str, int], operands: dict[str, tuple[str, ...]]) -> list[_Wire]:
    wires: dict[_Wire, None] = {}  # in order, each once: all that pass a column together are one
    for target, read in operands.items():
        for operand, source in enumerate(read):
            passed = range(column[source], column[target] - 1)
            wires |= dict.fromkeys(_Wire(source, at, source, 0) for at in passed)
            wires[_Wire(source, column[target] - 1, target, operand)] = None
    return list(wires)


def _ordered(column: dict[str, int], wires: list[_Wire]) -> _Columns:
    """Each column from the top down: from several orders of the inputs, by swaps while they save a crossing."""
    members: list[dict[str, None]] = [{} for _ in range(1 + max(column.values()))]
    for node, at in column.items():
        members[at][node] = None
    for wire in wires:
        members[wire.column + 1][wire.target] = None
    gaps = [[wire for wire in wires if wire.column == at] for at in range(len(members) - 1)]
    best, fewest = [list(names) for names in members], float("inf")
    for start in islice(permutations(members[0]), _STARTS):
        columns = [list(start)]
        for gap, names in zip(gaps, members[1:], strict=True):
            rows: dict[str, list[int]] = {name: [] for name in names}
            for wire in gap:
                rows[wire.target].append(columns[-1].index(wire.source))
            columns.append(sorted(names, key=lambda name: float(np.mean(rows[name]))))
        crossings = _untangled(columns, gaps)
        if crossings < fewest:
            best, fewest = columns, crossings
        if not crossings:
            break
    return best


def _untangled(columns: _Columns, gaps: list[list[_Wire]]) -> int:
    swapped = True
    while swapped:
        swapped = False
        for at, names in enumerate(columns):
            near = gaps[max(0, at - 1) : at + 1]
            for i in range(len(names) - 1):
                before = _crossings(columns, near)
                names[i : i + 2] = names[i + 1], names[i]
                if _crossings(columns, near) < before:
                    swapped = True
                else:
                    names[i : i + 2] = names[i + 1], names[i]
    return _crossings(columns, gaps)


def _crossings(columns: _Columns, gaps: list[list[_Wire]]) -> int:
    crossings = 0
    for gap in gaps:
        rows = [(columns[w.column].index(w.source), columns[w.column + 1].index(w.target)) for w in gap]
        crossings += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in combinations(rows, 2))
    return crossings


def _entries(
    columns: _Columns, column: dict[str, int], operands: dict[str, tuple[str, ...]]
) -> dict[str, tuple[float, ...]]:
    """Where each operand enters, off the middle: the one that comes from above is above."""
    entries: dict[str, tuple[float, ...]] = {}
    for node, read in operands.items():
        if len(read) < 2:
            entries[node] = (0.0,)
        else:
            first, second = (columns[column[node] - 1].index(source) for source in read)
            entries[node] = (_OPERAND, -_OPERAND) if first <= second else (-_OPERAND, _OPERAND)
    return entries


def _heights(
    columns: _Columns, column: dict[str, int], wires: list[_Wire], entries: dict[str, tuple[float, ...]]
) -> dict[tuple[str, int], float]:
    """Heights in the given orders at which wires are straight, as far as rows that keep their distance let them be."""
    from scipy.optimize import linprog

    number = {(name, at): i for i, (name, at) in enumerate((n, at) for at, names in enumerate(columns) for n in names)}
    n_bends = len(wires) + len(number)
    below, limits, cost = [], [], []

    def bound(bend: int, terms: dict[int, float], offset: float, weight: float) -> None:
        cost.append(weight)
        for sign in (1, -1):
            row = np.zeros(len(number) + n_bends)
            row[len(number) + bend] = -1
            for place, factor in terms.items():
                row[place] = sign * factor
            below.append(row)
            limits.append(sign * offset)

    for bend, wire in enumerate(wires):
        ends = number[wire.source, wire.column], number[wire.target, wire.column + 1]
        passing = (wire.source == wire.target) + (column[wire.source] < wire.column)
        offset = 0.0 if wire.source == wire.target else entries[wire.target][wire.operand]
        bound(bend, {ends[0]: 1, ends[1]: -1}, offset, 1 + 2 * passing)
    for place in number.values():
        bound(len(wires) + place, {place: 1}, 0.0, 0.01)
    for at, names in enumerate(columns):
        for upper, lower in pairwise(names):
            row = np.zeros(len(number) + n_bends)
            row[number[upper, at]], row[number[lower, at]] = -1, 1
            below.append(row)
            limits.append(-_ROWS[(column[upper] == at) + (column[lower] == at)])
    free = [(None, None)] * len(number) + [(0, None)] * n_bends
    solution = linprog([0.0] * len(number) + cost, np.array(below), limits, bounds=free)
    return {place: float(solution.x[i]) for place, i in number.items()}


def _draw_wires(
    ax: Axes,
    wires: list[_Wire],
    entries: dict[str, tuple[float, ...]],
    height: dict[tuple[str, int], float],
    negated: set[tuple[str, int]],
) -> None:
    from matplotlib.patches import Circle, PathPatch
    from matplotlib.path import Path

    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for source, at, target, operand in wires:
        passes = source == target
        begin, end = _COLUMN * at + _ACROSS, _COLUMN * (at + 1) - _ACROSS
        y0, y1 = height[source, at], height[target, at + 1] + (0.0 if passes else entries[target][operand])
        if not passes and (target, operand) in negated:
            end -= 2 * _BUBBLE
            circle = Circle((end + _BUBBLE, y1), _BUBBLE, facecolor="white", edgecolor=LINE, linewidth=0.8, gid=target)
            ax.add_patch(circle)
        middle, stop = (begin + end) / 2, end + 2 * _ACROSS * passes
        curves[source] += [(begin, y0), (middle, y0), (middle, y1), (end, y1), (stop, y1)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    for source, points in curves.items():
        path = Path(points, codes * (len(points) // len(codes)))
        ax.add_patch(PathPatch(path, facecolor="none", edgecolor=LINE, linewidth=0.8, capstyle="round", gid=source))


def _draw_gate(ax: Axes, node: str, x: float, y: float, name: str, size: float) -> None:
    from matplotlib.patches import Rectangle

    corner = x - _ACROSS, y - _UP
    ax.add_patch(Rectangle(corner, 2 * _ACROSS, 2 * _UP, facecolor="white", edgecolor=LINE, linewidth=0.8, gid=node))
    ax.text(x, y, name, ha="center", va="center_baseline", fontsize=size, gid=node)


def _new_axes(across: float, up: float) -> Axes:
    from matplotlib import pyplot

    unit = min(_UNIT, 72 * WIDTH / across)
    figure = pyplot.figure(figsize=(WIDTH, up * unit / 72))
    return figure.add_axes((0.0, 0.0, 1.0, 1.0))
