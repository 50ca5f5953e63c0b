"""Many functions from one draw of all but the last layer, for every map with a linear read-out, through torch.

The features fall into G groups. Each is read out m times with weights of its own, the first with m biases too, and
every choice of one partial read-out a group adds up to the logits of one function, so m^G functions share the features:
a cluster. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.kernels.counting import ClusterCountTable
from pfmap.kernels.normals import normals
from pfmap.maps import MLP, ReadoutMap
from pfmap.sampling.device_normals import device_normals
from pfmap.sampling.device_tables import count_rows, pack, to_host
from pfmap.sampling.reuse import Counted, Reuse, choose_reuse
from pfmap.sampling.torch_engine import free_bytes, full_precision, open_device
from pfmap.streams import CLUSTERS
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import TruthTables

if TYPE_CHECKING:
    from torch import Tensor


class TorchReuseSampler:
    """Counts the functions of clusters, or their orbits, or a fixed set of either, by the map's own features.

    On "cpu" latents come from the stream of kernels/normals.py and a network's counts are those of ReuseSampler; on
    every other device from that of device_normals.

    Attributes:
        batch: clusters evaluated at once; by default those that a quarter of a CUDA device's free memory holds.
    """

    def __init__(
        self,
        pfm: ReadoutMap,
        reuse: Reuse,
        device: str = "cpu",
        batch: int | None = None,
        *,
        group: Collection[Symmetry] = (),
        only: TruthTables | None = None,
    ) -> None:
        width = require_readout(pfm).readout.width
        if reuse.groups > width:
            raise InvalidInput(
                f"groups is {reuse.groups}; the read-out has {width} features, so at most {width} groups"
            )
        self._map, self._groups, self._draws = pfm, reuse.groups, reuse.draws
        self._cluster_size = reuse.cluster_size
        self._group = frozenset(group)
        self._n_words = -(-pfm.domain.n_points // 64)
        if group:  # which is refused here, not in the middle of a draw, if the domain is too large for it
            canonicalize(TruthTables.from_words(np.empty((0, self._n_words), np.uint64), pfm.domain), group=group)
        self._only = only if only is None or not group else canonicalize(only, group=group).representatives
        self._device = open_device(device)
        edges = [width * g // self._groups for g in range(self._groups + 1)]
        self._slices = [slice(start, stop) for start, stop in pairwise(edges)]
        self._n_hidden = pfm.n_latents - pfm.readout.n_latents
        self._n_latents = self._n_hidden + self._draws * pfm.readout.n_latents
        self.batch = max(1, free_bytes(self._device) // self._bytes_each()) if batch is None else batch

    def __call__(self, seed: int, first: int, count: int) -> Counted:
        """The functions of clusters first … first + count - 1 of a seed.

        Returns:
            Distinct tables uint64[k, words]; how often each came, int64[k]; and the sum over clusters of the square of
            how often it came in the cluster, int64[k]. Of orbits the canonical tables, of a fixed set those that came.

        Error: the signs of float64 logits of float32 parameters. Cost: a cluster's features, m^G 2^n comparisons and
            two sorts; 0.6 us a function of 7-40-40-1 with 2 groups of 32 draws on one core.
        """
        words, counts, squares = self._orbits(seed, first, count) if self._group else self._all(seed, first, count)
        if self._only is None:
            return words, counts, squares
        kept = TruthTables.from_words(words, self._map.domain).positions_in(self._only) >= 0
        return words[kept], counts[kept], squares[kept]

    def count_into(self, table: ClusterCountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        table.add(*self(seed, first, count))

    def _orbits(self, seed: int, first: int, count: int) -> Counted:
        import torch

        table = ClusterCountTable(self._n_words)
        for words, times, clusters in self.by_cluster(seed, first, count):
            tables = canonicalize(TruthTables.from_words(words, self._map.domain), group=self._group).representatives
            rows = np.column_stack([clusters, tables.words().view(np.int64)])
            orbits, totals = (x.numpy() for x in count_rows(torch.from_numpy(rows), torch.from_numpy(times)))
            table.add(np.ascontiguousarray(orbits[:, 1:]).view(np.uint64), totals, totals * totals)
        return table.items()

    def _all(self, seed: int, first: int, count: int) -> Counted:
        import torch

        parts = list(self._distinct(seed, first, count))
        tables, times = (torch.cat(columns) for columns in zip(*((rows[:, 1:], k) for rows, k in parts), strict=True))
        tables, counts, squares = count_rows(tables, times, times * times)
        return to_host(tables), counts.cpu().numpy(), squares.cpu().numpy()

    def by_cluster(self, seed: int, first: int, count: int) -> Generator[Counted]:
        """The functions of clusters first … first + count - 1 of a seed, in batches of whole clusters.

        Yields:
            Tables uint64[k, words], how often each came in its cluster, int64[k], and the number of the cluster within
            the batch, int64[k], ascending. A cluster lists a function once.
        """
        import torch

        for rows, times in self._distinct(seed, first, count):
            order = torch.sort(rows[:, 0], stable=True).indices
            yield to_host(rows[order, 1:]), times[order].cpu().numpy(), rows[order, 0].cpu().numpy()

    def _distinct(self, seed: int, first: int, count: int) -> Generator[tuple[Tensor, Tensor]]:
        """Rows of a cluster's number within its batch and a table, int64[k, 1 + words], and how often each came."""
        import torch

        for start in range(first, first + count, self.batch):
            with torch.no_grad():
                words = self._functions(self._latents(seed, start, min(self.batch, first + count - start)))
                number = torch.arange(len(words), device=self._device)[:, None, None].expand(-1, words.shape[1], 1)
                rows = count_rows(torch.cat([number, words], 2).flatten(0, 1))
            yield rows[0], rows[1]

    def _latents(self, seed: int, first: int, count: int) -> Tensor:
        import torch

        if str(self._device) == "cpu":
            return torch.from_numpy(normals(seed, first, count, self._n_latents, CLUSTERS))
        return device_normals(seed, first, count, self._n_latents, CLUSTERS, self._device)

    def _functions(self, z: Tensor) -> Tensor:
        """Packed tables int64[clusters, m^G, words] of latents: the features', then group by group the read-outs'."""
        import torch

        with full_precision():
            features = self._checked(self._map.features(z[:, : self._n_hidden]), len(z)).to(torch.float64)
        read_outs = list(self._read_outs(z[:, self._n_hidden :]))
        words = []
        for start in range(0, features.shape[2], self._points_at_once()):
            points = features[:, :, start : start + self._points_at_once()]
            *others, last = (w @ points[:, group] + b for group, (w, b) in zip(self._slices, read_outs, strict=True))
            sums = torch.zeros(len(z), 1, points.shape[2], dtype=torch.float64, device=z.device)
            for partial in others:
                sums = (sums[:, :, None] + partial[:, None]).flatten(1, 2)
            # x + y > 0 exactly when x > -y, also in floating point.
            words.append(pack((last[:, None] > -sums[:, :, None]).flatten(1, 2)))
        return torch.cat(words, 2)

    def _read_outs(self, z: Tensor) -> Generator[tuple[Tensor, Tensor]]:
        """Weights float64[clusters, draws, features] and biases float64[clusters, draws, 1] of each group."""
        import torch

        readout, draws, at = self._map.readout, self._draws, 0
        for group in self._slices:
            features = group.stop - group.start
            weights = readout.weights_of(z[:, at : at + draws * features]).to(torch.float64)
            at += draws * features
            biases = torch.zeros(1, 1, 1, dtype=torch.float64, device=z.device)
            if group.start == 0 and readout.bias_std:
                biases = readout.biases_of(z[:, at : at + draws, None]).to(torch.float64)
                at += draws
            yield weights.reshape(-1, draws, features), biases

    def _points_at_once(self) -> int:
        """Points read out at once: whole words."""
        return max(64, (1 << 22) // self._cluster_size // 64 * 64)

    def _bytes_each(self) -> int:
        """Working set of a cluster: its latents and features in a few copies, and its signs."""
        m = self._map.domain.n_points
        signs = self._cluster_size * (4 * min(m, self._points_at_once()) + m // 2 + 64)
        return 40 * self._n_latents + 48 * self._map.readout.width * m + signs

    def _checked(self, features: Any, count: int) -> Tensor:
        import torch

        expected = (count, self._map.readout.width, self._map.domain.n_points)
        if not isinstance(features, torch.Tensor) or tuple(features.shape) != expected:
            came = list(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
            raise InvalidInput(f"features came as {came}; the map must return [batch, width, m] = {list(expected)}")
        if bool(features.isnan().any()):
            raise InvalidInput("features hold NaN, which has no sign; the map must return a number at every point")
        return features


def choose_torch_reuse(pfm: ReadoutMap) -> Reuse:
    """For a network as choose_reuse, otherwise two groups of 32 draws, where there are two features.

    Error: a rule of thumb: what features cost is not known here, and 1024 functions outweigh most.
    """
    if isinstance(pfm, MLP) and pfm.hidden:
        return choose_reuse(pfm)
    return Reuse(min(2, require_readout(pfm).readout.width), 32)


def require_readout(pfm: object) -> ReadoutMap:
    """The map itself, if it declares a linear read-out.

    Raises:
        InvalidInput: the map declares no linear read-out.
    """
    if not isinstance(pfm, ReadoutMap):
        raise InvalidInput(
            f"{type(pfm).__name__} declares no linear read-out, so its hidden layers cannot be reused; "
            "maps.FeatureFunction makes a map of random features and their read-out"
        )
    return pfm
