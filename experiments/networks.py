"""Maps that several experiments share: the 7-40-40-1 ReLU networks of arXiv 1805.08522, and a row of machines."""

import math

from pfmap import maps

UNIFORM = maps.MLP(7, (40, 40), weights="uniform", sigma_w=math.sqrt(2), sigma_b=math.sqrt(2), bias_scaling="fan_in")
"""Weights and bias terms uniform in ±sqrt(6 / fan_in), as in the paper."""

GAUSSIAN = maps.MLP(7, (40, 40), sigma_w=1.0, sigma_b=1.0)

NETWORKS = {"uniform": UNIFORM, "Gaussian": GAUSSIAN}

SIGMA_B = 0.2


def machines(n_inputs, width, depths=(1, 2, 10)):
    """Perceptron, ReLU and tanh networks of these depths, in order and in chaos, and a Gaussian process."""
    nets = {"perceptron": maps.Perceptron(n_inputs, sigma_b=SIGMA_B)}
    for name, activation, sigma_w in (("ReLU", "relu", 1.0), ("tanh", "tanh", 1.0), ("tanh, σw = 8", "tanh", 8.0)):
        for depth in depths:
            layers = f"{depth} layer{'s' if depth > 1 else ''}"
            nets[f"{name}, {layers}"] = maps.MLP(n_inputs, (width,) * depth, activation, sigma_w, SIGMA_B)
    nets["GP, ReLU, 2 layers"] = maps.GaussianProcess(n_inputs, 2, "relu", sigma_b=SIGMA_B)
    return nets
