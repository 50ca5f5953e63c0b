"""What a parameter-function map promises, and the adaptor that makes one of any torch function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.tables import Cube, Domain, Points

if TYPE_CHECKING:
    from torch import Tensor


class ParameterFunctionMap(Protocol):
    """z ~ N(0, I_d) -> logits on the m points of the domain -> truth table [logit > 0].

    Attributes:
        domain: Cube(n) or Points(m).
        n_latents: d, the length of z.
        spec: what identifies the map, in JSON types; two maps with one spec compute the same function of z.
    """

    @property
    def domain(self) -> Domain: ...
    @property
    def n_latents(self) -> int: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...

    def logits(self, z: Tensor) -> Tensor:
        """Logits [batch, m] of latents z [batch, d]; a logit > 0 is a 1, a logit of exactly 0 is a 0."""
        ...


@dataclass(frozen=True)
class LatentFunction:
    """Any torch function of z as a map.

    Attributes:
        name: identifies the function in provenance: counts of two LatentFunctions merge when name, domain and n_latents
            agree, so give a changed function a new name.
        domain: Cube(n) or Points(m).
        n_latents: d, the length of z.
        function: z float32[batch, d] -> floating logits [batch, m].

    Example:
        >>> import torch
        >>> from pfmap import Cube
        >>> first_input = LatentFunction("first-input", Cube(1), 1, lambda z: z * torch.tensor([[-1.0, 1.0]]))
        >>> first_input.logits(torch.ones(1, 1))
        tensor([[-1.,  1.]])
    """

    name: str
    domain: Domain
    n_latents: int
    function: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        d = self.n_latents
        if isinstance(d, bool) or not isinstance(d, int | np.integer) or d < 1:
            raise InvalidInput(f"n_latents is {d!r}; a map needs at least one latent (an int)")
        object.__setattr__(self, "n_latents", int(d))
        if not isinstance(self.domain, Cube | Points):
            raise InvalidInput(f"domain is {self.domain!r}; it needs Cube(n_inputs) or Points(n_points)")
        if not callable(self.function):
            raise InvalidInput(f"function is {self.function!r}; it needs a function from z [batch, d] to logits")

    @property
    def spec(self) -> dict[str, Any]:
        """Name, domain and n_latents."""
        return {"map": "LatentFunction", "name": self.name, "domain": repr(self.domain), "n_latents": self.n_latents}

    def logits(self, z: Tensor) -> Tensor:
        """The function's own logits."""
        return self.function(z)
