"""Walkers: what moves particles z inside {z : level(z) > threshold}, on a kernel or on any map's logits.

    level(z) = -mean over constrained points x of [f_z(x) wrong] (|logit(x)| / rms(logit), or 1 where logit(x) = 0)

It knows no scale, is 0 exactly where f_z fits and below 0 elsewhere. A move turns (z, v), v a normal velocity, by a
fixed angle. Where it would leave the set, v is reflected there about the gradient of the wrong logits and the turn made
once more; where that fails too, z stays and v turns back. Each of the three undoes itself with v reversed, so the
normal law inside the set is left invariant, whatever stands in for the gradient: none at all, for a map without one.
One move a velocity and no reflection would be pCN.
Source: Skilling 2012, AIP Conference Proceedings 1443, 145 (reflection); Murray, Adams and MacKay 2010 (the turn).
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.kernels.linear_walks import linear_levels, matrices_of, walk_linear
from pfmap.kernels.normals import normals
from pfmap.kernels.rare import NetworkPlan, network_levels, walk_networks
from pfmap.maps import MLP, GaussianProcess, GaussianVector, ParameterFunctionMap
from pfmap.sampling.fused import kernel_settings, rounding_bands

WALKS = 2
"""Number of the stream that holds the particles' starts and their velocities."""

STRETCH = 2
"""Moves with one velocity; its direction is soon lost among reflections."""

FITS = -5e-324
"""The threshold above which only level 0 lies."""


