"""Reuse of hidden layers: many functions from one draw of all layers but the last, each of the exact prior.

    logit(x) = b + sum_j w_j h_j(x) = sum_g S_g(x),   S_g(x) = sum over the neurons j of group g of w_j h_j(x)

A cluster is one draw of the hidden layers h with m independent draws of each of the G partial read-outs S_g (b goes
with the first group). Every choice of one S_g a group is a network of the prior, so a cluster holds R = m^G of them for
little more than the price of one. They are dependent: what clusters say is judged by the squares of their counts.

Latents of cluster c are a function of (seed, c): those of the hidden layers as in the network, then group by group m
rows of weights and, for the first, m bias terms. The float32 logits are settled as in sampling/fused.py; errors of the
S_g are as independent as their weights, so a function's band is relative * sqrt(sum of max |S_g|^2).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.kernels.cluster_counts import count_clusters, count_members, mark_clusters
from pfmap.kernels.counting import ClusterCountTable, Marks
from pfmap.kernels.members import find_members, index_members, orbit_members
from pfmap.kernels.reuse import ClusterPlan
from pfmap.maps import MLP
from pfmap.sampling.fused import kernel_settings, rounding_bands
from pfmap.streams import CLUSTERS
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import TruthTables

Counted: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]
"""Distinct tables uint64[k, words], their counts and the sums over clusters of their squared counts, int64[k]."""

_LARGEST_CLUSTER = 1 << 16
_MOST_FLOATS = 1 << 28
_MOST_IMAGES = 1 << 22
_ORBITS_AT_ONCE = 16
_FEWEST_DRAWS, _MOST_DRAWS = 8, 64
_FLOPS_A_SUM = 3
_PILOT = 64


@dataclass(frozen=True)
class Reuse:
    """How often hidden layers are reused: R = draws^groups functions from one draw of them.

    Attributes:
        groups: G, groups of neurons of the last hidden layer, at least 1.
        draws: m, independent read-outs of each group, at least 2.

    Example:
        >>> Reuse(groups=2, draws=32).cluster_size
        1024
    """

    groups: int = 2
    draws: int = 32

    def __post_init__(self) -> None:
        for name, least in (("groups", 1), ("draws", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InvalidInput(f"{name} is {value!r}; reuse needs an int of at least {least}")
            object.__setattr__(self, name, int(value))
        if self.groups > 16 or self.cluster_size > _LARGEST_CLUSTER:
            raise InvalidInput(
                f"{self.draws} draws of each of {self.groups} groups make {self.draws}^{self.groups} functions a "
                f"cluster; at most {_LARGEST_CLUSTER} are allowed, such as Reuse(groups=2, draws=256)"
            )

    @property
    def cluster_size(self) -> int:
        """R, functions a cluster."""
        return int(self.draws**self.groups)


def choose_reuse(net: MLP) -> Reuse:
    """Two groups, with as many draws as make the sums of a cluster cost about what its hidden layers cost.

    Sums beyond that come almost for nothing new: the price of a function falls little more, and its dependence on the
    others of the cluster grows.

    Error: a rule of thumb; figures/reuse_gain.json has the gain by number of draws.

    Example:
        >>> choose_reuse(MLP(7, hidden=(40, 40)))
        Reuse(groups=2, draws=32)
    """
    _require_hidden_layers(net)
    flops = 2 * sum(layer.fan_in * layer.fan_out for layer in net.layers[1:-1]) + net.layers[0].fan_out
    draws = 8 * round(math.sqrt(flops / _FLOPS_A_SUM) / 8)
    groups = min(2, net.hidden[-1])
    return Reuse(groups, min(max(draws, _FEWEST_DRAWS), _MOST_DRAWS))


def cluster_plan(net: MLP, reuse: Reuse) -> ClusterPlan:
    """The network and its reuse as the kernel takes them."""
    _require_hidden_layers(net)
    *hidden, read_out = net.layers
    if reuse.groups > read_out.fan_in:
        raise InvalidInput(
            f"{reuse.groups} groups of a last hidden layer of {read_out.fan_in} neurons: each group needs a neuron; "
            f"take at most {read_out.fan_in} groups"
        )
    half = reuse.groups // 2
    if (reuse.draws**half + reuse.draws ** (reuse.groups - half)) * net.domain.n_points > _MOST_FLOATS:
        raise InvalidInput(
            f"{reuse} on {net.domain.n_points} points needs more than {_MOST_FLOATS >> 18} MiB of partial sums; "
            "take fewer draws"
        )
    rows = [(layer.fan_in, layer.fan_out, layer.weights_at, layer.biases_at) for layer in hidden]
    scales = net.scales()
    of_weights, of_bias = -scales[read_out.weights_at], -scales[read_out.biases_at]
    parts, at = [scales[: read_out.weights_at]], read_out.weights_at
    edges = [read_out.fan_in * g // reuse.groups for g in range(reuse.groups + 1)]
    for g in range(reuse.groups):
        fan_in = edges[g + 1] - edges[g]
        n_weights, n_biases = fan_in * reuse.draws, reuse.draws if g == 0 and read_out.biases_at >= 0 else 0
        rows.append((fan_in, reuse.draws, at, at + n_weights if n_biases else -1))
        parts += [np.full(n_weights, of_weights), np.full(n_biases, of_bias)]
        at += n_weights + n_biases
    bands = rounding_bands(net)
    return ClusterPlan(
        np.array(rows, np.int64),
        len(hidden),
        reuse.groups,
        reuse.draws,
        np.concatenate(parts),
        kernel_settings(net),
        (bands.relative, bands.smallest, bands.step),
    )


class ReuseSampler:
    """Counts every function that clusters of an MLP hold, or with a group every orbit, as its canonical table.

    Error: exact counts of an exact prior; each function is that of the float64 logits of its float32 parameters. A
    cluster's functions are dependent, constants the most, so these gain the least. Cost: figures/reuse_gain.json.
    """

    def __init__(self, net: MLP, reuse: Reuse, group: Collection[Symmetry] = ()) -> None:
        self._plan = cluster_plan(net, reuse)
        if group:
            canonicalize(TruthTables.from_ints([], net.n_inputs), group=group)  # refuses n > 7 and unknown symmetries
        self._symmetries = _as_flags(group)
        self._marks: Marks | None = None

    def __call__(self, seed: int, first: int, count: int) -> Counted:
        """Functions or orbits of clusters first … first + count - 1, in no particular order."""
        table = ClusterCountTable(self._plan.n_words)
        self.count_into(table, seed, first, count)
        return table.items()

    def count_into(self, table: ClusterCountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        count_clusters(self._plan, seed, first, count, CLUSTERS, table, self._symmetries, self._marks)

    def worth_marking(self, seed: int) -> float:
        """Functions a cluster, if more than half are new, so that drawing twice costs less than to keep them; or 0.

        To draw and mark a function takes a third of the time of a new row in a large table. Orbits are not marked.
        """
        if any(self._symmetries):
            return 0.0
        new = len(self(seed, 0, _PILOT)[0]) / _PILOT
        return new if 2 * new > self._plan.cluster_size else 0.0

    def mark(self, marks: Marks, seed: int, first: int, count: int) -> None:
        """Mark the functions of clusters first … first + count - 1."""
        mark_clusters(self._plan, seed, first, count, CLUSTERS, marks)

    def repeated(self, marks: Marks) -> ReuseSampler:
        """The same, but functions that came only once in all that was marked are passed over."""
        sampler = copy(self)
        sampler._marks = marks
        return sampler


class FixedSetSampler:
    """Counts a fixed set of functions in clusters of an MLP, and passes over all others.

    With a group the set is one of orbits, counted whole and listed as canonical tables. Up to four million members of
    the orbits are listed beforehand; more are found by canonical tables, at the price of a ReuseSampler.

    Error: as ReuseSampler. Cost: figures/reuse_gain.json; at most 0.2 GiB for the set at n = 7.
    """

    def __init__(self, net: MLP, reuse: Reuse, tables: TruthTables, group: Collection[Symmetry] = ()) -> None:
        if tables.domain != net.domain:
            raise IncompatibleTables(f"the functions to count are on {tables.domain}, the network's on {net.domain}")
        self._plan = cluster_plan(net, reuse)
        self._orbits: ReuseSampler | None = None
        if not group:
            words = np.unique(tables.words(), axis=0)
        else:
            canonical = canonicalize(tables, group=group)
            words, first = np.unique(canonical.representatives.words(), axis=0, return_index=True)
        batches, n_keys = iter([(words, np.arange(len(words)))]), len(words)
        if group and (n_images := int(canonical.orbit_sizes[first].sum())) > _MOST_IMAGES:
            self._orbits = ReuseSampler(net, reuse, group)
        elif group:
            batches, n_keys = _orbit_members(words, net.n_inputs, group), n_images
        self._words, self._index = words, index_members(batches, n_keys, len(words), net.domain.n_points)

    def __call__(self, seed: int, first: int, count: int) -> Counted:
        """Those of the set that came in clusters first … first + count - 1."""
        if self._orbits is not None:
            words, counts, squares = self._orbits(seed, first, count)
            known = find_members(words, self._index.slots) >= 0
            return words[known], counts[known], squares[known]
        counts, squares = count_members(self._plan, seed, first, count, CLUSTERS, self._index)
        came = np.flatnonzero(counts)
        return self._words[came], counts[came], squares[came]

    def count_into(self, table: ClusterCountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        table.add(*self(seed, first, count))


def _orbit_members(
    words: NDArray[np.uint64], n_inputs: int, group: Collection[Symmetry]
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    for start in range(0, len(words), _ORBITS_AT_ONCE):
        images, members = orbit_members(words[start : start + _ORBITS_AT_ONCE], n_inputs, _as_flags(group))
        yield images, members + start


def _require_hidden_layers(net: MLP) -> None:
    if not isinstance(net, MLP):
        raise InvalidInput(f"reuse of hidden layers draws MLPs, not {type(net).__name__}; draw it without reuse")
    if not net.hidden:
        raise InvalidInput("the perceptron has no hidden layer to reuse; draw it without reuse")


def _as_flags(group: Collection[Symmetry]) -> tuple[bool, bool, bool, bool]:
    return "input_permutations" in group, "input_flips" in group, "reversal" in group, "complement" in group
