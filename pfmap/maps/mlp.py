"""Fully connected networks, from the perceptron up, as functions of standard normals.

    h_0 = x,   a_l = W_l h_{l-1} + b_l,   h_l = phi(a_l),   logit = a_L
    W_l[i, j] = sigma_w / sqrt(fan_in_l) * u,   b_l[i] = s_l * u,   u = z (Gaussian) or sqrt(3) (2 Phi(z) - 1) (uniform)

One sigma rule holds for every layer and for the perceptron: sigma_w and sigma_b are standard deviations, also of
uniform weights. Parameters are float32, each rounded once from its latent; logits are float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.maps.readout import Readout, Weights, unit_law
from pfmap.symmetry import Symmetry
from pfmap.tables import Cube

if TYPE_CHECKING:
    from torch import Tensor

Activation: TypeAlias = Literal["relu", "leaky_relu", "tanh", "erf", "sigmoid", "gelu", "silu", "step", "linear"]
Inputs: TypeAlias = Literal["01", "pm1"]
BiasScaling: TypeAlias = Literal["constant", "fan_in", "fan_out"]

ACTIVATIONS: tuple[str, ...] = get_args(Activation)

_SMALLEST_STD, _LARGEST_STD = 1e-18, 1e18


@dataclass(frozen=True)
class Layer:
    """One affine layer: where its parameters sit in z, and the factors that scale them.

    Attributes:
        fan_in: inputs of the layer.
        fan_out: outputs of the layer.
        weights_at: z[weights_at : weights_at + fan_out * fan_in] are W, row by row.
        biases_at: z[biases_at : biases_at + fan_out] are b; -1 where the layer has none.
        weight_std: standard deviation of an entry of W.
        bias_std: standard deviation of an entry of b.
    """

    fan_in: int
    fan_out: int
    weights_at: int
    biases_at: int
    weight_std: float
    bias_std: float


@dataclass(frozen=True)
class MLP:
    """A fully connected network with one logit.

    Attributes:
        n_inputs: n, from 1 to 16; the domain is the whole cube.
        hidden: widths of the hidden layers, first layer first; () is the perceptron.
        activation: phi of every hidden layer; "step" is [a > 0], "gelu" is a Phi(a), "leaky_relu" has slope 0.01 below
            zero.
        sigma_w: weights have standard deviation sigma_w / sqrt(fan_in).
        sigma_b: biases have the standard deviation that `bias_scaling` makes of it; 0 leaves biases out altogether.
        weights: "gaussian" or "uniform" (same standard deviations), for weights and biases alike.
        inputs: "01" for {0,1}^n, "pm1" for {-1,+1}^n (0 becomes -1).
        bias_scaling: "constant" for sigma_b; "fan_in" for sigma_b / sqrt(fan_in); "fan_out" for sigma_b sigma_w /
            fan_out, the released sampler of arXiv 2304.06670.

    Example:
        >>> net = MLP(7, hidden=(40, 40))
        >>> net.n_latents, net.domain
        (2001, Cube(n_inputs=7))
    """

    n_inputs: int
    hidden: tuple[int, ...] = (40, 40)
    activation: Activation = "relu"
    sigma_w: float = 1.0
    sigma_b: float = 1.0
    weights: Weights = "gaussian"
    inputs: Inputs = "01"
    bias_scaling: BiasScaling = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_inputs", Cube(self.n_inputs).n_inputs)  # refuses n outside 1 … 16
        try:
            hidden = tuple(self.hidden)
        except TypeError:
            raise InvalidInput(f"hidden is {self.hidden!r}; it needs a sequence of widths such as (40, 40)") from None
        if not all(isinstance(h, int | np.integer) and not isinstance(h, bool) and h >= 1 for h in hidden):
            raise InvalidInput(f"hidden is {hidden}; every width needs an int of at least 1 (no hidden layer is ())")
        object.__setattr__(self, "hidden", tuple(int(h) for h in hidden))
        for name, choices in (
            ("activation", get_args(Activation)),
            ("weights", get_args(Weights)),
            ("inputs", get_args(Inputs)),
            ("bias_scaling", get_args(BiasScaling)),
        ):
            if getattr(self, name) not in choices:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        object.__setattr__(self, "sigma_w", _standard_deviation("sigma_w", self.sigma_w))
        object.__setattr__(self, "sigma_b", _standard_deviation("sigma_b", self.sigma_b, zero="leaves biases out"))
        stds = [s for layer in self.layers for s in (layer.weight_std, layer.bias_std) if s]
        if not _SMALLEST_STD <= min(stds) <= max(stds) <= _LARGEST_STD:
            raise InvalidInput(
                f"sigma_w is {self.sigma_w:g} and sigma_b is {self.sigma_b:g}: parameters deviate from "
                f"{min(stds):.3g} to {max(stds):.3g}; float32 holds {_SMALLEST_STD:g} to {_LARGEST_STD:g} safely"
            )

    @property
    def domain(self) -> Cube:
        """All 2^n points."""
        return Cube(self.n_inputs)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The affine layers, input side first."""
        sizes, at, layers = (self.n_inputs, *self.hidden, 1), 0, []
        for fan_in, fan_out in pairwise(sizes):
            biases_at = at + fan_in * fan_out if self.sigma_b else -1
            bias_std = {
                "constant": self.sigma_b,
                "fan_in": self.sigma_b / math.sqrt(fan_in),
                "fan_out": self.sigma_b * self.sigma_w / fan_out,
            }[self.bias_scaling]
            layers.append(Layer(fan_in, fan_out, at, biases_at, self.sigma_w / math.sqrt(fan_in), bias_std))
            at += fan_out * (fan_in + (1 if self.sigma_b else 0))
        return tuple(layers)

    @property
    def n_latents(self) -> int:
        """d, the number of weights and biases."""
        return sum(layer.fan_out * (layer.fan_in + (layer.biases_at >= 0)) for layer in self.layers)

    @property
    def symmetry(self) -> frozenset[Symmetry]:
        """What leaves the prior as it is, because it leaves the law of the weights so.

        Inputs may be reordered, and on {-1,+1}^n flipped. The sign of the read-out makes 1 - f of f unless a logit is
        exactly 0, which is a 0 in both: "complement" is there only if such ties have no chance. With biases they have
        none (beyond float32's own, some 2^-24). Without biases the origin of {0,1}^n is one unless phi(0) is not 0,
        and so is a layer whose units are all 0 at a point: dead units of ReLU and step, or where phi(a) rounds to 0.
        """
        always: frozenset[Symmetry] = frozenset({"input_permutations"})
        flips: frozenset[Symmetry] = frozenset({"input_flips"} if self.inputs == "pm1" else ())
        return always | flips | frozenset(() if self._may_tie() else {"complement"})

    def _may_tie(self) -> bool:
        if self.sigma_b:
            return False
        depth = len(self.hidden)
        if self.inputs == "01" and (self.activation != "sigmoid" or not depth):  # the origin
            return True
        match self.activation:
            case "relu" | "step" | "gelu":  # 1 + erf(a / sqrt 2) is 0 below a = -8.3
                dead = depth > 0
            case "sigmoid" | "silu":  # exp(-a) is infinite below a = -709, 44 deviations of 16
                dead = depth * math.log2(max(self.sigma_w, 1.0)) > 4.0
            case _:
                dead = False
        # Signals so small that products of weights leave float64.
        return dead or (depth + 1) * (math.log10(min(self.sigma_w, 1.0)) - 2.0) < -250.0

    @property
    def spec(self) -> dict[str, Any]:
        """Every field, under the map's name."""
        return {"map": "MLP", **asdict(self), "hidden": list(self.hidden)}

    def scales(self) -> NDArray[np.float32]:
        """The factor of each latent, float32[d]: a parameter is factor * z, or factor * (2 Phi(z) - 1) if uniform."""
        widen = math.sqrt(3.0) if self.weights == "uniform" else 1.0
        parts = []
        for layer in self.layers:
            parts.append(np.full(layer.fan_in * layer.fan_out, widen * layer.weight_std, np.float32))
            if layer.biases_at >= 0:
                parts.append(np.full(layer.fan_out, widen * layer.bias_std, np.float32))
        return np.concatenate(parts)

    def parameters(self, z: Tensor) -> Tensor:
        """theta, float32[batch, d]: the latents z [batch, d], rounded to float32, through the weights' law.

        Error: uniform weights follow their law to 4e-7 of their range. Cost: one pass.
        """
        return self._scaled(z, self.n_latents)

    @property
    def readout(self) -> Readout:
        """The law of the last layer."""
        last = self.layers[-1]
        return Readout(last.fan_in, last.weight_std, last.bias_std if last.biases_at >= 0 else 0.0, self.weights)

    def features(self, z: Tensor) -> Tensor:
        """Activations float64[batch, width, 2^n] of the last hidden layer, of the latents z [batch, k] before the last.

        Error: float64 rounding of the activations of float32 parameters. Cost: 2 k 2^n flops a network.
        """
        import torch

        *hidden, last = self.layers
        theta = self._scaled(z, last.weights_at).to(torch.float64)
        x = torch.from_numpy(self.domain.points().astype(np.float64)).to(z.device)
        h = (2 * x - 1 if self.inputs == "pm1" else x).T.expand(len(z), -1, -1)
        phi = torch_activation(self.activation)
        for layer in hidden:
            end = layer.weights_at + layer.fan_in * layer.fan_out
            a = theta[:, layer.weights_at : end].reshape(-1, layer.fan_out, layer.fan_in) @ h
            if layer.biases_at >= 0:
                a = a + theta[:, layer.biases_at : layer.biases_at + layer.fan_out, None]
            h = phi(a)
        return h

    def logits(self, z: Tensor) -> Tensor:
        """Logits float64[batch, 2^n] of latents z [batch, d], in table order.

        Error: float64 rounding of the logits of float32 parameters. Cost: 2 d 2^n flops a network.
        """
        self._check(z, self.n_latents)
        k = self.layers[-1].weights_at
        return self.readout.logits(self.features(z[:, :k]), z[:, k:])

    def _scaled(self, z: Tensor, width: int) -> Tensor:
        """The first parameters float32[batch, width] of latents [batch, width]."""
        import torch

        self._check(z, width)
        return unit_law(z, self.weights) * torch.from_numpy(self.scales()[:width]).to(z.device)

    def _check(self, z: Tensor, width: int) -> None:
        if z.ndim != 2 or z.shape[1] != width:
            raise InvalidInput(f"z has shape {list(z.shape)}; {self} needs [batch, {width}]")