class Walker(Protocol):
    """Moves particles of one function."""

    @property
    def n_latents(self) -> int:
        """The length of z."""
        ...

    def levels(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[N], the levels of z float64[N, d]."""
        ...

    def walk(
        self,
        z: NDArray[np.float64],
        levels: NDArray[np.float64],
        *,
        threshold: float,
        step: float,
        n_stretches: int,
        seed: int,
        first: int,
    ) -> tuple[int, int]:
        """Move z and its levels in place; returns how many moves went anywhere and how many maps were evaluated.

        A particle makes STRETCH moves of angle asin(step) with each of n_stretches velocities, which are those of
        `seed` at N n_stretches indices from `first` on.
        """
        ...


def start(n_particles: int, n_latents: int, seed: int) -> NDArray[np.float64]:
    """Particles of the prior, at indices 0 … N - 1 of the seed's stream."""
    return normals(seed, 0, n_particles, n_latents, WALKS).astype(np.float64)


def walker(pfm: ParameterFunctionMap, wanted: NDArray[np.int8]) -> Walker:
    """The fastest walker there is for a map; wanted[x] is 1, -1 or 0 for a one, a zero or anything."""
    if isinstance(pfm, MLP):
        return NetworkWalker(pfm, wanted)
    if isinstance(pfm, GaussianProcess | GaussianVector):
        return LinearWalker(pfm, wanted)
    return TorchWalker(pfm, wanted)


class NetworkWalker:
    """Walks of an MLP on its kernel; functions are those of the float64 logits of the float32 parameters."""

    def __init__(self, net: MLP, wanted: NDArray[np.int8]) -> None:
        bands = rounding_bands(net)
        layers = [(x.fan_in, x.fan_out, x.weights_at, x.biases_at) for x in net.layers]
        self._plan = NetworkPlan(
            np.array(layers, np.int64),
            net.scales(),
            kernel_settings(net),
            (bands.relative, bands.smallest, bands.step),
        )
        self._wanted = wanted
        self.n_latents = net.n_latents

    def levels(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[N]."""
        return network_levels(self._plan, self._wanted, z)

    def walk(
        self,
        z: NDArray[np.float64],
        levels: NDArray[np.float64],
        *,
        threshold: float,
        step: float,
        n_stretches: int,
        seed: int,
        first: int,
    ) -> tuple[int, int]:
        """See Walker."""
        return walk_networks(
            self._plan,
            self._wanted,
            z,
            levels,
            threshold=threshold,
            step=step,
            n_stretches=n_stretches,
            stretch=STRETCH,
            seed=seed,
            first=first,
            stream=WALKS,
        )


class LinearWalker:
    """Walks of a map whose logits are linear in z, in float64."""

    def __init__(self, pfm: GaussianProcess | GaussianVector, wanted: NDArray[np.int8]) -> None:
        import torch

        where = np.flatnonzero(wanted)
        root = pfm.logits(torch.eye(pfm.n_latents, dtype=torch.float64)).numpy()
        self._matrices = matrices_of((root[:, where] * wanted[where]).T)
        self._ones = (wanted[where] > 0).astype(np.float64)
        self.n_latents = pfm.n_latents

    def levels(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[N]."""
        return linear_levels(self._matrices, self._ones, z)

    def walk(
        self,
        z: NDArray[np.float64],
        levels: NDArray[np.float64],
        *,
        threshold: float,
        step: float,
        n_stretches: int,
        seed: int,
        first: int,
    ) -> tuple[int, int]:
        """See Walker."""
        return walk_linear(
            self._matrices,
            self._ones,
            z,
            levels,
            threshold=threshold,
            step=step,
            n_stretches=n_stretches,
            stretch=STRETCH,
            seed=seed,
            first=first,
            stream=WALKS,
        )


class TorchWalker:
    """Walks of any map on its own logits, all particles at once."""

    def __init__(self, pfm: ParameterFunctionMap, wanted: NDArray[np.int8]) -> None:
        self._map = pfm
        self._where = np.flatnonzero(wanted)
        self._wanted = wanted[self._where].astype(np.float64)
        self.n_latents = pfm.n_latents
        self._differentiable = self._has_gradient()

    def levels(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[N]."""
        import torch

        with torch.no_grad():
            logits = self._logits(torch.from_numpy(z.astype(np.float32))).cpu().numpy().astype(np.float64)
        if not np.isfinite(logits).all():
            raise InvalidInput("logits hold NaN or infinity; the map must return a finite number at every point")
        distance = -np.minimum(logits * self._wanted, 0.0).sum(axis=1)
        rms = np.sqrt(np.einsum("ij,ij->i", logits, logits) / logits.shape[1])
        n_zero = ((logits == 0.0) & (self._wanted > 0.0)).sum(axis=1)
        apart = np.maximum(np.divide(distance, rms, out=np.zeros_like(rms), where=rms > 0.0), 1e-300 * (distance > 0.0))
        return np.asarray(0.0 - (apart + n_zero) / logits.shape[1])

    def walk(
        self,
        z: NDArray[np.float64],
        levels: NDArray[np.float64],
        *,
        threshold: float,
        step: float,
        n_stretches: int,
        seed: int,
        first: int,
    ) -> tuple[int, int]:
        """See Walker."""
        cosine, n, moved, evaluated = math.sqrt(1.0 - step * step), len(z), 0, 0
        for t in range(n_stretches):
            v = normals(seed, first + t * n, n, self.n_latents, WALKS).astype(np.float64)
            for _ in range(STRETCH):
                new_z, new_v = cosine * z + step * v, cosine * v - step * z
                found = self.levels(new_z)
                out = np.flatnonzero(~(found > threshold))
                moved, evaluated = moved + n - len(out), evaluated + n
                if len(out):
                    turned, usable = self._reflected(new_z[out], new_v[out])
                    again_z, again_v = cosine * new_z[out] + step * turned, cosine * turned - step * new_z[out]
                    again = self.levels(again_z) if self._differentiable else found[out]
                    inside = usable & (again > threshold)
                    new_z[out] = np.where(inside[:, None], again_z, z[out])
                    new_v[out] = np.where(inside[:, None], again_v, -v[out])
                    found[out] = np.where(inside, again, levels[out])
                    moved, evaluated = moved + int(inside.sum()), evaluated + len(out) * self._differentiable
                z[:], levels[:], v = new_z, found, new_v
        return moved, evaluated

    def _reflected(
        self, z: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """V reflected about the gradient at z of the sum of wrong logits, and where there is one."""
        import torch

        if not self._differentiable:
            return v, np.zeros(len(z), np.bool_)
        at = torch.from_numpy(z.astype(np.float32)).requires_grad_(True)
        wrong = (self._logits(at) * torch.from_numpy(self._wanted)).clamp(max=0.0).sum()
        gradient = torch.autograd.grad(wrong, at)[0].numpy().astype(np.float64)
        square = np.einsum("ij,ij->i", gradient, gradient)
        usable = (square > 0.0) & np.isfinite(square)
        gradient, square = np.where(usable[:, None], gradient, 0.0), np.where(usable, square, 1.0)
        return v - (2.0 * np.einsum("ij,ij->i", v, gradient) / square)[:, None] * gradient, usable

    def _logits(self, z: Any) -> Any:
        import torch

        logits = self._map.logits(z)
        shape = (len(z), self._map.domain.n_points)
        if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != shape or not logits.is_floating_point():
            came = f"{logits.dtype}{list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise InvalidInput(f"logits came as {came}; {self._map.domain} needs floats [batch, m] = {list(shape)}")
        return logits if len(self._where) == shape[1] else logits[:, torch.from_numpy(self._where)]

    def _has_gradient(self) -> bool:
        import torch

        with torch.no_grad():
            self._logits(torch.zeros(2, self.n_latents))
        try:
            at = torch.zeros(2, self.n_latents).requires_grad_(True)
            torch.autograd.grad(self._logits(at).sum(), at)
        except (RuntimeError, TypeError):  # thresholds, integers or numpy on the way
            return False
        return True
