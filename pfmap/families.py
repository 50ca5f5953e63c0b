"""Named Boolean functions: parities, juntas, thresholds, symmetric and addressing functions, as tables.

Each is defined on the first k of n inputs, k = n unless said, and ignores the rest; `panel` lists them all by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.tables import Cube, TruthTables


def parity(n_inputs: int, k: int | None = None) -> TruthTables:
    """x_0 + … + x_{k-1} mod 2; of k = 1, the dictator x_0.

    Example:
        >>> parity(2).strings(), parity(2, 1).strings()
        (['0110'], ['0011'])
    """
    return _table(n_inputs, _ones(n_inputs, k) % 2)


def threshold(n_inputs: int, t: int, k: int | None = None) -> TruthTables:
    """1 where at least t of the first k inputs are: OR for t = 1, AND for t = k, 1 for t = 0.

    Example:
        >>> threshold(2, 1).strings(), threshold(2, 2).strings()
        (['0111'], ['0001'])
    """
    return _table(n_inputs, _ones(n_inputs, k) >= _between("t", t, 0, n_inputs if k is None else k))


def exactly(n_inputs: int, t: int, k: int | None = None) -> TruthTables:
    """1 where exactly t of the first k inputs are.

    Example:
        >>> exactly(3, 1).strings()
        ['01101000']
    """
    return _table(n_inputs, _ones(n_inputs, k) == _between("t", t, 0, n_inputs if k is None else k))


def majority(n_inputs: int, k: int | None = None) -> TruthTables:
    """1 where more than half of the first k inputs are.

    Example:
        >>> majority(3).strings()
        ['00010111']
    """
    return _table(n_inputs, 2 * _ones(n_inputs, k) > (n_inputs if k is None else k))


def multiplexer(n_inputs: int, address: int) -> TruthTables:
    """The data input that the first `address` inputs, read as a binary number i, point to: x_{address + i}.

    Example:
        >>> multiplexer(3, 1).strings()  # x_2 if x_0 else x_1
        ['00110101']
    """
    points = Cube(n_inputs).points()
    _between("address", address, 0, n_inputs)
    if address + 2**address > n_inputs:
        raise InvalidInput(
            f"{address} address inputs choose among {2**address} more; that takes {address + 2**address} inputs, and "
            f"n_inputs is {n_inputs}"
        )
    return _table(n_inputs, points[np.arange(len(points)), address + _number(points[:, :address])])


def addressing(n_inputs: int) -> TruthTables:
    """The input that the first floor(log2 n) inputs, read as a binary number i, point to among all: x_i.

    Unlike a multiplexer's, addresses are data too.

    Example:
        >>> addressing(2).strings()  # x_0 = 0 points to itself
        ['0001']
    """
    points = Cube(n_inputs).points()
    return _table(n_inputs, points[np.arange(len(points)), _number(points[:, : n_inputs.bit_length() - 1])])


def hidden_weighted_bit(n_inputs: int) -> TruthTables:
    """x_{s-1} where s inputs are 1, and 0 where none is: all inputs together are the address.

    Source: Bryant 1991, IEEE Trans. Computers 40, 205.

    Example:
        >>> hidden_weighted_bit(3).strings()
        ['00011011']
    """
    points = Cube(n_inputs).points()
    return _table(n_inputs, points[np.arange(len(points)), points.sum(axis=1, dtype=np.int64) - 1])


def panel(n_inputs: int) -> dict[str, TruthTables]:
    """Simple functions to set against each other, by name; of several names of one function the first is kept.

    constant and dictator; AND_k, OR_k and parity_k of k = 2 … n inputs; majority_k of odd k; threshold_t and exactly_t
    of all inputs; multiplexer_a with a address inputs; addressing; hidden_weighted_bit.

    Returns:
        One function a name, on Cube(n_inputs).

    Raises:
        InvalidInput: n_inputs outside 1 … 16.

    Error: exact. Cost: 1 ms at n = 4.

    Example:
        >>> list(panel(3))  # doctest: +NORMALIZE_WHITESPACE
        ['constant', 'dictator', 'AND_2', 'AND_3', 'OR_2', 'OR_3', 'parity_2', 'parity_3', 'majority_3', 'exactly_1',
         'exactly_2', 'multiplexer_1', 'hidden_weighted_bit']
    """
    n = Cube(n_inputs).n_inputs
    several, inner = range(2, n + 1), range(1, n)
    named = {
        "constant": threshold(n, 0).complement(),
        "dictator": parity(n, 1),
        **{f"AND_{k}": threshold(n, k, k) for k in several},
        **{f"OR_{k}": threshold(n, 1, k) for k in several},
        **{f"parity_{k}": parity(n, k) for k in several},
        **{f"majority_{k}": majority(n, k) for k in several if k % 2},
        **{f"threshold_{t}": threshold(n, t) for t in inner},
        **{f"exactly_{t}": exactly(n, t) for t in inner},
        **{f"multiplexer_{a}": multiplexer(n, a) for a in range(1, 4) if a + 2**a <= n},
        "addressing": addressing(n),
        "hidden_weighted_bit": hidden_weighted_bit(n),
    }
    first: dict[bytes, str] = {}
    for name, table in named.items():
        first.setdefault(table.packed.tobytes(), name)
    return {name: named[name] for name in first.values()}


def _ones(n_inputs: int, k: int | None) -> NDArray[np.int64]:
    # How many of the first k inputs are 1, at each point.
    points = Cube(n_inputs).points()
    width = n_inputs if k is None else _between("k", k, 1, n_inputs)
    ones: NDArray[np.int64] = points[:, :width].sum(axis=1, dtype=np.int64)
    return ones


def _number(points: NDArray[np.uint8]) -> NDArray[np.int64]:
    return points.astype(np.int64) @ (1 << np.arange(points.shape[1] - 1, -1, -1, dtype=np.int64))


def _table(n_inputs: int, values: NDArray[Any]) -> TruthTables:
    return TruthTables.from_bits(values[None], Cube(n_inputs))


def _between(name: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise InvalidInput(f"{name} is {value!r}; it needs an int from {least} to {most}")
    return int(value)
