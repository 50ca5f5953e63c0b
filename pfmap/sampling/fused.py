"""The MLP on its own kernel, and the rounding band that keeps float32 exact.

How far can a float32 logit lie from the float64 logit of the same parameters? Every rounding is relative, of size at
most u = 2^-24, and roundings act as independent (Higham and Mary 2019), so a sum of K products of mean square q errs by
about sqrt(K q) u. Through a layer, errors grow as signals do, by the mean-field factors of random networks (Poole et
al. 2016):

    e_1^2 = n q_1 u^2
    e_{l+1}^2 = sigma_w^2 (E[phi'(g)^2] e_l^2 + c_phi^2 E[phi(g)^2] u^2) + K_l q_{l+1} u^2,   g ~ N(0, q_l)

The band is SAFETY * e_L, scaled up for a network whose largest logit exceeds the mean-field size sqrt(q_L).
sqrt(K) overstates what partial sums do by 2.4, so the band is some 40 standard deviations wide; 0.15 % of 7-40-40-1
networks have a point inside, and such points are settled in float64, one by one. Step networks are settled too wherever
a hidden pre-activation lies inside its own band.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfmap.kernels.counting import CountTable
from pfmap.kernels.network import sample_networks
from pfmap.maps import ACTIVATIONS, MLP
from pfmap.maps.mlp import Activation
from pfmap.streams import LATENTS

SAFETY = 16.0
UNIT = 2.0**-24
_PHI_ERROR = 8.0  # units in the last place of the kernel's activations

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class RoundingBands:
    """Within these the sign of a float32 number is not trusted.

    Attributes:
        relative: of a logit, times the largest logit of the network.
        smallest: of a logit, however small the network's logits are.
        step: of a hidden pre-activation that meets a step.
    """

    relative: float
    smallest: float
    step: float


def rounding_bands(net: MLP) -> RoundingBands:
    """The bands of a network's float32 logits, from its spec alone.

    Error: a model, with a wide margin: tests measure the worst rounding at below a quarter of the band.
    """
    phi, slope = _with_slope(net.activation)
    # Nodes crowd around 0, where a saturating activation of a wide signal has all its slope.
    nodes = np.sinh(np.linspace(-10.0, 10.0, 4001)) * 1e-3
    weights = np.exp(-0.5 * nodes**2) * np.gradient(nodes)
    weights /= weights.sum()
    square, slope_square, error, step = 1.0, 0.0, 0.0, 0.0  # mean squares of the signal and of its error
    for layer in net.layers:
        gain = layer.fan_in * layer.weight_std**2
        carried = gain * (slope_square * error + (_PHI_ERROR * UNIT) ** 2 * square * (slope_square > 0))
        q = gain * square + (layer.bias_std**2 if layer.biases_at >= 0 else 0.0)
        error = carried + layer.fan_in * q * UNIT**2
        g = math.sqrt(q) * nodes
        square, slope_square = float(weights @ phi(g) ** 2), float(weights @ slope(g) ** 2)
        if layer is not net.layers[-1]:
            step = max(step, SAFETY * math.sqrt(layer.fan_in * q) * UNIT)
    if not 1e-25 < q < 1e25:  # float32 itself may run out of range: settle everything in float64
        return RoundingBands(math.inf, math.inf, math.inf)
    return RoundingBands(SAFETY * math.sqrt(error / q), SAFETY * math.sqrt(error), step)


def kernel_settings(net: MLP) -> tuple[int, int, int, int, int]:
    """A network as its kernels take it: inputs; whether in {-1, +1}; activation; uniform weights; origin always 0."""
    zero_at_origin = net.activation != "sigmoid"  # phi(0) = 0 for every other activation
    return (
        net.n_inputs,
        int(net.inputs == "pm1"),
        ACTIVATIONS.index(net.activation),
        int(net.weights == "uniform"),
        int(net.inputs == "01" and net.sigma_b == 0 and zero_at_origin),
    )


class FusedSampler:
    """Truth tables of an MLP at the indices of its latent stream, by the fused kernel."""

    def __init__(self, net: MLP) -> None:
        bands = rounding_bands(net)
        self._n_words = -(-net.domain.n_points // 64)
        self._layers = np.array([(x.fan_in, x.fan_out, x.weights_at, x.biases_at) for x in net.layers], np.int64)
        self._scales = net.scales()
        self._settings = kernel_settings(net)
        self._bands = (bands.relative, bands.smallest, bands.step)

    def __call__(self, seed: int, first: int, count: int) -> NDArray[np.uint64]:
        """Packed tables uint64[count, words] of samples first … first + count - 1."""
        keys = np.empty((count, self._n_words), np.uint64)
        sample_networks(seed, first, LATENTS, self._layers, self._scales, self._settings, self._bands, keys)
        return keys

    def count_into(self, table: CountTable, seed: int, first: int, count: int) -> None:
        """Add them to a table."""
        table.add(self(seed, first, count))


def _with_slope(activation: Activation) -> tuple[Function, Function]:
    """Phi and its derivative; the slope of a step is left out, because steps are settled on their own."""

    def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * (1.0 + np.tanh(0.5 * x))

    def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([math.erf(value) for value in x])

    def density(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)

    def odds(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * (1.0 + erf(x / math.sqrt(2.0)))

    table: dict[Activation, tuple[Function, Function]] = {
        "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0.0).astype(np.float64)),
        "leaky_relu": (lambda x: np.where(x > 0.0, x, 0.01 * x), lambda x: np.where(x > 0.0, 1.0, 0.01)),
        "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
        "erf": (erf, lambda x: 2.0 / math.sqrt(math.pi) * np.exp(-x * x)),
        "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1.0 - sigmoid(x))),
        "gelu": (lambda x: x * odds(x), lambda x: odds(x) + x * density(x)),
        "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))),
        "step": (lambda x: (x > 0.0).astype(np.float64), lambda x: np.zeros_like(x)),
        "linear": (lambda x: x, lambda x: np.ones_like(x)),
    }
    return table[activation]
