"""Maps whose last layer is linear, so that one draw of all the rest can serve many read-outs.

logit(x) = b + sum_k w_k h_k(x),   w_k = weight_std u_k,   b = bias_std u,   u = z or sqrt(3) (2 Phi(z) - 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.maps.protocol import ParameterFunctionMap, declared_symmetry
from pfmap.streams import UNIFORM_CLIP, UNIFORM_P, UNIFORM_Q
from pfmap.symmetry import Symmetry
from pfmap.tables import Cube, Domain, Points

if TYPE_CHECKING:
    from torch import Tensor

Weights: TypeAlias = Literal["gaussian", "uniform"]


@dataclass(frozen=True)
class Readout:
    """The law of a linear read-out: independent weights of mean 0, and a bias.

    Attributes:
        width: features read, at least 1.
        weight_std: standard deviation of a weight.
        bias_std: standard deviation of the bias; 0 leaves it out.
        weights: "gaussian" or "uniform" (same standard deviations), for weights and bias alike.

    Example:
        >>> Readout(width=40, weight_std=40**-0.5, bias_std=1.0).n_latents
        41
    """

    width: int
    weight_std: float
    bias_std: float = 0.0
    weights: Weights = "gaussian"

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", _at_least(1, "width", self.width))
        for name, lowest in (("weight_std", "a finite number above 0"), ("bias_std", "a finite number from 0 up")):
            std = getattr(self, name)
            is_number = isinstance(std, int | float | np.integer | np.floating) and not isinstance(std, bool)
            if not is_number or not math.isfinite(std) or std < 0 or (std == 0 and name == "weight_std"):
                raise InvalidInput(f"{name} is {std!r}; it needs {lowest}")
            object.__setattr__(self, name, float(std))
        if self.weights not in get_args(Weights):
            raise InvalidInput(f"weights is {self.weights!r}; choose one of {', '.join(get_args(Weights))}")

    @property
    def n_latents(self) -> int:
        """The last latents of z: `width` of weights, then that of the bias if there is one."""
        return self.width + (self.bias_std > 0)

    def weights_of(self, z: Tensor) -> Tensor:
        """Weights float32 of latents of any shape, each rounded once."""
        return self._scaled(z, self.weight_std)

    def biases_of(self, z: Tensor) -> Tensor:
        """Biases float32 of latents of any shape, each rounded once."""
        return self._scaled(z, self.bias_std)

    def logits(self, features: Tensor, z: Tensor) -> Tensor:
        """Logits float64[batch, m] of features [batch, width, m] under read-outs of latents z [batch, n_latents]."""
        import torch

        weights = self.weights_of(z[:, : self.width]).to(torch.float64)
        logits = (weights[:, None] @ features.to(torch.float64))[:, 0]
        if self.bias_std:
            logits = logits + self.biases_of(z[:, self.width :]).to(torch.float64)
        return logits

    def _scaled(self, z: Tensor, std: float) -> Tensor:
        import torch

        factor = std * (math.sqrt(3.0) if self.weights == "uniform" else 1.0)
        return unit_law(z, self.weights) * torch.tensor(factor, dtype=torch.float32, device=z.device)


@runtime_checkable
class ReadoutMap(ParameterFunctionMap, Protocol):
    """A map with a linear read-out: logits(z) = readout.logits(features(z[:, :k]), z[:, k:]).

    Attributes:
        readout: the law of the last layer; its latents are the last of z, and k = n_latents - readout.n_latents come
            before them.
    """

    @property
    def readout(self) -> Readout:
        """The law of the last layer."""
        ...

    def features(self, z: Tensor) -> Tensor:
        """Features h, floats [batch, width, m], of the latents [batch, k] of all that comes before the read-out."""
        ...


@dataclass(frozen=True)
class FeatureFunction:
    """Random features read out linearly: any torch function of z, and the law of the weights that read it.

    Attributes:
        name: identifies the function in provenance, as the name of a LatentFunction does.
        domain: Cube(n) or Points(m).
        n_feature_latents: k, the length of what the features are made of, from 0 up.
        function: z float32[batch, k] -> features h, floats [batch, width, m].
        readout: the law of the weights and of the bias.
        symmetry: symmetries that you know the prior to be invariant under; none by default.

    Example:
        >>> import torch
        >>> from pfmap import Cube
        >>> x = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 1]])
        >>> waves = FeatureFunction("waves", Cube(2), 6, lambda z: torch.cos(z.reshape(-1, 3, 2) @ x), Readout(3, 1.0))
        >>> waves.n_latents, waves.logits(torch.ones(5, 9)).shape
        (9, torch.Size([5, 4]))
    """

    name: str
    domain: Domain
    n_feature_latents: int
    function: Callable[[Tensor], Tensor]
    readout: Readout
    symmetry: Collection[Symmetry] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_feature_latents", _at_least(0, "n_feature_latents", self.n_feature_latents))
        if not isinstance(self.domain, Cube | Points):
            raise InvalidInput(f"domain is {self.domain!r}; it needs Cube(n_inputs) or Points(n_points)")
        if not callable(self.function):
            raise InvalidInput(f"function is {self.function!r}; it needs a function from z [batch, k] to features")
        if not isinstance(self.readout, Readout):
            raise InvalidInput(f"readout is {self.readout!r}; it needs maps.Readout(width, weight_std, bias_std)")
        object.__setattr__(self, "symmetry", declared_symmetry(self))

    @property
    def n_latents(self) -> int:
        """Those of the features, k, and those of the read-out."""
        return self.n_feature_latents + self.readout.n_latents

    @property
    def spec(self) -> dict[str, Any]:
        """Name, domain, n_feature_latents and read-out."""
        return {
            "map": "FeatureFunction",
            "name": self.name,
            "domain": repr(self.domain),
            "n_feature_latents": self.n_feature_latents,
            "readout": asdict(self.readout),
        }

    def features(self, z: Tensor) -> Tensor:
        """The function's own features, if they have the shape that was declared.

        Raises:
            InvalidInput: they came as something else, or hold NaN.
        """
        import torch

        h, expected = self.function(z), (len(z), self.readout.width, self.domain.n_points)
        if not isinstance(h, torch.Tensor) or tuple(h.shape) != expected or not h.is_floating_point():
            came = f"{h.dtype}{list(h.shape)}" if isinstance(h, torch.Tensor) else type(h).__name__
            raise InvalidInput(f"features came as {came}; they need floats [batch, width, m] = {list(expected)}")
        return h

    def logits(self, z: Tensor) -> Tensor:
        """Logits float64[batch, m] of latents z [batch, d]."""
        k = self.n_feature_latents
        return self.readout.logits(self.features(z[:, :k]), z[:, k:])


def unit_law(z: Tensor, weights: Weights) -> Tensor:
    """Latents rounded to float32, and made uniform on (-1, 1) if weights are.

    Error: uniform weights follow their law to 4e-7 of their range. Cost: one pass.
    """
    import torch

    z = z.to(torch.float32)
    if weights == "gaussian":
        return z
    clipped = z.clamp(-UNIFORM_CLIP, UNIFORM_CLIP)
    square = clipped * clipped
    return clipped * _horner(square, UNIFORM_P) / _horner(square, UNIFORM_Q)


def _horner(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    import torch

    # Rounded to float32 first: torch would multiply a float32 tensor by a Python float in higher precision on some
    # devices.
    values = torch.tensor(coefficients, dtype=torch.float32, device=x.device)
    result = values[-1].expand_as(x)
    for c in values[:-1].flip(0):
        result = result * x + c
    return result


def _at_least(lowest: int, name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < lowest:
        raise InvalidInput(f"{name} is {value!r}; it needs an int from {lowest} up")
    return int(value)
