"""The two 7-40-40-1 ReLU networks that the experiments on arXiv 1805.08522 share."""

import math

from pfmap import maps

UNIFORM = maps.MLP(7, (40, 40), weights="uniform", sigma_w=math.sqrt(2), sigma_b=math.sqrt(2), bias_scaling="fan_in")
"""Weights and bias terms uniform in ±sqrt(6 / fan_in), as in the paper."""

GAUSSIAN = maps.MLP(7, (40, 40), sigma_w=1.0, sigma_b=1.0)

NETWORKS = {"uniform": UNIFORM, "Gaussian": GAUSSIAN}
