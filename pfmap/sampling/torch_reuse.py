"""Many functions from one draw of all but the last layer, for every map with a linear read-out, through torch.

The features fall into G groups. Each is read out m times with weights of its own, the first with m biases too, and
every choice of one partial read-out a group adds up to the logits of one function, so m^G functions share the features:
a cluster. All sums are float64.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.kernels.normals import normals
from pfmap.maps.readout import ReadoutMap
from pfmap.sampling.device_normals import device_normals
from pfmap.sampling.device_tables import count_rows, pack, to_host
from pfmap.sampling.torch_engine import free_bytes, full_precision, open_device
from pfmap.streams import CLUSTERS

if TYPE_CHECKING:
    from torch import Tensor

    from pfmap.sampling.reuse import Reuse


class TorchReuseSampler:
    """Counts of the functions of clusters, by the map's own features.

    On the CPU latents come from the stream of kernels/normals.py, elsewhere from that of device_normals.

    Attributes:
        batch: clusters evaluated at once; by default those that a quarter of a CUDA device's free memory holds.
    """

    def __init__(self, pfm: ReadoutMap, reuse: Reuse, device: str = "cpu", batch: int | None = None) -> None:
        width = require_readout(pfm)
        if reuse.groups > width:
            raise InvalidInput(
                f"groups is {reuse.groups}; the read-out has {width} features, so at most {width} groups"
            )
        self._map, self._groups, self._draws = pfm, reuse.groups, reuse.draws
        self._cluster_size = reuse.cluster_size
        self._device = open_device(device)
        edges = [width * g // self._groups for g in range(self._groups + 1)]
        self._slices = [slice(start, stop) for start, stop in pairwise(edges)]
        self._n_hidden = pfm.n_latents - pfm.readout.n_latents
        self._n_latents = self._n_hidden + self._draws * pfm.readout.n_latents
        self.batch = max(1, free_bytes(self._device) // self._bytes_each()) if batch is None else batch

    def __call__(
        self, seed: int, first: int, count: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
        """The functions of clusters first … first + count - 1 of a seed.

        Returns:
            Distinct tables uint64[k, words]; how often each came, int64[k]; and the sum over clusters of the square of
            how often it came in the cluster, int64[k].

        Error: the signs of float64 logits of float32 parameters. Cost: a cluster's features, m^G 2^n additions, and
            the counting, which on the CPU outweighs both.
        """
        import torch

        parts = list(self._distinct(seed, first, count))
        tables, times = (torch.cat(columns) for columns in zip(*((rows[:, 1:], k) for rows, k in parts), strict=True))
        tables, counts, squares = count_rows(tables, times, times * times)
        return to_host(tables), counts.cpu().numpy(), squares.cpu().numpy()

    def by_cluster(
        self, seed: int, first: int, count: int
    ) -> Generator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]]:
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

        if self._device.type == "cpu":
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


def require_readout(pfm: object) -> int:
    """The width of a map's read-out.

    Raises:
        InvalidInput: the map declares no linear read-out.
    """
    if not isinstance(pfm, ReadoutMap):
        raise InvalidInput(
            f"{type(pfm).__name__} declares no linear read-out, so its hidden layers cannot be reused; "
            "maps.FeatureFunction makes a map of random features and their read-out"
        )
    return pfm.readout.width