def Perceptron(  # noqa: N802  (a map's constructor, written as the field writes it)
    n_inputs: int,
    *,
    sigma_w: float = 1.0,
    sigma_b: float = 0.0,
    weights: Weights = "gaussian",
    inputs: Inputs = "01",
) -> MLP:
    """A linear threshold function f(x) = [w x + b > 0]: the MLP without hidden layers, by default without bias.

    As in every MLP, w_i has standard deviation sigma_w / sqrt(n); without bias only the law's shape matters.
    Source: P(T = t) = 2^-n for t < 2^n without bias on {0,1}^n (Mingard et al. 2019, arXiv 1909.11522, theorem 4.1).

    Example:
        >>> Perceptron(5).n_latents, Perceptron(5, sigma_b=1.0).n_latents
        (5, 6)
    """
    return MLP(n_inputs, (), sigma_w=sigma_w, sigma_b=sigma_b, weights=weights, inputs=inputs)


def _standard_deviation(name: str, value: float, zero: str = "") -> float:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        allowed = f"a finite number from 0 up (0 {zero})" if zero else "a finite number above 0"
        raise InvalidInput(f"{name} is {value!r}; a standard deviation is {allowed}")
    return float(value)


def torch_activation(name: Activation) -> Callable[[Tensor], Tensor]:
    """Phi on tensors."""
    import torch

    functions: dict[Activation, Callable[[Tensor], Tensor]] = {
        "relu": torch.relu,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "tanh": torch.tanh,
        "erf": torch.erf,
        "sigmoid": torch.sigmoid,
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
        "step": lambda a: (a > 0).to(a.dtype),
        "linear": lambda a: a,
    }
    return functions[name]
