"""What was observed: how often each function came. Counts hold no probability.

Comes in: tables and how often each was drawn. Goes out: one canonical list that merges and splits exactly.
The one thing to know: provenance says which samples are in here, so the same samples are never counted twice.

Samples may come in clusters, functions that share one draw of the hidden layers: clusters are independent, the samples
of one are not. Independent samples are clusters of one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import IncompatibleTables, InvalidInput, TooFewSamples
from pfmap.kernels.sorting import reversed_bits, sort_rows
from pfmap.provenance import checked_provenance, differing_fields, half_of_draws
from pfmap.streams import generator
from pfmap.symmetry import Symmetry, canonicalize, check_group
from pfmap.tables import TruthTables, concatenate

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Totals:
    """What some functions of a sample add up to; totals of disjoint sets of functions add.

    Attributes:
        functions: how many functions.
        samples: how many samples they are, the sum of their counts.
        in_one_cluster: samples whose function came in one cluster only; of independent samples f_1, the functions that
            came once.
        in_two_clusters: samples whose function may have come in just two clusters, k^2 / 2 <= squares < k^2; of
            independent samples 2 f_2.
    """

    functions: int = 0
    samples: int = 0
    in_one_cluster: int = 0
    in_two_clusters: int = 0

    @classmethod
    def of(cls, counts: NDArray[np.int64], squares: NDArray[np.int64], cluster_size: int) -> Totals:
        """Totals of functions with these counts int64[size] and squares int64[size]. Cost: one pass."""
        in_one = in_two = samples = 0
        for start in range(0, len(counts), _CHUNK):
            k, square = counts[start : start + _CHUNK], squares[start : start + _CHUNK]
            few = k <= 2 * cluster_size  # and so k^2 is in reach of int64
            samples += int(k.sum())
            in_one += int(k[few & (square == k * k)].sum())
            in_two += int(k[few & (square < k * k) & (2 * square >= k * k)].sum())
        return cls(len(counts), samples, in_one, in_two)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.functions + other.functions,
            self.samples + other.samples,
            self.in_one_cluster + other.in_one_cluster,
            self.in_two_clusters + other.in_two_clusters,
        )


@dataclass(frozen=True, eq=False, repr=False)
class FunctionCounts:
    """Distinct functions of a sample, most frequent first; equally frequent ones in the order of `tables.strings()`.

    Attributes:
        tables: the distinct functions, or where provenance has "orbits" one representative of each orbit.
        counts: int64[size], read-only, how often each came; at least `at_least`.
        n_samples: samples drawn; the sum of counts and of what is not listed.
        provenance: JSON types. "map" is the map's spec. "draws" lists the samples that are in here: records with
            "seed", "stream", "start", "stop" (samples start … stop - 1 of that seed's stream) and after a split "part";
            adjoining ranges become one record. "symmetry" lists what the map declares, "orbits" the symmetries that
            counts are pooled under, "reuse" how clusters were drawn. All but "draws" must agree before counts merge.
            {} for counts made by hand.
        squares: int64[size], read-only, the sum over clusters of (count within the cluster)^2; of independent samples
            it is `counts` itself.
        n_clusters: independent clusters, each of n_samples / n_clusters samples.
        at_least: which functions are listed. 1: all that came. 2 or more: those that came at least so often, and
            `unlisted` sums up the others. 0: a set chosen before the draw, with zeros; all other functions count into
            n_samples alone.
        unlisted: Totals of the functions that came and are not listed; None where at_least is 0, which leaves them
            uncounted.

    Example:
        >>> tables = TruthTables.from_strings(["0001", "0110", "0001"])
        >>> counts = FunctionCounts.from_unordered(tables, [2, 4, 3], {})
        >>> counts.tables.strings(), counts.counts, counts.n_samples
        (['0001', '0110'], array([5, 4]), 9)
    """

    tables: TruthTables
    counts: NDArray[np.int64]
    n_samples: int
    provenance: Mapping[str, Any]
    squares: NDArray[np.int64] = None  # type: ignore[assignment]  # None: independent samples
    n_clusters: int = None  # type: ignore[assignment]  # None: n_samples
    at_least: int = 1
    unlisted: Totals | None = None  # None: nothing, unless at_least is 0

    def __post_init__(self) -> None:
        at_least = _as_number("at_least", self.at_least)
        counts = _as_counts("counts", self.counts, len(self.tables), at_least)
        if not len(counts) and at_least < 2:
            raise InvalidInput("no functions came; counts hold at least one sample")
        if np.any(counts[1:] > counts[:-1]):
            raise InvalidInput("counts are not sorted, most frequent first; FunctionCounts.from_unordered sorts them")
        n_samples = _as_number("n_samples", self.n_samples, 1)
        unlisted = _checked_unlisted(self.unlisted, int(counts.sum()), n_samples, at_least)
        n_clusters = n_samples if self.n_clusters is None else _as_number("n_clusters", self.n_clusters, 1)
        squares = _checked_squares(self.squares, counts, n_samples, n_clusters)
        for name, array in (("counts", counts), ("squares", squares)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "n_samples", n_samples)
        object.__setattr__(self, "n_clusters", n_clusters)
        object.__setattr__(self, "at_least", at_least)
        object.__setattr__(self, "unlisted", unlisted)
        object.__setattr__(self, "provenance", checked_provenance(self.provenance))

    @classmethod
    def from_unordered(
        cls,
        tables: TruthTables,
        counts: ArrayLike,
        provenance: Mapping[str, Any] | None = None,
        *,
        n_samples: int | None = None,
        squares: ArrayLike | None = None,
        n_clusters: int | None = None,
        at_least: int = 1,
        unlisted: Totals | None = None,
    ) -> FunctionCounts:
        """Counts from tables in any order; a function that is listed more than once is counted together.

        Args:
            tables: functions.
            counts: how often each came.
            provenance: as the attribute.
            n_samples: samples drawn; needed where not all of them are listed, otherwise the sum of counts.
            squares: as the attribute. The parts of a function that is listed more than once come from different
                clusters, so their squares add. None for independent samples.
            n_clusters: as the attribute; with squares.
            at_least: as the attribute.
            unlisted: as the attribute.

        Cost: a sort; 3e6 functions of 7 inputs in about 0.5 s.
        """
        columns = [_as_counts("counts", counts, len(tables), min(1, _as_number("at_least", at_least)))]
        if squares is not None:
            columns.append(_as_counts("squares", squares, len(tables), 0))
        n_words = -(-tables.domain.n_points // 64)
        rows = np.empty((len(tables), n_words + len(columns)), np.uint64)
        rows[:, :n_words] = reversed_bits(tables.words())  # which sort as the strings f(0) f(1) … do
        rows[:, n_words:].T[:] = columns
        sort_rows(rows, n_words)
        first = np.flatnonzero(np.append(np.ones(min(1, len(rows)), np.bool_), _differ(rows[:, :n_words])))
        if len(first) < len(rows):
            sums = np.add.reduceat(rows[:, n_words:], first)
            rows = np.take(rows, first, axis=0)
            rows[:, n_words:] = sums
        rows = np.take(rows, _most_frequent_first(rows[:, n_words]), axis=0)
        columns = [np.ascontiguousarray(column).view(np.int64) for column in rows[:, n_words:].T]
        return cls(
            TruthTables.from_words(reversed_bits(np.ascontiguousarray(rows[:, :n_words])), tables.domain),
            columns[0],
            int(columns[0].sum()) if n_samples is None else n_samples,
            {} if provenance is None else provenance,
            squares=columns[1] if squares is not None else None,  # type: ignore[arg-type]
            n_clusters=n_clusters,  # type: ignore[arg-type]
            at_least=at_least,
            unlisted=unlisted,
        )

    def __len__(self) -> int:
        return len(self.tables)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FunctionCounts)
            and self.provenance == other.provenance
            and (self.n_samples, self.n_clusters) == (other.n_samples, other.n_clusters)
            and (self.at_least, self.unlisted) == (other.at_least, other.unlisted)
            and self.tables == other.tables
            and bool(np.array_equal(self.counts, other.counts))
            and (self.cluster_size == 1 or bool(np.array_equal(self.squares, other.squares)))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        kind = "functions" if self.orbits is None else "orbits"
        clusters = "" if self.cluster_size == 1 else f" in {self.n_clusters:,} clusters"
        if self.at_least == 1:
            listed = f"of {len(self):,} {kind}, {int(np.count_nonzero(self.counts == 1)):,} of them once"
        elif self.at_least:
            listed = f"of {self.totals().functions:,} {kind}, {len(self):,} of them at least {self.at_least} times"
        else:
            listed = f"in which {int(self.counts.sum()):,} are of {len(self):,} {kind} chosen before"
        text = f"FunctionCounts({self.tables.domain}, {self.n_samples:,} samples{clusters} {listed}"
        for top in self.tables[:1].strings():
            text += f"; most often {top if len(top) <= 32 else top[:31] + '…'}, {int(self.counts[0]):,} times"
        return text + ")"

    @property
    def cluster_size(self) -> int:
        """Samples a cluster; 1 where all samples are independent."""
        return self.n_samples // self.n_clusters

    @property
    def n_unlisted(self) -> int:
        """Samples whose function is not listed."""
        return self.n_samples - int(self.counts.sum())

    @property
    def orbits(self) -> frozenset[Symmetry] | None:
        """The symmetries under which these are counts of orbits; None for counts of functions."""
        return frozenset(self.provenance["orbits"]) if "orbits" in self.provenance else None

    def totals(self) -> Totals:
        """Totals of all functions that came, listed or not.

        Raises:
            InvalidInput: a fixed set was counted (at_least is 0), which says nothing of other functions.
        """
        if self.unlisted is None:
            raise InvalidInput("only a set chosen before the draw was counted; draw without `only` to count all")
        return Totals.of(self.counts, self.squares, self.cluster_size) + self.unlisted

    def at(self, tables: TruthTables) -> NDArray[np.int64]:
        """How often each of `tables` came, 0 where it is not listed: int64[len(tables)].

        A function that is not listed came less than `at_least` times.

        Raises:
            IncompatibleTables: the tables live on another domain.
            InvalidInput: a fixed set was counted (at_least is 0) and some of the tables are outside it.

        Example:
            >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["01", "11"]), [3, 1])
            >>> counts.at(TruthTables.from_strings(["11", "00", "01"]))
            array([1, 0, 3])
        """
        return self.columns_at(tables)[0]

    def columns_at(self, tables: TruthTables) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts and squares of each of `tables`, as `at` has them: int64[len(tables)] both."""
        position = tables.positions_in(self.tables)
        absent = position < 0
        if self.at_least == 0 and absent.any():
            raise InvalidInput(
                f"{int(absent.sum())} of the {len(tables)} functions were not counted: only a set of {len(self)} "
                "chosen before the draw was. Draw again with all of them in `only`"
            )
        counts, squares = np.zeros((2, len(tables)), np.int64)
        counts[~absent] = self.counts[position[~absent]]
        squares[~absent] = self.squares[position[~absent]]
        return counts, squares

    def truncated(self, at_least: int) -> FunctionCounts:
        """The functions that came at least so often; what the others add up to stays known exactly.

        Raises:
            InvalidInput: less than 2, less than is listed here, or counts of a fixed set.

        Example:
            >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["01", "11", "10"]), [3, 1, 1])
            >>> counts.truncated(2).counts, counts.truncated(2).unlisted.functions
            (array([3]), 2)
        """
        at_least = _as_number("at_least", at_least, 2)
        if not 1 <= self.at_least <= at_least:
            listed = f"functions that came at least {self.at_least} times" if self.at_least else "a fixed set"
            raise InvalidInput(
                f"at_least is {at_least}, but these counts list {listed}; truncate counts that list more"
            )
        size = len(self) - int(np.searchsorted(self.counts[::-1], at_least))
        dropped = Totals.of(self.counts[size:], self.squares[size:], self.cluster_size)
        return FunctionCounts(
            self.tables[:size],
            self.counts[:size],
            self.n_samples,
            self.provenance,
            squares=self.squares[:size],
            n_clusters=self.n_clusters,
            at_least=at_least,
            unlisted=dropped if self.unlisted is None else dropped + self.unlisted,
        )

    def pooled(self, group: Collection[Symmetry]) -> FunctionCounts:
        """Counts of orbits under a group of symmetries: every table becomes its canonical one.

        It is for the user to know that the prior is invariant under the group; `invariance_test` looks whether it is.

        Raises:
            InvalidInput: samples in clusters (squares of orbits do not follow from those of functions), counts that do
                not list all that came, or counts of orbits of another group.
            IncompatibleTables: tables on a list of points, which has no inputs.

        Error: exact. Cost: that of `canonicalize` and of one sort.

        Example:
            >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["0010", "0100", "0110"]), [3, 2, 1])
            >>> counts.pooled({"input_permutations"}).counts
            array([5, 1])
        """
        chosen = check_group(group)
        if self.orbits == chosen:
            return self
        if self.orbits is not None:
            raise InvalidInput(
                f"these are counts of orbits under {', '.join(sorted(self.orbits))}, not under "
                f"{', '.join(sorted(chosen)) or 'nothing'}; pool counts of functions"
            )
        if self.cluster_size > 1:
            raise InvalidInput(
                "samples in clusters cannot be pooled after counting: how often an orbit came within each cluster is "
                'lost. Draw with pool="orbits"'
            )
        if self.at_least != 1:
            raise InvalidInput(
                "counts that do not list all that came cannot be pooled, as parts of orbits are missing. "
                'Draw with pool="orbits"'
            )
        return FunctionCounts.from_unordered(
            canonicalize(self.tables, group=chosen).representatives,
            self.counts,
            {**self.provenance, "orbits": sorted(chosen)},
        )

    def merge(self, *others: FunctionCounts) -> FunctionCounts:
        """The counts of all samples together: exact, commutative and associative, provenance included.

        The two halves of one split give back what was split; adjoining draws of one seed give the longer draw.

        Raises:
            IncompatibleTables: another domain, map or way of drawing (the first field that differs is named).
            InvalidInput: some samples would be counted twice, clusters of different sizes, different fixed sets, or
                truncated lists: a function that is missing in one of them came there an unknown number of times.

        Cost: one sort of all functions together.
        """
        everything = (self, *others)
        for other in others:
            self.tables.require_same_domain(other.tables)
            rest, other_rest = ({k: v for k, v in c.provenance.items() if k != "draws"} for c in (self, other))
            for field, mine, theirs in differing_fields(rest, other_rest):
                raise IncompatibleTables(
                    f"these counts come from different maps: {field} is {mine} in one and {theirs} in the other; "
                    "only samples of one map, drawn in one way, may be counted together"
                )
            self._require_same_listing(other)
        provenance = dict(self.provenance)
        draws = [record for c in everything for record in c.provenance.get("draws", [])]
        if draws:
            provenance["draws"] = draws
        clustered = self.cluster_size > 1
        return FunctionCounts.from_unordered(
            concatenate([c.tables for c in everything]),
            np.concatenate([c.counts for c in everything]),
            provenance,
            n_samples=sum(c.n_samples for c in everything),
            squares=np.concatenate([c.squares for c in everything]) if clustered else None,
            n_clusters=sum(c.n_clusters for c in everything) if clustered else None,
            at_least=self.at_least,
        )

    def _require_same_listing(self, other: FunctionCounts) -> None:
        if max(self.at_least, other.at_least) > 1:
            raise InvalidInput(
                "truncated lists cannot be merged: functions below the threshold in one would be lost. "
                "Draw all samples at once, or with at_least=1"
            )
        if self.cluster_size != other.cluster_size:
            raise InvalidInput(
                f"clusters of {self.cluster_size} samples meet clusters of {other.cluster_size}; "
                "merge counts drawn alike"
            )
        same_set = len(self) == len(other) and bool(np.all(self.tables.positions_in(other.tables) >= 0))
        if self.at_least != other.at_least or (self.at_least == 0 and not same_set):
            raise InvalidInput(
                "counts of a fixed set merge with counts of the same set alone; draw both with one `only`"
            )

    def __add__(self, other: FunctionCounts) -> FunctionCounts:
        return self.merge(other) if isinstance(other, FunctionCounts) else NotImplemented

    def split(self, *, seed: int = 1) -> tuple[FunctionCounts, FunctionCounts]:
        """Two halves of floor(N/2) and ceil(N/2) samples: choose functions by one, judge them by the other.

        The first half is a uniformly random subset of the N samples: its counts follow the multivariate hypergeometric
        law, and as the samples are independent, so are the halves. Method: every sample tosses a fair coin, then
        uniformly chosen samples move from the larger side until the sizes are right.

        Raises:
            TooFewSamples: fewer than 2 samples.
            InvalidInput: samples in clusters, which are not independent, or counts that do not list all that came.

        Error: exact, for any N. Cost: O(size + sqrt(N)); 3e6 functions in under a second.

        Example:
            >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["01", "11"]), [30, 11])
            >>> pick, judge = counts.split(seed=1)
            >>> pick.n_samples, judge.n_samples, pick + judge == counts
            (20, 21, True)
        """
        rng = generator(seed, "split")
        if self.cluster_size > 1 or self.at_least != 1:
            what = "samples in clusters are not independent" if self.cluster_size > 1 else "not all that came is listed"
            raise InvalidInput(
                f"{what}, so halves of these counts would be wrong. Choose functions by a draw with one seed and judge "
                "them by a draw with another: draw(…, seed=1, only=pick.tables)"
            )
        if self.n_samples < 2:
            raise TooFewSamples(f"a sample of {self.n_samples} has no two halves; draw at least 2 samples")
        first: NDArray[np.int64] = rng.binomial(self.counts, 0.5)
        surplus = int(first.sum()) - self.n_samples // 2
        larger = first if surplus > 0 else self.counts - first
        upper = np.cumsum(larger)
        chosen = rng.choice(int(upper[-1]), abs(surplus), replace=False, shuffle=False)
        moved = np.bincount(np.searchsorted(upper, chosen, side="right"), minlength=len(first))
        first = first - np.sign(surplus) * moved
        return self._half(first, 0, seed), self._half(self.counts - first, 1, seed)

    def _half(self, counts: NDArray[np.int64], half: int, seed: int) -> FunctionCounts:
        provenance = dict(self.provenance)
        draws = provenance.get("draws", [])
        if draws:
            provenance["draws"] = half_of_draws(draws, seed, half)
        order = _most_frequent_first(counts)[: np.count_nonzero(counts)]
        return FunctionCounts(self.tables[order], counts[order], int(counts.sum()), provenance)


