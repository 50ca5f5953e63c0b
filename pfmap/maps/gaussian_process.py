"""Gaussian processes on the points of a domain: the limit of wide networks, and any other covariance.

    logits ~ N(0, K),   K_1(x, x') = sigma_b^2 + sigma_w^2 x.x' / n,   K_{l+1} = sigma_b^2 + sigma_w^2 E[phi(u) phi(v)]

with (u, v) jointly Gaussian of covariance K_l at x and x', and K = K_{depth + 1}: the law of the logits of
MLP(n, (w,) * depth, …) as w grows. E[phi(u) phi(v)] is a closed form for a few activations.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import InvalidInput
from pfmap.maps.mlp import MLP, Inputs
from pfmap.symmetry import Symmetry
from pfmap.tables import Cube, Domain, Points

if TYPE_CHECKING:
    from torch import Tensor

LimitActivation: TypeAlias = Literal["relu", "erf", "step", "linear"]

_MAX_INPUTS = 12


@dataclass(frozen=True, eq=False, repr=False)
class GaussianVector:
    """Logits of one multivariate normal law, mean 0, of any covariance.

        logits = K^(1/2) z,   K^(1/2) = V sqrt(Lambda) V^T the symmetric square root, which is unique

    Attributes:
        domain: Cube(n) or Points(m).
        covariance: K, float64[m, m], read-only. Eigenvalues below m 2^-52 times the largest are rounding and taken for
            0, so that singular covariances keep their support; a point of variance 0 has logit 0 exactly.

    Raises:
        InvalidInput: K is not [m, m], finite, symmetric and positive semidefinite (all but for rounding), or is 0.

    Error: float64 rounding. Cost: O(m^3) once, 2 m^2 flops a sample.

    Example:
        >>> GaussianVector(Points(3), np.eye(3)).n_latents
        3
    """

    domain: Domain
    covariance: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Cube | Points):
            raise InvalidInput(f"domain is {self.domain!r}; it needs Cube(n_inputs) or Points(n_points)")
        m = self.domain.n_points
        try:
            K = np.array(self.covariance)
        except ValueError:
            K = np.array(None)
        if K.dtype.kind not in "iuf":
            raise InvalidInput(f"the covariance is {self.covariance!r}; it needs real numbers of shape [{m}, {m}]")
        K = K.astype(np.float64)
        if K.shape != (m, m) or not np.isfinite(K).all():
            raise InvalidInput(
                f"the covariance has shape {list(K.shape)}; {self.domain} needs finite numbers [{m}, {m}]"
            )
        lopsided, largest = float(abs(K - K.T).max()), float(abs(K).max())
        if largest == 0.0 or lopsided > 1e-12 * largest:
            raise InvalidInput(
                f"the covariance differs from its transpose by {lopsided:.3g}, its largest entry is {largest:.3g}; it "
                "needs to be symmetric and not 0"
            )
        K = (K + K.T) / 2
        K.flags.writeable = False
        object.__setattr__(self, "covariance", K)
        values = self._spectrum[0]
        if values[0] < -1e-10 * values[-1]:
            raise InvalidInput(
                f"the covariance has the eigenvalue {values[0]:.3g} (the largest is {values[-1]:.3g}); it needs to be "
                "positive semidefinite"
            )

    def __repr__(self) -> str:
        return f"GaussianVector({self.domain})"

    @property
    def n_latents(self) -> int:
        """m, also where the covariance is singular."""
        return self.domain.n_points

    @property
    def symmetry(self) -> frozenset[Symmetry]:
        """The complement, unless a point has variance 0: its logit is 0 whatever z, and f(x) is always 0 there."""
        return frozenset({"complement"} if self.covariance.diagonal().all() else ())

    @property
    def spec(self) -> dict[str, Any]:
        """The domain and a digest of the covariance, bit for bit."""
        digest = blake2b(self.covariance.tobytes(), digest_size=16).hexdigest()
        return {"map": "GaussianVector", "domain": repr(self.domain), "covariance": digest}

    def kernel(self) -> NDArray[np.float64]:
        """K, float64[m, m], in table order."""
        return self.covariance

    def logits(self, z: Tensor) -> Tensor:
        """Logits float64[batch, m] of latents z [batch, m], in table order."""
        import torch

        if z.ndim != 2 or z.shape[1] != self.n_latents:
            raise InvalidInput(f"z has shape {list(z.shape)}; {self} needs [batch, {self.n_latents}]")
        return z.to(torch.float64) @ torch.from_numpy(self._root).to(z.device)

    @cached_property
    def _spectrum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues, ascending, and eigenvectors as columns."""
        values, vectors = np.linalg.eigh(self.covariance)
        return values, vectors

    @cached_property
    def _root(self) -> NDArray[np.float64]:
        values, vectors = self._spectrum
        kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
        root: NDArray[np.float64] = (vectors[:, kept] * np.sqrt(values[kept])) @ vectors[:, kept].T
        fixed = self.covariance.diagonal() == 0
        root[fixed], root[:, fixed] = 0.0, 0.0
        return root


