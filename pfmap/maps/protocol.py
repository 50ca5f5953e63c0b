"""What a parameter-function map promises, and the adaptor that makes one of any torch function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pfmap.errors import InvalidInput
from pfmap.symmetry import Symmetry, check_group
from pfmap.tables import Cube, Domain, Points

if TYPE_CHECKING:
    from torch import Tensor


class ParameterFunctionMap(Protocol):
    """z ~ N(0, I_d) -> logits on the m points of the domain -> truth table [logit > 0].

    A map may also have `symmetry`, a set of symmetries that its prior is invariant under, for orbits to be pooled;
    without it none is taken for granted. `pfmap.invariance_test` looks whether counts bear it out.

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
        symmetry: symmetries that you know the prior to be invariant under, such as {"input_permutations"}; none by
            default. A logit of exactly 0 is a 0 for f and 1 - f alike, so where ties come there is no "complement".

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
    symmetry: Collection[Symmetry] = frozenset()

    def __post_init__(self) -> None:
        d = self.n_latents
        if isinstance(d, bool) or not isinstance(d, int | np.integer) or d < 1:
            raise InvalidInput(f"n_latents is {d!r}; a map needs at least one latent (an int)")
        object.__setattr__(self, "n_latents", int(d))
        if not isinstance(self.domain, Cube | Points):
            raise InvalidInput(f"domain is {self.domain!r}; it needs Cube(n_inputs) or Points(n_points)")
        if not callable(self.function):
            raise InvalidInput(f"function is {self.function!r}; it needs a function from z [batch, d] to logits")
        object.__setattr__(self, "symmetry", declared_symmetry(self))

    @property
    def spec(self) -> dict[str, Any]:
        """Name, domain and n_latents."""
        return {"map": "LatentFunction", "name": self.name, "domain": repr(self.domain), "n_latents": self.n_latents}

    def logits(self, z: Tensor) -> Tensor:
        """The function's own logits."""
        return self.function(z)


def declared_symmetry(pfm: ParameterFunctionMap) -> frozenset[Symmetry]:
    """The symmetries that a map says its prior is invariant under; none where it says nothing.

    Raises:
        InvalidInput: a symmetry of an unknown name, or one of inputs on a list of points, which has none.
    """
    symmetry = check_group(getattr(pfm, "symmetry", ()))
    if symmetry - {"complement"} and not isinstance(pfm.domain, Cube):
        raise InvalidInput(
            f"symmetry is {sorted(symmetry)}, but {pfm.domain} has no inputs; it may hold 'complement' alone"
        )
    return symmetry
