"""Any map through its own logits in torch, on any device, from the same latents as the fused kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.kernels.normals import normals
from pfmap.maps import ParameterFunctionMap
from pfmap.streams import LATENTS
from pfmap.tables import TruthTables


class TorchSampler:
    """Truth tables of a map at the indices of its latent stream, by pfm.logits on a device."""

    def __init__(self, pfm: ParameterFunctionMap, device: str) -> None:
        import torch

        try:
            self._device = torch.device(device)
            torch.ones(1, device=self._device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidInput(f"device is {device!r}, which torch cannot use here ({reason}); try 'cpu'") from None
        self._map = pfm

    def __call__(self, seed: int, first: int, count: int) -> NDArray[np.uint64]:
        """Packed tables uint64[count, words] of samples first … first + count - 1."""
        import torch

        z = torch.from_numpy(normals(seed, first, count, self._map.n_latents, LATENTS)).to(self._device)
        with torch.no_grad():
            logits = self._map.logits(z)
        self._check(logits, count)
        return TruthTables.from_bits((logits > 0).cpu().numpy(), self._map.domain).words()

    def _check(self, logits: Any, count: int) -> None:
        import torch

        if not isinstance(logits, torch.Tensor):
            raise InvalidInput(f"logits came as {type(logits).__name__}; the map must return a torch tensor")
        expected = (count, self._map.domain.n_points)
        if tuple(logits.shape) != expected or not logits.is_floating_point():
            raise InvalidInput(
                f"logits came as {logits.dtype}{list(logits.shape)}; "
                f"{self._map.domain} needs floats [batch, m] = {list(expected)}"
            )
        if bool(logits.isnan().any()):
            raise InvalidInput("logits hold NaN, which has no sign; the map must return a number at every point")