@dataclass(frozen=True)
class GaussianProcess:
    """The Gaussian process that MLP(n_inputs, (w,) * depth, …) becomes as its width w grows without bound.

    With s = sqrt(k11 k22) and cos(t) = k12 / s, the means E[phi(u) phi(v)] are

        relu: s (sin t + (pi - t) cos t) / (2 pi)        erf: (2 / pi) asin(2 k12 / sqrt((1 + 2 k11) (1 + 2 k22)))
        step: (pi - t) / (2 pi)                          linear: k12

    Attributes:
        n_inputs: n, from 1 to 12; the domain is the whole cube.
        depth: number of hidden layers, from 0 up; 0 is the perceptron itself, whatever the activation.
        activation: "relu", "erf", "step" or "linear"; other activations have no closed form.
        sigma_w: weights have standard deviation sigma_w / sqrt(fan_in).
        sigma_b: standard deviation of every bias; 0 leaves biases out.
        inputs: "01" for {0,1}^n, "pm1" for {-1,+1}^n (0 becomes -1).

    Error: float64 rounding of the kernel, 5e-16 of the variances for up to ten layers. Cost: 4^n a layer, then as
    `GaussianVector`.
    Source: Williams 1997 (erf); Cho and Saul 2009 (relu, step); Lee et al. 2018, arXiv 1711.00165 (the recursion).

    Example:
        >>> GaussianProcess(1, depth=1, sigma_b=0.0, inputs="pm1").kernel()
        array([[0.5, 0. ],
               [0. , 0.5]])
    """

    n_inputs: int
    depth: int = 2
    activation: LimitActivation = "relu"
    sigma_w: float = field(default=1.0, kw_only=True)
    sigma_b: float = field(default=1.0, kw_only=True)
    inputs: Inputs = field(default="01", kw_only=True)

    def __post_init__(self) -> None:
        depth = self.depth
        if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 0:
            raise InvalidInput(f"depth is {depth!r}; it needs an int from 0 up, the number of hidden layers")
        if self.activation not in get_args(LimitActivation):
            raise InvalidInput(
                f"activation is {self.activation!r}; the kernel is a closed form for "
                f"{', '.join(get_args(LimitActivation))}. For others compute K and pass it to "
                "GaussianProcess.from_kernel"
            )
        net = MLP(self.n_inputs, (), sigma_w=self.sigma_w, sigma_b=self.sigma_b, inputs=self.inputs)  # its checks
        if net.n_inputs > _MAX_INPUTS:
            raise InvalidInput(f"n_inputs is {net.n_inputs}; the kernel has 4^n entries, so at most {_MAX_INPUTS}")
        for name in ("n_inputs", "sigma_w", "sigma_b"):
            object.__setattr__(self, name, getattr(net, name))
        object.__setattr__(self, "depth", int(depth))
        with np.errstate(over="ignore", invalid="ignore"):
            largest = self.kernel().diagonal().max()
        if not 1e-200 < largest < 1e200:
            raise InvalidInput(
                f"sigma_w is {self.sigma_w:g} and sigma_b {self.sigma_b:g}: after {depth} layers the largest variance "
                f"is {largest:.3g}, outside 1e-200 to 1e200; choose sigma_w nearer 1 or fewer layers"
            )

    @staticmethod
    def from_kernel(K: ArrayLike, domain: Domain) -> GaussianVector:
        """The map whose logits have any covariance K [m, m] you like, such as np.eye(m), the uniform prior."""
        return GaussianVector(domain, K)  # type: ignore[arg-type]

    @classmethod
    def limit_of(cls, net: MLP) -> GaussianProcess:
        """The limit of a network as its hidden layers widen, whatever their widths are now.

        Raises:
            InvalidInput: the activation has no closed form, weights are uniform (then the first layer, and the bias of
                the logit, stay so at any width), or biases change with width (`bias_scaling`).

        Example:
            >>> GaussianProcess.limit_of(MLP(7, (40, 40))) == GaussianProcess(7, depth=2)
            True
        """
        if not isinstance(net, MLP):
            raise InvalidInput(f"net is {net!r}; it needs a maps.MLP")
        if net.weights != "gaussian" or (net.sigma_b and net.bias_scaling != "constant"):
            raise InvalidInput(
                f"{net} has no such limit; it needs weights='gaussian' and biases that keep their scale as layers "
                "widen, bias_scaling='constant'"
            )
        return cls(
            net.n_inputs,
            len(net.hidden),
            net.activation if net.hidden else "linear",  # type: ignore[arg-type]  # checked
            sigma_w=net.sigma_w,
            sigma_b=net.sigma_b,
            inputs=net.inputs,
        )

    @property
    def domain(self) -> Cube:
        """All 2^n points."""
        return Cube(self.n_inputs)

    @property
    def n_latents(self) -> int:
        """2^n."""
        return self.domain.n_points

    @property
    def symmetry(self) -> frozenset[Symmetry]:
        """Input permutations, input flips on {-1,+1}^n, and complement unless a logit is always 0.

        Without biases the origin of {0,1}^n has one.
        """
        flips: frozenset[Symmetry] = frozenset({"input_flips"} if self.inputs == "pm1" else ())
        permutations: frozenset[Symmetry] = frozenset({"input_permutations"})
        return permutations | flips | self._vector.symmetry

    @property
    def spec(self) -> dict[str, Any]:
        """Every field, under the map's name."""
        return {"map": "GaussianProcess", **asdict(self)}

    def kernel(self) -> NDArray[np.float64]:
        """K, float64[2^n, 2^n], in table order."""
        x = self.domain.points().astype(np.float64)
        x = 2 * x - 1 if self.inputs == "pm1" else x
        K: NDArray[np.float64] = self.sigma_b**2 + self.sigma_w**2 * (x @ x.T) / self.n_inputs
        for _ in range(self.depth):
            K = self.sigma_b**2 + self.sigma_w**2 * _mean_product(self.activation, K)
        return K

    def logits(self, z: Tensor) -> Tensor:
        """Logits float64[batch, 2^n] of latents z [batch, 2^n], in table order.

        Error and Cost: those of `GaussianVector`.
        """
        return self._vector.logits(z)

    @cached_property
    def _vector(self) -> GaussianVector:
        return GaussianVector(self.domain, self.kernel())


def _mean_product(activation: LimitActivation, K: NDArray[np.float64]) -> NDArray[np.float64]:
    """E[phi(u) phi(v)] for every pair of points, where K is the covariance of u and v."""
    if activation == "linear":
        return K
    variance = K.diagonal()
    if activation == "erf":
        widened = np.sqrt(1 + 2 * variance)
        product = (2 / math.pi) * np.arcsin(2 * K / np.outer(widened, widened))
    else:
        size = np.outer(np.sqrt(variance), np.sqrt(variance))
        cosine = np.clip(np.divide(K, size, out=np.zeros_like(K), where=size > 0), -1.0, 1.0)
        np.fill_diagonal(cosine, 1.0)
        angle = np.arccos(cosine)
        if activation == "step":
            product = np.where(size > 0, (math.pi - angle) / (2 * math.pi), 0.0)
        else:
            product = size * (np.sqrt((1 - cosine) * (1 + cosine)) + (math.pi - angle) * cosine) / (2 * math.pi)
    return np.asarray(product)
