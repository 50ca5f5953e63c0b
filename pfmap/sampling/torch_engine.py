"""Any map through torch: the fused kernel's own latents through pfm.logits, or all of it on a device.

On a device latents are drawn, functions evaluated, packed and counted there, and only distinct functions leave it. MLPs
are evaluated in float32, and networks with a point inside the rounding band of sampling/fused.py again by their float64
logits, so the bits are those that the CPU would give for the same latents.

Unproven: all of this is tested on CPU tensors only (the device "cpu:0" takes the way of devices). Throughput on CUDA is
unmeasured; random words in torch's integer operations are likely to bound it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.kernels.counting import CountTable
from pfmap.kernels.normals import normals
from pfmap.maps import MLP, ParameterFunctionMap
from pfmap.maps.mlp import torch_activation
from pfmap.sampling.device_normals import device_normals
from pfmap.sampling.device_tables import count_rows, pack, to_host
from pfmap.sampling.fused import RoundingBands, kernel_settings, rounding_bands
from pfmap.streams import LATENTS
from pfmap.tables import TruthTables

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_BATCH_BYTES = 1 << 24


@dataclass
class _Precision:
    """How many threads are in full_precision, and the settings that the first of them found."""

    lock: threading.Lock
    inside: int
    found: list[str]


_precision = _Precision(threading.Lock(), 0, [])


class TorchSampler:
    """Truth tables of a map at the indices of its latent stream, by pfm.logits on a device."""

    def __init__(self, pfm: ParameterFunctionMap, device: str = "cpu") -> None:
        self._device = open_device(device)
        self._map = pfm

    def __call__(self, seed: int, first: int, count: int) -> NDArray[np.uint64]:
        """Packed tables uint64[count, words] of samples first … first + count - 1."""
        import torch

        z = torch.from_numpy(normals(seed, first, count, self._map.n_latents, LATENTS)).to(self._device)
        with torch.no_grad(), full_precision():
            logits = self._map.logits(z)
        _check(logits, self._map, count)
        return TruthTables.from_bits((logits > 0).cpu().numpy(), self._map.domain).words()

    def count_into(self, table: CountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        table.add(self(seed, first, count))


class DeviceSampler:
    """Counts of the functions of a map at the indices of a device's latent stream, made on the device.

    Attributes:
        batch: samples evaluated at once; by default those that a quarter of a CUDA device's free memory holds.
    """

    def __init__(self, pfm: ParameterFunctionMap, device: str, batch: int | None = None) -> None:
        self._device = open_device(device)
        self._map = pfm
        self._bands = rounding_bands(pfm) if isinstance(pfm, MLP) else None
        self.batch = max(1, free_bytes(self._device) // _bytes_each(pfm)) if batch is None else batch

    def __call__(self, seed: int, first: int, count: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Distinct tables uint64[k, words] of samples first … first + count - 1, and how often each came, int64[k].

        Cost: count * words * 8 bytes on the device, next to a batch's own.
        """
        import torch

        words = []
        with torch.no_grad():
            for start in range(first, first + count, self.batch):
                size = min(self.batch, first + count - start)
                z = device_normals(seed, start, size, self._map.n_latents, LATENTS, self._device)
                words.append(pack(self._bits(z)))
            tables, counts = count_rows(torch.cat(words))
        return to_host(tables), counts.cpu().numpy()

    def count_into(self, table: CountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        table.add(*self(seed, first, count))

    def _bits(self, z: Tensor) -> Tensor:
        with full_precision():
            if isinstance(self._map, MLP) and self._bands is not None:
                return network_bits(self._map, self._bands, z)
            logits = self._map.logits(z)
        _check(logits, self._map, len(z))
        return logits > 0


def network_bits(net: MLP, bands: RoundingBands, z: Tensor) -> Tensor:
    """[logit > 0], bool[batch, 2^n], of latents float32[batch, d]: float32, and float64 where that is not enough.

    Error: as that of the bands. Cost: 2 d 2^n flops a network in float32; in float64 for networks with a point within
        the bands, and for all of them without biases unless every point has a signal.
    """
    logits, unsure = _float32_logits(net, bands, z)
    size = logits.abs()
    band = (bands.relative * size.amax(1, keepdim=True)).clamp(min=bands.smallest)
    unsure |= ~(size > band)  # NaN is unsure
    bits = logits > 0
    if kernel_settings(net)[4]:  # without biases the logit at x = 0 is exactly 0, which is no near miss
        unsure[:, 0] = bits[:, 0] = False
    rows = unsure.any(1).nonzero()[:, 0]
    if len(rows):
        bits[rows] = net.logits(z[rows]) > 0
    return bits


def _float32_logits(net: MLP, bands: RoundingBands, z: Tensor) -> tuple[Tensor, Tensor]:
    """Logits float32[batch, 2^n], and whether a rounding may have pushed a hidden unit over a step."""
    import torch

    theta, phi = net.parameters(z), torch_activation(net.activation)
    points = torch.from_numpy(net.domain.points().astype(np.float32)).to(z.device)
    h = (2 * points - 1 if net.inputs == "pm1" else points).T.expand(len(z), -1, -1)
    unsure = torch.zeros((len(z), net.domain.n_points), dtype=torch.bool, device=z.device)
    for depth, layer in enumerate(net.layers):
        weights = theta[:, layer.weights_at : layer.weights_at + layer.fan_out * layer.fan_in]
        a = weights.reshape(-1, layer.fan_out, layer.fan_in) @ h
        if layer.biases_at >= 0:
            a += theta[:, layer.biases_at : layer.biases_at + layer.fan_out, None]
        if depth == len(net.hidden):
            break
        if net.activation == "step":
            unsure |= ~(a.abs() > bands.step).all(1)
        h = phi(a)
    return a[:, 0], unsure


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products in float32: no TF32, which changes 1 % of functions, and no bfloat16, which changes 6 %.

    The settings are those of the whole process: the first thread in here changes them, the last puts them back.
    """
    with _precision.lock:
        if not _precision.inside:
            _precision.found = _set_precision(None)
        _precision.inside += 1
    try:
        yield
    finally:
        with _precision.lock:
            _precision.inside -= 1
            if not _precision.inside:
                _set_precision(_precision.found)


def _set_precision(settings: list[str] | None) -> list[str]:
    """Set how torch multiplies float32, in full for None; returns what was set before."""
    import torch

    if not hasattr(torch.backends.mkldnn, "matmul"):  # before torch 2.9 one setting held for every backend
        before = [torch.get_float32_matmul_precision()]
        torch.set_float32_matmul_precision("highest" if settings is None else settings[0])
        return before
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]
    before = [backend.fp32_precision for backend in backends]
    for backend, setting in zip(backends, settings or ["ieee", "ieee"], strict=True):
        backend.fp32_precision = setting
    return before


def open_device(device: str) -> torch.device:
    """The device of this name, if torch can use it here."""
    import torch

    try:
        opened = torch.device(device)
        torch.ones(1, dtype=torch.float64, device=opened).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"device is {device!r}, which torch cannot use here ({reason}); try 'cpu'") from None
    return opened


def free_bytes(device: torch.device) -> int:
    """Bytes that a batch may take: a quarter of what is free on a CUDA device, 16 MiB elsewhere."""
    import torch

    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else _BATCH_BYTES


def _bytes_each(pfm: ParameterFunctionMap) -> int:
    """Working set of a sample: its latents and activations, in a few copies."""
    width = max(pfm.hidden, default=1) if isinstance(pfm, MLP) else 128
    return 40 * pfm.n_latents + 4 * (4 * width + 8) * pfm.domain.n_points


def _check(logits: Any, pfm: ParameterFunctionMap, count: int) -> None:
    import torch

    if not isinstance(logits, torch.Tensor):
        raise InvalidInput(f"logits came as {type(logits).__name__}; the map must return a torch tensor")
    expected = (count, pfm.domain.n_points)
    if tuple(logits.shape) != expected or not logits.is_floating_point():
        raise InvalidInput(
            f"logits came as {logits.dtype}{list(logits.shape)}; "
            f"{pfm.domain} needs floats [batch, m] = {list(expected)}"
        )
    if bool(logits.isnan().any()):
        raise InvalidInput("logits hold NaN, which has no sign; the map must return a number at every point")