def _as_counts(name: str, counts: ArrayLike, size: int, at_least: int) -> NDArray[np.int64]:
    array = np.asarray(counts)
    if array.shape != (size,) or not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(f"{name} is {array.dtype}{list(array.shape)}; {size} tables need {size} integers")
    if size and (array.min() < at_least or array.max() > np.iinfo(np.int64).max):
        often = {0: "0 times or more", 1: "at least once"}.get(at_least, f"at least {at_least} times")
        raise InvalidInput(f"{name} hold {array.min()}; a function that is listed came {often}")
    return array.astype(np.int64)


def _as_number(name: str, value: Any, smallest: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise InvalidInput(f"{name} is {value!r}; it needs an int from {smallest} up")
    return int(value)


def _checked_unlisted(unlisted: Totals | None, listed: int, n_samples: int, at_least: int) -> Totals | None:
    if at_least == 0:
        if unlisted is not None or listed > n_samples:
            raise InvalidInput(
                f"n_samples is {n_samples} and unlisted is {unlisted}; counts of a fixed set (at_least=0) sum to "
                f"{listed}, and all other samples count into n_samples alone"
            )
        return None
    unlisted = Totals() if unlisted is None else unlisted
    if listed + unlisted.samples != n_samples or (at_least == 1 and unlisted != Totals()):
        raise InvalidInput(
            f"n_samples is {n_samples}; it must be the sum of counts, {listed}"
            + (f", and of the {unlisted.samples} samples not listed" if at_least > 1 else "")
        )
    return unlisted


def _checked_squares(
    squares: NDArray[np.int64] | None, counts: NDArray[np.int64], n_samples: int, n_clusters: int
) -> NDArray[np.int64]:
    if n_samples % n_clusters:
        raise InvalidInput(f"n_clusters is {n_clusters} and n_samples {n_samples}; clusters have one size")
    size = n_samples // n_clusters
    if size > 1 and squares is None:
        raise InvalidInput(f"n_clusters is {n_clusters} of {n_samples} samples; clusters need squares")
    if squares is None or (size == 1 and np.array_equal(squares, counts)):
        return counts
    squares = _as_counts("squares", squares, len(counts), 0)
    if np.any(squares < counts) or np.any(squares > size * counts):
        raise InvalidInput(
            f"squares do not fit: sums of squares over clusters lie between counts and {size} times counts "
            "(n_samples / n_clusters samples a cluster)"
        )
    return squares


def _differ(rows: NDArray[np.uint64]) -> NDArray[np.bool_]:
    # Whether each row differs from the one before it; nothing is said of the first.
    differs = np.zeros(max(0, len(rows) - 1), np.bool_)
    for word in rows.T:
        differs |= word[1:] != word[:-1]
    return differs


def _most_frequent_first(counts: NDArray[Any]) -> NDArray[np.int64]:
    # The stable order; nearly all functions came once, which needs no sort.
    often = np.flatnonzero(counts > 1)
    ranked = often[np.argsort(-counts[often].astype(np.int64), kind="stable")]
    return np.concatenate([ranked, np.flatnonzero(counts == 1), np.flatnonzero(counts == 0)])
