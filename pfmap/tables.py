"""Truth tables packed into bytes, which are their own exact keys.

Bit order, everywhere in pfmap: entry j of a table is f(x) where j written in binary, most significant bit first, is
x = (x_0, …, x_{n-1}). The string of a table is f(0) f(1) … f(2^n - 1); its integer is the sum of f(j) 2^j; entry j sits
in byte j // 8 at bit j % 8, and unused high bits are zero, so two tables are equal exactly when their bytes are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import IncompatibleTables, InvalidInput

MAX_INPUTS = 16

BooleanFunction: TypeAlias = Callable[[NDArray[np.uint8]], Any]


@dataclass(frozen=True)
class Cube:
    """The 2^n points of {0,1}^n (or of {-1,+1}^n, point for point), 1 <= n <= 16."""

    n_inputs: int

    def __post_init__(self) -> None:
        n = self.n_inputs
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= MAX_INPUTS:
            raise InvalidInput(
                f"n_inputs is {n!r}; pfmap tabulates functions of 1 to {MAX_INPUTS} inputs (an int), "
                "all 2^n points of the cube. For functions of more inputs use Points(m) with m chosen points."
            )
        object.__setattr__(self, "n_inputs", int(n))

    @property
    def n_points(self) -> int:
        """2^n."""
        return 1 << self.n_inputs

    def points(self) -> NDArray[np.uint8]:
        """All points in table order: uint8[2^n, n] with entries 0 and 1."""
        shifts = np.arange(self.n_inputs - 1, -1, -1)
        return ((np.arange(self.n_points)[:, None] >> shifts) & 1).astype(np.uint8)


@dataclass(frozen=True)
class Points:
    """A list of m points of any space, known here only by their number; entry j of a table is f at point j."""

    n_points: int

    def __post_init__(self) -> None:
        m = self.n_points
        if isinstance(m, bool) or not isinstance(m, int | np.integer) or m < 1:
            raise InvalidInput(f"n_points is {m!r}; a domain has at least one point (an int)")
        object.__setattr__(self, "n_points", int(m))


Domain: TypeAlias = Cube | Points


def _cube_of(n_points: int) -> Cube:
    n = n_points.bit_length() - 1
    if n < 1 or n_points != 1 << n:
        raise InvalidInput(
            f"a table of {n_points} entries is no cube (2, 4, 8, … 65536 entries); pass domain=Points({n_points}) "
            "for functions on a list of points"
        )
    return Cube(n)


@dataclass(frozen=True, eq=False, repr=False)
class TruthTables:
    """A list of Boolean functions on one domain, one packed row a function.

    Attributes:
        domain: Cube(n) or Points(m).
        packed: uint8[size, ceil(m / 8)], read-only; the row is the function's exact key.

    Example:
        >>> xor = TruthTables.from_strings(["0110"])
        >>> xor.ints(), xor.complement().strings(), xor.hamming_weight()
        ([6], ['1001'], array([2]))
    """

    domain: Domain
    packed: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Cube | Points):
            raise InvalidInput(f"domain is {self.domain!r}; it needs Cube(n_inputs) or Points(n_points)")
        m = self.domain.n_points
        packed = np.ascontiguousarray(self.packed)
        if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != -(-m // 8):
            raise InvalidInput(
                f"packed is {packed.dtype}{list(packed.shape)}; {self.domain} needs uint8[size, {-(-m // 8)}]"
            )
        if m % 8 and np.any(packed[:, -1] >> (m % 8)):
            raise InvalidInput(f"packed has bits set beyond the {m} points of {self.domain}; they must be zero")
        packed = packed.view()
        packed.flags.writeable = False
        object.__setattr__(self, "packed", packed)

    # Making them

    @classmethod
    def from_bits(cls, bits: ArrayLike, domain: Domain | None = None) -> TruthTables:
        """Tables from an array [size, m] of zeros and ones (or booleans); a Cube unless `domain` says otherwise."""
        array = np.asarray(bits)
        if array.ndim != 2:
            raise InvalidInput(f"bits has shape {list(array.shape)}; it needs [size, m], one row a function")
        domain = _cube_of(array.shape[1]) if domain is None else domain
        if array.shape[1] != domain.n_points:
            raise InvalidInput(f"bits has {array.shape[1]} columns; {domain} has {domain.n_points} points")
        if array.dtype != np.bool_:
            if not np.all((array == 0) | (array == 1)):
                raise InvalidInput("bits holds values other than 0 and 1")
            array = array.astype(np.bool_)
        return cls(domain, np.packbits(array, axis=1, bitorder="little"))

    @classmethod
    def from_words(cls, words: NDArray[np.uint64], domain: Domain) -> TruthTables:
        """Tables from uint64[size, ceil(m / 64)]: bit j % 64 of word j // 64 is entry j."""
        array, n_words = np.asarray(words), -(-domain.n_points // 64)
        if array.dtype != np.uint64 or array.ndim != 2 or array.shape[1] != n_words:
            raise InvalidInput(f"words is {array.dtype}{list(array.shape)}; {domain} needs uint64[size, {n_words}]")
        if domain.n_points % 64 and np.any(array[:, -1] >> np.uint64(domain.n_points % 64)):
            raise InvalidInput(f"words has bits set beyond the {domain.n_points} points of {domain}; they must be zero")
        as_bytes = np.ascontiguousarray(array, dtype="<u8").view(np.uint8).reshape(len(array), 8 * n_words)
        return cls(domain, np.ascontiguousarray(as_bytes[:, : -(-domain.n_points // 8)]))

    @classmethod
    def from_strings(cls, strings: Iterable[str], domain: Domain | None = None) -> TruthTables:
        """Tables from strings f(0) f(1) … f(m - 1) of '0' and '1'."""
        rows = [strings] if isinstance(strings, str) else list(strings)
        if not rows:
            if domain is None:
                raise InvalidInput("no strings came, so the domain is unknown; pass domain=Cube(n)")
            return cls(domain, np.empty((0, -(-domain.n_points // 8)), np.uint8))
        if not all(isinstance(row, str) for row in rows):
            raise InvalidInput(f"strings holds {next(r for r in rows if not isinstance(r, str))!r}, which is no string")
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            raise InvalidInput(
                f"strings of different lengths came ({sorted(lengths)}); tables of one list share a domain"
            )
        wrong = [row for row in rows if set(row) - {"0", "1"}]
        if wrong:
            raise InvalidInput(f"{wrong[0]!r} is not a truth table; it may hold only '0' and '1'")
        characters = np.frombuffer("".join(rows).encode(), np.uint8).reshape(len(rows), -1)
        return cls.from_bits(characters == ord("1"), domain)

    @classmethod
    def from_ints(cls, ints: Iterable[int], n_inputs: int) -> TruthTables:
        """Tables on Cube(n_inputs) from integers: bit j of the integer is entry j of the table."""
        domain = Cube(n_inputs)
        try:
            values = [index(i) for i in ([ints] if isinstance(ints, int) else ints)]
        except TypeError as error:
            raise InvalidInput(f"ints holds something that is no integer ({error})") from None
        wrong = [i for i in values if not 0 <= i < 1 << domain.n_points]
        if wrong:
            raise InvalidInput(
                f"{wrong[0]} is no function of {n_inputs} inputs; allowed are 0 to 2^{domain.n_points} - 1"
            )
        width = -(-domain.n_points // 8)
        data = b"".join(i.to_bytes(width, "little") for i in values)
        return cls(domain, np.frombuffer(data, np.uint8).reshape(len(values), width))

    @classmethod
    def from_callables(cls, functions: BooleanFunction | Sequence[BooleanFunction], n_inputs: int) -> TruthTables:
        """Tables on Cube(n_inputs) of Python functions; each is called with every point x, a uint8[n] of 0 and 1.

        Example:
            >>> TruthTables.from_callables(lambda x: x.sum() % 2, 2).strings()
            ['0110']
        """
        domain = Cube(n_inputs)
        points = domain.points()
        listed = [functions] if callable(functions) else list(functions)
        values = np.array([[f(x) for x in points] for f in listed])
        if listed and values.shape != (len(listed), domain.n_points):
            raise InvalidInput(f"a function returned an array of shape {list(values.shape[2:])}; it must return 0 or 1")
        return cls.from_bits(values.reshape(len(listed), domain.n_points), domain)

    # Reading them

    def __len__(self) -> int:
        return int(self.packed.shape[0])

    def __getitem__(self, which: int | slice | NDArray[Any] | Sequence[int]) -> TruthTables:
        rows = self.packed[[which]] if isinstance(which, int | np.integer) else self.packed[which]
        return TruthTables(self.domain, rows)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TruthTables)
            and self.domain == other.domain
            and bool(np.array_equal(self.packed, other.packed))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [s if len(s) <= 32 else s[:31] + "…" for s in self[:3].strings()]
        return f"TruthTables({self.domain}, size={len(self)}, {shown}{', …' if len(self) > 3 else ''})"

    @property
    def n_inputs(self) -> int:
        """The number of inputs; only a cube has one."""
        if not isinstance(self.domain, Cube):
            raise IncompatibleTables(f"these tables live on {self.domain}; this needs all points of a cube, Cube(n)")
        return self.domain.n_inputs

    def bits(self) -> NDArray[np.uint8]:
        """Entries as uint8[size, m] of 0 and 1."""
        return np.unpackbits(self.packed, axis=1, count=self.domain.n_points, bitorder="little")

    def words(self) -> NDArray[np.uint64]:
        """Entries as uint64[size, ceil(m / 64)]: bit j % 64 of word j // 64 is entry j."""
        n_words = -(-self.domain.n_points // 64)
        padded = np.zeros((len(self), 8 * n_words), np.uint8)
        padded[:, : self.packed.shape[1]] = self.packed
        return padded.view("<u8").astype(np.uint64, copy=False)

    def strings(self) -> list[str]:
        """Each table as f(0) f(1) … f(m - 1)."""
        m = self.domain.n_points
        text = (self.bits() + np.uint8(ord("0"))).tobytes().decode()
        return [text[i : i + m] for i in range(0, len(text), m)]

    def ints(self) -> list[int]:
        """Each table as the sum of f(j) 2^j."""
        return [int.from_bytes(row.tobytes(), "little") for row in self.packed]

    def callables(self) -> list[Callable[[ArrayLike], int]]:
        """Each table as a Python function of a point x (n entries, 0 or 1); it returns 0 or 1."""
        n = self.n_inputs

        def evaluator(row: NDArray[np.uint8]) -> Callable[[ArrayLike], int]:
            def evaluate(x: ArrayLike) -> int:
                point = np.asarray(x)
                if point.shape != (n,) or not np.all((point == 0) | (point == 1)):
                    raise InvalidInput(f"x is {x!r}; it needs {n} entries, each 0 or 1")
                return int(row[int("".join(str(int(v)) for v in point), 2)])

            return evaluate

        return [evaluator(row) for row in self.bits()]

    def hamming_weight(self) -> NDArray[np.int64]:
        """T, the number of ones of each table: int64[size]."""
        weights: NDArray[np.int64] = np.bitwise_count(self.packed).sum(axis=1, dtype=np.int64)
        return weights

    # Moving them

    def complement(self) -> TruthTables:
        """The negated functions 1 - f."""
        flipped = ~self.packed
        if self.domain.n_points % 8:
            flipped[:, -1] &= (1 << (self.domain.n_points % 8)) - 1
        return TruthTables(self.domain, flipped)

    def permute_inputs(self, order: Sequence[int]) -> TruthTables:
        """g(x_0, …, x_{n-1}) = f(x_{order[0]}, …, x_{order[n-1]}).

        Example:
            >>> TruthTables.from_callables(lambda x: x[0] & ~x[1] & 1, 2).permute_inputs([1, 0]).strings()
            ['0100']
        """
        n = self.n_inputs
        if sorted(order) != list(range(n)):
            raise InvalidInput(f"order is {list(order)}; it needs each of 0 … {n - 1} once")
        points = Cube(n).points()[:, list(order)].astype(np.int64)
        return self._reindexed(points @ (1 << np.arange(n - 1, -1, -1)))

    def flip_inputs(self, which: Iterable[int]) -> TruthTables:
        """g(x) = f(x with the inputs in `which` negated)."""
        n, flipped = self.n_inputs, set(which)
        if not flipped <= set(range(n)):
            raise InvalidInput(f"which is {sorted(flipped)}; inputs are numbered 0 … {n - 1}")
        return self._reindexed(np.arange(1 << n) ^ sum(1 << (n - 1 - i) for i in flipped))

    def _reindexed(self, source: NDArray[np.int64]) -> TruthTables:
        return TruthTables.from_bits(self.bits()[:, source].view(np.bool_), self.domain)

    # Looking them up

    def positions_in(self, other: TruthTables) -> NDArray[np.int64]:
        """Where each table of this list stands first in `other`, -1 where it does not: int64[size]."""
        self.require_same_domain(other)
        haystack, needles = _row_keys(other.packed), _row_keys(self.packed)
        order = np.argsort(haystack, kind="stable")
        if not len(order):
            return np.full(len(self), -1, np.int64)
        at = np.minimum(np.searchsorted(haystack, needles, sorter=order), len(order) - 1)
        return np.where(haystack[order[at]] == needles, order[at], -1)

    def require_same_domain(self, other: TruthTables) -> None:
        """Raise IncompatibleTables unless both lists live on one domain."""
        if self.domain != other.domain:
            raise IncompatibleTables(f"tables on {self.domain} meet tables on {other.domain}; they need one domain")


def concatenate(lists: Sequence[TruthTables]) -> TruthTables:
    """One list after the other."""
    if not lists:
        raise InvalidInput("no tables came; concatenate needs at least one list")
    for other in lists[1:]:
        lists[0].require_same_domain(other)
    return TruthTables(lists[0].domain, np.concatenate([t.packed for t in lists]))


def require_tables(asker: str, tables: object) -> None:
    """Raise InvalidInput, in the name of the function that asks, unless these are TruthTables."""
    if not isinstance(tables, TruthTables):
        raise InvalidInput(
            f"{asker} came with a {type(tables).__name__}; it needs TruthTables, such as prior.tables or "
            'TruthTables.from_strings(["0110"])'
        )


def require_one_function(asker: str, table: object) -> None:
    """Raise InvalidInput, in the name of the function that asks, unless this is one row of TruthTables."""
    if not isinstance(table, TruthTables) or len(table) != 1:
        came = f"{len(table)} functions" if isinstance(table, TruthTables) else f"a {type(table).__name__}"
        raise InvalidInput(f"{asker} came with {came}; it needs TruthTables of one function, such as tables[0]")


def _row_keys(packed: NDArray[np.uint8]) -> NDArray[Any]:
    # One scalar a row, so that rows sort and compare whole; equally long byte strings do, zeros included.
    width = packed.shape[1]
    rows = np.ascontiguousarray(packed)
    return rows.view(f"u{width}" if width in (1, 2, 4, 8) else f"S{width}").ravel()
